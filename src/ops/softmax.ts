// Softmax and its logarithm along one axis. WGSL's exp errs in proportion to its argument, so the bounds are summed up
// beside the reference, term by term, from WGSL's accuracy table.

import { normalizeAxis, sizeOf, type Shape, type TensorType } from "../core/shape.ts";
import { mul, sub } from "./binary.ts";
import { requireDType, requireInputs } from "./check.ts";
import { reduceSum } from "./reduce.ts";
import { defineOperator, summationBound, type Operator, type OperatorCase, type ReferenceOutput } from "./operator.ts";
import type { Numbers, ReferenceInput } from "./operator.ts";
import { exp, expUlps, logError } from "./unary.ts";

export type SoftmaxAttributes = {
  /** The axis along which results sum to 1. */
  readonly axis: number;
};

/** One row: `length` elements, `stride` apart, the first at `start`. */
interface Row {
  readonly start: number;
  readonly length: number;
  readonly stride: number;
}

/** The rows of `shape` along `axis`. */
function rowsOf(shape: Shape, axis: number): Row[] {
  const at = normalizeAxis(axis, shape.length, "Softmax");
  const length = shape[at]!;
  const stride = sizeOf(shape.slice(at + 1));
  const outer = length === 0 ? 0 : sizeOf(shape.slice(0, at));
  return Array.from({ length: outer * stride }, (_, row) => ({
    start: Math.floor(row / stride) * length * stride + (row % stride),
    length,
    stride,
  }));
}

/** What both operators need of a row x: its maximum, Σ e^(x-max), and that sum's relative error in units of ε. */
function rowSums(x: Numbers, { start, length, stride }: Row): { max: number; sum: number; sumUlps: number } {
  let max = -Infinity;
  for (let i = 0; i < length; i++) max = Math.max(max, x[start + i * stride]!);
  let sum = 0;
  let weighted = 0;
  for (let i = 0; i < length; i++) {
    const shifted = x[start + i * stride]! - max;
    if (shifted === -Infinity) continue; // masked: no part of the sum and, exactly 0, no part of its error
    sum += Math.exp(shifted);
    weighted += Math.exp(shifted) * shiftedExpUlps(shifted);
  }
  return { max, sum, sumUlps: weighted / sum + summationBound(length) };
}

/** Relative error of e^(x-max) in units of ε: exp's own, and that of its rounded argument. */
function shiftedExpUlps(shifted: number): number {
  return expUlps(shifted) + Math.abs(shifted);
}

/* @__NO_SIDE_EFFECTS__ */
function defineSoftmax(
  name: string,
  parts: {
    /** Values and terms of one row. */
    readonly row: (x: Numbers, row: Row, out: { values: Float64Array; terms: Float64Array }) => void;
    /** How far a result moves when no element of its row moves by more than `error`. */
    readonly spread: (result: number, error: number) => number;
    readonly gradient: NonNullable<Operator<SoftmaxAttributes>["gradient"]>;
  },
): Operator<SoftmaxAttributes> {
  const evaluate = ({ data, shape }: ReferenceInput, { axis }: SoftmaxAttributes) => {
    const out = { values: new Float64Array(data.length), terms: new Float64Array(data.length) };
    for (const row of rowsOf(shape, axis)) parts.row(data, row, out);
    return out;
  };
  return defineOperator<SoftmaxAttributes>({
    name,
    inputs: ["input"],
    outputs: ["output"],
    attributes: { axis: -1 },
    infer: (inputs, { axis }): TensorType[] => {
      const [input] = requireInputs(name, ["input"], inputs);
      requireDType(name, "input", input!, "float");
      normalizeAxis(axis, input!.shape.length, name);
      return [input!];
    },
    reference: ([input], { attributes }): ReferenceOutput[] => [evaluate(input!, attributes)],
    // Twice what one pass over the row errs: one-pass kernels rescale their partial sums.
    errorBound: () => 2,
    gradient: parts.gradient,
    flops: ({ inputs }) => 5 * sizeOf(inputs[0]!.shape),
    spread: (input, errors, { attributes }) => {
      const spread = evaluate(input, attributes).values;
      for (const { start, length, stride } of rowsOf(input.shape, attributes.axis)) {
        const places = Array.from({ length }, (_, i) => start + i * stride);
        const most = places.reduce((error, at) => Math.max(error, errors[at]!), 0);
        for (const at of places) spread[at] = parts.spread(spread[at]!, most);
      }
      return spread;
    },
    cases: softmaxCases,
  });
}

const softmaxCases: readonly OperatorCase<SoftmaxAttributes>[] = [
  { inputs: [[1]] },
  { inputs: [[7]] },
  { inputs: [[3, 10]] },
  { inputs: [[3, 5, 7]], attributes: { axis: 1 } },
  { inputs: [[5, 3]], attributes: { axis: 0 } },
  { inputs: [[2, 65]] },
  { inputs: [[2, 257]] },
  { inputs: [[2, 1031]], why: "a row needs a whole workgroup several times" },
  { inputs: [[67, 3]], why: "more rows than a workgroup" },
  { inputs: [[300, 3]] },
  { inputs: [[2, 3, 4, 5]], attributes: { axis: -3 } },
  { inputs: [{ shape: [3, 33], low: -60, high: 60 }], why: "e^x would overflow" },
  { inputs: [{ shape: [2, 5], low: 1000, high: 1001 }], why: "only differences count" },
  { inputs: [[0, 3]] },
  { inputs: [{ shape: [3, 7], dtype: "float16", low: -4, high: 4 }] },
];

/**
 * Softmax (ONNX): e^(x - max) / Σ e^(x - max) along `axis` of input [..]. Float types.
 * Throws ShapeError on an axis out of range, so also on a scalar.
 */
export const softmax = defineSoftmax("Softmax", {
  row: (x, row, { values, terms }) => {
    const { max, sum, sumUlps } = rowSums(x, row);
    for (let i = 0; i < row.length; i++) {
      const at = row.start + i * row.stride;
      const shifted = x[at]! - max;
      values[at] = Math.exp(shifted) / sum;
      terms[at] = values[at] * (shiftedExpUlps(shifted) + sumUlps + 2.5);
    }
  },
  spread: (result, error) => result * Math.expm1(2 * error),
  gradient: ({ build, attributes: { axis }, outputs: [y], outputGradients: [dy] }) => {
    const mean = build.apply(reduceSum, [build.apply(mul, [dy, y])], { axes: [axis] });
    return [build.apply(mul, [y, build.apply(sub, [dy, mean])])];
  },
});

/** LogSoftmax (ONNX): x - max - log Σ e^(x - max) along `axis` of input [..]. Float types. Throws like {@link softmax}. */
export const logSoftmax = defineSoftmax("LogSoftmax", {
  row: (x, row, { values, terms }) => {
    const { max, sum, sumUlps } = rowSums(x, row);
    for (let i = 0; i < row.length; i++) {
      const at = row.start + i * row.stride;
      const shifted = x[at]! - max;
      values[at] = shifted - Math.log(sum);
      terms[at] = Math.abs(shifted) + Math.abs(values[at]) + logError(sum) + sumUlps;
    }
  },
  spread: (_, error) => 2 * error,
  gradient: ({ build, attributes: { axis }, outputs: [y], outputGradients: [dy] }) => {
    const total = build.apply(reduceSum, [dy], { axes: [axis] });
    return [build.apply(sub, [dy, build.apply(mul, [build.apply(exp, [y]), total])])];
  },
});
