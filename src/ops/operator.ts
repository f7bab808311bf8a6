// What an operator is: everything the rest of Neurite may ask about it. No other room branches on an operator's name;
// what it needs to know, the operator declares here. How it runs on a GPU is said in shaders/<operator>/.

import { dtypes, type DType } from "../core/dtype.ts";
import { sizeOf, type Shape, type TensorType } from "../core/shape.ts";
import type { TensorData } from "../core/tensorData.ts";
import type { GradientOperators } from "./gradientOperators.ts";

/** Attribute values are plain JSON data, so that plans serialise. */
export type AttributeValue = number | string | boolean | readonly number[] | undefined;
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** One application of an operator: types and attributes, no values. Absent optional inputs are undefined. */
export interface Problem<A extends Attributes = Attributes> {
  readonly inputs: readonly (TensorType | undefined)[];
  readonly outputs: readonly TensorType[];
  readonly attributes: A;
}

/** Elements of an operand of a reference: float64 in gradient checks, the stored type elsewhere. */
export type Numbers = Float64Array | Float32Array | Int32Array | Uint32Array;

/** An operand with its values, as a reference sees it. */
export interface ReferenceInput extends TensorType {
  readonly data: Numbers;
}

/** One output of a reference: exact values and, beside each, Σ|terms|: the magnitude its rounding errors scale with. */
export interface ReferenceOutput {
  readonly values: Float64Array;
  /** Defaults to |values|. Zeros say that the result is exact (selection, copying). */
  readonly terms?: Float64Array;
}

/** A handle to a tensor of the graph being built; rules only look at its type and pass it on. */
export type Operand = TensorType;

/** Appends operators to a graph: what gradient rules and decompositions are written with. */
export interface Builder {
  /** Applies an operator with one output. Attributes left out take their defaults. */
  apply<A extends Attributes>(
    operator: Operator<A>,
    inputs: readonly (Operand | undefined)[],
    attributes?: Partial<A>,
  ): Operand;
  /** Applies an operator and returns all of its outputs. */
  applyAll<A extends Attributes>(
    operator: Operator<A>,
    inputs: readonly (Operand | undefined)[],
    attributes?: Partial<A>,
  ): readonly Operand[];
  /** A constant; a bare number is a float32 scalar. */
  constant(value: number | TensorData): Operand;
}

/** What a gradient rule is given. */
export interface GradientContext<A extends Attributes = Attributes> {
  readonly build: Builder;
  /** What rules apply but inference seldom does: taken from here, not imported, it stays off pages that only infer. */
  readonly operators: GradientOperators;
  readonly attributes: A;
  readonly inputs: readonly (Operand | undefined)[];
  readonly outputs: readonly Operand[];
  /** ∂loss/∂output, undefined where the loss does not depend on that output. At least one is there. */
  readonly outputGradients: readonly (Operand | undefined)[];
  /** Which inputs' gradients are wanted; others may be returned as undefined and cost nothing. */
  readonly wanted: readonly boolean[];
}

/** One input of a case: a shape of float32 values in [-1, 1), or the same with a type and range of its own. */
export type CaseInput =
  | Shape
  | {
      readonly shape: Shape;
      readonly dtype?: DType;
      /** Values are uniform in [low, high); integers for integer types. */
      readonly low?: number;
      readonly high?: number;
    };

/** A problem worth testing; one case gives the kernel test, the gradient check and the benchmark. */
export interface OperatorCase<A extends Attributes = Attributes> {
  readonly inputs: readonly (CaseInput | undefined)[];
  readonly attributes?: Partial<A>;
  /** Why this case is here, when the shapes do not say it. */
  readonly why?: string;
}

