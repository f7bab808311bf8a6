// Trigonometric and hyperbolic functions and their inverses. WGSL promises little of its own (sin within 2^-11, asin within
// 7e-5, atan within 4096 ULP), so these are polynomials after Cephes (sinf.c, tanf.c, asinf.c, atanf.c, sinhf.c, asinhf.c,
// acoshf.c, atanhf.c; https://www.netlib.org/cephes), with sqrt, exp and log where those are accurate enough.

import { defineFunction } from "./function.ts";
import { EPSILON, type Operator } from "./operator.ts";
import { unaryCases, type NoAttributes } from "./pointwise.ts";
import { logError, neg, sqrt } from "./unary.ts";

/** `is_number` rules out NaN and infinities; `nan_like` is a NaN that the compiler does not see. */
const BITS_WGSL = `fn is_finite(x: f32) -> bool { return (bitcast<u32>(x) << 1u) < 0xff000000u; }
fn nan_like(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) | 0x7fc00000u); }`;

// x = quarter · π/2 + rest, with π/2 in three parts (Cody and Waite): exact enough up to some 1e5, then less and less.
const QUARTER_TURNS_WGSL = `fn quarter_turns(x: f32) -> vec2<f32> {
  let n = round(x * 0.636619772f);
  return vec2<f32>(((x - n * 1.5703125f) - n * 4.837512969970703125e-4f) - n * 7.54978995489188e-8f, n);
}
fn sine(x: f32, ahead: i32) -> f32 {
  let turned = quarter_turns(x);
  let quarter = i32(turned.y) + ahead;
  let r = turned.x;
  let z = r * r;
  let s = r + r * z * ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f);
  let c = 1.0f - 0.5f * z + z * z * ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f);
  let y = select(s, c, (quarter & 1) == 1);
  return select(nan_like(x), select(y, -y, (quarter & 2) == 2), is_finite(x));
}
fn tangent(x: f32) -> f32 {
  let turned = quarter_turns(x);
  let r = turned.x;
  let z = r * r;
  let t = r + r * z * (((((9.38540185543e-3f * z + 3.11992232697e-3f) * z + 2.44301354525e-2f) * z
    + 5.34112807005e-2f) * z + 1.33387994085e-1f) * z + 3.33331568548e-1f);
  return select(nan_like(x), select(t, -1.0f / t, (i32(turned.y) & 1) == 1), is_finite(x));
}`;

/** Above this, the reduced angle has no certain digits left. */
const LARGEST_ANGLE = 1e5;
const angleError = (x: number): number => (Math.abs(x) > LARGEST_ANGLE ? Infinity : Math.abs(x) < 0.7 ? 0 : 1);

const angleCases = [
  ...unaryCases<NoAttributes>(-3, 3),
  { inputs: [{ shape: [257], low: -1e3, high: 1e3 }], why: "many turns" },
  { inputs: [{ shape: [65], low: -1e-3, high: 1e-3 }] },
];

/** Sin (ONNX): the sine of an angle in radians. Above 1e5 float32 leaves no certain digits. */
export const sin: Operator<NoAttributes> = defineFunction<NoAttributes>({
  name: "Sin",
  attributes: {},
  wgsl: (x) => `sine(${x}, 0)`,
  helpers: [BITS_WGSL, QUARTER_TURNS_WGSL],
  f: Math.sin,
  steepness: () => 1,
  rounding: ([x], result) => EPSILON * (4 * Math.abs(result) + angleError(x!)),
  flops: 20,
  slope: ({ build, x }) => build.apply(cos, [x]),
  cases: angleCases,
});

/** Cos (ONNX): the cosine of an angle in radians. Above 1e5 float32 leaves no certain digits. */
export const cos: Operator<NoAttributes> = defineFunction<NoAttributes>({
  name: "Cos",
  attributes: {},
  wgsl: (x) => `sine(${x}, 1)`,
  helpers: [BITS_WGSL, QUARTER_TURNS_WGSL],
  f: Math.cos,
  steepness: () => 1,
  rounding: ([x], result) => EPSILON * (4 * Math.abs(result) + angleError(x!)),
  flops: 20,
  slope: ({ build, x }) => build.apply(neg, [build.apply(sin, [x])]),
  cases: angleCases,
});

