// Slices read (GatherND) and written (ScatterND) at places that are tuples of coordinates: each is what the other's gradient
// needs, which is why they share a file.

import { ShapeError } from "../core/errors.ts";
import { formatShape, sameShape, sizeOf, stridesOf, type Shape } from "../core/shape.ts";
import { tensorData } from "../core/tensorData.ts";
import { requireDType, requireInputs } from "./check.ts";
import { concat } from "./concat.ts";
import { expandTo } from "./expand.ts";
import { countAlong, INDEX_TYPES, indicesOf, placeOf, zeros } from "./indexing.ts";
import { defineOperator, type Operand, type Operator } from "./operator.ts";
import { reshapeTo } from "./reshape.ts";
import {
  accumulator,
  boundOfUpdates,
  SCATTER_INPUTS,
  scatterGradient,
  scatterInputs,
  withReductions,
  type ScatterAttributes,
} from "./scattering.ts";

/** Which slices of data the tuples in indices choose, in numbers. */
export interface TupleLookup {
  /** Tuples in all, tuples a batch element, and batch elements. */
  readonly count: number;
  readonly perBatch: number;
  /** Elements of data in a batch element. */
  readonly batchStride: number;
  /** Extents of the axes a tuple names, with the elements one step along each moves. */
  readonly extents: readonly number[];
  readonly strides: readonly number[];
  /** Elements of a slice. */
  readonly slice: number;
}

/** Throws ShapeError unless the last extent of indices is a number of axes that data has after the batch axes. */
export function tupleLookup(who: string, data: Shape, indices: Shape, batch: number): TupleLookup {
  const width = indices.at(-1) ?? 0;
  const sameBatch = data.slice(0, batch).every((extent, axis) => extent === indices[axis]);
  if (indices.length <= batch || batch > data.length || !sameBatch || width > data.length - batch || batch < 0)
    throw new ShapeError(
      `${who}: the last axis of indices ${formatShape(indices)} must name axes of data ${formatShape(data)} after ${batch} batch axes, which both share`,
    );
  const tuples = indices.slice(batch, -1);
  return {
    count: sizeOf(indices.slice(0, -1)),
    perBatch: sizeOf(tuples),
    batchStride: sizeOf(data.slice(batch)),
    extents: data.slice(batch, batch + width),
    strides: stridesOf(data).slice(batch, batch + width),
    slice: sizeOf(data.slice(batch + width)),
  };
}

/** First element of the slice a tuple names, within its batch element. */
function tuplePlace({ extents, strides }: TupleLookup, indices: ArrayLike<number>, tuple: number, who: string): number {
  return extents.reduce(
    (place, extent, i) => place + placeOf(indices[tuple * extents.length + i]!, extent, who) * strides[i]!,
    0,
  );
}

export type GatherNDAttributes = {
  /** How many leading axes data and indices share. */
  readonly batch_dims: number;
};

/**
 * GatherND (ONNX): indices [.., K] (int32 or int64) are tuples of coordinates of data's first K axes after `batch_dims`
 * shared ones; each chooses the slice there. Any element type; exact.
 */
