// What all reductions share: which axes go, what shape stays, and in which order elements meet their result.

import { normalizeAxes, sizeOf, type Shape, type TensorType } from "../core/shape.ts";
import { requireDType, requireInputs, type Accepted } from "./check.ts";
import type { Operator, OperatorCase } from "./operator.ts";
import { eachBroadcast } from "./pointwise.ts";

export type ReduceAttributes = {
  /** Axes to reduce, negative ones counted from the end; [] means all of them unless `noop_with_empty_axes`. */
  readonly axes: readonly number[];
  /** 1 keeps reduced axes with extent 1. */
  readonly keepdims: number;
  /** 1: empty `axes` reduce nothing. */
  readonly noop_with_empty_axes: number;
};

export const reduceDefaults: ReduceAttributes = { axes: [], keepdims: 1, noop_with_empty_axes: 0 };

/** The axes that are reduced: sorted, distinct, non-negative. */
export function reducedAxes(attributes: ReduceAttributes, rank: number, who = "Reduce"): number[] {
  const { axes, noop_with_empty_axes } = attributes;
  if (axes.length === 0) return noop_with_empty_axes === 1 ? [] : Array.from({ length: rank }, (_, axis) => axis);
  return normalizeAxes(axes, rank, who);
}

/** `shape` with its reduced axes set to 1, the shape results broadcast back from. */
export function keptShape(shape: Shape, axes: readonly number[]): number[] {
  return shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent));
}

/** How many elements of `shape` meet in one result. */
export function reducedCount(shape: Shape, axes: readonly number[]): number {
  return axes.reduce((count, axis) => count * shape[axis]!, 1);
}

/** `infer` of a reduction. Throws ShapeError on an axis out of range. */
export function inferReduction(
  who: string,
  inputs: readonly (TensorType | undefined)[],
  attributes: ReduceAttributes,
  accepts: Accepted = "number",
): TensorType[] {
  const [data] = requireInputs(who, ["data"], inputs);
  requireDType(who, "data", data!, accepts);
  return [{ dtype: data!.dtype, shape: reducedShape(data!.shape, attributes, who) }];
}

/** Shape of the results. */
export function reducedShape(shape: Shape, attributes: ReduceAttributes, who?: string): number[] {
  const axes = reducedAxes(attributes, shape.length, who);
  const kept = keptShape(shape, axes);
  return attributes.keepdims === 1 ? kept : kept.filter((_, axis) => !axes.includes(axis));
}

/** Visits every element of `shape` with the place of the result it is reduced into. */
export function eachReduced(
  shape: Shape,
  attributes: ReduceAttributes,
  visit: (resultIndex: number, index: number) => void,
): void {
  const kept = keptShape(shape, reducedAxes(attributes, shape.length));
  eachBroadcast([kept], shape, ([place], index) => visit(place!, index));
}

/** Cases of every reduction: inner, outer and middle axes, lengths of 1, prime and just past 64 and 256. */
export const reduceCases: readonly OperatorCase<ReduceAttributes>[] = [
  { inputs: [[]] },
  { inputs: [[1]] },
  { inputs: [[257]] },
  { inputs: [[5, 65]], attributes: { axes: [-1] } },
  { inputs: [[5, 64]], attributes: { axes: [1] }, why: "rows of whole vec4s" },
  { inputs: [[3, 1028]], attributes: { axes: [1] }, why: "long rows of whole vec4s" },
  { inputs: [[65, 5]], attributes: { axes: [0], keepdims: 0 } },
  { inputs: [[3, 7, 5]], attributes: { axes: [1] } },
  { inputs: [[3, 7, 5]], attributes: { axes: [0, 2], keepdims: 0 }, why: "axes that do not merge" },
  { inputs: [[2, 3, 5, 7]], attributes: { axes: [1, 2], keepdims: 0 } },
  { inputs: [[2, 3, 5, 7]], attributes: { axes: [0, 3] } },
  { inputs: [[4, 1025]], attributes: { axes: [1] }, why: "one row needs a whole workgroup several times" },
  { inputs: [[259, 3]], attributes: { axes: [1], keepdims: 0 }, why: "more rows than a workgroup" },
  { inputs: [[3, 4]], attributes: { axes: [], noop_with_empty_axes: 1 } },
  { inputs: [[2, 1, 3]], attributes: { axes: [1], keepdims: 0 } },
  { inputs: [[0, 3]], attributes: { axes: [1] }, why: "no result" },
];

/** Cases of reductions that take integers: rows by every strategy. */
export const integerReduceCases: readonly OperatorCase<ReduceAttributes>[] = [
  { inputs: [{ shape: [5, 64], dtype: "int32", low: -5, high: 6 }], attributes: { axes: [1] } },
  { inputs: [{ shape: [7, 5], dtype: "uint32", low: 0, high: 3 }], attributes: { axes: [0] } },
];

/** Number of elements each result is made of, at least 1. */
export function termCount(inputs: readonly (TensorType | undefined)[], outputs: readonly TensorType[]): number {
  return Math.max(1, sizeOf(inputs[0]!.shape) / Math.max(1, sizeOf(outputs[0]!.shape)));
}

/** `spread` of a reduction: what its elements may be off, each by `of`, put together by `combine`. */
/* @__NO_SIDE_EFFECTS__ */
export function spreadBy(
  of: (x: number, error: number) => number,
  combine: (a: number, b: number) => number = (a, b) => a + b,
): NonNullable<Operator<ReduceAttributes>["spread"]> {
  return ({ shape, data }, errors, { attributes, outputs }) => {
    const spread = new Float64Array(sizeOf(outputs[0]!.shape));
    eachReduced(shape, attributes, (result, index) => {
      spread[result] = combine(spread[result]!, of(data[index]!, errors[index]!));
    });
    return spread;
  };
}
