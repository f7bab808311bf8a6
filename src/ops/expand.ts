// Expand copies a tensor along stretched axes and ReduceSum adds along them: each is the other's gradient, which is why
// they share a file. `sumTo` undoes any broadcast with them; every broadcasting operator's gradient ends in it.

import { broadcastAxes, broadcastShapes } from "../core/broadcast.ts";
import { checkShape, sizeOf, type Shape } from "../core/shape.ts";
import { requireInputs } from "./check.ts";
import { defineOperator, summationBound, type Builder, type Operand } from "./operator.ts";
import { definePointwise, exact } from "./pointwise.ts";
import {
  eachReduced,
  inferReduction,
  integerReduceCases,
  keptShape,
  reduceCases,
  reducedAxes,
  reduceDefaults,
  termCount,
  type ReduceAttributes,
} from "./reduction.ts";
import { reshapeTo } from "./reshape.ts";

export type ExpandAttributes = {
  /** Broadcast together with the input's own shape, in both directions. */
  readonly shape: readonly number[];
};

/** Expand (ONNX, with the shape as an attribute): input [..] broadcast with `shape`. Any element type; exact. */
export const expand = definePointwise<ExpandAttributes>({
  name: "Expand",
  inputs: ["input"],
  attributes: { shape: [] },
  infer: (inputs, { shape }) => {
    const [input] = requireInputs("Expand", ["input"], inputs);
    checkShape(shape, "Expand");
    return { dtype: input!.dtype, shape: broadcastShapes([input!.shape, shape], "Expand") };
  },
  wgsl: ([x]) => x!,
  evaluate: ([x]) => x!,
  propagate: (_, [error]) => error!,
  selects: true,
  rounding: exact,
  flops: 0,
  gradient: ({ build, inputs: [x], outputGradients: [gradient] }) => [sumTo(build, gradient!, x!.shape)],
  cases: [
    { inputs: [[]], attributes: { shape: [] } },
    { inputs: [[]], attributes: { shape: [65] } },
    { inputs: [[5]], attributes: { shape: [3, 5] } },
    { inputs: [[3, 1]], attributes: { shape: [3, 7] } },
    { inputs: [[3, 1, 5]], attributes: { shape: [2, 1, 4, 1] }, why: "stretches both ways" },
    { inputs: [[257]], attributes: { shape: [1] } },
    { inputs: [[1, 3]], attributes: { shape: [0, 3] } },
    { inputs: [{ shape: [1, 3], dtype: "int32" }], attributes: { shape: [2, 3] } },
  ],
});

/** Applies Expand unless `x` has that shape already. */
export function expandTo(build: Builder, x: Operand, shape: Shape): Operand {
  const axes = broadcastAxes(x.shape, shape);
  return axes.length === 0 ? x : build.apply(expand, [x], { shape });
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
  gradient: ({ build, attributes, inputs: [data], outputGradients: [gradient] }) => {
    const kept = keptShape(data!.shape, reducedAxes(attributes, data!.shape.length));
    return [expandTo(build, reshapeTo(build, gradient!, kept), data!.shape)];
  },
  flops: ({ inputs }) => sizeOf(inputs[0]!.shape),
  cases: [
    ...reduceCases,
    ...integerReduceCases,
    { inputs: [[3, 0]], attributes: { axes: [1] }, why: "a sum of nothing" },
  ],
});

/** Sums `gradient`, which has the shape some operand was broadcast to, back to that operand's `shape`. */
export function sumTo(build: Builder, gradient: Operand, shape: Shape): Operand {
  const axes = broadcastAxes(shape, gradient.shape);
  const summed = axes.length === 0 ? gradient : build.apply(reduceSum, [gradient], { axes });
  return reshapeTo(build, summed, shape);
}
