// Few results of many elements, in two dispatches: a reduced axis is cut into parts (a Reshape, which costs nothing), each
// part is reduced by itself, and then the parts' results are. A GPU that one row would leave to a single workgroup gets
// hundreds of rows. On a software driver of two cores one sum of 2^21 elements takes 41 instead of 169 ms.

import { isFloat } from "../../src/core/dtype.ts";
import type { Shape } from "../../src/core/shape.ts";
import { reduceSum } from "../../src/ops/reduce.ts";
import type { Operator } from "../../src/ops/operator.ts";
import { reduceMax, reduceMean, reduceMin } from "../../src/ops/reduce.ts";
import { reduceL1, reduceProd, reduceSumSquare } from "../../src/ops/reduceSums.ts";
import { reducedAxes, type ReduceAttributes } from "../../src/ops/reduction.ts";
import { reshapeTo } from "../../src/ops/reshape.ts";
import { defineRewrite, type AnyRewrite } from "../strategy.ts";

/** The reduced axis that divides best into about `wanted` parts of two elements or more; undefined if all are far off. */
function bestCut(
  shape: Shape,
  axes: readonly number[],
  wanted: number,
): { readonly axis: number; readonly parts: number } | undefined {
  let best: { axis: number; parts: number; error: number } | undefined;
  for (const axis of axes)
    for (let parts = 2; 2 * parts <= shape[axis]! && parts <= 2 * wanted; parts++) {
      const error = Math.abs(Math.log(parts / wanted));
      if (shape[axis]! % parts === 0 && error < (best?.error ?? Math.log(2.1))) best = { axis, parts, error };
    }
  return best;
}

/** `second` reduces the parts' results. */
const twoPass = (op: Operator<ReduceAttributes>, second = op): AnyRewrite =>
  defineRewrite({
    op,
    name: "twoPass",
    params: { parts: [64, 512, 16] },

    supports(problem, _, { parts }) {
      const { shape, dtype } = problem.inputs[0]!;
      if (dtype === "float16") return "results of the parts would round to half precision";
      if (op === reduceMean && !isFloat(dtype)) return "means of the parts would be truncated";
      const axes = reducedAxes(problem.attributes, shape.length);
      return bestCut(shape, axes, parts) !== undefined || `no reduced axis is about ${parts} equal parts`;
    },

    rewrite(build, [data], { attributes, outputs }, { parts: wanted }) {
      const { shape } = data!;
      const axes = reducedAxes(attributes, shape.length);
      const { axis, parts } = bestCut(shape, axes, wanted)!;
      const cutShape = [...shape.slice(0, axis), parts, shape[axis]! / parts, ...shape.slice(axis + 1)];
      const partAxes = axes.map((reduced) => (reduced < axis ? reduced : reduced + 1)); // the rest of `axis`, and those behind
      const cut = reshapeTo(build, data!, cutShape);
      const partial = build.apply(op, [cut], { axes: partAxes });
      const total = build.apply(second, [partial], { axes: [axis] });
      return [reshapeTo(build, total, outputs[0]!.shape)];
    },
  });

export default [
  twoPass(reduceSum),
  twoPass(reduceMean),
  twoPass(reduceMax),
  twoPass(reduceMin),
  twoPass(reduceProd),
  twoPass(reduceL1, reduceSum),
  twoPass(reduceSumSquare, reduceSum),
];
