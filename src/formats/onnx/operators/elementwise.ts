// Elementwise operators. Most mean what ours mean. Arithmetic on 64-bit integers runs on the host wherever its results
// could leave the 32 bits they are kept in: there they are checked, and a result that does not fit is an error; a GPU
// would wrap it unseen. Comparisons, selections, And, Or and Xor cannot overflow and stay on the GPU.

import { dtypes, isFloat, type DType } from "../../../core/dtype.ts";
import { filled } from "../../../core/tensorData.ts";
import {
  celu,
  elu,
  hardSigmoid,
  hardSwish,
  leakyRelu,
  mish,
  pRelu,
  selu,
  shrink,
  softplus,
  softsign,
  swish,
  thresholdedRelu,
} from "../../../ops/activations.ts";
import { add, div, equal, greater, greaterOrEqual, less, lessOrEqual, mul, sub } from "../../../ops/binary.ts";
import { max, min } from "../../../ops/extrema.ts";
import { evaluateReference } from "../../../ops/evaluate.ts";
import { erf, gelu } from "../../../ops/erf.ts";
import {
  and,
  bitShift,
  bitwiseAnd,
  bitwiseNot,
  bitwiseOr,
  bitwiseXor,
  isInf,
  isNan,
  or,
  xor,
} from "../../../ops/logic.ts";
import { mod } from "../../../ops/mod.ts";
import type { Attributes, Operand, Operator } from "../../../ops/operator.ts";
import type { NoAttributes } from "../../../ops/pointwise.ts";
import { pow } from "../../../ops/pow.ts";
import { scalar } from "../../../ops/scalar.ts";
import { acos, acosh, asin, asinh, atan, atanh, cos, cosh, sin, sinh, tan } from "../../../ops/trigonometric.ts";
import { abs, sign } from "../../../ops/magnitude.ts";
import { exp, log, neg, reciprocal, relu, sqrt } from "../../../ops/unary.ts";
import { sigmoid, tanh } from "../../../ops/sigmoid.ts";
import { cast } from "../../../ops/cast.ts";
import { ceil, floor, round } from "../../../ops/rounding.ts";
import { not } from "../../../ops/logic.ts";
import { where } from "../../../ops/where.ts";
import { direct, type Call, type Handler, type Handlers } from "../handler.ts";
import { fromReference, type HostValue } from "../tensor.ts";
import { evaluateOnHost } from "./hosted.ts";

const isWideInteger = (dtype: DType): boolean => dtype === "int64" || dtype === "uint64";

/** Attributes that older versions of the operators had and that changed nothing. */
const IGNORED = { ignored: ["consumed_inputs"] };

/** `direct`, with 64-bit integers on the host because results may not fit 32 bits. */
function overflowing<A extends Attributes>(operator: Operator<A>): Handler {
  const onDevice = direct(operator, IGNORED);
  return (call) => {
    if (!isWideInteger(call.operand(0).dtype)) return onDevice(call);
    const attributes = Object.fromEntries([...call.node.attributes].map(([name, { value }]) => [name, value]));
    return call.onHost((inputs) => evaluateOnHost(operator, inputs, attributes as Partial<A>));
  };
}

/** Operators of any number of inputs, by one of two. */
function variadic(operator: Operator<NoAttributes>): Handler {
  return (call) => {
    const [first, ...others] = call.operands() as Operand[];
    return others.reduce((result, operand) => call.build.apply(operator, [result, operand]), first!);
  };
}

/** Sum of any number of tensors. */
function sum(call: Call): Operand {
  if (!isWideInteger(call.operand(0).dtype)) return variadic(add)(call) as Operand;
  return call.onHost((inputs) => [
    (inputs as HostValue[]).reduce((total, input) => evaluateOnHost(add, [total, input], {})[0]!),
  ])[0]!;
}

/** Mean of any number of tensors of a float type. */
function mean(call: Call): Operand {
  const total = sum(call);
  const count = call.operands().length;
  return count === 1 ? total : call.build.apply(div, [total, scalar(call.build, count, total)]);
}

/** `x` as `to`. What may not fit 64-bit integers of 32 bits is converted on the host, where it is checked. */
function castTo(call: Call, to: DType): Operand {
  const { dtype } = call.operand(0);
  if (dtype === to) return call.operand(0);
  const mayNotFit =
    isWideInteger(to) && (isFloat(dtype) || dtypes[dtype].high > dtypes[to].high || dtypes[dtype].low < dtypes[to].low);
  if (mayNotFit) return call.onHost((inputs) => evaluateOnHost(cast, [inputs[0]], { to }))[0]!;
  return call.build.apply(cast, [call.operand(0)], { to });
}

const LARGEST_FLOAT32 = dtypes.float32.high;

