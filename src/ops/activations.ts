// Activations beyond Relu, Sigmoid and Tanh. Each is one operator and no composition: so it joins the epilogue of the heavy
// kernel before it, which a diamond of comparisons and products could not.

import { isFloat, dtypes } from "../core/dtype.ts";
import { mul } from "./binary.ts";
import { sumTo } from "./expand.ts";
import { formulas } from "./formula.ts";
import { defineFunction } from "./function.ts";
import { EPSILON, type Operator } from "./operator.ts";
import { binaryCases, definePointwise, unaryCases, type NoAttributes } from "./pointwise.ts";
import { abs } from "./magnitude.ts";
import { expUlps } from "./unary.ts";
import { sigmoid } from "./sigmoid.ts";

export type AlphaAttributes = { readonly alpha: number };
export type AlphaBetaAttributes = { readonly alpha: number; readonly beta: number };
export type AlphaGammaAttributes = { readonly alpha: number; readonly gamma: number };
export type ShrinkAttributes = { readonly lambd: number; readonly bias: number };

/** WGSL text of an attribute's value; in parentheses, because a sign may stand before it. */
const number = (value: number): string => {
  const text = String(Math.fround(value));
  return `(${/[.e]/.test(text) ? text : `${text}.0`}f)`;
};

/** LeakyRelu (ONNX): x, or alpha · x below 0. */
export const leakyRelu = defineFunction<AlphaAttributes>({
  name: "LeakyRelu",
  attributes: { alpha: 0.01 },
  wgsl: (x, { alpha }) => `select(${x}, ${number(alpha)} * ${x}, ${x} < 0.0f)`,
  f: (x, { alpha }) => (x < 0 ? alpha * x : x),
  steepness: (_, __, { alpha }) => Math.max(1, Math.abs(alpha)),
  rounding: (_, result) => 2 * EPSILON * Math.abs(result),
  flops: 1,
  slope: ({ x, attributes: { alpha }, greater, where }) => where(greater(x, 0), 1, alpha),
  cases: [...unaryCases<AlphaAttributes>(), { inputs: [[65]], attributes: { alpha: -0.5 } }],
});

/** PRelu (ONNX): X, or slope · X below 0; slope is broadcast. Any number type. */
export const pRelu: Operator<NoAttributes> = definePointwise<NoAttributes>({
  name: "PRelu",
  inputs: ["X", "slope"],
  attributes: {},
  accepts: "number",
  wgsl: ([x, slope], _, [type]) => `select(${x}, ${slope} * ${x}, ${x} < ${dtypes[type!.dtype].wgsl}())`,
  evaluate: ([x, slope]) => (x! < 0 ? slope! * x! : x!),
  propagate: ([x, slope], [ex, eslope]) =>
    Math.max(1, Math.abs(slope!) + eslope!) * ex! + (x! - ex! < 0 ? Math.abs(x!) * eslope! : 0),
  gradient: ({ build, inputs: [x, slope], outputGradients: [dy], wanted }) => {
    const { greater, where } = formulas(build, dy!);
    const isPositive = greater(x!, 0);
    const times = (factor: typeof x): typeof x => build.apply(mul, [dy, factor]);
    return [
      wanted[0] ? sumTo(build, where(isPositive, dy!, times(slope)!), x!.shape) : undefined,
      wanted[1] ? sumTo(build, where(isPositive, 0, times(x)!), slope!.shape) : undefined,
    ];
  },
  cases: [
    ...binaryCases<NoAttributes>(),
    {
      inputs: [
        { shape: [65], dtype: "int32" },
        { shape: [65], dtype: "int32" },
      ],
    },
    {
      inputs: [
        { shape: [65], dtype: "uint8" },
        { shape: [1], dtype: "uint8" },
      ],
    },
  ],
});

// e^x - 1 for x ≤ 0; near 0 by a polynomial (Cephes, expf.c), where the difference would cancel.
const EXPM1_WGSL = `fn expm1_negative(x: f32) -> f32 {
  let a = max(x, -100.0f);
  let small = a + a * a * (((((1.98756915e-4f * a + 1.3981999507e-3f) * a + 8.3334519073e-3f) * a + 4.1665795894e-2f) * a
    + 1.6666665459e-1f) * a + 5.0000001201e-1f);
  return select(exp(a) - 1.0f, small, a > -0.5f);
}`;

/** Relative error of expm1_negative, in units of ε: at -0.5 the difference is 0.39 and e^x 0.61. */
const expm1Ulps = (x: number): number => (x > -0.499 ? 6 : 2 + expUlps(x) * (Math.exp(x) / -Math.expm1(x)));