/** Tan (ONNX): the tangent of an angle in radians. Above 1e5 float32 leaves no certain digits. */
export const tan = defineFunction<NoAttributes>({
  name: "Tan",
  attributes: {},
  wgsl: (x) => `tangent(${x})`,
  helpers: [BITS_WGSL, QUARTER_TURNS_WGSL],
  f: Math.tan,
  steepness: (x, error) => {
    const turns = x / Math.PI - 0.5;
    const toPole = Math.abs(turns - Math.round(turns)) * Math.PI;
    return error < toPole ? 1 / Math.sin(toPole - error) ** 2 : Infinity;
  },
  rounding: ([x], result) => EPSILON * (8 * Math.abs(result) + angleError(x!) * (1 + result * result)),
  flops: 20,
  slope: ({ y, add, mul }) => add(mul(y, y), 1),
  cases: [...unaryCases<NoAttributes>(-1.5, 1.5), { inputs: [{ shape: [65], low: -1e-3, high: 1e-3 }] }],
});

const ARC_SINE_WGSL = `fn arc_sine(a: f32) -> f32 {
  let is_large = a > 0.5f;
  let z = select(a * a, 0.5f - 0.5f * a, is_large);
  let s = select(a, sqrt(max(z, 0.0f)), is_large);
  let p = s + s * z * ((((4.2163199048e-2f * z + 2.4181311049e-2f) * z + 4.5470025998e-2f) * z
    + 7.4953002686e-2f) * z + 1.6666752422e-1f);
  return select(p, 1.57079637f - 2.0f * p, is_large);
}
fn arc_sine_signed(x: f32) -> f32 {
  return select(nan_like(x), sign(x) * arc_sine(abs(x)), (abs(x) <= 1.0f) & is_finite(x));
}
fn arc_cosine(x: f32) -> f32 {
  let half = 2.0f * arc_sine(sqrt(max(0.5f - 0.5f * abs(x), 0.0f)));
  let near = select(half, 3.14159274f - half, x < 0.0f);
  let angle = select(1.57079637f - arc_sine(abs(x)) * sign(x), near, abs(x) > 0.5f);
  return select(nan_like(x), angle, (abs(x) <= 1.0f) & is_finite(x));
}`;

/** Asin (ONNX): the angle in [-π/2, π/2] whose sine is x; NaN outside [-1, 1]. */
export const asin = defineFunction<NoAttributes>({
  name: "Asin",
  attributes: {},
  wgsl: (x) => `arc_sine_signed(${x})`,
  helpers: [BITS_WGSL, ARC_SINE_WGSL],
  f: Math.asin,
  rounding: (_, result) => EPSILON * (8 * Math.abs(result) + (Math.abs(result) > 0.5 ? 4 : 0)),
  flops: 20,
  slope: ({ build, x, sub, mul, div }) => div(1, build.apply(sqrt, [sub(1, mul(x, x))])),
  cases: unaryCases(-0.95, 0.95),
});

/** Acos (ONNX): the angle in [0, π] whose cosine is x; NaN outside [-1, 1]. */
export const acos = defineFunction<NoAttributes>({
  name: "Acos",
  attributes: {},
  wgsl: (x) => `arc_cosine(${x})`,
  helpers: [BITS_WGSL, ARC_SINE_WGSL],
  f: Math.acos,
  rounding: ([x], result) => EPSILON * (12 * result + (x! > 0.5 ? 0 : 4)),
  flops: 20,
  slope: ({ build, x, sub, mul, div }) => div(-1, build.apply(sqrt, [sub(1, mul(x, x))])),
  cases: unaryCases(-0.95, 0.95),
});

const ARC_TANGENT_WGSL = `fn arc_tangent(x: f32) -> f32 {
  let a = min(abs(x), 1e30f);
  let is_large = a > 2.41421366f;
  let is_middle = a > 0.414213568f;
  let r = select(select(a, (a - 1.0f) / (a + 1.0f), is_middle), -1.0f / max(a, 1.0f), is_large);
  let base = select(select(0.0f, 0.785398185f, is_middle), 1.57079637f, is_large);
  let z = r * r;
  let y = base + (r + r * z * (((8.05374449538e-2f * z - 1.38776856032e-1f) * z + 1.99777106478e-1f) * z - 3.33329491539e-1f));
  return select(sign(x) * y, x, (bitcast<u32>(x) << 1u) > 0xff000000u);
}`;

