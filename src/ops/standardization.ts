// The heart of all normalisations: a set of elements made to have mean 0 and variance 1. Scales, shifts and activations
// behind it are elementwise, so one kernel carries out a whole LayerNormalization. Elements are taken relative to the first
// of their set, so that a large common offset costs no digits.

import { normalizeAxes, sizeOf, type Shape } from "../core/shape.ts";
import { add, div, mul, sub } from "./binary.ts";
import { requireDType, requireInputs } from "./check.ts";
import { defineOperator, summationBound, type Builder, type Numbers, type Operand } from "./operator.ts";
import { eachBroadcast } from "./pointwise.ts";
import { reduceMean } from "./reduce.ts";
import { reduceSumSquare } from "./reduceSums.ts";
import { keptShape, reducedCount } from "./reduction.ts";
import { scalar } from "./scalar.ts";
import { reciprocal, sqrt } from "./unary.ts";

export type StandardizationAttributes = {
  /** Elements that differ along these axes only belong together; negative ones count from the end. */
  readonly axes: readonly number[];
  /** Added to the variance. */
  readonly epsilon: number;
  /** 0: the mean is taken to be 0, and elements are divided by their root mean square. */
  readonly centered: number;
};

/** Sets of elements with their moments, in float64. */
export interface Moments {
  /** Which set each element belongs to. */
  readonly setOf: Int32Array;
  /** Mean (0 unless centered) and 1 / √(variance + ε) of each set. */
  readonly mean: Float64Array;
  readonly inverse: Float64Array;
}

/** Mean and variance of the sets that `axes` of a tensor of `shape` make. */
export function momentsOf(x: Numbers, shape: Shape, { axes, epsilon, centered }: StandardizationAttributes): Moments {
  const normal = normalizeAxes(axes, shape.length, "moments");
  const kept = keptShape(shape, normal);
  const count = reducedCount(shape, normal);
  const setOf = new Int32Array(x.length);
  eachBroadcast([kept], shape, ([place], index) => {
    setOf[index] = place!;
  });
  const mean = new Float64Array(sizeOf(kept));
  if (centered !== 0) x.forEach((value: number, i: number) => (mean[setOf[i]!]! += value / count));
  const variance = new Float64Array(mean.length);
  x.forEach((value: number, i: number) => (variance[setOf[i]!]! += (value - mean[setOf[i]!]!) ** 2 / count));
  return { setOf, mean, inverse: variance.map((value) => 1 / Math.sqrt(value + epsilon)) };
}

/**
 * Standardization: (x - mean) / √(variance + epsilon) for x [..], over the elements along `axes`; the variance is Σ(x - mean)² / n.
 * Float types. Not of ONNX: its MeanVarianceNormalization, LayerNormalization and their kin are compositions of it.
 */
export const standardization = defineOperator<StandardizationAttributes>({
  name: "Standardization",
  inputs: ["X"],
  outputs: ["Y"],
  attributes: { axes: [-1], epsilon: 1e-5, centered: 1 },
  infer: (inputs, { axes }) => {
    const [x] = requireInputs("Standardization", ["X"], inputs);
    requireDType("Standardization", "X", x!, "float");
    normalizeAxes(axes, x!.shape.length, "Standardization");
    return [x!];
  },
  reference: ([x], { attributes }) => {
    const { setOf, mean, inverse } = momentsOf(x!.data, x!.shape, attributes);
    const values = Float64Array.from(x!.data, (value, i) => (value - mean[setOf[i]!]!) * inverse[setOf[i]!]!);
    return [{ values, terms: roundingTerms(x!.data, values, { setOf, mean, inverse }, attributes) }];
  },
  errorBound: () => 1,
  gradient: ({ build, attributes, inputs: [x], outputs: [y], outputGradients: [dy] }) => {
    const mean = (value: Operand): Operand => meanAlong(build, value, attributes.axes);
    const along = build.apply(mul, [y, mean(build.apply(mul, [dy, y]))]);
    const flat = attributes.centered === 0 ? dy! : build.apply(sub, [dy, mean(dy!)]);
    const { inverse } = composedMoments(build, x!, attributes);
    return [build.apply(mul, [build.apply(sub, [flat, along]), inverse])];
  },
  flops: ({ inputs }) => 7 * sizeOf(inputs[0]!.shape),
  cases: [
    { inputs: [[1]] },
    { inputs: [[7]] },
    { inputs: [[5, 65]] },
    { inputs: [[3, 64]], attributes: { centered: 0 } },
    { inputs: [[2, 1031]], attributes: { epsilon: 0.1 }, why: "a row needs a whole workgroup several times" },
    { inputs: [[67, 3]], why: "more rows than a workgroup" },
    { inputs: [[2, 3, 5, 7]], attributes: { axes: [0, 2, 3] }, why: "axes that do not merge" },
    { inputs: [[2, 3, 5, 7]], attributes: { axes: [2, 3], centered: 0 } },
    { inputs: [[2, 3, 4]], attributes: { axes: [0] } },
    { inputs: [[3, 4]], attributes: { axes: [] }, why: "each element alone: all are 0" },
    { inputs: [{ shape: [3, 33], low: 1000, high: 1001 }], why: "a large common offset" },
    { inputs: [{ shape: [2, 9], low: 3, high: 3 }], attributes: { epsilon: 0.1 }, why: "equal elements" },
    { inputs: [{ shape: [3, 7], dtype: "float16" }] },
    { inputs: [[0, 3]] },
    { inputs: [[3, 0]], why: "empty rows" },
  ],
});