/** Bounds are inputs from opset 11 on, attributes before. A lower bound above the upper one yields the upper one. */
function clip(call: Call): Operand {
  const x = call.operand(0);
  const bound = (i: number, name: string, otherwise: number): Operand | undefined => {
    if (call.opset >= 11) return call.optional(i);
    return call.build.constant(filled(call.float(name, otherwise), [], x.dtype));
  };
  const [low, high] = [bound(1, "min", -LARGEST_FLOAT32), bound(2, "max", LARGEST_FLOAT32)];
  const raised = low ? call.build.apply(max, [x, low]) : x;
  return high ? call.build.apply(min, [raised, high]) : raised;
}

/**
 * The exponent may have a type of its own; the result has the base's. On the host where a GPU would not do: whole powers
 * with fractional exponents need more digits than its pow has, and 64-bit results are checked.
 */
function power(call: Call): Operand {
  const [x, y] = [call.operand(0), call.operand(1)];
  const { dtype } = x;
  if (isFloat(dtype) || (!isFloat(y.dtype) && !isWideInteger(dtype)))
    return call.build.apply(pow, [x, y.dtype === dtype ? y : call.build.apply(cast, [y], { to: dtype })]);
  return call.onHost((inputs) => {
    const [base, exponent] = inputs.map((input): HostValue => ({ ...input!, dtype: "float64" }));
    const [type] = pow.infer([base, exponent], {});
    const problem = { inputs: [base, exponent], outputs: [type!], attributes: {} };
    const values = evaluateReference(pow, [base, exponent], problem)[0]!.values.map((value) =>
      // What is no number becomes what processors make of it.
      Number.isFinite(value) ? Math.trunc(value) : isWideInteger(dtype) ? -(2 ** 63) : -(2 ** 31),
    );
    return [fromReference(values, dtype, type!.shape)];
  })[0]!;
}

/** com.microsoft: Gelu of an input and of what is added to it, if anything is. */
function biasGelu(approximate: string): Handler {
  return (call) => {
    const [x, bias] = [call.operand(0), call.optional(1)];
    return call.build.apply(gelu, [bias ? call.build.apply(add, [x, bias]) : x], { approximate });
  };
}

export const elementwise: Handlers = {
  Abs: overflowing(abs),
  Acos: direct(acos),
  Acosh: direct(acosh),
  Add: overflowing(add),
  And: direct(and),
  Asin: direct(asin),
  Asinh: direct(asinh),
  Atan: direct(atan),
  Atanh: direct(atanh),
  BitShift: overflowing(bitShift),
  BitwiseAnd: direct(bitwiseAnd),
  BitwiseNot: overflowing(bitwiseNot),
  BitwiseOr: direct(bitwiseOr),
  BitwiseXor: direct(bitwiseXor),
  Cast: (call) => castTo(call, call.dtype("to", "float32")),
  CastLike: (call) => castTo(call, call.operand(1).dtype),
  Ceil: direct(ceil),
  Celu: direct(celu),
  Clip: clip,
  Cos: direct(cos),
  Cosh: direct(cosh),
  Div: overflowing(div),
  Elu: direct(elu),
  Equal: direct(equal),
  Erf: direct(erf),
  Exp: direct(exp),
  Floor: direct(floor),
  Gelu: direct(gelu),
  Greater: direct(greater),
  GreaterOrEqual: direct(greaterOrEqual),
  HardSigmoid: direct(hardSigmoid),
  HardSwish: direct(hardSwish),
  Identity: (call) => call.operand(0),
  IsInf: direct(isInf),
  IsNaN: direct(isNan),
  LeakyRelu: direct(leakyRelu),
  Less: direct(less),
  LessOrEqual: direct(lessOrEqual),
  Log: direct(log),
  Max: variadic(max),
  Mean: mean,
  Min: variadic(min),
  Mish: direct(mish),
  Mod: direct(mod),
  Mul: overflowing(mul),
  Neg: overflowing(neg),
  Not: direct(not),
  Or: direct(or),
  PRelu: overflowing(pRelu),
  Pow: power,
  Reciprocal: direct(reciprocal),
  Relu: direct(relu),
  Round: direct(round),
  Selu: direct(selu),
  Shrink: overflowing(shrink),
  Sigmoid: direct(sigmoid),
  Sign: direct(sign),
  Sin: direct(sin),
  Sinh: direct(sinh),
  Softplus: direct(softplus),
  Softsign: direct(softsign),
  Sqrt: direct(sqrt),
  Sub: overflowing(sub),
  Sum: sum,
  Swish: direct(swish),
  Tan: direct(tan),
  Tanh: direct(tanh),
  ThresholdedRelu: direct(thresholdedRelu),
  Where: direct(where),
  Xor: direct(xor),
  "com.microsoft::BiasGelu": biasGelu("none"),
  "com.microsoft::FastGelu": biasGelu("tanh"),
  "com.microsoft::Gelu": biasGelu("none"),
  "com.microsoft::QuickGelu": (call) =>
    call.build.apply(swish, [call.operand(0)], { alpha: call.float("alpha", 1.702) }),
};
