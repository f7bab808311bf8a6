// A number's magnitude and its sign.

import { dtypes, isFloat } from "../core/dtype.ts";
import { IS_NAN_WGSL } from "./binary.ts";
import { definePointwise, exact, monotone, unaryCases, type NoAttributes } from "./pointwise.ts";
import { times } from "./unary.ts";

/** Abs (ONNX): |x|. Any number type; its gradient at 0 is 0. */
export const abs = definePointwise<NoAttributes>({
  name: "Abs",
  inputs: ["X"],
  attributes: {},
  accepts: "number",
  wgsl: ([x]) => `abs(${x})`,
  lanewise: true,
  evaluate: ([x]) => Math.abs(x!),
  propagate: (_, [error]) => error!,
  rounding: exact,
  gradient: ({ build, inputs: [x], outputGradients: [dy] }) => [times(build, dy, build.apply(sign, [x]))],
  cases: [...unaryCases<NoAttributes>(), { inputs: [{ shape: [65], dtype: "int32" }] }],
});

/** Sign (ONNX): -1, 0 or 1. Any number type. Flat: it passes no gradient on. */
export const sign = definePointwise<NoAttributes>({
  name: "Sign",
  inputs: ["input"],
  attributes: {},
  accepts: "number",
  wgsl: ([x], _, [type]) => {
    if (isFloat(type!.dtype)) return `select(sign(${x}), ${x}, is_nan(${x}))`;
    return dtypes[type!.dtype].low < 0 ? `sign(${x})` : `min(${x}, 1u)`;
  },
  helpers: [IS_NAN_WGSL],
  evaluate: ([x]) => Math.sign(x!),
  propagate: monotone(Math.sign),
  rounding: exact,
  gradient: () => [undefined],
  cases: [...unaryCases<NoAttributes>(), { inputs: [{ shape: [65], dtype: "int32", low: -2, high: 3 }] }],
});