/** Elementwise operators: one number from one number of each operand, after broadcasting. */
export interface Pointwise<A extends Attributes = Attributes> {
  /** WGSL expression of the result; `args` are names of already evaluated operands, so they may be repeated. */
  wgsl(args: readonly string[], attributes: A, inputs: readonly TensorType[]): string;
  /** WGSL function declarations the expression calls, each emitted once per kernel. */
  readonly helpers?: readonly string[];
  evaluate(args: readonly number[], attributes: A): number;
  /** The expression also holds for vectors of floats or bools, lane by lane, literals being vectors, too. */
  readonly lanewise?: boolean;
  /** The result is one of the operands as it is: nothing has to be rounded to float16 or wrapped to a narrow integer. */
  readonly selects?: boolean;
  /** Upper bound of the result's change when each argument moves by at most `errors[i]` (error propagation through fused chains). */
  propagate(args: readonly number[], errors: readonly number[], attributes: A): number;
  /** Upper bound of the absolute rounding error of one evaluation, given exact arguments; WGSL's accuracy table is the source. Default ε·|result|. */
  rounding?(args: readonly number[], result: number, attributes: A): number;
}

export interface Operator<A extends Attributes = Attributes> {
  /** The ONNX name. Operators ONNX lacks (gradients of pooling …) are named in the same style. */
  readonly name: string;
  /** Names of the inputs, as ONNX has them; WGSL bindings carry the same names in lower case. */
  readonly inputs: readonly string[];
  /** How many leading inputs must be there. Default: all. */
  readonly required?: number;
  readonly outputs: readonly string[];
  /** All attributes with their defaults. */
  readonly attributes: A;
  /** Types of the outputs. Throws ShapeError or DTypeError that name the operator and what it got. */
  infer(inputs: readonly (TensorType | undefined)[], attributes: A): readonly TensorType[];
  /** The meaning, in readable loops with float64 accumulation. Pointwise operators get it from `pointwise`. */
  reference(inputs: readonly (ReferenceInput | undefined)[], problem: Problem<A>): readonly ReferenceOutput[];
  /** k of the error bound k·ε·Σ|terms| of every element of every output. */
  errorBound(problem: Problem<A>): number;
  /** Gradients of the inputs in terms of other operators; absent where there is none. */
  gradient?(context: GradientContext<A>): readonly (Operand | undefined)[];
  /** Floating-point operations: two per multiply-add. */
  flops(problem: Problem<A>): number;
  /** Fewest bytes that must move. Default: every input read once and every output written once. */
  minimumBytes?(problem: Problem<A>): number;
  readonly cases: readonly OperatorCase<A>[];
  /**
   * How far each result moves if the elements of the first input move by at most `errors`. An operator that says so reads
   * its first input but a few times, and takes elementwise code before it as a prologue, evaluated at every read.
   */
  spread?(input: ReferenceInput, errors: ArrayLike<number>, problem: Problem<A>): Float64Array;
  readonly pointwise?: Pointwise<A>;
  /** Compositions: the same in terms of other operators. They are expanded when the graph is built and have no kernel. */
  decompose?(build: Builder, inputs: readonly (Operand | undefined)[], attributes: A): readonly Operand[];
  /** Outputs that are the input's elements unchanged and in order (Reshape): no kernel, the buffer is shared. */
  readonly alias?: boolean;
  /** Integer results may leave the range of their type, although no operand does: sums and products of many. */
  readonly accumulates?: boolean;
}

/** Identity that infers the attribute type and checks the definition. */
/* @__NO_SIDE_EFFECTS__ */
export function defineOperator<A extends Attributes>(operator: Operator<A>): Operator<A> {
  return operator;
}

/** Fewest bytes an operator must move for a problem. */
export function minimumBytes(operator: Operator, problem: Problem): number {
  if (operator.minimumBytes) return operator.minimumBytes(problem);
  let bytes = 0;
  for (const type of [...problem.inputs, ...problem.outputs])
    if (type) bytes += sizeOf(type.shape) * dtypes[type.dtype].sizeBytes;
  return bytes;
}

/** Spacing of float32 at 1: the ε of every error bound. WGSL may round either way, so a single operation errs by up to one ε. */
export const EPSILON = 2 ** -23;

/** k for a sum of `count` float32 terms in any order: rounding errors add up like a random walk, with a wide margin. */
export function summationBound(count: number): number {
  return 4 + 2 * Math.sqrt(count);
}
