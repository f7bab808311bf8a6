// Elementwise operators of two operands: arithmetic, extrema and comparisons. Integers wrap to their type's bits, 64-bit
// ones throw where they are checked (see core/dtype.ts); only floats have gradients. Accuracies are those of WGSL's table (https://www.w3.org/TR/WGSL/#floating-point-accuracy).

import { dtypes, isFloat, isWide } from "../core/dtype.ts";
import type { TensorType } from "../core/shape.ts";
import type { Accepted } from "./check.ts";
import { EPSILON, type GradientContext, type Operand, type Operator, type OperatorCase } from "./operator.ts";
import { binaryCases, definePointwise, exact, type NoAttributes } from "./pointwise.ts";
import { scalar } from "./scalar.ts";

/** Values of an operand that is divided by: away from 0. */
const DIVISOR = { low: 0.5, high: 2 };

export const integerCases: readonly OperatorCase<NoAttributes>[] = [
  {
    inputs: [
      { shape: [65], dtype: "int32", low: -1000, high: 1000 },
      { shape: [65], dtype: "int32", low: 1, high: 50 },
    ],
  },
  {
    inputs: [
      { shape: [3, 1], dtype: "uint32", low: 100, high: 1000 },
      { shape: [5], dtype: "uint32", low: 1, high: 50 },
    ],
  },
];

/** Gradients of both operands from what each element contributes, computed only where wanted and un-broadcast. */
export function gradientsOf(
  context: GradientContext<NoAttributes>,
  left: () => Operand,
  right: () => Operand,
): (Operand | undefined)[] {
  const { build, operators, inputs, wanted } = context;
  return [left, right].map((rule, i) => (wanted[i] ? operators.sumTo(build, rule(), inputs[i]!.shape) : undefined));
}

/** WGSL of an operation on integers as functions: a literal 0 to the right of / or % does not compile, at run time a / 0 is a. */
const integerFunction = (name: string, symbol: string, type: string): string =>
  `fn ${name}_${type}(a: ${type}, b: ${type}) -> ${type} { return a ${symbol} b; }`;

const integerCall = (name: string, { dtype }: TensorType, a: string, b: string): string =>
  `${name}_${dtypes[dtype].wgsl}(${a}, ${b})`;

/** Add (ONNX): a + b, broadcast. Any number type. */
export const add: Operator<NoAttributes> = definePointwise<NoAttributes>({
  name: "Add",
  inputs: ["A", "B"],
  attributes: {},
  accepts: "number",
  wgsl: ([a, b]) => `(${a} + ${b})`,
  lanewise: true,
  evaluate: ([a, b]) => a! + b!,
  propagate: (_, [ea, eb]) => ea! + eb!,
  gradient: (context) => {
    const dy = context.outputGradients[0]!;
    return gradientsOf(
      context,
      () => dy,
      () => dy,
    );
  },
  cases: [...binaryCases<NoAttributes>(), ...integerCases],
});

/** Sub (ONNX): a - b, broadcast. Any number type. */
export const sub: Operator<NoAttributes> = definePointwise<NoAttributes>({
  name: "Sub",
  inputs: ["A", "B"],
  attributes: {},
  accepts: "number",
  wgsl: ([a, b]) => `(${a} - ${b})`,
  lanewise: true,
  evaluate: ([a, b]) => a! - b!,
  propagate: (_, [ea, eb]) => ea! + eb!,
  gradient: (context) => {
    const dy = context.outputGradients[0]!;
    return gradientsOf(
      context,
      () => dy,
      () => context.build.apply(mul, [dy, scalar(context.build, -1, dy)]),
    );
  },
  cases: [...binaryCases<NoAttributes>(), ...integerCases],
});

/** Mul (ONNX): a · b, broadcast. Any number type. */
export const mul: Operator<NoAttributes> = definePointwise<NoAttributes>({
  name: "Mul",
  inputs: ["A", "B"],
  attributes: {},
  accepts: "number",
  wgsl: ([a, b]) => `(${a} * ${b})`,
  lanewise: true,
  evaluate: ([a, b]) => a! * b!,
  evaluateInteger: ([a, b], _, dtype) => (isWide(dtype) ? a! * b! : Math.imul(a!, b!)),
  propagate: ([a, b], [ea, eb]) => Math.abs(a!) * eb! + Math.abs(b!) * ea! + ea! * eb!,
  gradient: (context) => {
    const { build, inputs, outputGradients } = context;
    const dy = outputGradients[0]!;
    return gradientsOf(
      context,
      () => build.apply(mul, [dy, inputs[1]]),
      () => build.apply(mul, [dy, inputs[0]]),
    );
  },
  cases: [...binaryCases<NoAttributes>(), ...integerCases],
});

