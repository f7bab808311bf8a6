// Powers, apart from the other arithmetic because their gradient needs logarithms.

import { mul, greater, sub } from "./binary.ts";
import { sumTo } from "./expand.ts";
import { EPSILON, type Operator } from "./operator.ts";
import { binaryCases, definePointwise, type NoAttributes } from "./pointwise.ts";
import { expUlps, log, logError } from "./unary.ts";
import { where } from "./where.ts";

/** WGSL `pow_signed`: WGSL's pow knows no negative base, and squares are worth a shortcut. */
const POW_WGSL = `fn pow_signed(x: f32, y: f32) -> f32 {
  if (y == 2.0f) { return x * x; }
  if (y == 1.0f) { return x; }
  if (y == 0.0f) { return 1.0f; }
  if (x == 0.0f && y > 0.0f) { return 0.0f; }
  if (x >= 0.0f) { return pow(x, y); }
  if (floor(y) != y) { return bitcast<f32>(bitcast<u32>(x) | 0x7fc00000u); } // NaN
  let half = 0.5f * y;
  return select(-1.0f, 1.0f, floor(half) == half) * pow(-x, y);
}`;

/**
 * Pow (ONNX): a to the power b, broadcast. float32. A negative base needs a whole exponent, else the result is NaN. The
 * exponent's gradient is 0 where the base is not positive.
 */
export const pow: Operator<NoAttributes> = definePointwise<NoAttributes>({
  name: "Pow",
  inputs: ["X", "Y"],
  attributes: {},
  wgsl: ([a, b]) => `pow_signed(${a}, ${b})`,
  helpers: [POW_WGSL],
  evaluate: ([a, b]) => Math.pow(a!, b!),
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
      const power = build.apply(pow, [a, build.apply(sub, [b, build.constant(1)])]);
      return sumTo(build, build.apply(mul, [dy, build.apply(mul, [b, power])]), a!.shape);
    };
    const exponent = () => {
      const zero = build.constant(0);
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
