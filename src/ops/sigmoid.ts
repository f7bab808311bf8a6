// The two sigmoids, the logistic function and the hyperbolic tangent. Their gradients are written with their results: y is kept
// anyway, and the pre-activation can then be fused away.

import { sub } from "./binary.ts";
import { EPSILON } from "./operator.ts";
import { definePointwise, monotone, unaryCases, type NoAttributes } from "./pointwise.ts";
import { scalar } from "./scalar.ts";
import { expUlps, times } from "./unary.ts";

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
    times(build, dy, build.apply(sub, [scalar(build, 1, dy!), times(build, y, y)])),
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
    times(build, dy, times(build, y, build.apply(sub, [scalar(build, 1, dy!), y]))),
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