/** Elu (ONNX): x, or alpha · (e^x - 1) below 0. */
export const elu = defineFunction<AlphaAttributes>({
  name: "Elu",
  attributes: { alpha: 1 },
  wgsl: (x, { alpha }) => `select(${x}, ${number(alpha)} * expm1_negative(${x}), ${x} < 0.0f)`,
  helpers: [EXPM1_WGSL],
  f: (x, { alpha }) => (x < 0 ? alpha * Math.expm1(x) : x),
  steepness: (_, __, { alpha }) => Math.max(1, Math.abs(alpha)),
  rounding: ([x], result) => EPSILON * Math.abs(result) * (x! >= 0 ? 0 : 2 + expm1Ulps(x!)),
  slope: ({ x, y, attributes: { alpha }, greater, add, where }) => where(greater(x, 0), 1, add(y, alpha)),
  cases: [
    ...unaryCases<AlphaAttributes>(-3, 3),
    { inputs: [{ shape: [257], low: -100, high: 1 }], attributes: { alpha: 2 } },
    { inputs: [{ shape: [65], low: -1e-3, high: 1e-3 }], why: "e^x - 1 would cancel" },
  ],
});

/** Selu (ONNX): gamma · x, or gamma · alpha · (e^x - 1) below 0. */
export const selu = defineFunction<AlphaGammaAttributes>({
  name: "Selu",
  attributes: { alpha: 1.6732631921768188, gamma: 1.0507010221481323 },
  wgsl: (x, { alpha, gamma }) =>
    `(${number(gamma)} * select(${x}, ${number(alpha)} * expm1_negative(${x}), ${x} <= 0.0f))`,
  helpers: [EXPM1_WGSL],
  f: (x, { alpha, gamma }) => gamma * (x > 0 ? x : alpha * Math.expm1(x)),
  steepness: (_, __, { alpha, gamma }) => Math.abs(gamma) * Math.max(1, Math.abs(alpha)),
  rounding: ([x], result) => EPSILON * Math.abs(result) * (4 + (x! > 0 ? 0 : expm1Ulps(x!))),
  slope: ({ x, y, attributes: { alpha, gamma }, greater, add, where }) =>
    where(greater(x, 0), gamma, add(y, gamma * alpha)),
  cases: [...unaryCases<AlphaGammaAttributes>(-3, 3), { inputs: [[7]], attributes: { alpha: 2, gamma: 3 } }],
});

/** Celu (ONNX): max(0, x) + min(0, alpha · (e^(x/alpha) - 1)). */
export const celu = defineFunction<AlphaAttributes>({
  name: "Celu",
  attributes: { alpha: 1 },
  wgsl: (x, { alpha }) => `select(${x}, ${number(alpha)} * expm1_negative(${x} / ${number(alpha)}), ${x} < 0.0f)`,
  helpers: [EXPM1_WGSL],
  f: (x, { alpha }) => (x < 0 ? alpha * Math.expm1(x / alpha) : x),
  rounding: ([x], result, { alpha }) => {
    if (x! >= 0) return 0;
    const u = x! / alpha;
    return EPSILON * Math.abs(result) * (6 + expm1Ulps(u) + (3 * u * Math.exp(u)) / Math.expm1(u));
  },
  slope: ({ x, y, attributes: { alpha }, greater, add, mul: times, where }) =>
    where(greater(x, 0), 1, add(times(y, 1 / alpha), 1)),
  cases: [...unaryCases<AlphaAttributes>(-3, 3), { inputs: [[65]], attributes: { alpha: 2 } }],
});

/** HardSigmoid (ONNX): alpha · x + beta, held in [0, 1]. */
export const hardSigmoid = defineFunction<AlphaBetaAttributes>({
  name: "HardSigmoid",
  attributes: { alpha: 0.2, beta: 0.5 },
  wgsl: (x, { alpha, beta }) => `hard_sigmoid(${x}, ${number(alpha)}, ${number(beta)})`,
  helpers: [
    `fn hard_sigmoid(x: f32, alpha: f32, beta: f32) -> f32 {
  return select(clamp(alpha * x + beta, 0.0f, 1.0f), x, (bitcast<u32>(x) << 1u) > 0xff000000u);
}`,
  ],
  f: (x, { alpha, beta }) => Math.max(0, Math.min(1, alpha * x + beta)),
  steepness: (_, __, { alpha }) => Math.abs(alpha),
  rounding: ([x], _, { alpha, beta }) =>
    2 * EPSILON * Math.min(2 + 2 * Math.abs(beta), Math.abs(alpha * x!) + Math.abs(beta)),
  slope: ({ y, attributes: { alpha }, greater, less, where }) => where(greater(y, 0), where(less(y, 1), alpha, 0), 0),
  cases: [...unaryCases<AlphaBetaAttributes>(-4.1, 4.1), { inputs: [[65]], attributes: { alpha: 0.5, beta: 0.6 } }],
});

