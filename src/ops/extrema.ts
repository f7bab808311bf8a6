// The larger and the smaller of two operands.

import { isFloat } from "../core/dtype.ts";
import { type Operand, type Operator } from "./operator.ts";
import { binaryCases, definePointwise, exact, type NoAttributes } from "./pointwise.ts";
import { scalar } from "./scalar.ts";
import { where } from "./where.ts";
import { equal, gradientsOf, integerCases, IS_NAN_WGSL, mul } from "./binary.ts";

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
    accepts: "number",
    wgsl: ([a, b], _, [type]) => `${isFloat(type!.dtype) ? `${function_}_or_nan` : function_}(${a}, ${b})`,
    helpers: [IS_NAN_WGSL, EXTREMA_WGSL(function_)],
    evaluate: ([a, b]) => evaluate(a!, b!),
    selects: true,
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
        const half = build.apply(mul, [dy, scalar(build, 0.5, dy)]);
        return build.apply(where, [build.apply(equal, [a, b]), half, dy]);
      };
      const toChosen = (operand: Operand | undefined): Operand =>
        build.apply(where, [build.apply(equal, [operand, outputs[0]]), share(), scalar(build, 0, dy)]);
      return gradientsOf(
        context,
        () => toChosen(a),
        () => toChosen(b),
      );
    },
    cases: [...binaryCases<NoAttributes>(), ...integerCases],
  });
}

/** Max (ONNX) of two operands, broadcast; NaN if either is. Gradient: to the larger, halves to equals. */
export const max = defineExtremum("Max");

/** Min (ONNX) of two operands, broadcast; NaN if either is. Gradient: to the smaller, halves to equals. */
export const min = defineExtremum("Min");
