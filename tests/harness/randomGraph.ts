// Random graphs for property tests: a handful of operators applied to whatever is at hand, with variables that are
// updated, values used more than once, broadcasting, reshapes and several outputs.

import { Random } from "../../src/core/random.ts";
import { broadcastShapes } from "../../src/core/broadcast.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { tensorData } from "../../src/core/tensorData.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { Variable } from "../../src/graph/variable.ts";
import { evaluateReference } from "../../src/ops/evaluate.ts";
import { add, greater, mul, sub } from "../../src/ops/binary.ts";
import { max } from "../../src/ops/extrema.ts";
import { matMul } from "../../src/ops/matmul.ts";
import { reduceMax, reduceMean, reduceSum } from "../../src/ops/reduce.ts";
import { reshape } from "../../src/ops/reshape.ts";
import { softmax } from "../../src/ops/softmax.ts";
import { transpose } from "../../src/ops/transpose.ts";
import { abs } from "../../src/ops/magnitude.ts";
import { neg, relu } from "../../src/ops/unary.ts";
import { sigmoid, tanh } from "../../src/ops/sigmoid.ts";
import { where } from "../../src/ops/where.ts";

export interface RandomGraph {
  readonly graph: Graph;
  readonly inputs: Record<string, Float32Array>;
}

const UNARY = [relu, tanh, sigmoid, neg, abs];
const BINARY = [add, sub, mul, max];
const SMOOTH_UNARY = [tanh, sigmoid, neg];
const SMOOTH_BINARY = [add, sub, mul];
const SHAPES = [[], [1], [5], [3, 5], [3, 1], [4, 3, 5], [4, 1, 5], [5, 6], [3, 6]];

/**
 * The graph of `seed` with about `size` nodes; the same seed gives the same graph, variables and inputs. A `smooth` one
 * has only operators with continuous derivatives, so that finite differences are right everywhere.
 */
export function randomGraph(seed: number, size: number, { smooth = false } = {}): RandomGraph {
  const random = new Random(seed, 0x677261);
  const graph = new Graph();
  const inputs: Record<string, Float32Array> = {};
  const pool: Value[] = [];
  const pick = <T>(from: readonly T[]): T => from[random.integer(from.length)]!;
  const values = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.uniform() * 2 - 1);
  for (let i = 0; i < 3; i++) {
    const shape = pick(SHAPES);
    inputs[`x${i}`] = values(sizeOf(shape));
    pool.push(graph.input(`x${i}`, { dtype: "float32", shape }));
  }
  const variables = Array.from({ length: 3 }, (_, i) => {
    const shape = pick(SHAPES);
    return new Variable(`v${i}`, tensorData(values(sizeOf(shape)), shape));
  });
  for (const variable of variables) pool.push(graph.variable(variable));
  pool.push(graph.constant(0.5), graph.constant(tensorData(values(5), [5])));

  /** A value that broadcasts with `value` to something small, or `value` itself. */
  const partner = (value: Value): Value => {
    const fitting = pool.filter((other) => fits(value, other));
    return fitting.length > 0 ? pick(fitting) : value;
  };
  const tame = (value: Value): Value => graph.apply(tanh, [value]);
  for (let i = 0; i < size; i++) {
    const value = pick(pool);
    const rank = value.shape.length;
    switch (random.integer(9)) {
      case 0:
      case 1:
        pool.push(graph.apply(pick(smooth ? SMOOTH_UNARY : UNARY), [value]));
        break;
      case 2:
      case 3:
      case 4:
        pool.push(graph.apply(pick(smooth ? SMOOTH_BINARY : BINARY), [value, partner(value)]));
        break;
      case 5: {
        if (smooth) break;
        const other = partner(value);
        pool.push(graph.apply(where, [graph.apply(greater, [value, other]), value, other]));
        break;
      }
      case 6: {
        if (rank === 0) break;
        const axes = [random.integer(rank)];
        const reduced = graph.apply(
          pick(smooth ? [reduceSum, reduceMean] : [reduceSum, reduceMean, reduceMax]),
          [value],
          { axes, keepdims: random.integer(2) },
        );
        pool.push(tame(reduced));
        break;
      }
      case 7: {
        if (rank < 2) break;
        pool.push(
          random.integer(2) === 0
            ? graph.apply(reshape, [value], { shape: [sizeOf(value.shape)] })
            : graph.apply(transpose, [value]),
        );
        break;
      }
      default: {
        const right = pool.filter(
          (other) => other.shape.length === 2 && rank >= 2 && other.shape[0] === value.shape.at(-1),
        );
        pool.push(
          right.length > 0
            ? tame(graph.apply(matMul, [value, pick(right)]))
            : graph.apply(softmax, rank > 0 ? [value] : [graph.apply(reshape, [value], { shape: [1] })]),
        );
      }
    }
  }
  const computed = pool.filter((value) => value.node);
  const outputs = new Set([
    pool.at(-1)!,
    ...Array.from({ length: 3 }, () => pick(computed.length > 0 ? computed : pool)),
  ]);
  [...outputs].forEach((value, i) => graph.output(`y${i}`, value));
  for (const variable of variables) {
    const same = computed.filter((value) => String(value.shape) === String(variable.shape));
    if (same.length > 0 && random.integer(3) > 0) graph.update(variable, pick(same));
  }
  return { graph, inputs };
}

/** Float64 values of every value of the graph, node by node, with no rounding, fusion or planning. */
export function evaluateGraph(
  graph: Graph,
  inputs: Readonly<Record<string, ArrayLike<number>>>,
): Map<Value, Float64Array> {
  const values = new Map<Value, Float64Array>();
  for (const [name, value] of graph.inputs) values.set(value, Float64Array.from(inputs[name]!));
  for (const [value, { data }] of graph.constants) values.set(value, Float64Array.from(data));
  for (const [value, variable] of graph.variables) values.set(value, Float64Array.from(variable.data.data));
  for (const node of graph.nodes) {
    const args = node.inputs.map(
      (input) => input && { dtype: input.dtype, shape: input.shape, data: values.get(input)! },
    );
    evaluateReference(node.operator, args, node).forEach((result, i) => values.set(node.outputs[i]!, result.values));
  }
  return values;
}

function fits(a: Value, b: Value): boolean {
  try {
    return sizeOf(broadcastShapes([a.shape, b.shape], "randomGraph")) <= 240;
  } catch {
    return false;
  }
}
