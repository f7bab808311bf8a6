// Running sums and products along an axis.

import { normalizeAxis, sizeOf } from "../core/shape.ts";
import { add, mul } from "./binary.ts";
import { requireDType, requireInputs } from "./check.ts";
import { productIn, sumIn } from "./integers.ts";
import { eachLine, linesOf } from "./lines.ts";
import { defineOperator, summationBound, type Operand, type Operator, type OperatorCase } from "./operator.ts";
import { pad } from "./slice.ts";
import type { DType } from "../core/dtype.ts";

export type CumulativeAttributes = {
  readonly axis: number;
  /** 1: without the element itself, so that the first result is that of nothing. */
  readonly exclusive: number;
  /** 1: from the end. */
  readonly reverse: number;
};

/** Cases with values in [low, high). */
/* @__NO_SIDE_EFFECTS__ */
function casesIn(low: number, high: number): OperatorCase<CumulativeAttributes>[] {
  const input = (...shape: number[]) => ({ shape, low, high });
  return [
    { inputs: [input(1)] },
    { inputs: [input(65)] },
    { inputs: [input(3, 7)], attributes: { axis: 1, exclusive: 1 } },
    { inputs: [input(3, 7)], attributes: { axis: 0, reverse: 1 } },
    { inputs: [input(2, 5, 3)], attributes: { axis: -2, exclusive: 1, reverse: 1 } },
    { inputs: [input(67, 3)], attributes: { axis: 1 }, why: "more lines than a workgroup" },
    { inputs: [input(2, 1031)], attributes: { axis: 1 }, why: "a line needs a whole workgroup several times" },
    { inputs: [input(2, 515, 2)], attributes: { axis: 1, exclusive: 1, reverse: 1 }, why: "several times, strided" },
    { inputs: [{ shape: [3, 9], dtype: "int32", low: -5, high: 5 }], attributes: { axis: 1 } },
    { inputs: [{ shape: [3, 40], dtype: "int8", low: -9, high: 9 }], attributes: { axis: 1 }, why: "wraps" },
    { inputs: [{ shape: [3, 9], dtype: "float16", low, high }], attributes: { axis: 1 } },
    { inputs: [input(3, 0)], attributes: { axis: 1 } },
  ];
}

/* @__NO_SIDE_EFFECTS__ */
function defineCumulative(
  name: string,
  parts: {
    /** The result of no elements. */
    readonly start: number;
    readonly combine: (dtype: DType, a: number, b: number) => number;
    /** Magnitude that errors of a result scale with, from that of the one before and the element. */
    readonly terms: (before: number, element: number, result: number) => number;
    /** k for a line of this length. */
    readonly bound: (length: number) => number;
    readonly gradient?: NonNullable<Operator<CumulativeAttributes>["gradient"]>;
    readonly cases: readonly OperatorCase<CumulativeAttributes>[];
  },
): Operator<CumulativeAttributes> {
  return defineOperator<CumulativeAttributes>({
    name,
    accumulates: true,
    inputs: ["x"],
    outputs: ["y"],
    attributes: { axis: 0, exclusive: 0, reverse: 0 },
    infer: (inputs, { axis }) => {
      const [x] = requireInputs(name, ["x"], inputs);
      requireDType(name, "x", x!, "number");
      linesOf(x!.shape, axis, name);
      return [x!];
    },
    reference: ([x], { attributes: { axis, exclusive, reverse } }) => {
      const lines = linesOf(x!.shape, axis, name);
      const values = new Float64Array(x!.data.length);
      const terms = new Float64Array(values.length);
      eachLine(lines, (_, first) => {
        let [total, magnitude] = [parts.start, 0];
        for (let step = 0; step < lines.length; step++) {
          const place = first + (reverse === 1 ? lines.length - 1 - step : step) * lines.inner;
          const next = parts.combine(x!.dtype, total, x!.data[place]!);
          const nextMagnitude = parts.terms(magnitude, x!.data[place]!, next);
          values[place] = exclusive === 1 ? total : next;
          terms[place] = exclusive === 1 ? magnitude : nextMagnitude;
          [total, magnitude] = [next, nextMagnitude];
        }
      });
      return [{ values, terms }];
    },
    errorBound: ({ inputs, attributes }) => parts.bound(inputs[0]!.shape.at(attributes.axis)!),
    ...(parts.gradient ? { gradient: parts.gradient } : {}),
    flops: ({ inputs }) => sizeOf(inputs[0]!.shape),
    cases: parts.cases,
  });
}

/**
 * CumSum (ONNX, with the axis as an attribute): running sums of x [..] along `axis`. Any element type but bool. Throws
 * ShapeError on an axis out of range.
 */
export const cumSum: Operator<CumulativeAttributes> = defineCumulative("CumSum", {
  start: 0,
  combine: sumIn,
  terms: (before, element) => before + Math.abs(element),
  bound: summationBound,
  // An element is part of every sum after it: their gradients, summed from the other end.
  gradient: ({ build, attributes, outputGradients: [gradient] }) => [
    build.apply(cumSum, [gradient], { ...attributes, reverse: 1 - attributes.reverse }),
  ],
  cases: casesIn(-1, 1),
});

/** CumProd (ONNX, with the axis as an attribute): running products; like {@link cumSum}. */
export const cumProd: Operator<CumulativeAttributes> = defineCumulative("CumProd", {
  start: 1,
  combine: productIn,
  terms: (_before, _element, result) => Math.abs(result),
  bound: (length) => length,
  gradient: ({ build, attributes, inputs: [x], outputGradients: [gradient] }) => {
    // ∂y_i/∂x_j is the product of all factors before j times that of those between j and i, so that zeros need no division.
    // What follows j is R_j = dy_j + x_{j+1} · R_{j+1}, for all j at once in log₂ steps: after each, R has twice as
    // many terms, and F is the product of as many factors.
    const { axis, exclusive, reverse } = attributes;
    const at = normalizeAxis(axis, x!.shape.length, "CumProd");
    if (x!.shape[at] === 0) return [gradient];
    /** The elements `by` places further on, zeros past the last. */
    const ahead = (of: Operand, by: number): Operand => {
      const [begins, ends] = [x!.shape.map(() => 0), x!.shape.map(() => 0)];
      [begins[at], ends[at]] = reverse === 1 ? [by, -by] : [-by, by];
      return build.apply(pad, [of], { pads: [...begins, ...ends] });
    };
    let sums = exclusive === 1 ? ahead(gradient!, 1) : gradient!;
    let factors = ahead(x!, 1);
    for (let span = 1; span < x!.shape[at]!; span *= 2) {
      sums = build.apply(add, [sums, build.apply(mul, [factors, ahead(sums, span)])]);
      factors = build.apply(mul, [factors, ahead(factors, span)]);
    }
    return [build.apply(mul, [build.apply(cumProd, [x], { axis, reverse, exclusive: 1 }), sums])];
  },
  cases: casesIn(0.5, 1.5),
});
