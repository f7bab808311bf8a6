// Reductions along axes. ReduceSum is defined beside Expand, its gradient.

import { sizeOf } from "../core/shape.ts";
import { div, equal, mul } from "./binary.ts";
import { expandTo, reduceSum } from "./expand.ts";
import { defineOperator, summationBound } from "./operator.ts";
import {
  eachReduced,
  inferReduction,
  keptShape,
  reduceCases,
  reducedAxes,
  reducedCount,
  reduceDefaults,
  termCount,
  type ReduceAttributes,
} from "./reduction.ts";
import { reshapeTo } from "./reshape.ts";
import { where } from "./where.ts";

export { reduceSum };

/** ReduceMean (ONNX, axes as an attribute): data [..] averaged over `axes`. Throws ShapeError on an empty extent. float32. */
export const reduceMean = defineOperator<ReduceAttributes>({
  name: "ReduceMean",
  inputs: ["data"],
  outputs: ["reduced"],
  attributes: reduceDefaults,
  infer: (inputs, attributes) => inferReduction("ReduceMean", inputs, attributes, false),
  reference: ([data], { attributes, outputs }) => {
    const values = new Float64Array(sizeOf(outputs[0]!.shape));
    const terms = new Float64Array(values.length);
    const count = reducedCount(data!.shape, reducedAxes(attributes, data!.shape.length));
    eachReduced(data!.shape, attributes, (result, index) => {
      values[result]! += data!.data[index]! / count;
      terms[result]! += Math.abs(data!.data[index]!) / count;
    });
    return [{ values, terms }];
  },
  // Beside the sum, 1/count and the product with it, or a division, round.
  errorBound: ({ inputs, outputs }) => summationBound(termCount(inputs, outputs)) + 4,
  gradient: ({ build, attributes, inputs: [data], outputGradients: [gradient] }) => {
    const axes = reducedAxes(attributes, data!.shape.length);
    const share = build.apply(mul, [gradient, build.constant(1 / reducedCount(data!.shape, axes))]);
    return [expandTo(build, reshapeTo(build, share, keptShape(data!.shape, axes)), data!.shape)];
  },
  flops: ({ inputs, outputs }) => sizeOf(inputs[0]!.shape) + sizeOf(outputs[0]!.shape),
  cases: reduceCases,
});

/**
 * ReduceMax (ONNX, axes as an attribute): the largest element of data [..] along `axes`; exact. Throws ShapeError on an
 * empty extent. Equal maxima share the gradient equally. float32.
 */
export const reduceMax = defineOperator<ReduceAttributes>({
  name: "ReduceMax",
  inputs: ["data"],
  outputs: ["reduced"],
  attributes: reduceDefaults,
  infer: (inputs, attributes) => inferReduction("ReduceMax", inputs, attributes, false),
  reference: ([data], { attributes, outputs }) => {
    const values = new Float64Array(sizeOf(outputs[0]!.shape)).fill(-Infinity);
    eachReduced(data!.shape, attributes, (result, index) => {
      values[result] = Math.max(values[result]!, data!.data[index]!);
    });
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  gradient: ({ build, attributes, inputs: [data], outputs: [y], outputGradients: [gradient] }) => {
    const axes = reducedAxes(attributes, data!.shape.length);
    if (axes.length === 0) return [gradient]; // each element is its own maximum
    const kept = keptShape(data!.shape, axes);
    const isMaximum = build.apply(equal, [data, reshapeTo(build, y!, kept)]);
    const one = build.apply(where, [isMaximum, build.constant(1), build.constant(0)]);
    const ties = build.apply(reduceSum, [one], { axes });
    const share = build.apply(div, [reshapeTo(build, gradient!, kept), ties]);
    return [build.apply(where, [isMaximum, share, build.constant(0)])];
  },
  flops: ({ inputs }) => sizeOf(inputs[0]!.shape),
  cases: reduceCases,
});
