// Changes of element type.

import { dtypes, isFloat, isWide, type DType } from "../core/dtype.ts";
import { DTypeError } from "../core/errors.ts";
import { requireInputs } from "./check.ts";
import { EPSILON, type Operator } from "./operator.ts";
import { definePointwise, monotone } from "./pointwise.ts";

export type CastAttributes = {
  /** Element type of the result: a {@link DType}. */
  readonly to: string;
};

// Floats that neither int32 nor uint32 holds are undefined in ONNX: here they become what processors make of them, the
// lowest integer or 0.
const CAST_WGSL = `fn float_to_u32(x: f32, otherwise: u32) -> u32 {
  return select(otherwise, select(u32(x), u32(i32(x)), x < 0.0f), (x >= -0x1p31f) & (x < 0x1p32f));
}`;

/**
 * Cast (ONNX, with the type by name): floats truncate towards zero, integers wrap to the target's bits and round to its
 * precision, everything but 0 is true. Throws DTypeError for an unknown `to`. Only float to float passes a gradient on.
 */
export const cast: Operator<CastAttributes> = definePointwise<CastAttributes>({
  name: "Cast",
  inputs: ["input"],
  attributes: { to: "float32" },
  infer: (inputs, { to }) => {
    const [input] = requireInputs("Cast", ["input"], inputs);
    if (!(to in dtypes)) throw new DTypeError(`Cast: to must be one of ${Object.keys(dtypes).join(", ")}, got ${to}`);
    return { dtype: to as DType, shape: input!.shape };
  },
  wgsl: ([x], { to }, [type]) => {
    if (to === "bool") return `bool(${x})`;
    const target = dtypes[to as DType].wgsl;
    if (isFloat(type!.dtype) && target !== "f32")
      return target === "u32" ? `float_to_u32(${x}, 0u)` : `bitcast<i32>(float_to_u32(${x}, 0x80000000u))`;
    return type!.dtype !== "bool" && dtypes[type!.dtype].wgsl === target ? x! : `${target}(${x})`;
  },
  helpers: [CAST_WGSL],
  evaluate: ([x], { to }) => convert(x!, to),
  propagate: ([x], [error], { to }) => {
    if (error === 0) return 0;
    if (to === "bool") return Math.abs(x!) <= error! ? 1 : 0;
    return isFloat(to as DType) ? error! : monotone((value) => convert(value, to))([x!], [error!]);
  },
  rounding: (_, result) => (Math.fround(result) === result ? 0 : EPSILON * Math.abs(result)),
  flops: 0,
  gradient: ({ build, inputs: [x], outputs: [y], outputGradients: [dy] }) => {
    if (x!.dtype === y!.dtype) return [dy];
    return [isFloat(x!.dtype) && isFloat(y!.dtype) ? build.apply(cast, [dy], { to: x!.dtype }) : undefined];
  },
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
    { inputs: [{ shape: [257], low: -6e4, high: 6e4 }], attributes: { to: "float16" } },
    { inputs: [{ shape: [64], low: -1e-6, high: 1e-6 }], attributes: { to: "float16" }, why: "subnormal halves" },
    { inputs: [{ shape: [65], dtype: "float16" }], attributes: { to: "float32" } },
    { inputs: [{ shape: [64], low: -1000, high: 1000 }], attributes: { to: "uint8" }, why: "wraps, from below 0 too" },
    { inputs: [{ shape: [65], dtype: "int32", low: -1e6, high: 1e6 }], attributes: { to: "int8" } },
    { inputs: [{ shape: [65], dtype: "uint32", low: 0, high: 1e6 }], attributes: { to: "int16" } },
    { inputs: [{ shape: [65], dtype: "int16" }], attributes: { to: "uint16" } },
    { inputs: [{ shape: [65], dtype: "uint8" }], attributes: { to: "int64" } },
    { inputs: [{ shape: [65], dtype: "int64" }], attributes: { to: "bool" } },
  ],
});

/** The value before it wraps, if it is to be an integer. */
function convert(x: number, to: string): number {
  if (to === "bool") return x === 0 ? 0 : 1;
  const dtype = to as DType;
  if (isFloat(dtype)) return x;
  if (isWide(dtype)) return Math.abs(x) <= 2 ** 64 ? Math.trunc(x) : -(2 ** 63);
  if (x >= -(2 ** 31) && x < 2 ** 32) return Math.trunc(x);
  return dtypes[dtype].low < 0 ? -(2 ** 31) : 0;
}
