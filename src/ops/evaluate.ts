// Running references and judging results by them: values in float64 with, for every element, how far float32 arithmetic
// on a GPU may honestly be from them.

import { isFloat, roundToHalf, type DType } from "../core/dtype.ts";
import { NeuriteError } from "../core/errors.ts";
import { formatShape, sizeOf, type Shape } from "../core/shape.ts";
import {
  EPSILON,
  type Attributes,
  type Operator,
  type Problem,
  type ReferenceInput,
  type ReferenceOutput,
} from "./operator.ts";
import { eachBroadcast, evaluateElement, roundingOf } from "./pointwise.ts";

/** The smallest normal float32. GPUs may flush anything below it to zero, wherever it comes up. */
const SMALLEST_NORMAL = 2 ** -126;

/**
 * Values of every output of `operator`, in float64, with the magnitudes their errors scale with. Throws NeuriteError when
 * an operand or a result does not fill its shape: a mistake in a caller or in a reference.
 */
export function evaluateReference<A extends Attributes>(
  operator: Operator<A>,
  inputs: readonly (ReferenceInput | undefined)[],
  problem: Problem<A>,
): readonly ReferenceOutput[] {
  inputs.forEach((input, i) => {
    if (input) checkLength(`${operator.name}: input ${operator.inputs[i] ?? i}`, input.data.length, input.shape);
  });
  const results = operator.reference(inputs, problem);
  problem.outputs.forEach(({ shape }, i) =>
    checkLength(`${operator.name}: reference of output ${operator.outputs[i] ?? i}`, results[i]?.values.length, shape),
  );
  return results;
}

function checkLength(what: string, length: number | undefined, shape: Shape): void {
  if (length !== sizeOf(shape))
    throw new NeuriteError(`${what} has ${length ?? "no"} elements, ${formatShape(shape)} holds ${sizeOf(shape)}`);
}

/** How far the half-precision number nearest to something within `error` of `value` may be from `to`. */
function halfError(value: number, error: number, to: number): number {
  const distance = (end: number): number => {
    const rounded = roundToHalf(end);
    return rounded === to ? 0 : Math.abs(rounded - to);
  };
  return Math.max(distance(value - error), distance(value + error)) || 0; // NaN: nothing is known, nothing is allowed
}

/**
 * Absolute error allowed each element of one output: k·ε·Σ|terms|, and room for intermediates that were flushed to zero;
 * for float16 also the rounding to half precision. Zeros for integers and booleans, which are exact.
 */
export function boundOf<A extends Attributes>(
  operator: Operator<A>,
  problem: Problem<A>,
  outputIndex: number,
  result: ReferenceOutput,
): Float64Array {
  const { dtype } = problem.outputs[outputIndex]!;
  if (!isFloat(dtype)) return new Float64Array(result.values.length);
  const k = operator.errorBound(problem);
  const { values, terms = values } = result;
  const errors = terms.map((term) => k * EPSILON * Math.abs(term) + (2 + k) * SMALLEST_NORMAL);
  return dtype === "float16" ? errors.map((error, i) => halfError(values[i]!, error, values[i]!)) : errors;
}

/** Values of one elementwise operator, each with an absolute error bound. */
export interface PropagatedValues {
  readonly values: Float64Array;
  readonly errors: Float64Array;
}

/**
 * One link of a fused chain: exact values of an elementwise operator and how far the GPU's may be from them, given how far
 * its arguments may be. `values[i]` and `errors[i]` belong to an argument of `shapes[i]`, which broadcasts to `outShape`.
 */
export function propagatePointwise<A extends Attributes>(
  operator: Operator<A>,
  attributes: A,
  values: readonly ArrayLike<number>[],
  errors: readonly ArrayLike<number>[],
  shapes: readonly Shape[],
  outShape: Shape,
  outDType: DType = "float32",
): PropagatedValues {
  const { pointwise } = operator;
  if (!pointwise) throw new NeuriteError(`propagatePointwise: ${operator.name} is not elementwise`);
  const size = sizeOf(outShape);
  const result = { values: new Float64Array(size), errors: new Float64Array(size) };
  const args = shapes.map(() => 0);
  const doubts = shapes.map(() => 0);
  eachBroadcast(shapes, outShape, (places, index) => {
    places.forEach((place, i) => {
      args[i] = values[i]![place]!;
      doubts[i] = errors[i]![place]!;
    });
    const value = evaluateElement(pointwise, args, attributes, outDType);
    const inherited = pointwise.propagate(args, doubts, attributes);
    const rounding = roundingOf(pointwise, args, value, attributes, outDType);
    // Selections and copies of exact arguments stay exact, so that a comparison with them stays certain.
    const inexact = isFloat(outDType) && (inherited > 0 || rounding > 0);
    // The perturbed result rounds, too: a few ε of what was inherited.
    const error = inexact ? inherited * (1 + 8 * EPSILON) + rounding + 2 * SMALLEST_NORMAL : inherited;
    const isHalf = outDType === "float16";
    const stored = isHalf ? roundToHalf(value) : value;
    result.values[index] = stored;
    result.errors[index] = isHalf ? halfError(value, error, stored) : error;
  });
  return result;
}
