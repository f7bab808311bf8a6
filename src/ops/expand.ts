// Expand copies a tensor along stretched axes; its gradient, and that of every operator that broadcasts, ends in `sumTo`.

import { broadcastAxes, broadcastShapes } from "../core/broadcast.ts";
import { checkShape, type Shape } from "../core/shape.ts";
import { requireInputs } from "./check.ts";
import type { Builder, Operand } from "./operator.ts";
import { definePointwise, exact } from "./pointwise.ts";
import { reduceSum } from "./reduce.ts";
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
  lanewise: true,
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

/** Sums `gradient`, which has the shape some operand was broadcast to, back to that operand's `shape`. */
export function sumTo(build: Builder, gradient: Operand, shape: Shape): Operand {
  const axes = broadcastAxes(shape, gradient.shape);
  const summed = axes.length === 0 ? gradient : build.apply(reduceSum, [gradient], { axes });
  return reshapeTo(build, summed, shape);
}
