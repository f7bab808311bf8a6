// Elementwise operators of two operands: arithmetic, extrema and comparisons. Integers wrap to 32 bits, as in WGSL;
// only float32 has gradients. Accuracies are those of WGSL's table (https://www.w3.org/TR/WGSL/#floating-point-accuracy).

import { isFloat, type DType } from "../core/dtype.ts";
import { sumTo } from "./expand.ts";
import { EPSILON, type GradientContext, type Operand, type Operator, type OperatorCase } from "./operator.ts";
import { binaryCases, definePointwise, exact, type NoAttributes } from "./pointwise.ts";
import { where } from "./where.ts";

const NUMBERS: readonly DType[] = ["float32", "int32", "uint32"];

/** Values of an operand that is divided by: away from 0. */
const DIVISOR = { low: 0.5, high: 2 };

const integerCases: readonly OperatorCase<NoAttributes>[] = [
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
function gradientsOf(
  context: GradientContext<NoAttributes>,
  left: () => Operand,
  right: () => Operand,
): (Operand | undefined)[] {
  const { build, inputs, wanted } = context;
  return [left, right].map((rule, i) => (wanted[i] ? sumTo(build, rule(), inputs[i]!.shape) : undefined));
}

/** Add (ONNX): a + b, broadcast. float32, int32, uint32. */
export const add: Operator<NoAttributes> = definePointwise<NoAttributes>({
  name: "Add",
  inputs: ["A", "B"],
  attributes: {},
  accepts: NUMBERS,
  wgsl: ([a, b]) => `(${a} + ${b})`,
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

/** Sub (ONNX): a - b, broadcast. float32, int32, uint32. */
export const sub: Operator<NoAttributes> = definePointwise<NoAttributes>({
  name: "Sub",
  inputs: ["A", "B"],
  attributes: {},
  accepts: NUMBERS,
  wgsl: ([a, b]) => `(${a} - ${b})`,
  evaluate: ([a, b]) => a! - b!,
  propagate: (_, [ea, eb]) => ea! + eb!,
  gradient: (context) => {
    const dy = context.outputGradients[0]!;
    return gradientsOf(
      context,
      () => dy,
      () => context.build.apply(mul, [dy, context.build.constant(-1)]),
    );
  },
  cases: [...binaryCases<NoAttributes>(), ...integerCases],
});

/** Mul (ONNX): a · b, broadcast. float32, int32, uint32. */
export const mul: Operator<NoAttributes> = definePointwise<NoAttributes>({
  name: "Mul",
  inputs: ["A", "B"],
  attributes: {},
  accepts: NUMBERS,
  wgsl: ([a, b]) => `(${a} * ${b})`,
  evaluate: ([a, b]) => a! * b!,
  evaluateInteger: ([a, b]) => Math.imul(a!, b!),
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
 * Div (ONNX): a / b, broadcast. float32, int32, uint32. Integers truncate towards zero, and as in WGSL a / 0 is a.
 * Float division is good to 2.5 ULP for |b| in [2^-126, 2^126].
 */
export const div: Operator<NoAttributes> = definePointwise<NoAttributes>({
  name: "Div",
  inputs: ["A", "B"],
  attributes: {},
  accepts: NUMBERS,
  wgsl: ([a, b]) => `(${a} / ${b})`,
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
        return build.apply(mul, [build.apply(div, [product, inputs[1]]), build.constant(-1)]);
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

// ONNX's Max and Min give NaN when either operand is NaN; WGSL's may give the other one.
const EXTREMA_WGSL = (name: "max" | "min"): string => `fn ${name}_or_nan(a: f32, b: f32) -> f32 {
  return select(select(${name}(a, b), b, is_nan(b)), a, is_nan(a));
}`;

/** Max and Min: the larger or smaller operand, chosen by `better`. Equal operands share the gradient by halves. */
/* @__NO_SIDE_EFFECTS__ */
function defineExtremum(name: "Max" | "Min"): Operator<NoAttributes> {
  const function_ = name === "Max" ? "max" : "min";
  const evaluate = name === "Max" ? Math.max : Math.min;
  return definePointwise<NoAttributes>({
    name,
    inputs: ["A", "B"],
    attributes: {},
    accepts: NUMBERS,
    wgsl: ([a, b], _, [type]) => `${isFloat(type!.dtype) ? `${function_}_or_nan` : function_}(${a}, ${b})`,
    helpers: [IS_NAN_WGSL, EXTREMA_WGSL(function_)],
    evaluate: ([a, b]) => evaluate(a!, b!),
    propagate: ([a, b], [ea, eb]) => {
      if (Math.abs(a! - b!) <= ea! + eb!) return Math.max(ea!, eb!);
      return evaluate(a!, b!) === a ? ea! : eb!;
    },
    rounding: exact,
    gradient: (context) => {
      const { build, inputs, outputs, outputGradients } = context;
      const dy = outputGradients[0]!;
      const [a, b] = inputs;
      const share = (): Operand => {
        const half = build.apply(mul, [dy, build.constant(0.5)]);
        return build.apply(where, [build.apply(equal, [a, b]), half, dy]);
      };
      const toChosen = (operand: Operand | undefined): Operand =>
        build.apply(where, [build.apply(equal, [operand, outputs[0]]), share(), build.constant(0)]);
      return gradientsOf(
        context,
        () => toChosen(a),
        () => toChosen(b),
      );
    },
    cases: [...binaryCases<NoAttributes>(), ...integerCases],
  });
}

/** A comparison: bool, 0 or 1. With doubtful operands closer than their doubt, either answer may come. */
/* @__NO_SIDE_EFFECTS__ */
function defineComparison(
  name: string,
  symbol: string,
  evaluate: (a: number, b: number) => boolean,
): Operator<NoAttributes> {
  return definePointwise<NoAttributes>({
    name,
    inputs: ["A", "B"],
    attributes: {},
    accepts: NUMBERS,
    result: "bool",
    wgsl: ([a, b]) => `(${a} ${symbol} ${b})`,
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

/** Max (ONNX) of two operands, broadcast; NaN if either is. Gradient: to the larger, halves to equals. */
export const max = defineExtremum("Max");

/** Min (ONNX) of two operands, broadcast; NaN if either is. Gradient: to the smaller, halves to equals. */
export const min = defineExtremum("Min");

/** Greater (ONNX): a > b as bool, broadcast. */
export const greater = defineComparison("Greater", ">", (a, b) => a > b);

/** Less (ONNX): a < b as bool, broadcast. */
export const less = defineComparison("Less", "<", (a, b) => a < b);

/** Equal (ONNX): a = b as bool, broadcast. */
export const equal = defineComparison("Equal", "==", (a, b) => a === b);