/** Atan (ONNX): the angle in [-π/2, π/2] whose tangent is x. */
export const atan = defineFunction<NoAttributes>({
  name: "Atan",
  attributes: {},
  wgsl: (x) => `arc_tangent(${x})`,
  helpers: [ARC_TANGENT_WGSL],
  f: Math.atan,
  rounding: (_, result) => 8 * EPSILON * Math.abs(result),
  flops: 20,
  slope: ({ x, add, mul, div }) => div(1, add(1, mul(x, x))),
  cases: [
    ...unaryCases<NoAttributes>(-3, 3),
    { inputs: [{ shape: [65], low: -1e6, high: 1e6 }] },
    { inputs: [{ shape: [65], low: -1e-3, high: 1e-3 }] },
  ],
});

// e^|x| in two halves: its square overflows only where the result does.
const HYPERBOLIC_WGSL = `fn half_exp(a: f32) -> vec2<f32> {
  let root = exp(0.5f * a);
  let h = (0.5f * root) * root;
  return vec2<f32>(h, select(0.25f / h, 0.0f, h > 1e30f));
}
fn hyperbolic_sine(x: f32) -> f32 {
  let z = x * x;
  let small = x + x * z * ((2.03721912945e-4f * z + 8.33028376239e-3f) * z + 1.66667160211e-1f);
  let h = half_exp(abs(x));
  let y = select(sign(x) * (h.x - h.y), small, abs(x) < 1.0f);
  return select(y, x, (bitcast<u32>(x) << 1u) >= 0xff000000u);
}
fn hyperbolic_cosine(x: f32) -> f32 {
  let h = half_exp(abs(x));
  return select(h.x + h.y, abs(x), (bitcast<u32>(x) << 1u) >= 0xff000000u);
}`;

const hyperbolicCases = [
  ...unaryCases<NoAttributes>(-3, 3),
  { inputs: [{ shape: [257], low: -89, high: 89 }], why: "all of float32's range" },
];

/** Sinh (ONNX): the hyperbolic sine. */
export const sinh: Operator<NoAttributes> = defineFunction<NoAttributes>({
  name: "Sinh",
  attributes: {},
  wgsl: (x) => `hyperbolic_sine(${x})`,
  helpers: [HYPERBOLIC_WGSL],
  f: Math.sinh,
  rounding: ([x], result) => EPSILON * Math.abs(result) * (10 + 3 * Math.abs(x!)),
  flops: 20,
  slope: ({ build, x }) => build.apply(cosh, [x]),
  cases: [...hyperbolicCases, { inputs: [{ shape: [65], low: -1e-3, high: 1e-3 }] }],
});

/** Cosh (ONNX): the hyperbolic cosine. */
export const cosh: Operator<NoAttributes> = defineFunction<NoAttributes>({
  name: "Cosh",
  attributes: {},
  wgsl: (x) => `hyperbolic_cosine(${x})`,
  helpers: [HYPERBOLIC_WGSL],
  f: Math.cosh,
  steepness: (x, error) => Math.sinh(Math.abs(x) + error),
  rounding: ([x], result) => EPSILON * result * (10 + 2 * Math.abs(x!)),
  flops: 10,
  slope: ({ build, x }) => build.apply(sinh, [x]),
  cases: hyperbolicCases,
});