/** HardSwish (ONNX): x · max(0, min(1, x/6 + 1/2)). */
export const hardSwish = defineFunction<NoAttributes>({
  name: "HardSwish",
  attributes: {},
  wgsl: (x) => `(${x} * clamp(${x} / 6.0f + 0.5f, 0.0f, 1.0f))`,
  f: (x) => x * Math.max(0, Math.min(1, x / 6 + 0.5)),
  steepness: () => 1.5,
  rounding: ([x], result) => EPSILON * (2 * Math.abs(result) + 2 * Math.abs(x!)),
  slope: ({ x, greater, less, add, div, where }) => where(less(x, 3), where(greater(x, -3), add(div(x, 3), 0.5), 0), 1),
  cases: unaryCases(-5, 5),
});

/** Softplus (ONNX): log(1 + e^x), without overflow above and with all digits below 0. */
export const softplus = defineFunction<NoAttributes>({
  name: "Softplus",
  attributes: {},
  wgsl: (x) => `softplus(${x})`,
  helpers: [
    `fn softplus(x: f32) -> f32 {
  let t = exp(-abs(x));
  let s = t / (2.0f + t); // log(1 + t) = 2 artanh s
  let z = s * s;
  let y = s * ((((((z / 13.0f + 0.09090909f) * z + 0.11111111f) * z + 0.14285714f) * z + 0.2f) * z + 0.33333333f) * z + 1.0f);
  return select(max(x, 0.0f) + 2.0f * y, x, (bitcast<u32>(x) << 1u) > 0xff000000u);
}`,
  ],
  f: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  steepness: () => 1,
  rounding: ([x], result) =>
    EPSILON * (Math.abs(result) + Math.log1p(Math.exp(-Math.abs(x!))) * (expUlps(Math.abs(x!)) + 12)),
  flops: 20,
  slope: ({ build, x }) => build.apply(sigmoid, [x]),
  cases: [...unaryCases<NoAttributes>(-3, 3), { inputs: [{ shape: [257], low: -60, high: 100 }] }],
});

/** Softsign (ONNX): x / (1 + |x|). */
export const softsign = defineFunction<NoAttributes>({
  name: "Softsign",
  attributes: {},
  wgsl: (x) => `(${x} / (1.0f + abs(${x})))`,
  f: (x) => x / (1 + Math.abs(x)),
  rounding: (_, result) => 4 * EPSILON * Math.abs(result),
  slope: ({ build, y, sub, mul: times }) => {
    const rest = sub(1, build.apply(abs, [y]));
    return times(rest, rest);
  },
  cases: [...unaryCases<NoAttributes>(-3, 3), { inputs: [{ shape: [65], low: -1e6, high: 1e6 }] }],
});

/** What x times a share below float32's normal numbers loses when the share is flushed to 0. */
const flushed = (x: number): number => Math.abs(x) * 2 ** -125;

const logistic = (x: number): number => {
  const t = Math.exp(-Math.abs(x));
  return (x >= 0 ? 1 : t) / (1 + t);
};

/** Relative error of the logistic function as SWISH_WGSL computes it, in units of ε. */
const logisticUlps = (x: number): number => {
  const t = Math.exp(-Math.abs(x));
  return 3.5 + ((x >= 0 ? t : 1) / (1 + t)) * expUlps(x);
};

/** Swish (ONNX): x / (1 + e^(-alpha · x)); SiLU for alpha 1, QuickGelu for 1.702. */
export const swish = defineFunction<AlphaAttributes>({
  name: "Swish",
  attributes: { alpha: 1 },
  wgsl: (x, { alpha }) => `swish(${x}, ${number(alpha)})`,
  helpers: [
    `fn swish(x: f32, alpha: f32) -> f32 {
  let u = alpha * x;
  let t = exp(-abs(u));
  return x * (select(t, 1.0f, u >= 0.0f) / (1.0f + t));
}`,
  ],
  f: (x, { alpha }) => x * logistic(alpha * x),
  steepness: () => 1.1,
  rounding: ([x], result, { alpha }) =>
    EPSILON * Math.abs(result) * (1 + logisticUlps(alpha * x!) + 2 * Math.abs(alpha * x!)) + flushed(x!),
  slope: ({ build, x, y, attributes: { alpha }, add, sub, mul: times }) => {
    const share = build.apply(sigmoid, [times(x, alpha)]);
    return add(share, times(times(y, alpha), sub(1, share)));
  },
  cases: [
    ...unaryCases<AlphaAttributes>(-3, 3),
    { inputs: [{ shape: [257], low: -80, high: 80 }], attributes: { alpha: 1.702 } },
  ],
});

