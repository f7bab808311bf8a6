// Reductions to few results of many elements, in two steps.

import { isFloat } from "../core/dtype.ts";
import { sizeOf, type Shape } from "../core/shape.ts";
import { reduceSum } from "./expand.ts";
import { type Builder, type Operand, type Operator } from "./operator.ts";
import { keptShape, reducedAxes, reducedCount, type ReduceAttributes } from "./reduction.ts";
import { reduceMean } from "./reduce.ts";
import { reduceL1, reduceSumSquare } from "./reduceSums.ts";
import { reshapeTo } from "./reshape.ts";

/** A reduction to at most this many results … */
const FEW_RESULTS = 32;
/** … of at least this many elements each takes two steps, … */
const MANY_ELEMENTS = 1 << 15;
/** … the first with about this many results, or as many as it then reduces elements. */
const PARTIAL_RESULTS = 512;

/**
 * Applies a reduction, in two steps where one would keep a GPU waiting for a few workgroups: an axis is cut into P parts
 * (a Reshape, which costs nothing), each is reduced by itself, and then their P results are. On a software driver of two
 * cores one sum takes 0.2 instead of 0.5 ms of 2^15 elements and 41 instead of 169 ms of 2^21; eight sums take the same.
 */
export function reduceInSteps(
  build: Builder,
  operator: Operator<ReduceAttributes>,
  data: Operand,
  attributes: ReduceAttributes,
): Operand {
  const { shape, dtype } = data;
  const axes = reducedAxes(attributes, shape.length);
  const count = reducedCount(shape, axes);
  const results = sizeOf(keptShape(shape, axes));
  const second = operator === reduceL1 || operator === reduceSumSquare ? reduceSum : operator;
  const cut =
    results <= FEW_RESULTS && count >= MANY_ELEMENTS && (operator !== reduceMean || isFloat(dtype))
      ? bestCut(shape, axes, Math.min(PARTIAL_RESULTS / Math.max(1, results), Math.sqrt(count)))
      : undefined;
  if (!cut) return build.apply(operator, [data], attributes);
  const { axis, parts } = cut;
  const cutShape = [...shape.slice(0, axis), parts, shape[axis]! / parts, ...shape.slice(axis + 1)];
  const partAxes = axes.map((reduced) => (reduced < axis ? reduced : reduced + 1)); // the rest of `axis`, and those behind
  const partial = build.apply(operator, [reshapeTo(build, data, cutShape)], { axes: partAxes });
  const kept = shape.map((extent, i) => (i === axis ? parts : axes.includes(i) ? 1 : extent));
  return build.apply(second, [reshapeTo(build, partial, kept)], attributes);
}

/** The reduced axis and the divisor of its extent that come nearest to `wanted` parts; undefined if all are far off. */
function bestCut(
  shape: Shape,
  axes: readonly number[],
  wanted: number,
): { readonly axis: number; readonly parts: number } | undefined {
  let best: { axis: number; parts: number; error: number } | undefined;
  for (const axis of axes)
    for (let parts = 2; parts <= shape[axis]! && parts <= 4 * wanted; parts++) {
      const error = Math.abs(Math.log(parts / wanted));
      if (shape[axis]! % parts === 0 && error < Math.min(best?.error ?? Infinity, Math.log(16)))
        best = { axis, parts, error };
    }
  return best;
}
