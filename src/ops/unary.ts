// Elementwise operators of one operand. Those whose gradient can be written with their result are: y is kept anyway, and
// the pre-activation can then be fused away. Accuracies are those of WGSL's table
// (https://www.w3.org/TR/WGSL/#floating-point-accuracy); exp is good to 3 + 2|x| ULP, log to 3 ULP or 2^-21.

import { isFloat, type DType } from "../core/dtype.ts";
import { DTypeError } from "../core/errors.ts";
import { div, greater, IS_NAN_WGSL, mul, quotientError, sub } from "./binary.ts";
import { requireInputs } from "./check.ts";
import { EPSILON, type Builder, type Operand, type Operator } from "./operator.ts";
import { definePointwise, exact, monotone, unaryCases, type NoAttributes } from "./pointwise.ts";
import { where } from "./where.ts";

const SIGNED: readonly DType[] = ["float32", "int32"];

/** Relative error of WGSL's exp(x), in units of ε. */
export function expUlps(x: number): number {
  return 3 + 2 * Math.abs(x);
}

/** Absolute error of WGSL's log(x), in units of ε. */
export function logError(x: number): number {
  return x >= 0.5 && x <= 2 ? 4 : 3 * Math.abs(Math.log(x));
}

const times = (build: Builder, a: Operand | undefined, b: Operand | undefined): Operand => build.apply(mul, [a, b]);

