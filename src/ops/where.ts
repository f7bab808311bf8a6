// Elementwise choice between two tensors.

import { broadcastShapes } from "../core/broadcast.ts";
import { requireDType, requireInputs, requireSameDType } from "./check.ts";
import { sumTo } from "./expand.ts";
import type { Operator } from "./operator.ts";
import { scalar } from "./scalar.ts";
import { definePointwise, exact, type NoAttributes } from "./pointwise.ts";

const NAMES = ["condition", "X", "Y"];

/**
 * Where (ONNX): condition ? x : y, all three broadcast together. The condition is bool, x and y share any element type.
 * Both sides are evaluated; the one not chosen may be anything, NaN included.
 */
export const where: Operator<NoAttributes> = definePointwise<NoAttributes>({
  name: "Where",
  inputs: NAMES,
  attributes: {},
  infer: (inputs) => {
    const [condition, x, y] = requireInputs("Where", NAMES, inputs);
    requireDType("Where", "condition", condition!, ["bool"]);
    requireSameDType("Where", [x!, y!]);
    return { dtype: x!.dtype, shape: broadcastShapes([condition!.shape, x!.shape, y!.shape], "Where") };
  },
  wgsl: ([condition, x, y]) => `select(${y}, ${x}, ${condition})`,
  lanewise: true,
  evaluate: ([condition, x, y]) => (condition === 0 ? y! : x!),
  // An uncertain condition may choose the other side.
  propagate: ([condition, x, y], [doubt, ex, ey]) => {
    if (doubt! > 0) return Math.abs(x! - y!) + Math.max(ex!, ey!);
    return condition === 0 ? ey! : ex!;
  },
  selects: true,
  rounding: exact,
  gradient: ({ build, inputs: [condition, x, y], outputGradients: [gradient], wanted }) => {
    const zero = scalar(build, 0, gradient!);
    return [
      undefined,
      wanted[1] ? sumTo(build, build.apply(where, [condition, gradient, zero]), x!.shape) : undefined,
      wanted[2] ? sumTo(build, build.apply(where, [condition, zero, gradient]), y!.shape) : undefined,
    ];
  },
  cases: [
    { inputs: [{ shape: [], dtype: "bool" }, [], []] },
    { inputs: [{ shape: [257], dtype: "bool" }, [257], [257]] },
    { inputs: [{ shape: [3, 1], dtype: "bool" }, [5], [1, 5]], why: "all three stretch" },
    { inputs: [{ shape: [2, 1, 1], dtype: "bool" }, [3, 1], [1, 5]] },
    { inputs: [{ shape: [65], dtype: "bool" }, [], []] },
    { inputs: [{ shape: [], dtype: "bool" }, [7], []] },
    { inputs: [{ shape: [0], dtype: "bool" }, [], []] },
    {
      inputs: [
        { shape: [5], dtype: "bool" },
        { shape: [5], dtype: "int32" },
        { shape: [5], dtype: "int32" },
      ],
    },
  ],
});
