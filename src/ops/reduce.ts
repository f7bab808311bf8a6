// Reductions along axes that tensors have methods for: sums, means and extrema. Other sums, products and what is composed of them are in reduceSums.ts. A reduction of nothing gives ONNX's neutral
// element: 0, 1, or the end of the type's range.

import { dtypes, isFloat, type DType } from "../core/dtype.ts";
import { sizeOf } from "../core/shape.ts";
import { div, equal, mul } from "./binary.ts";
import { defineOperator, summationBound, type GradientContext, type Operand, type Operator } from "./operator.ts";
import {
  eachReduced,
  inferReduction,
  integerReduceCases,
  keptShape,
  reduceCases,
  reducedAxes,
  reducedCount,
  reduceDefaults,
  termCount,
  type ReduceAttributes,
  spreadBy,
} from "./reduction.ts";
import { reshapeTo } from "./reshape.ts";

/** A result, or its gradient, as it stands against data again: expanded along the reduced axes. */
export function expandBack(
  { build, operators }: Pick<GradientContext, "build" | "operators">,
  x: Operand,
  data: Operand,
  attributes: ReduceAttributes,
): Operand {
  const kept = keptShape(data.shape, reducedAxes(attributes, data.shape.length));
  return operators.expandTo(build, reshapeTo(build, x, kept), data.shape);
}

/** ReduceSum (ONNX, with the axes as an attribute): data [..] summed over `axes`; a sum of nothing is 0. Any number type. */
export const reduceSum = defineOperator<ReduceAttributes>({
  name: "ReduceSum",
  accumulates: true,

  inputs: ["data"],
  outputs: ["reduced"],
  attributes: reduceDefaults,
  infer: (inputs, attributes) => inferReduction("ReduceSum", inputs, attributes),
  reference: ([data], { attributes, outputs }) => {
    const values = new Float64Array(sizeOf(outputs[0]!.shape));
    const terms = new Float64Array(values.length);
    eachReduced(data!.shape, attributes, (result, index) => {
      values[result]! += data!.data[index]!;
      terms[result]! += Math.abs(data!.data[index]!);
    });
    return [{ values, terms }];
  },
  errorBound: ({ inputs, outputs }) => summationBound(termCount(inputs, outputs)),
  gradient: (context) => {
    const { attributes, inputs, outputGradients } = context;
    return [expandBack(context, outputGradients[0]!, inputs[0]!, attributes)];
  },
  flops: ({ inputs }) => sizeOf(inputs[0]!.shape),
  spread: spreadBy((_, error) => error),
  cases: [
    ...reduceCases,
    ...integerReduceCases,
    { inputs: [[3, 0]], attributes: { axes: [1] }, why: "a sum of nothing" },
  ],
});

/**
 * ReduceMean (ONNX, axes as an attribute): data [..] averaged over `axes`. Any number type; means of integers truncate
 * towards zero. The mean of nothing is NaN, in integers 0.
 */
export const reduceMean = defineOperator<ReduceAttributes>({
  name: "ReduceMean",
  accumulates: true,

  inputs: ["data"],
  outputs: ["reduced"],
  attributes: reduceDefaults,
  infer: (inputs, attributes) => inferReduction("ReduceMean", inputs, attributes),
  reference: ([data], { attributes, outputs }) => {
    const { shape, dtype } = outputs[0]!;
    const values = new Float64Array(sizeOf(shape));
    const terms = new Float64Array(values.length);
    const count = reducedCount(data!.shape, reducedAxes(attributes, data!.shape.length));
    eachReduced(data!.shape, attributes, (result, index) => {
      values[result]! += data!.data[index]!;
      terms[result]! += Math.abs(data!.data[index]!);
    });
    if (isFloat(dtype)) return [{ values: values.map((x) => x / count), terms: terms.map((x) => x / count) }];
    return [{ values: values.map((x) => (count === 0 ? 0 : Math.trunc(x / count))) }];
  },
  // Beside the sum, the division rounds.
  errorBound: ({ inputs, outputs }) => summationBound(termCount(inputs, outputs)) + 4,
  gradient: (context) => {
    const { build, attributes, inputs, outputGradients } = context;
    const data = inputs[0]!;
    const axes = reducedAxes(attributes, data.shape.length);
    const share = build.apply(mul, [outputGradients[0], build.constant(1 / reducedCount(data.shape, axes))]);
    return [expandBack(context, share, data, attributes)];
  },
  flops: ({ inputs, outputs }) => sizeOf(inputs[0]!.shape) + sizeOf(outputs[0]!.shape),
  spread: (data, errors, problem) => {
    const count = termCount(problem.inputs, problem.outputs);
    return spreadBy((_, error) => error / count)(data, errors, problem);
  },
  cases: [...reduceCases, ...integerReduceCases],
});

