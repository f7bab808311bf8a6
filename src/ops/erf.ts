// The error function, and the Gaussian error linear unit built on it. Polynomials after Cephes (ndtrf.c,
// https://www.netlib.org/cephes): the complement has its own, so that Gelu keeps its digits where 1 + erf would cancel.

import { defineFunction } from "./function.ts";
import { EPSILON } from "./operator.ts";
import { unaryCases, type NoAttributes } from "./pointwise.ts";
import { exp, expUlps } from "./unary.ts";
import { sigmoid } from "./sigmoid.ts";

const ERF_WGSL = `fn erf_small(x: f32) -> f32 {
  let z = x * x;
  return x * ((((((7.853861353153693e-5f * z - 8.010193625184903e-4f) * z + 5.188327685732524e-3f) * z
    - 2.685381193529856e-2f) * z + 1.128358514861418e-1f) * z - 3.761262582423300e-1f) * z + 1.128379167095513f);
}
fn erfc_large(a: f32) -> f32 {
  let x = min(a, 12.0f);
  let q = 1.0f / max(x, 1.0f);
  let z = q * q;
  let near = (((((((2.326819970068386e-2f * z - 1.387039388740657e-1f) * z + 3.687424674597105e-1f) * z
    - 5.824733027278666e-1f) * z + 6.210004621745983e-1f) * z - 4.944515323274145e-1f) * z + 3.404879937665872e-1f) * z
    - 2.741127028184656e-1f) * z + 5.638259427386472e-1f;
  let far = ((((((-1.047766399936249e+1f * z + 1.297719955372516e+1f) * z - 7.495518717768503f) * z
    + 2.921019019210786f) * z - 1.015265279202700f) * z + 4.218463358204948e-1f) * z - 2.820767439740514e-1f) * z
    + 5.641895067754075e-1f;
  return exp(-x * x) * q * select(far, near, x < 2.0f);
}
fn erf_accurate(x: f32) -> f32 {
  let a = abs(x);
  let y = select(sign(x) * (1.0f - erfc_large(a)), erf_small(x), a < 1.0f);
  return select(y, x, (bitcast<u32>(x) << 1u) > 0xff000000u);
}`;

const GELU_WGSL = `fn gelu_exact(x: f32) -> f32 {
  let u = x * 0.707106781f;
  let a = abs(u);
  let tail = 0.5f * erfc_large(a);
  let share = select(select(tail, 1.0f - tail, u > 0.0f), 0.5f + 0.5f * erf_small(clamp(u, -1.0f, 1.0f)), a < 1.0f);
  return select(x * share, x, (bitcast<u32>(x) << 1u) > 0xff000000u);
}`;

/** erf(x) in float64: a series of positive terms near 0, a continued fraction for what is left to 1 beyond. */
function errorFunction(x: number): number {
  const size = Math.abs(x);
  if (size > 2.5) return Math.sign(x) * (1 - complement(size));
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) sum += term *= (2 * x * x) / (2 * n + 1);
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** 1 - erf(x) for x of at least 2. */
function complement(x: number): number {
  let fraction = x;
  for (let n = 60; n > 0; n--) fraction = x + n / 2 / fraction;
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / fraction;
}

/** Share of a normal distribution that lies below x. */
function normalShare(x: number): number {
  const u = x * Math.SQRT1_2;
  return u < -2.5 ? 0.5 * complement(-u) : 0.5 * (1 + errorFunction(u));
}

/** Relative error of the complement at a ≥ 1, in units of ε: the exponential's, its rounded argument's, the polynomial's. */
const complementUlps = (a: number): number => expUlps(a * a) + a * a + 16;

