// Elementwise operators of one operand. Those whose gradient can be written with their result are: y is kept anyway, and
// the pre-activation can then be fused away. Accuracies are those of WGSL's table
// (https://www.w3.org/TR/WGSL/#floating-point-accuracy); exp is good to 3 + 2|x| ULP, log to 3 ULP or 2^-21.

import { isFloat } from "../core/dtype.ts";
import { div, greater, IS_NAN_WGSL, mul, quotientError } from "./binary.ts";
import { EPSILON, type Builder, type Operand, type Operator } from "./operator.ts";
import { definePointwise, exact, unaryCases, type NoAttributes } from "./pointwise.ts";
import { scalar } from "./scalar.ts";

/** Relative error of WGSL's exp(x), in units of ε. */
export function expUlps(x: number): number {
  return 3 + 2 * Math.abs(x);
}

/** Absolute error of WGSL's log(x), in units of ε. */
export function logError(x: number): number {
  return x >= 0.5 && x <= 2 ? 4 : 3 * Math.abs(Math.log(x));
}

export const times = (build: Builder, a: Operand | undefined, b: Operand | undefined): Operand =>
  build.apply(mul, [a, b]);

/** Relu (ONNX): max(x, 0); NaN stays NaN. Its gradient at 0 is 0. */
export const relu = definePointwise<NoAttributes>({
  name: "Relu",
  inputs: ["X"],
  attributes: {},
  accepts: "signed",
  wgsl: ([x], _, [type]) => (isFloat(type!.dtype) ? `select(max(${x}, 0.0f), ${x}, is_nan(${x}))` : `max(${x}, 0i)`),
  helpers: [IS_NAN_WGSL],
  evaluate: ([x]) => Math.max(x!, 0),
  selects: true,
  propagate: ([x], [error]) => Math.max(0, Math.min(error!, x! + error!)),
  rounding: exact,
  gradient: ({ build, operators, outputs: [y], outputGradients: [dy] }) => {
    const zero = scalar(build, 0, dy!);
    return [build.apply(operators.where, [build.apply(greater, [y, zero]), dy, zero])];
  },
  cases: unaryCases(),
});

/** Exp (ONNX): e^x. */
export const exp = definePointwise<NoAttributes>({
  name: "Exp",
  inputs: ["input"],
  attributes: {},
  wgsl: ([x]) => `select(exp(${x}), ${x}, is_nan(${x}))`,
  helpers: [IS_NAN_WGSL],
  evaluate: ([x]) => Math.exp(x!),
  propagate: ([x], [error]) => Math.exp(x!) * Math.expm1(error!),
  rounding: ([x], result) => expUlps(x!) * EPSILON * result,
  gradient: ({ build, outputs: [y], outputGradients: [dy] }) => [times(build, dy, y)],
  cases: [
    ...unaryCases<NoAttributes>(),
    { inputs: [{ shape: [257], low: -80, high: 80 }], why: "all of float32's range" },
  ],
});

// Adapters differ at and below 0: -∞ and NaN are made from their bits.
const LOG_WGSL = `fn log_or_limit(x: f32) -> f32 {
  let bits = select(0x7fc00000u, 0xff800000u, x == 0.0);
  return select(bitcast<f32>(bits), log(x), x > 0.0);
}`;

/** Log (ONNX): natural logarithm; -∞ at 0, NaN below. */
export const log = definePointwise<NoAttributes>({
  name: "Log",
  inputs: ["input"],
  attributes: {},
  wgsl: ([x]) => `log_or_limit(${x})`,
  helpers: [LOG_WGSL],
  evaluate: ([x]) => Math.log(x!),
  propagate: ([x], [error]) => (error === 0 ? 0 : error! >= x! ? Infinity : -Math.log1p(-error! / x!)),
  rounding: ([x]) => logError(x!) * EPSILON,
  gradient: ({ build, inputs: [x], outputGradients: [dy] }) => [build.apply(div, [dy, x])],
  cases: [...unaryCases<NoAttributes>(0.1, 4), { inputs: [{ shape: [65], low: 1, high: 1e6 }] }],
});

/** Neg (ONNX): -x. Signed types. */
export const neg: Operator<NoAttributes> = definePointwise<NoAttributes>({
  name: "Neg",
  inputs: ["X"],
  attributes: {},
  accepts: "signed",
  wgsl: ([x]) => `(-(${x}))`,
  lanewise: true,
  evaluate: ([x]) => -x!,
  propagate: (_, [error]) => error!,
  rounding: exact,
  gradient: ({ build, outputGradients: [dy] }) => [build.apply(neg, [dy])],
  cases: [...unaryCases<NoAttributes>(), { inputs: [{ shape: [7], dtype: "int32" }] }],
});

/** Sqrt (ONNX): √x. WGSL inherits its accuracy from 1 / inverseSqrt(x): 2 ULP, then a division's 2.5. */
export const sqrt = definePointwise<NoAttributes>({
  name: "Sqrt",
  inputs: ["X"],
  attributes: {},
  wgsl: ([x]) => `sqrt(${x})`,
  lanewise: true,
  evaluate: ([x]) => Math.sqrt(x!),
  propagate: ([x], [error]) => {
    const root = Math.sqrt(x!);
    return Math.max(root - Math.sqrt(Math.max(0, x! - error!)), Math.sqrt(x! + error!) - root);
  },
  rounding: (_, result) => 4.5 * EPSILON * result,
  gradient: ({ build, outputs: [y], outputGradients: [dy] }) => [
    build.apply(div, [times(build, dy, scalar(build, 0.5, dy!)), y]),
  ],
  cases: [...unaryCases<NoAttributes>(0.01, 4), { inputs: [{ shape: [65], low: 1, high: 1e8 }] }],
});

/** Reciprocal (ONNX): 1 / x. */
export const reciprocal = definePointwise<NoAttributes>({
  name: "Reciprocal",
  inputs: ["X"],
  attributes: {},
  wgsl: ([x]) => `(1.0f / ${x})`,
  lanewise: true,
  evaluate: ([x]) => 1 / x!,
  propagate: ([x], [error]) => quotientError(1, x!, 0, error!),
  rounding: (_, result) => 2.5 * EPSILON * Math.abs(result),
  gradient: ({ build, outputs: [y], outputGradients: [dy] }) => [
    times(build, times(build, dy, scalar(build, -1, dy!)), times(build, y, y)),
  ],
  cases: [...unaryCases<NoAttributes>(0.5, 2), { inputs: [{ shape: [7], low: -4, high: -0.1 }] }],
});