const AREA_WGSL = `fn area_sine(x: f32) -> f32 {
  let a = abs(x);
  let z = a * a;
  let small = x + x * z * (((2.0122003309e-2f * z - 4.2699340972e-2f) * z + 7.4847586088e-2f) * z - 1.6666288134e-1f);
  let large = log(max(a, 1.0f)) + 0.693147182f;
  let y = sign(x) * select(log(a + sqrt(min(z, 1e8f) + 1.0f)), large, a > 1500.0f);
  return select(select(y, small, a < 0.5f), x, (bitcast<u32>(x) << 1u) >= 0xff000000u);
}
fn area_cosine(x: f32) -> f32 {
  let t = max(x - 1.0f, 0.0f);
  let small = sqrt(t) * ((((1.7596881071e-3f * t - 7.5272886713e-3f) * t + 2.6454905019e-2f) * t
    - 1.1784741703e-1f) * t + 1.4142135263f);
  let middle = log(max(x, 1.0f) + sqrt(t * min(x + 1.0f, 1e8f)));
  let y = select(select(middle, log(max(x, 1.0f)) + 0.693147182f, x > 1500.0f), small, t < 0.5f);
  let is_infinite = bitcast<u32>(x) == 0x7f800000u;
  return select(select(nan_like(x), y, (x >= 1.0f) & is_finite(x)), x, is_infinite);
}
fn area_tangent(x: f32) -> f32 {
  let a = abs(x);
  let z = a * a;
  let small = x + x * z * ((((1.81740078349e-1f * z + 8.24370301058e-2f) * z + 1.4669143173e-1f) * z
    + 1.99782164500e-1f) * z + 3.33337300303e-1f);
  let large = sign(x) * 0.5f * log((1.0f + a) / max(1.0f - a, 1e-30f));
  let infinite = bitcast<f32>((bitcast<u32>(x) & 0x80000000u) | 0x7f800000u);
  let y = select(select(large, small, a < 0.5f), infinite, a == 1.0f);
  return select(nan_like(x), y, (a <= 1.0f) & is_finite(x));
}`;

/** Asinh (ONNX): the inverse of the hyperbolic sine. */
export const asinh = defineFunction<NoAttributes>({
  name: "Asinh",
  attributes: {},
  wgsl: (x) => `area_sine(${x})`,
  helpers: [BITS_WGSL, AREA_WGSL],
  f: Math.asinh,
  rounding: ([x], result) => {
    const size = Math.abs(x!);
    if (size < 0.499) return 4 * EPSILON * Math.abs(result);
    return EPSILON * (6 + logError(size + Math.sqrt(size * size + 1)) + Math.abs(result));
  },
  flops: 20,
  slope: ({ build, x, add, mul, div }) => div(1, build.apply(sqrt, [add(1, mul(x, x))])),
  cases: [...unaryCases<NoAttributes>(-3, 3), { inputs: [{ shape: [65], low: -1e6, high: 1e6 }] }],
});

/** Acosh (ONNX): the inverse of the hyperbolic cosine; NaN below 1. */
export const acosh = defineFunction<NoAttributes>({
  name: "Acosh",
  attributes: {},
  wgsl: (x) => `area_cosine(${x})`,
  helpers: [BITS_WGSL, AREA_WGSL],
  f: Math.acosh,
  rounding: ([x], result) => {
    if (x! < 1.499) return 10 * EPSILON * Math.abs(result);
    return EPSILON * (8 + logError(x! + Math.sqrt(x! * x! - 1)) + Math.abs(result));
  },
  flops: 20,
  slope: ({ build, x, sub, mul, div }) => div(1, build.apply(sqrt, [sub(mul(x, x), 1)])),
  cases: [...unaryCases<NoAttributes>(1.1, 4), { inputs: [{ shape: [65], low: 1e3, high: 1e6 }] }],
});

/** Atanh (ONNX): the inverse of the hyperbolic tangent; infinite at ±1, NaN beyond. */
export const atanh = defineFunction<NoAttributes>({
  name: "Atanh",
  attributes: {},
  wgsl: (x) => `area_tangent(${x})`,
  helpers: [BITS_WGSL, AREA_WGSL],
  f: Math.atanh,
  rounding: ([x], result) => {
    const size = Math.abs(x!);
    if (size < 0.499) return 4 * EPSILON * Math.abs(result);
    return EPSILON * (4 + 0.5 * logError((1 + size) / (1 - size)) + Math.abs(result));
  },
  flops: 20,
  slope: ({ x, sub, mul, div }) => div(1, sub(1, mul(x, x))),
  cases: [...unaryCases<NoAttributes>(-0.9, 0.9), { inputs: [{ shape: [65], low: -1e-3, high: 1e-3 }] }],
});
