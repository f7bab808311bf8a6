// Symbolic tensors: what users compute with. A method appends an operator to the graph being traced and returns the
// tensor it computes; shapes are checked at once. Operators beyond arithmetic are functions in functional.ts, so that
// a page bundles only those it calls.

import { UsageError } from "../core/errors.ts";
import { formatType, type Shape, type TensorType } from "../core/shape.ts";
import type { DType } from "../core/dtype.ts";
import type { TensorData } from "../core/tensorData.ts";
import { add, div, mul, sub } from "../ops/binary.ts";
import { matMul } from "../ops/matmul.ts";
import type { Attributes, Operator } from "../ops/operator.ts";
import { reduceMax, reduceMean, reduceSum } from "../ops/reduce.ts";
import { reshape } from "../ops/reshape.ts";
import { transpose } from "../ops/transpose.ts";
import { exp, log, neg, sqrt } from "../ops/unary.ts";
import type { Graph, Value } from "./graph.ts";

/** A number stands for a float32 scalar; a {@link TensorData} for a constant. */
export type TensorLike = Tensor | TensorData | number;

export interface ReduceOptions {
  /** Axes to reduce; all when left out. Negative axes count from the end. */
  readonly axes?: number | readonly number[];
  /** Keep reduced axes with extent 1. Default false. */
  readonly keepdims?: boolean;
}

export class Tensor implements TensorType {
  constructor(
    readonly graph: Graph,
    readonly value: Value,
  ) {}

  get shape(): Shape {
    return this.value.shape;
  }

  get dtype(): DType {
    return this.value.dtype;
  }

  /** Broadcasting sum. */
  add(other: TensorLike): Tensor {
    return apply(add, [this, other]);
  }

  /** Broadcasting difference. */
  sub(other: TensorLike): Tensor {
    return apply(sub, [this, other]);
  }

  /** Broadcasting product. */
  mul(other: TensorLike): Tensor {
    return apply(mul, [this, other]);
  }

  /** Broadcasting quotient. */
  div(other: TensorLike): Tensor {
    return apply(div, [this, other]);
  }

  neg(): Tensor {
    return apply(neg, [this]);
  }

  exp(): Tensor {
    return apply(exp, [this]);
  }

  log(): Tensor {
    return apply(log, [this]);
  }

  sqrt(): Tensor {
    return apply(sqrt, [this]);
  }

  /** Matrix product over the last two axes; leading axes broadcast (ONNX MatMul). */
  matmul(other: TensorLike): Tensor {
    return apply(matMul, [this, other]);
  }

  /** Same elements in another shape; -1 infers one extent, 0 keeps the extent at its place. */
  reshape(shape: Shape): Tensor {
    return apply(reshape, [this], { shape });
  }

  /** Permutes axes; reverses them when `perm` is left out. */
  transpose(perm: readonly number[] = []): Tensor {
    return apply(transpose, [this], { perm });
  }

  sum(options?: ReduceOptions): Tensor {
    return apply(reduceSum, [this], reduceAttributes(options));
  }

  mean(options?: ReduceOptions): Tensor {
    return apply(reduceMean, [this], reduceAttributes(options));
  }

  max(options?: ReduceOptions): Tensor {
    return apply(reduceMax, [this], reduceAttributes(options));
  }

  toString(): string {
    return `Tensor(${formatType(this)})`;
  }
}

function reduceAttributes({ axes = [], keepdims = false }: ReduceOptions = {}): {
  axes: readonly number[];
  keepdims: number;
} {
  return { axes: typeof axes === "number" ? [axes] : axes, keepdims: keepdims ? 1 : 0 };
}

/** Applies an operator with one output to tensors of one graph; numbers and host tensors become constants. */
export function apply<A extends Attributes>(
  operator: Operator<A>,
  inputs: readonly [Tensor, ...(TensorLike | undefined)[]],
  attributes?: Partial<A>,
): Tensor {
  const { graph } = inputs[0];
  const operands = inputs.map((input) => {
    if (input === undefined) return undefined;
    if (!(input instanceof Tensor)) return graph.constant(input);
    if (input.graph !== graph)
      throw new UsageError(`${operator.name}: ${String(input)} belongs to another graph; trace both in one function`);
    return input.value;
  });
  return new Tensor(graph, graph.apply(operator, operands, attributes));
}