/** Relu (ONNX): max(x, 0); NaN stays NaN. Its gradient at 0 is 0. */
export const relu = definePointwise<NoAttributes>({
  name: "Relu",
  inputs: ["X"],
  attributes: {},
  wgsl: ([x]) => `select(max(${x}, 0.0f), ${x}, is_nan(${x}))`,
  helpers: [IS_NAN_WGSL],
  evaluate: ([x]) => Math.max(x!, 0),
  propagate: ([x], [error]) => Math.max(0, Math.min(error!, x! + error!)),
  rounding: exact,
  gradient: ({ build, outputs: [y], outputGradients: [dy] }) => {
    const zero = build.constant(0);
    return [build.apply(where, [build.apply(greater, [y, zero]), dy, zero])];
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

/** Neg (ONNX): -x. float32, int32. */
export const neg: Operator<NoAttributes> = definePointwise<NoAttributes>({
  name: "Neg",
  inputs: ["X"],
  attributes: {},
  accepts: SIGNED,
  wgsl: ([x]) => `(-(${x}))`,
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
  evaluate: ([x]) => Math.sqrt(x!),
  propagate: ([x], [error]) => {
    const root = Math.sqrt(x!);
    return Math.max(root - Math.sqrt(Math.max(0, x! - error!)), Math.sqrt(x! + error!) - root);
  },
  rounding: (_, result) => 4.5 * EPSILON * result,
  gradient: ({ build, outputs: [y], outputGradients: [dy] }) => [
    build.apply(div, [times(build, dy, build.constant(0.5)), y]),
  ],
  cases: [...unaryCases<NoAttributes>(0.01, 4), { inputs: [{ shape: [65], low: 1, high: 1e8 }] }],
});

/** Reciprocal (ONNX): 1 / x. */
export const reciprocal = definePointwise<NoAttributes>({
  name: "Reciprocal",
  inputs: ["X"],
  attributes: {},
  wgsl: ([x]) => `(1.0f / ${x})`,
  evaluate: ([x]) => 1 / x!,
  propagate: ([x], [error]) => quotientError(1, x!, 0, error!),
  rounding: (_, result) => 2.5 * EPSILON * Math.abs(result),
  gradient: ({ build, outputs: [y], outputGradients: [dy] }) => [
    times(build, times(build, dy, build.constant(-1)), times(build, y, y)),
  ],
  cases: [...unaryCases<NoAttributes>(0.5, 2), { inputs: [{ shape: [7], low: -4, high: -0.1 }] }],
});

/** Abs (ONNX): |x|. Any number type; its gradient at 0 is 0. */
export const abs = definePointwise<NoAttributes>({
  name: "Abs",
  inputs: ["X"],
  attributes: {},
  accepts: ["float32", "int32", "uint32"],
  wgsl: ([x]) => `abs(${x})`,
  evaluate: ([x]) => Math.abs(x!),
  propagate: (_, [error]) => error!,
  rounding: exact,
  gradient: ({ build, inputs: [x], outputGradients: [dy] }) => [times(build, dy, build.apply(sign, [x]))],
  cases: [...unaryCases<NoAttributes>(), { inputs: [{ shape: [65], dtype: "int32" }] }],
});

/** Sign (ONNX): -1, 0 or 1. float32, int32. Flat: it passes no gradient on. */
export const sign = definePointwise<NoAttributes>({
  name: "Sign",
  inputs: ["input"],
  attributes: {},
  accepts: SIGNED,
  wgsl: ([x], _, [type]) => (isFloat(type!.dtype) ? `select(sign(${x}), ${x}, is_nan(${x}))` : `sign(${x})`),
  helpers: [IS_NAN_WGSL],
  evaluate: ([x]) => Math.sign(x!),
  propagate: monotone(Math.sign),
  rounding: exact,
  gradient: () => [undefined],
  cases: [...unaryCases<NoAttributes>(), { inputs: [{ shape: [65], dtype: "int32", low: -2, high: 3 }] }],
});

/** Floor (ONNX): the largest integer not above x. Flat between its steps: it passes no gradient on. */
export const floor = definePointwise<NoAttributes>({
  name: "Floor",
  inputs: ["X"],
  attributes: {},
  wgsl: ([x]) => `floor(${x})`,
  evaluate: ([x]) => Math.floor(x!),
  propagate: monotone(Math.floor),
  rounding: exact,
  gradient: () => [undefined],
  cases: unaryCases(-3, 3),
});

/**
 * WGSL `tanh_accurate`: WGSL's own tanh may err by 1e-5, and overflows to NaN for large |x| on some drivers. Below 0.625
 * an odd polynomial, above 1 - 2/(e^2|x| + 1), which is 1 in float32 from 10 on (Cephes, tanhf.c). NaN stays
 * NaN, so that it can be noticed.
 */
const TANH_WGSL = `fn tanh_accurate(x: f32) -> f32 {
  let a = min(abs(x), 10.0f);
  let z = a * a;
  let small = a + a * z * ((((-5.70498872745e-3f * z + 2.06390887954e-2f) * z - 5.37397155531e-2f) * z
    + 1.33314422036e-1f) * z - 3.33332819422e-1f);
  let large = 1.0f - 2.0f / (exp(2.0f * a) + 1.0f);
  let is_nan = (bitcast<u32>(x) << 1u) > 0xff000000u;
  return select(sign(x) * select(large, small, a < 0.625f), x, is_nan);
}`;

/** Tanh (ONNX): the hyperbolic tangent. */
export const tanh = definePointwise<NoAttributes>({
  name: "Tanh",
  inputs: ["input"],
  attributes: {},
  wgsl: ([x]) => `tanh_accurate(${x})`,
  helpers: [TANH_WGSL],
  evaluate: ([x]) => Math.tanh(x!),
  propagate: monotone(Math.tanh),
  // Above 0.625: q = 2/(e^2|x| + 1) carries exp's error, an addition's and a division's.
  rounding: ([x], result) => {
    const size = Math.abs(x!);
    if (size < 0.6) return 4 * EPSILON * Math.abs(result);
    const q = 2 / (Math.exp(2 * size) + 1);
    return EPSILON * (1 + q * (expUlps(2 * size) + 3.5));
  },
  flops: 20,
  gradient: ({ build, outputs: [y], outputGradients: [dy] }) => [
    times(build, dy, build.apply(sub, [build.constant(1), times(build, y, y)])),
  ],
  cases: [
    ...unaryCases<NoAttributes>(-3, 3),
    { inputs: [{ shape: [257], low: -100, high: 100 }], why: "e^x would overflow" },
    { inputs: [{ shape: [65], low: -1e-3, high: 1e-3 }], why: "e^x - e^-x would cancel" },
  ],
});

/** WGSL `sigmoid_stable`: only ever raises e to a power of at most 0, so that nothing overflows. */
const SIGMOID_WGSL = `fn sigmoid_stable(x: f32) -> f32 {
  let t = exp(-abs(x));
  return select(t, 1.0f, x >= 0.0f) / (1.0f + t);
}`;

/** Sigmoid (ONNX): 1 / (1 + e^-x). */
export const sigmoid = definePointwise<NoAttributes>({
  name: "Sigmoid",
  inputs: ["X"],
  attributes: {},
  wgsl: ([x]) => `sigmoid_stable(${x})`,
  helpers: [SIGMOID_WGSL],
  evaluate: ([x]) => logistic(x!),
  propagate: monotone(logistic),
  // t = e^-|x|: its relative error weighs t/(1+t) when it stands below the line only, 1/(1+t) when above as well.
  rounding: ([x], result) => {
    const t = Math.exp(-Math.abs(x!));
    const weight = (x! >= 0 ? t : 1) / (1 + t);
    return EPSILON * result * (3.5 + weight * expUlps(x!));
  },
  flops: 4,
  gradient: ({ build, outputs: [y], outputGradients: [dy] }) => [
    times(build, dy, times(build, y, build.apply(sub, [build.constant(1), y]))),
  ],
  cases: [
    ...unaryCases<NoAttributes>(-4, 4),
    { inputs: [{ shape: [257], low: -100, high: 100 }], why: "e^-x would overflow" },
  ],
});

function logistic(x: number): number {
  const t = Math.exp(-Math.abs(x));
  return (x >= 0 ? 1 : t) / (1 + t);
}

/** Not (ONNX): the other boolean. */
export const not = definePointwise<NoAttributes>({
  name: "Not",
  inputs: ["X"],
  attributes: {},
  accepts: ["bool"],
  wgsl: ([x]) => `(!${x})`,
  evaluate: ([x]) => (x === 0 ? 1 : 0),
  propagate: (_, [error]) => error!,
  rounding: exact,
  cases: [{ inputs: [{ shape: [], dtype: "bool" }] }, { inputs: [{ shape: [257], dtype: "bool" }] }],
});

export type CastAttributes = {
  /** Element type of the result: a {@link DType}. */
  readonly to: string;
};

const DTYPES: readonly string[] = ["float32", "int32", "uint32", "bool"] satisfies DType[];
const CAST_WGSL: Readonly<Record<string, string>> = { float32: "f32", int32: "i32", uint32: "u32", bool: "bool" };

/**
 * Cast (ONNX, with the type by name): floats truncate towards zero, integers wrap between signed and unsigned and round to
 * float32, everything but 0 is true. Floats beyond the target's range are undefined, as in ONNX (the GPU saturates, the
 * reference wraps). Throws DTypeError for an unknown `to`. Only float32 to float32 passes a gradient on.
 */
export const cast = definePointwise<CastAttributes>({
  name: "Cast",
  inputs: ["input"],
  attributes: { to: "float32" },
  infer: (inputs, { to }) => {
    const [input] = requireInputs("Cast", ["input"], inputs);
    if (!DTYPES.includes(to)) throw new DTypeError(`Cast: to must be one of ${DTYPES.join(", ")}, got ${to}`);
    return { dtype: to as DType, shape: input!.shape };
  },
  wgsl: ([x], { to }, [type]) => (type!.dtype === to ? x! : `${CAST_WGSL[to]}(${x})`),
  evaluate: ([x], { to }) => convert(x!, to),
  propagate: ([x], [error], { to }) => {
    if (error === 0) return 0;
    if (to === "bool") return Math.abs(x!) <= error! ? 1 : 0;
    return to === "float32" ? error! : monotone((value) => convert(value, to))([x!], [error!]);
  },
  rounding: (_, result) => (Math.fround(result) === result ? 0 : EPSILON * Math.abs(result)),
  flops: 0,
  gradient: ({ inputs: [x], outputs: [y], outputGradients: [dy] }) => [
    x!.dtype === "float32" && y!.dtype === "float32" ? dy : undefined,
  ],
  cases: [
    { inputs: [[7]] },
    { inputs: [{ shape: [257], low: -100, high: 100 }], attributes: { to: "int32" } },
    { inputs: [{ shape: [65], low: 0, high: 100 }], attributes: { to: "uint32" } },
    { inputs: [{ shape: [], low: -2, high: 2 }], attributes: { to: "bool" } },
    { inputs: [{ shape: [65], dtype: "int32", low: -1e6, high: 1e6 }], attributes: { to: "float32" } },
    { inputs: [{ shape: [65], dtype: "int32" }], attributes: { to: "uint32" }, why: "wraps" },
    { inputs: [{ shape: [65], dtype: "int32", low: -1, high: 2 }], attributes: { to: "bool" } },
    { inputs: [{ shape: [65], dtype: "uint32" }], attributes: { to: "float32" } },
    { inputs: [{ shape: [65], dtype: "bool" }], attributes: { to: "float32" } },
    { inputs: [{ shape: [65], dtype: "bool" }], attributes: { to: "int32" } },
    { inputs: [{ shape: [0], dtype: "bool" }], attributes: { to: "uint32" } },
  ],
});

/** The value before it wraps to 32 bits, if it is to be an integer. */
function convert(x: number, to: string): number {
  if (to === "bool") return x === 0 ? 0 : 1;
  return to === "float32" ? x : Math.trunc(x);
}