/** Erf (ONNX): the error function. */
export const erf = defineFunction<NoAttributes>({
  name: "Erf",
  attributes: {},
  wgsl: (x) => `erf_accurate(${x})`,
  helpers: [ERF_WGSL],
  f: errorFunction,
  rounding: ([x], result) => {
    const size = Math.abs(x!);
    return size < 1 ? 8 * EPSILON * Math.abs(result) : EPSILON * (1 + (1 - errorFunction(size)) * complementUlps(size));
  },
  flops: 30,
  slope: ({ build, x, mul }) => mul(build.apply(exp, [mul(mul(x, x), -1)]), 2 / Math.sqrt(Math.PI)),
  cases: [...unaryCases<NoAttributes>(-3, 3), { inputs: [{ shape: [65], low: -1e-3, high: 1e-3 }] }],
});

export type GeluAttributes = {
  /** "none": x · Φ(x). "tanh": Φ approximated by (1 + tanh(√(2/π)(x + 0.044715 x³))) / 2. */
  readonly approximate: string;
};

const CUBIC = 0.044715;
const STEEP = 2 * Math.sqrt(2 / Math.PI);

// (1 + tanh u) / 2 is the logistic function of 2u, which does not cancel below 0.
const GELU_TANH_WGSL = `fn gelu_tanh(x: f32) -> f32 {
  let u = ${STEEP} * x * (1.0f + ${CUBIC} * x * x);
  let t = exp(-abs(u));
  return x * (select(t, 1.0f, u >= 0.0f) / (1.0f + t));
}`;

const tanhArgument = (x: number): number => STEEP * x * (1 + CUBIC * x * x);

/**
 * Gelu (ONNX): x times the share of a normal distribution below x. Hendrycks and Gimpel, "Gaussian Error Linear Units",
 * https://arxiv.org/abs/1606.08415.
 */
export const gelu = defineFunction<GeluAttributes>({
  name: "Gelu",
  attributes: { approximate: "none" },
  wgsl: (x, { approximate }) => (approximate === "tanh" ? `gelu_tanh(${x})` : `gelu_exact(${x})`),
  helpers: [ERF_WGSL, GELU_WGSL, GELU_TANH_WGSL],
  f: (x, { approximate }) => (approximate === "tanh" ? x / (1 + Math.exp(-tanhArgument(x))) : x * normalShare(x)),
  steepness: () => 1.13,
  rounding: ([x], result, { approximate }) => {
    const size = Math.abs(result);
    if (approximate === "tanh") {
      const u = Math.abs(tanhArgument(x!));
      const t = Math.exp(-u);
      return EPSILON * size * (6 + ((x! >= 0 ? t : 1) / (1 + t)) * (expUlps(u) + 6 * u)) + Math.abs(x!) * 2 ** -125;
    }
    const u = Math.abs(x!) * Math.SQRT1_2;
    if (u < 0.999) return EPSILON * (4 * size + 4 * Math.abs(x!));
    const share = x! > 0 ? 1 - normalShare(x!) : normalShare(x!);
    return EPSILON * (4 * size + Math.abs(x!) * share * (complementUlps(u) + 4 * u * u)) + Math.abs(x!) * 2 ** -125;
  },
  flops: 30,
  slope: ({ build, x, attributes: { approximate }, add, sub, mul }) => {
    const square = mul(x, x);
    if (approximate === "tanh") {
      const share = build.apply(sigmoid, [mul(mul(x, STEEP), add(mul(square, CUBIC), 1))]);
      const inner = mul(mul(x, STEEP), add(mul(square, 3 * CUBIC), 1));
      return mul(share, add(mul(inner, sub(1, share)), 1));
    }
    const share = mul(add(build.apply(erf, [mul(x, Math.SQRT1_2)]), 1), 0.5);
    const density = mul(build.apply(exp, [mul(square, -0.5)]), 1 / Math.sqrt(2 * Math.PI));
    return add(share, mul(x, density));
  },
  cases: [
    ...unaryCases<GeluAttributes>(-3, 3),
    { inputs: [{ shape: [257], low: -12, high: 12 }], why: "the tails" },
    { inputs: [{ shape: [257], low: -12, high: 12 }], attributes: { approximate: "tanh" } },
    { inputs: [{ shape: [7], low: -1, high: 1 }], attributes: { approximate: "tanh" } },
  ],
});
