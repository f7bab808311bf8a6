// Reductions that add up something of each element, and products.

import { isFloat, isWide } from "../core/dtype.ts";
import { sizeOf } from "../core/shape.ts";
import { div, mul } from "./binary.ts";
import { defineOperator, summationBound, type Operator } from "./operator.ts";
import { expandBack } from "./reduce.ts";
import {
  eachReduced,
  inferReduction,
  integerReduceCases,
  reduceCases,
  reduceDefaults,
  termCount,
  type ReduceAttributes,
  spreadBy,
} from "./reduction.ts";
import { sign } from "./magnitude.ts";

interface SumParts {
  /** What is added up for one element. */
  readonly term: (x: number) => number;
  /** Roundings beside those of the sum, in ε of Σ|terms|. */
  readonly roundings: number;
  readonly gradient: NonNullable<Operator<ReduceAttributes>["gradient"]>;
}

/** Sums of something of each element. */
/* @__NO_SIDE_EFFECTS__ */
function defineSum(name: string, { term, roundings, gradient }: SumParts): Operator<ReduceAttributes> {
  return defineOperator<ReduceAttributes>({
    name,
    accumulates: true,
    inputs: ["data"],
    outputs: ["reduced"],
    attributes: reduceDefaults,
    infer: (inputs, attributes) => inferReduction(name, inputs, attributes),
    reference: ([data], { attributes, outputs }) => {
      const values = new Float64Array(sizeOf(outputs[0]!.shape));
      const terms = new Float64Array(values.length);
      eachReduced(data!.shape, attributes, (result, index) => {
        const value = term(data!.data[index]!);
        values[result]! += value;
        terms[result]! += Math.abs(value);
      });
      return [{ values, terms }];
    },
    errorBound: ({ inputs, outputs }) => summationBound(termCount(inputs, outputs)) + roundings,
    gradient,
    flops: ({ inputs }) => 2 * sizeOf(inputs[0]!.shape),
    // |x|, the steeper of the two, moves as x does, x² by 2|x|·error + error².
    spread: spreadBy((x, error) => Math.max(Math.abs(term(x + error) - term(x)), Math.abs(term(x - error) - term(x)))),
    cases: [...reduceCases, ...integerReduceCases, { inputs: [[3, 0]], attributes: { axes: [1] }, why: "nothing" }],
  });
}

/** ReduceL1 (ONNX, axes as an attribute): Σ|x| over `axes` of data [..]. Any number type. */
export const reduceL1 = defineSum("ReduceL1", {
  term: Math.abs,
  roundings: 0,
  gradient: (context) => {
    const { build, attributes, inputs, outputGradients } = context;
    const expanded = expandBack(context, outputGradients[0]!, inputs[0]!, attributes);
    return [build.apply(mul, [build.apply(sign, inputs), expanded])];
  },
});

/** ReduceSumSquare (ONNX, axes as an attribute): Σx² over `axes` of data [..]. Any number type. */
export const reduceSumSquare = defineSum("ReduceSumSquare", {
  term: (x) => x * x,
  roundings: 1,
  gradient: (context) => {
    const { build, attributes, inputs, outputGradients } = context;
    const twice = build.apply(mul, [inputs[0], build.constant(2)]);
    return [build.apply(mul, [twice, expandBack(context, outputGradients[0]!, inputs[0]!, attributes)])];
  },
});

/**
 * ReduceProd (ONNX, axes as an attribute): the product of data [..] along `axes`; of nothing 1. Any number type. The
 * gradient divides by the elements, and is NaN where one is 0.
 */
export const reduceProd = defineOperator<ReduceAttributes>({
  name: "ReduceProd",
  accumulates: true,

  inputs: ["data"],
  outputs: ["reduced"],
  attributes: reduceDefaults,
  infer: (inputs, attributes) => inferReduction("ReduceProd", inputs, attributes),
  reference: ([data], { attributes, outputs }) => {
    const { shape, dtype } = outputs[0]!;
    const values = new Float64Array(sizeOf(shape)).fill(1);
    const times = isFloat(dtype) || isWide(dtype) ? (a: number, b: number) => a * b : Math.imul;
    eachReduced(data!.shape, attributes, (result, index) => {
      values[result] = times(values[result]!, data!.data[index]!);
    });
    return [{ values }];
  },
  errorBound: ({ inputs, outputs }) => termCount(inputs, outputs),
  gradient: (context) => {
    const { build, attributes, inputs, outputs, outputGradients } = context;
    const data = inputs[0]!;
    const product = expandBack(context, build.apply(mul, [outputGradients[0], outputs[0]]), data, attributes);
    return [build.apply(div, [product, data])];
  },
  flops: ({ inputs }) => sizeOf(inputs[0]!.shape),
  cases: [
    ...reduceCases.map(({ inputs: [shape], ...rest }) => ({
      ...rest,
      inputs: [{ shape: shape as readonly number[], low: 0.8, high: 1.25 }],
    })),
    { inputs: [{ shape: [4, 5], dtype: "int32", low: -9, high: 10 }], attributes: { axes: [1] } },
    { inputs: [{ shape: [3, 8], dtype: "uint32", low: 1, high: 4 }], attributes: { axes: [1] } },
    { inputs: [{ shape: [3, 40], dtype: "int32", low: -9, high: 10 }], attributes: { axes: [1] }, why: "wraps" },
    { inputs: [[3, 0]], attributes: { axes: [1] }, why: "nothing" },
  ],
});
