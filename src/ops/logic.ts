// Elementwise logic: connectives of booleans, bits of integers, and what kind of number a float is.

import { dtypes, isWide, type DType } from "../core/dtype.ts";
import { IS_NAN_WGSL } from "./binary.ts";
import type { Operator, OperatorCase } from "./operator.ts";
import { definePointwise, exact, unaryCases, type NoAttributes } from "./pointwise.ts";

const bool = (...shape: number[]): { shape: number[]; dtype: DType } => ({ shape, dtype: "bool" });

/** A connective of two booleans, broadcast. A doubtful operand leaves the result in doubt. */
/* @__NO_SIDE_EFFECTS__ */
function defineConnective(
  name: string,
  symbol: string,
  evaluate: (a: number, b: number) => number,
): Operator<NoAttributes> {
  return definePointwise<NoAttributes>({
    name,
    inputs: ["A", "B"],
    attributes: {},
    accepts: ["bool"],
    wgsl: ([a, b]) => `(${a} ${symbol} ${b})`,
    evaluate: ([a, b]) => evaluate(a!, b!),
    propagate: (_, [ea, eb]) => Math.max(ea!, eb!),
    rounding: exact,
    cases: [
      { inputs: [bool(257), bool(257)] },
      { inputs: [bool(), bool()] },
      { inputs: [bool(3, 4, 5), bool(4, 1)] },
      { inputs: [bool(0), bool(1)] },
    ],
  });
}

/** And (ONNX): both, broadcast. bool. */
export const and = defineConnective("And", "&", (a, b) => a & b);

/** Or (ONNX): one or both, broadcast. bool. */
export const or = defineConnective("Or", "|", (a, b) => a | b);

/** Xor (ONNX): exactly one, broadcast. bool. */
export const xor = defineConnective("Xor", "!=", (a, b) => a ^ b);

/** A JavaScript bit operation's result, which is signed, as a value of `dtype`. */
const bits = (value: number, dtype: DType): number => (dtypes[dtype].low < 0 ? value : value >>> 0);

const integerCases: readonly OperatorCase<NoAttributes>[] = [
  { inputs: [{ shape: [257], dtype: "int32" }, { shape: [257], dtype: "int32" }] }, // prettier-ignore
  { inputs: [{ shape: [3, 4], dtype: "uint8" }, { shape: [4], dtype: "uint8" }] }, // prettier-ignore
  { inputs: [{ shape: [5], dtype: "uint32", low: 0, high: 2 ** 32 }, { shape: [], dtype: "uint32" }] }, // prettier-ignore
  { inputs: [{ shape: [64], dtype: "int64" }, { shape: [64], dtype: "int64" }] }, // prettier-ignore
];

/** A bitwise operation on two integers, broadcast. */
/* @__NO_SIDE_EFFECTS__ */
function defineBitwise(
  name: string,
  symbol: string,
  evaluate: (a: number, b: number) => number,
): Operator<NoAttributes> {
  return definePointwise<NoAttributes>({
    name,
    inputs: ["A", "B"],
    attributes: {},
    accepts: "integer",
    wgsl: ([a, b]) => `(${a} ${symbol} ${b})`,
    evaluate: ([a, b]) => evaluate(a!, b!),
    evaluateInteger: ([a, b], _, dtype) => bits(evaluate(a!, b!), dtype),
    propagate: (_, [ea, eb]) => (ea! + eb! > 0 ? Infinity : 0),
    cases: integerCases,
  });
}

/** BitwiseAnd (ONNX): a & b, broadcast. Integers. */
export const bitwiseAnd = defineBitwise("BitwiseAnd", "&", (a, b) => a & b);

/** BitwiseOr (ONNX): a | b, broadcast. Integers. */
export const bitwiseOr = defineBitwise("BitwiseOr", "|", (a, b) => a | b);

/** BitwiseXor (ONNX): a ^ b, broadcast. Integers. */
export const bitwiseXor = defineBitwise("BitwiseXor", "^", (a, b) => a ^ b);

