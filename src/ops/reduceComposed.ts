// Roots and logarithms of sums: compositions of other reductions, in float32.

import { dtypes, isFloat } from "../core/dtype.ts";
import { sizeOf } from "../core/shape.ts";
import { asFloat32, asType } from "./asType.ts";
import { add, greater, sub } from "./binary.ts";
import { reduceSum } from "./reduce.ts";
import {
  defineOperator,
  summationBound,
  type Builder,
  type Operand,
  type Operator,
  type OperatorCase,
  type Problem,
} from "./operator.ts";
import { reduceMax } from "./reduce.ts";
import {
  eachReduced,
  inferReduction,
  reduceCases,
  reducedAxes,
  reduceDefaults,
  reducedShape,
  termCount,
  type ReduceAttributes,
} from "./reduction.ts";
import { reduceSumSquare } from "./reduceSums.ts";
import { reshapeTo } from "./reshape.ts";
import { scalar } from "./scalar.ts";
import { abs } from "./magnitude.ts";
import { exp, expUlps, log, logError, sqrt } from "./unary.ts";
import { where } from "./where.ts";

interface ComposedParts {
  readonly reference: (row: readonly number[]) => { value: number; term: number };
  readonly compose: (build: Builder, data: Operand, attributes: ReduceAttributes) => Operand;
  readonly errorBound?: (problem: Problem<ReduceAttributes>) => number;
  /** Values of the cases: where the function is smooth. */
  readonly low: number;
  readonly high: number;
  readonly cases?: readonly OperatorCase<ReduceAttributes>[];
}

/** A reduction made of others, in float32: half precision would overflow on the way, and integers truncate at its end. */
/* @__NO_SIDE_EFFECTS__ */
function defineComposed(name: string, parts: ComposedParts): Operator<ReduceAttributes> {
  return defineOperator<ReduceAttributes>({
    name,
    inputs: ["data"],
    outputs: ["reduced"],
    attributes: reduceDefaults,
    infer: (inputs, attributes) => inferReduction(name, inputs, attributes),
    reference: ([data], { attributes, outputs }) => {
      const { shape, dtype } = outputs[0]!;
      const rows = Array.from({ length: sizeOf(shape) }, (): number[] => []);
      eachReduced(data!.shape, attributes, (result, index) => rows[result]!.push(data!.data[index]!));
      const results = rows.map(parts.reference);
      const values = Float64Array.from(results, ({ value }) => (isFloat(dtype) ? value : Math.trunc(value)));
      return [{ values, terms: Float64Array.from(results, ({ term }) => term) }];
    },
    errorBound: parts.errorBound ?? (({ inputs, outputs }) => summationBound(termCount(inputs, outputs)) + 8),
    flops: ({ inputs }) => 3 * sizeOf(inputs[0]!.shape),
    cases: [
      ...reduceCases.map(({ inputs: [shape], ...rest }) => ({
        ...rest,
        inputs: [{ shape: shape as readonly number[], low: parts.low, high: parts.high }],
      })),
      ...(parts.cases ?? []),
    ],
    decompose: (build, [data], attributes) => {
      const { dtype } = data!;
      if (dtype === "float64") return [parts.compose(build, data!, attributes)];
      return [asType(build, parts.compose(build, asFloat32(build, data!), attributes), dtype)];
    },
  });
}

const sumOf = (row: readonly number[], term: (x: number) => number): number => row.reduce((sum, x) => sum + term(x), 0);

/** ReduceL2 (ONNX, axes as an attribute): √Σx² over `axes` of data [..]. A composition. */
export const reduceL2 = defineComposed("ReduceL2", {
  reference: (row) => {
    const value = Math.sqrt(sumOf(row, (x) => x * x));
    return { value, term: value };
  },
  compose: (build, data, attributes) => build.apply(sqrt, [build.apply(reduceSumSquare, [data], attributes)]),
  low: -1,
  high: 1,
});

/** ReduceLogSum (ONNX, axes as an attribute): log Σx over `axes` of data [..]. A composition. */
export const reduceLogSum = defineComposed("ReduceLogSum", {
  reference: (row) => {
    const sum = sumOf(row, (x) => x);
    return { value: Math.log(sum), term: logError(sum) + sumOf(row, Math.abs) / sum };
  },
  compose: (build, data, attributes) => build.apply(log, [build.apply(reduceSum, [data], attributes)]),
  low: 0.5,
  high: 2,
});

/**
 * ReduceLogSumExp (ONNX, axes as an attribute): log Σ e^x over `axes` of data [..], with the largest element taken out
 * first so that nothing overflows. A composition.
 */
export const reduceLogSumExp = defineComposed("ReduceLogSumExp", {
  reference: (row) => {
    const peak = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const shift = Number.isFinite(peak) ? peak : 0;
    const sum = sumOf(row, (x) => Math.exp(x - shift));
    const value = Math.log(sum) + shift;
    const doubt = sumOf(row, (x) => Math.exp(x - shift) * expUlps(x - shift)) / sum;
    return { value, term: Math.abs(value) + Math.abs(shift) + logError(sum) + doubt };
  },
  compose: (build, data, attributes) => {
    const axes = reducedAxes(attributes, data.shape.length);
    const over = { axes, keepdims: 1, noop_with_empty_axes: 1 };
    const peak = build.apply(reduceMax, [data], over);
    // An infinite maximum would make ∞ - ∞.
    const isInfinite = build.apply(greater, [build.apply(abs, [peak]), scalar(build, dtypes[data.dtype].high, data)]);
    const shift = build.apply(where, [isInfinite, scalar(build, 0, data), peak]);
    const sum = build.apply(reduceSum, [build.apply(exp, [build.apply(sub, [data, shift])])], over);
    const result = build.apply(add, [build.apply(log, [sum]), shift]);
    return reshapeTo(build, result, reducedShape(data.shape, attributes));
  },
  low: -2,
  high: 2,
  cases: [{ inputs: [{ shape: [3, 65], low: -200, high: 200 }], attributes: { axes: [1] }, why: "e^x would overflow" }],
});
