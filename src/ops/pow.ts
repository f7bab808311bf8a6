// Powers, apart from the other arithmetic because their gradient needs logarithms.

import { mul, greater, sub } from "./binary.ts";
import { dtypes, isFloat, isWide, type DType } from "../core/dtype.ts";
import { sumTo } from "./expand.ts";
import { EPSILON, type Operator } from "./operator.ts";
import { binaryCases, definePointwise, type NoAttributes } from "./pointwise.ts";
import { scalar } from "./scalar.ts";
import { expUlps, log, logError } from "./unary.ts";
import { where } from "./where.ts";

/** WGSL `pow_signed`: WGSL's pow knows no negative base, and squares are worth a shortcut. */
const POW_WGSL = `fn pow_signed(x: f32, y: f32) -> f32 {
  if (y == 2.0f) { return x * x; }
  if (y == 1.0f) { return x; }
  if (y == 0.0f || x == 1.0f || (x == -1.0f && abs(y) >= 0x1p24f)) { return 1.0f; }
  if (((bitcast<u32>(x) << 1u) > 0xff000000u) || ((bitcast<u32>(y) << 1u) > 0xff000000u)) { return x + y; }
  if (x == 0.0f) { return bitcast<f32>(select(0x7f800000u, 0u, y > 0.0f)); }
  if (x >= 0.0f) { return pow(x, y); }
  if (floor(y) != y) {
    if (bitcast<u32>(x) == 0xff800000u) { return pow(-x, y); } // -∞
    return bitcast<f32>(bitcast<u32>(x) | 0x7fc00000u); // NaN
  }
  let half = 0.5f * y;
  return select(-1.0f, 1.0f, floor(half) == half) * pow(-x, y);
}`;

/** WGSL of powers of integers, by squaring; products wrap. Below 0 the exponent leaves 0, but for bases of 1 and -1. */
const integerPower = (type: "i32" | "u32"): string => `fn power_${type}(x: ${type}, y: ${type}) -> ${type} {
  var exponent = ${type === "i32" ? "u32(abs(y))" : "y"};
  var result = ${type}(1);
  var factor = x;
  while (exponent != 0u) {
    if ((exponent & 1u) == 1u) { result *= factor; }
    factor *= factor;
    exponent >>= 1u;
  }
  ${type === "i32" ? "if (y < 0 && x != 1 && x != -1) { return 0; }" : ""}
  return result;
}`;

function evaluateInteger([x, y]: readonly number[], dtype: DType): number {
  if (isWide(dtype) || y! < 0) return Math.trunc(Math.pow(x!, y!));
  let result = 1;
  let factor = x!;
  for (let exponent = y!; exponent > 0; exponent = Math.floor(exponent / 2)) {
    if (exponent % 2 === 1) result = Math.imul(result, factor);
    factor = Math.imul(factor, factor);
  }
  return result;
}

/**
 * Pow (ONNX): a to the power b, broadcast. Any number type; integers wrap. A negative base needs a whole exponent, else the result is NaN. The
 * exponent's gradient is 0 where the base is not positive.
 */
export const pow: Operator<NoAttributes> = definePointwise<NoAttributes>({
  name: "Pow",
  inputs: ["X", "Y"],
  attributes: {},
  accepts: "number",
  wgsl: ([a, b], _, [type]) =>
    isFloat(type!.dtype) ? `pow_signed(${a}, ${b})` : `power_${dtypes[type!.dtype].wgsl}(${a}, ${b})`,
  helpers: [POW_WGSL, integerPower("i32"), integerPower("u32")],
  // JavaScript has NaN for a power of ±1 by NaN or infinity, everybody else 1.
  evaluate: ([a, b]) => (a === 1 || (a === -1 && Math.abs(b!) === Infinity) ? 1 : Math.pow(a!, b!)),
  evaluateInteger: (args, _, dtype) => evaluateInteger(args, dtype),
  propagate: ([a, b], [ea, eb]) => propagate(a!, b!, ea!, eb!),
  // WGSL's pow is exp2(b · log2 a): log2's error and the product's grow with the exponent.
  rounding: ([a, b], result) => {
    const size = Math.abs(result);
    if (b === 2) return EPSILON * size;
    if (b === 1 || b === 0 || a === 0) return 0;
    const exponent = b! * Math.log2(Math.abs(a!));
    const exponentError = EPSILON * (Math.abs(b!) * Math.LOG2E * logError2(Math.abs(a!)) + Math.abs(exponent));
    return size * (Math.expm1(Math.LN2 * exponentError) + EPSILON * expUlps(exponent));
  },
  gradient: ({ build, inputs: [a, b], outputs: [y], outputGradients: [dy], wanted }) => {
    const base = () => {
      const power = build.apply(pow, [a, build.apply(sub, [b, scalar(build, 1, dy!)])]);
      return sumTo(build, build.apply(mul, [dy, build.apply(mul, [b, power])]), a!.shape);
    };
    const exponent = () => {
      const zero = scalar(build, 0, dy!);
      const slope = build.apply(where, [build.apply(greater, [a, zero]), build.apply(log, [a]), zero]);
      return sumTo(build, build.apply(mul, [dy, build.apply(mul, [y, slope])]), b!.shape);
    };
    return [wanted[0] ? base() : undefined, wanted[1] ? exponent() : undefined];
  },
  cases: [
    ...binaryCases<NoAttributes>({ low: 0.2, high: 3 }, { low: -2, high: 2 }),
    {
      inputs: [
        { shape: [65], low: 1, high: 50 },
        { shape: [], low: 4, high: 6 },
      ],
      why: "large exponents",
    },
    {
      inputs: [
        { shape: [257], dtype: "int32", low: -9, high: 10 },
        { shape: [257], dtype: "int32", low: -2, high: 12 },
      ],
      why: "wraps",
    },
    {
      inputs: [
        { shape: [64], dtype: "uint8" },
        { shape: [64], dtype: "uint8", low: 0, high: 5 },
      ],
    },
  ],
});

/** log2's absolute error in units of ε, divided by log2 e: 2^-21 near 1, else 3 ULP. */
function logError2(a: number): number {
  return a >= 0.5 && a <= 2 ? 4 / Math.LOG2E : logError(a);
}

/** The power is monotone in either argument while the base stays positive, so its extremes lie at the corners. */
function propagate(a: number, b: number, ea: number, eb: number): number {
  if (ea === 0 && eb === 0) return 0;
  const whole = eb === 0 && Number.isInteger(b);
  if (a - ea <= 0 && !(whole && (b >= 0 || Math.abs(a) > ea))) return Infinity;
  const middle = Math.pow(a, b);
  const corners = [a - ea, a + ea].flatMap((base) => [b - eb, b + eb].map((exponent) => Math.pow(base, exponent)));
  if (Math.abs(a) < ea) corners.push(b === 0 ? 1 : 0);
  return Math.max(...corners.map((corner) => Math.abs(corner - middle)));
}