/** Mish (ONNX): x · tanh(log(1 + e^x)). Misra, "Mish", https://arxiv.org/abs/1908.08681. */
export const mish = defineFunction<NoAttributes>({
  name: "Mish",
  attributes: {},
  wgsl: (x) => `mish(${x})`,
  // With n = e^x (e^x + 2) it is x · n / (n + 2); above 0 both are divided by e^2x.
  helpers: [
    `fn mish(x: f32) -> f32 {
  let t = exp(-abs(x));
  let n = select(t * (t + 2.0f), 1.0f + 2.0f * t, x > 0.0f);
  return x * (n / (n + select(2.0f, 2.0f * t * t, x > 0.0f)));
}`,
  ],
  f: (x) => {
    const t = Math.exp(-Math.abs(x));
    const n = x > 0 ? 1 + 2 * t : t * (t + 2);
    return x * (n / (n + (x > 0 ? 2 * t * t : 2)));
  },
  steepness: () => 1.1,
  rounding: ([x], result) =>
    EPSILON * Math.abs(result) * (10 + 2 * Math.min(1, x! > 0 ? Math.exp(-x!) : 1) * expUlps(x!)) + flushed(x!),
  flops: 12,
  slope: ({ build, x, add, sub, mul: times, div }) => {
    const share = build.apply(sigmoid, [x]);
    const rest = sub(1, share); // 1 / (1 + e^x)
    const square = times(rest, rest);
    const tanh = div(sub(1, square), add(1, square));
    return add(tanh, times(times(x, share), sub(1, times(tanh, tanh))));
  },
  cases: [...unaryCases<NoAttributes>(-3, 3), { inputs: [{ shape: [257], low: -80, high: 80 }] }],
});

/** ThresholdedRelu (ONNX): x above alpha, else 0. */
export const thresholdedRelu = defineFunction<AlphaAttributes>({
  name: "ThresholdedRelu",
  attributes: { alpha: 1 },
  wgsl: (x, { alpha }) => `select(0.0f, ${x}, ${x} > ${number(alpha)})`,
  f: (x, { alpha }) => (x > Math.fround(alpha) ? x : 0),
  steepness: (x, error, { alpha }) => 1 + (Math.abs(x - alpha) <= error ? Math.abs(alpha) / error : 0),
  rounding: () => 0,
  flops: 1,
  slope: ({ x, attributes: { alpha }, greater, where }) => where(greater(x, alpha), 1, 0),
  cases: [...unaryCases<AlphaAttributes>(-3, 3), { inputs: [[65]], attributes: { alpha: 0.25 } }],
});

/** Shrink (ONNX): x + bias below -lambd, x - bias above lambd, 0 between. Any number type. */
export const shrink = defineFunction<ShrinkAttributes>({
  name: "Shrink",
  attributes: { lambd: 0.5, bias: 0 },
  accepts: "number",
  wgsl: (x, { lambd, bias }, { dtype }) => {
    const value = isFloat(dtype) ? x : `f32(${x})`;
    const y = `shrink(${value}, ${number(lambd)}, ${number(bias)})`;
    return isFloat(dtype) ? y : `${dtypes[dtype].wgsl}(${y})`;
  },
  helpers: [
    `fn shrink(x: f32, lambd: f32, bias: f32) -> f32 {
  return select(select(0.0f, x - bias, x > lambd), x + bias, x < -lambd);
}`,
  ],
  f: (x, { lambd, bias }) => (x < -lambd ? x + bias : x > lambd ? x - bias : 0),
  steepness: (x, error, { lambd, bias }) =>
    1 + (Math.abs(Math.abs(x) - lambd) <= error ? (Math.abs(lambd) + Math.abs(bias)) / error : 0),
  flops: 1,
  slope: ({ build, x, attributes: { lambd }, greater, where }) => where(greater(build.apply(abs, [x]), lambd), 1, 0),
  cases: [
    ...unaryCases<ShrinkAttributes>(-2, 2),
    { inputs: [{ shape: [65], low: -3.2, high: 3.2 }], attributes: { lambd: 1.5, bias: 1.5 } },
    { inputs: [{ shape: [65], dtype: "int32" }], attributes: { lambd: 10, bias: 3 } },
  ],
});
