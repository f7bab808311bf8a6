// Rounding to quantized integers. The one elementwise operator that is judged to the last bit: whoever made the scales
// counted on a float32 quotient rounded to nearest, and a quotient that lands on a half decides between two integers. WGSL
// divides to within 2.5 ULP, so the remainder is looked at.

import { broadcastShapes } from "../core/broadcast.ts";
import { dtypes, type DType } from "../core/dtype.ts";
import { DTypeError } from "../core/errors.ts";
import { requireDType, requireInputs } from "./check.ts";
import { definePointwise, exact } from "./pointwise.ts";
import { quotientError } from "./binary.ts";
import { roundHalfToEven } from "./rounding.ts";

export type QuantizeLinearAttributes = {
  /** Element type of the result: an integer {@link DType} of at most 16 bits. */
  readonly to: string;
};

const NAMES = ["x", "y_scale", "y_zero_point"];

// q may be off by a few units in its last place. The half h next to it is what the float32 quotient rounds to if x is
// within half a unit of h, times s, from h · s; else x is on one side. h has at most 17 bits, so its product with the
// first 7 bits of s is exact, and so is the difference from x.
const QUANTIZE_WGSL = `fn whole_quotient(x: f32, s: f32) -> f32 {
  let quotient = x / s;
  let q = abs(quotient);
  if (!(q < 70000.0f)) { return quotient; }
  let below = floor(q);
  let h = below + 0.5f;
  let first = bitcast<f32>(bitcast<u32>(s) & 0x7ffe0000u);
  let rest = (abs(x) - h * first) - h * (abs(s) - first);
  let slack = abs(s) * (bitcast<f32>(bitcast<u32>(h) & 0x7f800000u) * 0x1p-24f);
  let n = select(select(below, below + 1.0f, rest > slack), round(h), abs(rest) <= slack);
  return select(n, -n, quotient < 0.0f);
}`;

const limitsOf = (to: string): { low: number; high: number } => dtypes[to as DType];

/**
 * QuantizeLinear (ONNX, with the type by name, and parameters that broadcast to x): round(x / y_scale) + y_zero_point,
 * halves to the even integer, held in the type's range. x and y_scale are float32. It passes no gradient on.
 */
export const quantizeLinear = definePointwise<QuantizeLinearAttributes>({
  name: "QuantizeLinear",
  inputs: NAMES,
  attributes: { to: "uint8" },
  infer: (inputs, { to }) => {
    const types = requireInputs("QuantizeLinear", NAMES, inputs);
    if (!["int8", "uint8", "int16", "uint16"].includes(to))
      throw new DTypeError(`QuantizeLinear: to must be an integer type of at most 16 bits, got ${to}`);
    const dtype = to as DType;
    requireDType("QuantizeLinear", "x", types[0]!, ["float32"]);
    requireDType("QuantizeLinear", "y_scale", types[1]!, ["float32"]);
    requireDType("QuantizeLinear", "y_zero_point", types[2]!, [dtype]);
    const shape = broadcastShapes(
      types.map((type) => type.shape),
      "QuantizeLinear",
    );
    return { dtype, shape };
  },
  wgsl: ([x, scale, zero], { to }) => {
    const { low, high } = limitsOf(to);
    const value = `clamp(whole_quotient(${x}, ${scale}) + f32(${zero}), ${low}.0f, ${high}.0f)`;
    return `${dtypes[to as DType].wgsl}(${value})`;
  },
  helpers: [QUANTIZE_WGSL],
  evaluate: ([x, scale, zero], { to }) => {
    const { low, high } = limitsOf(to);
    const quotient = Math.fround(Math.fround(x!) / Math.fround(scale!));
    return Math.min(high, Math.max(low, roundHalfToEven(quotient) + zero!));
  },
  propagate: ([x, scale], [ex, escale, ezero]) => Math.ceil(quotientError(x!, scale!, ex!, escale!)) + ezero!,
  rounding: exact,
  flops: 16,
  gradient: () => [undefined, undefined, undefined],
  cases: [
    {
      inputs: [
        { shape: [257], low: -40, high: 40 },
        { shape: [], low: 0.1, high: 0.3 },
        { shape: [], dtype: "uint8" },
      ],
    },
    {
      inputs: [
        { shape: [3, 5], low: -2, high: 2 },
        { shape: [3, 1], low: 0.01, high: 0.02 },
        { shape: [], dtype: "int8" },
      ],
      attributes: { to: "int8" },
    },
    {
      inputs: [
        { shape: [64], low: -1, high: 1 },
        { shape: [], low: 1e-5, high: 1e-4 },
        { shape: [64], dtype: "int16" },
      ],
      attributes: { to: "int16" },
    },
    { inputs: [{ shape: [0] }, [], { shape: [], dtype: "uint8" }] },
  ],
});