/** Rounding errors of float32, in ε: of the differences, their sums, and the inverse square root (2 ULP). */
function roundingTerms(
  x: Numbers,
  y: Float64Array,
  { setOf, mean, inverse }: Moments,
  { epsilon, centered }: StandardizationAttributes,
): Float64Array {
  const sets = mean.length;
  const count = x.length / Math.max(1, sets);
  const sum = summationBound(count);
  const first = new Float64Array(sets).fill(NaN);
  setOf.forEach((set, i) => {
    if (Number.isNaN(first[set]!)) first[set] = centered === 0 ? 0 : x[i]!;
  });
  const distance = (i: number): number => Math.abs(x[i]! - first[setOf[i]!]!);
  const meanError = new Float64Array(sets);
  if (centered !== 0) setOf.forEach((set, i) => (meanError[set]! += ((sum + 4) * distance(i)) / count));
  const differenceError = (i: number): number => meanError[setOf[i]!]! + (centered === 0 ? 0 : 2 * distance(i));
  const squareError = new Float64Array(sets);
  setOf.forEach((set, i) => {
    const difference = Math.abs(x[i]! - mean[set]!);
    const error = differenceError(i);
    squareError[set]! += (2 * difference * error + error * error * 2 ** -23 + (sum + 4) * difference ** 2) / count;
  });
  return y.map((value, i) => {
    const r = inverse[setOf[i]!]!;
    return r * differenceError(i) + Math.abs(value) * (0.5 * squareError[setOf[i]!]! * r * r + 6 + epsilon * r * r);
  });
}

const meanAlong = (build: Builder, x: Operand, axes: readonly number[]): Operand =>
  build.apply(reduceMean, [x], { axes, keepdims: 1, noop_with_empty_axes: 1 });

/** Mean and 1 / √(variance + ε) of x along `axes`, which keep an extent of 1, by reductions. */
export function composedMoments(
  build: Builder,
  x: Operand,
  { axes, epsilon, centered }: StandardizationAttributes,
): { mean: Operand; variance: Operand; inverse: Operand } {
  const mean = meanAlong(build, x, axes);
  const difference = centered === 0 ? x : build.apply(sub, [x, mean]);
  const over = { axes, keepdims: 1, noop_with_empty_axes: 1 };
  const squares = build.apply(reduceSumSquare, [difference], over);
  const count = reducedCount(x.shape, normalizeAxes(axes, x.shape.length, "moments"));
  const variance = build.apply(div, [squares, scalar(build, Math.max(1, count), x)]);
  const deviation = build.apply(sqrt, [build.apply(add, [variance, scalar(build, epsilon, x)])]);
  return { mean, variance, inverse: build.apply(reciprocal, [deviation]) };
}

/** Sets at most this many, of at least this many elements, are standardized by reductions that spread over a GPU. */
const FEW_SETS = 4;
const MANY_ELEMENTS = 1 << 16;

/**
 * Applies Standardization: by its kernel, or, for a few huge sets, by reductions and elementwise steps. On a software driver
 * of two cores one set of 2^20 elements takes 188 instead of 806 ms, four of 2^16 take the same.
 */
export function standardize(build: Builder, x: Operand, attributes: StandardizationAttributes): Operand {
  const count = reducedCount(x.shape, normalizeAxes(attributes.axes, x.shape.length, "Standardization"));
  if (count < MANY_ELEMENTS || sizeOf(x.shape) > FEW_SETS * count) return build.apply(standardization, [x], attributes);
  const { mean, inverse } = composedMoments(build, x, attributes);
  const difference = attributes.centered === 0 ? x : build.apply(sub, [x, mean]);
  return build.apply(mul, [difference, inverse]);
}