/** BitwiseNot (ONNX): every bit the other way. Integers. */
export const bitwiseNot = definePointwise<NoAttributes>({
  name: "BitwiseNot",
  inputs: ["X"],
  attributes: {},
  accepts: "integer",
  wgsl: ([x]) => `(~${x})`,
  evaluate: ([x]) => ~x!,
  evaluateInteger: ([x], _, dtype) => (dtype === "uint64" ? 2 ** 64 - 1 - x! : bits(~x!, dtype)),
  propagate: (_, [error]) => error!,
  cases: [{ inputs: [{ shape: [257], dtype: "int32" }] }, { inputs: [{ shape: [65], dtype: "uint8" }] }],
});

export type BitShiftAttributes = {
  /** "LEFT" or "RIGHT". */
  readonly direction: string;
};

/** BitShift (ONNX): X shifted by Y bits, broadcast; by more bits than there are, 0. Unsigned integers. */
export const bitShift = definePointwise<BitShiftAttributes>({
  name: "BitShift",
  inputs: ["X", "Y"],
  attributes: { direction: "LEFT" },
  accepts: ["uint8", "uint16", "uint32", "uint64"],
  wgsl: ([x, y], { direction }) => `shift_${direction.toLowerCase()}(${x}, ${y})`,
  helpers: ["left", "right"].map(
    (direction) => `fn shift_${direction}(x: u32, y: u32) -> u32 {
  return select(0u, x ${direction === "left" ? "<<" : ">>"} (y & 31u), y < 32u);
}`,
  ),
  evaluate: ([x, y], { direction }) => (direction === "LEFT" ? x! * 2 ** y! : Math.floor(x! / 2 ** y!)),
  evaluateInteger: ([x, y], { direction }, dtype) => {
    if (direction !== "LEFT") return Math.floor(x! / 2 ** y!);
    return isWide(dtype) ? x! * 2 ** y! : y! < 32 ? x! << y! : 0;
  },
  propagate: (_, [ex, ey]) => (ex! + ey! > 0 ? Infinity : 0),
  cases: ["LEFT", "RIGHT"].flatMap((direction) => [
    { inputs: [{ shape: [65], dtype: "uint8" }, { shape: [65], dtype: "uint8", low: 0, high: 10 }], attributes: { direction } }, // prettier-ignore
    { inputs: [{ shape: [3, 5], dtype: "uint32" }, { shape: [5], dtype: "uint32", low: 0, high: 40 }], attributes: { direction } }, // prettier-ignore
  ]),
});

/** IsNaN (ONNX): true where there is no number. Floats. */
export const isNan = definePointwise<NoAttributes>({
  name: "IsNaN",
  inputs: ["X"],
  attributes: {},
  result: "bool",
  wgsl: ([x]) => `is_nan(${x})`,
  helpers: [IS_NAN_WGSL],
  evaluate: ([x]) => (Number.isNaN(x) ? 1 : 0),
  propagate: () => 0,
  rounding: exact,
  cases: unaryCases(),
});

export type IsInfAttributes = { readonly detect_negative: number; readonly detect_positive: number };

/** IsInf (ONNX): true where a value is infinite, of the signs that are asked for. Floats. */
export const isInf = definePointwise<IsInfAttributes>({
  name: "IsInf",
  inputs: ["X"],
  attributes: { detect_negative: 1, detect_positive: 1 },
  result: "bool",
  wgsl: ([x], { detect_negative, detect_positive }) => {
    const is = (word: string): string => `(bitcast<u32>(${x}) == ${word})`;
    const signs = [...(detect_positive ? [is("0x7f800000u")] : []), ...(detect_negative ? [is("0xff800000u")] : [])];
    return signs.length === 0 ? "false" : `(${signs.join(" | ")})`;
  },
  evaluate: ([x], { detect_negative, detect_positive }) =>
    (detect_positive && x === Infinity) || (detect_negative && x === -Infinity) ? 1 : 0,
  propagate: () => 0,
  rounding: exact,
  cases: unaryCases(),
});

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