export const gatherND: Operator<GatherNDAttributes> = defineOperator<GatherNDAttributes>({
  name: "GatherND",
  inputs: ["data", "indices"],
  outputs: ["output"],
  attributes: { batch_dims: 0 },
  infer: (inputs, { batch_dims }) => {
    const [data, indices] = requireInputs("GatherND", ["data", "indices"], inputs);
    requireDType("GatherND", "indices", indices!, INDEX_TYPES);
    const { extents } = tupleLookup("GatherND", data!.shape, indices!.shape, batch_dims);
    const shape = [...indices!.shape.slice(0, -1), ...data!.shape.slice(batch_dims + extents.length)];
    return [{ dtype: data!.dtype, shape }];
  },
  reference: ([data, indices], { attributes, outputs }) => {
    const lookup = tupleLookup("GatherND", data!.shape, indices!.shape, attributes.batch_dims);
    const values = new Float64Array(sizeOf(outputs[0]!.shape));
    let to = 0;
    for (let tuple = 0; tuple < lookup.count; tuple++) {
      const from =
        Math.floor(tuple / lookup.perBatch) * lookup.batchStride + tuplePlace(lookup, indices!.data, tuple, "GatherND");
      for (let i = 0; i < lookup.slice; i++) values[to++] = data!.data[from + i]!;
    }
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  // The shared axes become one, and its coordinate the first of every tuple: then ScatterND adds up.
  gradient: ({ build, attributes: { batch_dims }, inputs: [data, indices], outputGradients: [gradient] }) => {
    const asBatch = (x: Operand): Operand =>
      reshapeTo(build, x, [sizeOf(x.shape.slice(0, batch_dims)), ...x.shape.slice(batch_dims)]);
    const tuples = asBatch(indices!);
    const batch = expandTo(build, countAlong(build, tuples.shape, 0, indices!.dtype as "int64"), [
      ...tuples.shape.slice(0, -1),
      1,
    ]);
    const full = build.apply(concat, [batch, tuples], { axis: -1 });
    const sum = build.apply(scatterND, [asBatch(zeros(build, data!)), full, asBatch(gradient!)], { reduction: "add" });
    return [reshapeTo(build, sum, data!.shape), undefined];
  },
  flops: () => 0,
  minimumBytes: ({ inputs, outputs }) => 4 * sizeOf(inputs[1]!.shape) + 8 * sizeOf(outputs[0]!.shape),
  cases: [
    { inputs: [[5], indicesOf(5, [1])], why: "one element" },
    { inputs: [[5, 7], indicesOf(5, [65, 1])] },
    { inputs: [[5, 5], indicesOf(5, [3, 2, 2], "int32")] },
    { inputs: [[3, 3, 7], indicesOf(3, [4, 2])] },
    { inputs: [[2, 3, 5], indicesOf(3, [2, 4, 1])], attributes: { batch_dims: 1 } },
    { inputs: [[2, 3, 5, 5], indicesOf(5, [2, 3, 7, 2])], attributes: { batch_dims: 2 } },
    { inputs: [[2, 3], indicesOf(1, [4, 0])], why: "empty tuples name all of data" },
    { inputs: [[2, 3], indicesOf(2, [0, 2])], why: "no tuples" },
    { inputs: [{ shape: [3, 5], dtype: "bool" }, indicesOf(3, [4, 1])] },
  ],
});

/**
 * ScatterND (ONNX): data [..] with each slice of updates put where a tuple of indices [.., K] (int32 or int64) says, the
 * coordinates of data's first K axes. Without a reduction any element type, and exact.
 */
export const scatterND: Operator<ScatterAttributes> = defineOperator<ScatterAttributes>({
  name: "ScatterND",
  inputs: SCATTER_INPUTS,
  outputs: ["output"],
  attributes: { reduction: "none" },
  infer: (inputs, { reduction }) => {
    const [data, indices, updates] = scatterInputs("ScatterND", inputs, reduction);
    const { extents } = tupleLookup("ScatterND", data, indices, 0);
    const expected = [...indices.slice(0, -1), ...data.slice(extents.length)];
    if (!sameShape(updates, expected))
      throw new ShapeError(
        `ScatterND: updates must be ${formatShape(expected)} for data ${formatShape(data)} and indices ${formatShape(indices)}, got ${formatShape(updates)}`,
      );
    return [inputs[0]!];
  },
  reference: ([data, indices, updates], { attributes }) => {
    const lookup = tupleLookup("ScatterND", data!.shape, indices!.shape, 0);
    const { output, update } = accumulator(data!, attributes.reduction);
    for (let tuple = 0; tuple < lookup.count; tuple++) {
      const to = tuplePlace(lookup, indices!.data, tuple, "ScatterND");
      for (let i = 0; i < lookup.slice; i++) update(to + i, updates!.data[tuple * lookup.slice + i]!);
    }
    return [output];
  },
  errorBound: ({ inputs, attributes: { reduction } }) =>
    boundOfUpdates(reduction, sizeOf(inputs[1]!.shape.slice(0, -1))),
  gradient: (context) => {
    const { build, inputs } = context;
    const [, indices, updates] = inputs as readonly Operand[];
    const tuples = indices!.shape.slice(0, -1);
    const order = tensorData(
      Int32Array.from({ length: sizeOf(tuples) }, (_, tuple) => tuple),
      [...tuples, ...updates!.shape.slice(tuples.length).map(() => 1)],
    );
    return scatterGradient(context, {
      gathered: (from) => build.apply(gatherND, [from, indices]),
      scattered: (over, values, reduction) => build.apply(scatterND, [over, indices, values], { reduction }),
      order: build.constant(order),
    });
  },
  flops: ({ inputs }) => sizeOf(inputs[2]!.shape),
  cases: withReductions<ScatterAttributes>(
    [
      { inputs: [[5], indicesOf(5, [1]), []], why: "one element" },
      { inputs: [[65], indicesOf(65, [7, 1]), [7]] },
      { inputs: [[67, 17], indicesOf(67, [5, 1]), [5, 17]], why: "slices" },
      { inputs: [[5, 5, 3], indicesOf(5, [2, 3, 2], "int32"), [2, 3, 3]] },
      { inputs: [[2, 2, 2], indicesOf(2, [5, 3]), [5]] },
      { inputs: [[2, 3], indicesOf(1, [0]), [2, 3]], why: "an empty tuple names all of data" },
      { inputs: [[5, 3], indicesOf(5, [0, 1]), [0, 3]], why: "no updates" },
      { inputs: [{ shape: [5], dtype: "bool" }, indicesOf(5, [3, 1]), { shape: [3], dtype: "bool" }] },
      {
        inputs: [{ shape: [5], dtype: "int64" }, indicesOf(5, [9, 1]), { shape: [9], dtype: "int64" }],
        attributes: { reduction: "max" },
      },
    ],
    { inputs: [[5, 3], indicesOf(5, [9, 1]), [9, 3]] },
  ),
});
