// Remainders. Integers have Python's (the divisor's sign) and C's (the dividend's), floats both too; a float's is computed
// exactly, bit by bit, as C's fmod is: x - y · trunc(x/y) would lose all digits once the quotient is large.

import { dtypes } from "../core/dtype.ts";
import { binaryCases, definePointwise, exact } from "./pointwise.ts";

export type ModAttributes = {
  /** 1: the sign of A (C's fmod); 0: the sign of B (Python's %). */
  readonly fmod: number;
};

const MOD_WGSL = [
  "fn rem_i32(a: i32, b: i32) -> i32 { return a % b; }",
  "fn rem_u32(a: u32, b: u32) -> u32 { return a % b; }",
  `fn mod_i32(a: i32, b: i32) -> i32 {
  let r = a % b;
  return select(r, r + b, (r != 0) & ((r ^ b) < 0));
}`,
  "fn mod_u32(a: u32, b: u32) -> u32 { return a % b; }",
  // Long division of the mantissas.
  `fn rem_f32(a: f32, b: f32) -> f32 {
  let x = bitcast<u32>(a) & 0x7fffffffu;
  let y = bitcast<u32>(b) & 0x7fffffffu;
  if (x >= 0x7f800000u || y > 0x7f800000u || y < 0x00800000u) { return bitcast<f32>(x | 0x7fc00000u); }
  if (x < y) { return a; }
  var r = (x & 0x7fffffu) | 0x800000u;
  let m = (y & 0x7fffffu) | 0x800000u;
  for (var i = (x >> 23u) - (y >> 23u); i > 0u; i--) {
    r = select(r, r - m, r >= m) << 1u;
  }
  r = select(r, r - m, r >= m);
  let size = (f32(r) * 0x1p-23f) * bitcast<f32>(y & 0x7f800000u);
  return select(size, -size, a < 0.0f);
}`,
  `fn mod_f32(a: f32, b: f32) -> f32 {
  let r = rem_f32(a, b);
  return select(r, r + b, (r != 0.0f) & ((r < 0.0f) != (b < 0.0f)));
}`,
];

const modulo = (a: number, b: number): number => {
  const r = a % b;
  return r !== 0 && r < 0 !== b < 0 ? r + b : r;
};

/** Mod (ONNX): the remainder of A / B, broadcast; of integers by 0 it is 0. Any number type. */
export const mod = definePointwise<ModAttributes>({
  name: "Mod",
  inputs: ["A", "B"],
  attributes: { fmod: 0 },
  accepts: "number",
  wgsl: ([a, b], { fmod }, [type]) => `${fmod ? "rem" : "mod"}_${dtypes[type!.dtype].wgsl}(${a}, ${b})`,
  helpers: MOD_WGSL,
  evaluate: ([a, b], { fmod }) => (fmod ? a! % b! : modulo(a!, b!)),
  evaluateInteger: ([a, b], { fmod }) => (b === 0 ? 0 : fmod ? a! % b! : modulo(a!, b!)),
  propagate: ([a, b], [ea, eb], { fmod }) => {
    if (ea === 0 && eb === 0) return 0;
    const error = ea! + (Math.abs(a! / b!) + 1) * eb!;
    const size = Math.abs(fmod ? a! % b! : modulo(a!, b!));
    const jumps = !(size > error && size + error < Math.abs(b!));
    return jumps ? error + 2 * Math.abs(b!) : error;
  },
  // fmod is exact; the sum that changes its sign rounds.
  rounding: ([a, b], _, { fmod }) => (fmod ? exact() : 2 ** -23 * Math.max(Math.abs(a! % b!), Math.abs(b!))),
  flops: 20,
  cases: [
    ...binaryCases<ModAttributes>({ low: -9, high: 9 }, { low: 0.5, high: 2 }).map((given) => ({
      ...given,
      attributes: { fmod: 1 },
    })),
    { inputs: [{ shape: [65], low: 1e8, high: 1e9 }, [65]], attributes: { fmod: 1 }, why: "a large quotient" },
    { inputs: [{ shape: [65], low: -9, high: 9 }, [65]] },
    {
      inputs: [
        { shape: [257], dtype: "int32" },
        { shape: [257], dtype: "int32", low: -9, high: 9 },
      ],
    },
    { inputs: [{ shape: [257], dtype: "int32" }, { shape: [257], dtype: "int32", low: -9, high: 9 }], attributes: { fmod: 1 } }, // prettier-ignore
    {
      inputs: [
        { shape: [65], dtype: "uint8" },
        { shape: [5, 1], dtype: "uint8" },
      ],
    },
    {
      inputs: [
        { shape: [65], dtype: "float16" },
        { shape: [65], dtype: "float16" },
      ],
      attributes: { fmod: 1 },
    },
  ],
});