/**
 * Div (ONNX): a / b, broadcast. Any number type. Integers truncate towards zero, and as in WGSL a / 0 is a.
 * Float division is good to 2.5 ULP for |b| in [2^-126, 2^126].
 */
export const div: Operator<NoAttributes> = definePointwise<NoAttributes>({
  name: "Div",
  inputs: ["A", "B"],
  attributes: {},
  accepts: "number",
  wgsl: ([a, b], _, [type]) => (isFloat(type!.dtype) ? `(${a} / ${b})` : integerCall("quotient", type!, a!, b!)),
  helpers: ["i32", "u32"].map((type) => integerFunction("quotient", "/", type)),
  lanewise: true,
  evaluate: ([a, b]) => a! / b!,
  evaluateInteger: ([a, b]) => (b === 0 ? a! : Math.trunc(a! / b!)),
  propagate: ([a, b], [ea, eb]) => quotientError(a!, b!, ea!, eb!),
  rounding: (_, result) => 2.5 * EPSILON * Math.abs(result),
  gradient: (context) => {
    const { build, inputs, outputs, outputGradients } = context;
    const dy = outputGradients[0]!;
    return gradientsOf(
      context,
      () => build.apply(div, [dy, inputs[1]]),
      () => {
        const product = build.apply(mul, [dy, outputs[0]]); // d(a/b)/db = -(a/b)/b
        return build.apply(mul, [build.apply(div, [product, inputs[1]]), scalar(build, -1, dy)]);
      },
    );
  },
  cases: [...binaryCases<NoAttributes>({}, DIVISOR), ...integerCases],
});

/** How far a/b moves when a and b move by ea and eb; without bound once b may be 0. */
export function quotientError(a: number, b: number, ea: number, eb: number): number {
  if (ea === 0 && eb === 0) return 0;
  const nearest = Math.abs(b) - eb;
  return nearest <= 0 ? Infinity : (ea + Math.abs(a / b) * eb) / nearest;
}

/** WGSL `is_nan`: compilers may assume that `x != x` is false, so the bits are looked at. */
export const IS_NAN_WGSL = `fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) << 1u) > 0xff000000u; }`;

/** WGSL `are_numbers`: false if either is NaN, which every comparison answers with false. */
const ARE_NUMBERS_WGSL = `fn are_numbers(a: f32, b: f32) -> bool {
  return max(bitcast<u32>(a) << 1u, bitcast<u32>(b) << 1u) <= 0xff000000u;
}`;

/** A comparison: bool, 0 or 1; false beside NaN. With doubtful operands closer than their doubt, either answer may come. */
/* @__NO_SIDE_EFFECTS__ */
function defineComparison(
  name: string,
  symbol: string,
  evaluate: (a: number, b: number) => boolean,
  accepts: Accepted = "number",
): Operator<NoAttributes> {
  return definePointwise<NoAttributes>({
    name,
    inputs: ["A", "B"],
    attributes: {},
    accepts,
    result: "bool",
    wgsl: ([a, b], _, [type]) =>
      isFloat(type!.dtype) ? `((${a} ${symbol} ${b}) & are_numbers(${a}, ${b}))` : `(${a} ${symbol} ${b})`,
    helpers: [ARE_NUMBERS_WGSL],
    evaluate: ([a, b]) => (evaluate(a!, b!) ? 1 : 0),
    propagate: ([a, b], [ea, eb]) => {
      const doubt = ea! + eb!;
      return doubt > 0 && Math.abs(a! - b!) <= doubt ? 1 : 0;
    },
    rounding: exact,
    cases: [
      ...binaryCases<NoAttributes>(),
      ...integerCases,
      {
        inputs: [
          { shape: [257], dtype: "int32", low: -2, high: 3 },
          { shape: [257], dtype: "int32", low: -2, high: 3 },
        ],
        why: "many equal pairs",
      },
    ],
  });
}

/** Greater (ONNX): a > b as bool, broadcast. */
export const greater = defineComparison("Greater", ">", (a, b) => a > b);

/** Less (ONNX): a < b as bool, broadcast. */
export const less = defineComparison("Less", "<", (a, b) => a < b);

/** GreaterOrEqual (ONNX): a ≥ b as bool, broadcast. */
export const greaterOrEqual = defineComparison("GreaterOrEqual", ">=", (a, b) => a >= b);

/** LessOrEqual (ONNX): a ≤ b as bool, broadcast. */
export const lessOrEqual = defineComparison("LessOrEqual", "<=", (a, b) => a <= b);

/** Equal (ONNX): a = b as bool, broadcast. Any type. */
export const equal = defineComparison("Equal", "==", (a, b) => a === b, "any");
