// Gather reads whole slices at places that are data, and its gradient adds slices up there. An index below 0 counts from the
// end. One that is out of range is an error where values are seen, that is in the references; kernels clamp it, so that
// what they read is always defined and inside.

import { ShapeError } from "../core/errors.ts";
import { formatShape, sizeOf, type Shape } from "../core/shape.ts";
import { requireDType, requireInputs } from "./check.ts";
import { INDEX_TYPES, indicesOf, placeOf } from "./indexing.ts";
import { linesOf } from "./lines.ts";
import { defineOperator, summationBound, type Operator } from "./operator.ts";

export type GatherAttributes = {
  /** The axis of data that indices stand for. */
  readonly axis: number;
};

/**
 * Gather (ONNX): the slices of data [.., D, ..] along `axis` that indices [..] (int32 or int64, in [-D, D)) name; the
 * indices' axes take the place of `axis`. Any element type; exact.
 */
export const gather: Operator<GatherAttributes> = defineOperator<GatherAttributes>({
  name: "Gather",
  inputs: ["data", "indices"],
  outputs: ["output"],
  attributes: { axis: 0 },
  infer: (inputs, attributes) => {
    const [data, indices] = requireInputs("Gather", ["data", "indices"], inputs);
    requireDType("Gather", "indices", indices!, INDEX_TYPES);
    const { axis } = linesOf(data!.shape, attributes.axis, "Gather");
    const shape = [...data!.shape.slice(0, axis), ...indices!.shape, ...data!.shape.slice(axis + 1)];
    return [{ dtype: data!.dtype, shape }];
  },
  reference: ([data, indices], { attributes, outputs }) => {
    const { outer, length, inner } = linesOf(data!.shape, attributes.axis, "Gather");
    const values = new Float64Array(sizeOf(outputs[0]!.shape));
    let to = 0;
    for (let slab = 0; slab < outer; slab++)
      for (const index of indices!.data) {
        const from = (slab * length + placeOf(index, length, "Gather")) * inner;
        for (let i = 0; i < inner; i++) values[to++] = data!.data[from + i]!;
      }
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  gradient: ({ build, attributes, inputs: [data, indices], outputGradients: [gradient] }) => {
    const { axis, length } = linesOf(data!.shape, attributes.axis, "Gather");
    return [build.apply(gatherGradient, [indices, gradient], { axis, extent: length }), undefined];
  },
  flops: () => 0,
  minimumBytes: ({ inputs, outputs }) => 4 * sizeOf(inputs[1]!.shape) + 8 * sizeOf(outputs[0]!.shape),
  cases: [
    { inputs: [[1], indicesOf(1, [])] },
    { inputs: [[5], indicesOf(5, [])], why: "one element" },
    { inputs: [[5, 7], indicesOf(5, [65])] },
    { inputs: [[5, 7], indicesOf(5, [])], why: "one row" },
    { inputs: [[5, 7], indicesOf(7, [2, 3], "int32")], attributes: { axis: 1 } },
    { inputs: [[3, 5, 2], indicesOf(5, [4])], attributes: { axis: -2 } },
    { inputs: [[2, 3, 5, 7], indicesOf(3, [1, 2, 2])], attributes: { axis: 1 } },
    { inputs: [[67, 16], indicesOf(67, [19])], why: "rows of whole vec4s, as in an embedding" },
    { inputs: [[5, 7], indicesOf(5, [0])], why: "no indices" },
    { inputs: [[5, 0], indicesOf(5, [2])], why: "empty rows" },
    { inputs: [{ shape: [5, 3], dtype: "float16" }, indicesOf(5, [4])] },
    { inputs: [{ shape: [5, 3], dtype: "int8" }, indicesOf(5, [4])] },
    { inputs: [{ shape: [9], dtype: "bool" }, indicesOf(9, [4, 4])] },
    { inputs: [{ shape: [9], dtype: "uint8" }, indicesOf(9, [4, 4])] },
  ],
});

export type GatherGradientAttributes = {
  /** The axis, non-negative, and its extent in the data that was gathered from. */
  readonly axis: number;
  readonly extent: number;
};

/** Extents of a Gather seen from its result: `outer × count × inner`, where `count` indices stand for the axis. */
export function gatheredLines(
  indices: Shape,
  output: Shape,
  axis: number,
): { readonly outer: number; readonly count: number; readonly inner: number } {
  return {
    outer: sizeOf(output.slice(0, axis)),
    count: sizeOf(indices),
    inner: sizeOf(output.slice(axis + indices.length)),
  };
}

/**
 * Gradient of Gather: the slices of dY added up where indices say they came from; dX has `extent` along `axis`. Slices of
 * one place are added in the order of the indices. ONNX has no such operator.
 */
export const gatherGradient: Operator<GatherGradientAttributes> = defineOperator<GatherGradientAttributes>({
  name: "GatherGradient",
  inputs: ["indices", "dY"],
  outputs: ["dX"],
  attributes: { axis: 0, extent: 1 },
  infer: (inputs, { axis, extent }) => {
    const [indices, dy] = requireInputs("GatherGradient", ["indices", "dY"], inputs);
    requireDType("GatherGradient", "indices", indices!, INDEX_TYPES);
    requireDType("GatherGradient", "dY", dy!, "float");
    const rank = indices!.shape.length;
    const matches = indices!.shape.every((length, i) => length === dy!.shape[axis + i]);
    if (axis < 0 || axis + rank > dy!.shape.length || !matches)
      throw new ShapeError(
        `GatherGradient: dY ${formatShape(dy!.shape)} does not hold the axes of indices ${formatShape(indices!.shape)} at ${axis}`,
      );
    const shape = [...dy!.shape.slice(0, axis), extent, ...dy!.shape.slice(axis + rank)];
    return [{ dtype: dy!.dtype, shape }];
  },
  reference: ([indices, dy], { attributes: { axis, extent }, outputs }) => {
    const { outer, inner } = gatheredLines(indices!.shape, dy!.shape, axis);
    const values = new Float64Array(sizeOf(outputs[0]!.shape));
    const terms = new Float64Array(values.length);
    let from = 0;
    for (let slab = 0; slab < outer; slab++)
      for (const index of indices!.data) {
        const to = (slab * extent + placeOf(index, extent, "GatherGradient")) * inner;
        for (let i = 0; i < inner; i++, from++) {
          values[to + i]! += dy!.data[from]!;
          terms[to + i]! += Math.abs(dy!.data[from]!);
        }
      }
    return [{ values, terms }];
  },
  errorBound: ({ inputs }) => summationBound(sizeOf(inputs[0]!.shape)),
  // Linear in dY, and Gather is its transpose.
  gradient: ({ build, attributes: { axis }, inputs: [indices], outputGradients: [gradient] }) => [
    undefined,
    build.apply(gather, [gradient, indices], { axis }),
  ],
  flops: ({ inputs }) => sizeOf(inputs[1]!.shape),
  cases: [
    { inputs: [indicesOf(1, []), []], attributes: { extent: 1 } },
    { inputs: [indicesOf(5, [65]), [65, 7]], attributes: { extent: 5 } },
    { inputs: [indicesOf(7, [2, 3], "int32"), [5, 2, 3]], attributes: { axis: 1, extent: 7 } },
    { inputs: [indicesOf(67, [19]), [19, 17]], attributes: { extent: 67 }, why: "more rows than a workgroup" },
    { inputs: [indicesOf(3, [2, 2]), [2, 2, 2, 33]], attributes: { axis: 1, extent: 3 } },
    { inputs: [indicesOf(4, [0]), [0, 3]], attributes: { extent: 4 }, why: "nothing was gathered: zeros" },
    { inputs: [indicesOf(4, [3]), [3, 0]], attributes: { extent: 4 } },
  ],
});