/** Maximum and minimum, chosen by `better`; exact, NaN if any element is. Equal extrema share the gradient. */
/* @__NO_SIDE_EFFECTS__ */
function defineExtremum(name: "ReduceMax" | "ReduceMin"): Operator<ReduceAttributes> {
  const better = name === "ReduceMax" ? Math.max : Math.min;
  return defineOperator<ReduceAttributes>({
    name,
    inputs: ["data"],
    outputs: ["reduced"],
    attributes: reduceDefaults,
    infer: (inputs, attributes) => inferReduction(name, inputs, attributes, "any"),
    reference: ([data], { attributes, outputs }) => {
      const { shape, dtype } = outputs[0]!;
      const values = new Float64Array(sizeOf(shape)).fill(extremeOfNothing(name, dtype));
      eachReduced(data!.shape, attributes, (result, index) => {
        values[result] = better(values[result]!, data!.data[index]!);
      });
      return [{ values, terms: new Float64Array(values.length) }];
    },
    errorBound: () => 0,
    gradient: ({ build, operators, attributes, inputs: [data], outputs: [y], outputGradients: [gradient] }) => {
      const axes = reducedAxes(attributes, data!.shape.length);
      if (axes.length === 0) return [gradient]; // each element is its own extremum
      const kept = keptShape(data!.shape, axes);
      const isChosen = build.apply(equal, [data, reshapeTo(build, y!, kept)]);
      const one = build.apply(operators.where, [isChosen, build.constant(1), build.constant(0)]);
      const ties = build.apply(reduceSum, [one], { axes });
      const share = build.apply(div, [reshapeTo(build, gradient!, kept), ties]);
      return [build.apply(operators.where, [isChosen, share, build.constant(0)])];
    },
    flops: ({ inputs }) => sizeOf(inputs[0]!.shape),
    spread: spreadBy((_, error) => error, Math.max),
    cases: [
      ...reduceCases,
      ...integerReduceCases,
      { inputs: [{ shape: [3, 5, 2], dtype: "bool" }], attributes: { axes: [1] } },
      { inputs: [{ shape: [3, 8], dtype: "int8", low: -128, high: -1 }], attributes: { axes: [1], keepdims: 0 } },
      { inputs: [{ shape: [0, 2], dtype: "uint8" }], attributes: { axes: [0] }, why: "of nothing" },
    ],
  });
}

/** What ReduceMax or ReduceMin gives for no elements, and starts from: infinite, or the end of the type's range. */
export function extremeOfNothing(name: "ReduceMax" | "ReduceMin", dtype: DType): number {
  if (isFloat(dtype)) return name === "ReduceMax" ? -Infinity : Infinity;
  return name === "ReduceMax" ? dtypes[dtype].low : dtypes[dtype].high;
}

/**
 * ReduceMax (ONNX, axes as an attribute): the largest element of data [..] along `axes`; exact. Any element type. Equal
 * maxima share the gradient equally. Of nothing: -∞, or the type's least value.
 */
export const reduceMax = defineExtremum("ReduceMax");

/** ReduceMin (ONNX, axes as an attribute): the smallest element, as {@link reduceMax}. Of nothing: ∞, or the type's largest. */
export const reduceMin = defineExtremum("ReduceMin");
