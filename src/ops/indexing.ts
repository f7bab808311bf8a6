// Indices that are data: their types, what they mean, and how references walk tensors with them. An index below 0 counts
// from the end.

import { UsageError, ShapeError } from "../core/errors.ts";
import { formatShape, sizeOf, stridesOf, type Shape, type TensorType } from "../core/shape.ts";
import { filled, tensorData } from "../core/tensorData.ts";
import type { Accepted } from "./check.ts";
import { expandTo } from "./expand.ts";
import type { Builder, CaseInput, Operand } from "./operator.ts";

/** Element types of indices. */
export const INDEX_TYPES: Accepted = ["int32", "int64"];

/** The place an index means. Throws UsageError naming `who` unless it is in [-extent, extent). */
export function placeOf(index: number, extent: number, who: string): number {
  if (index < -extent || index >= extent)
    throw new UsageError(
      `${who}: index ${index} is outside [-${extent}, ${extent}), the range of an axis of ${extent}`,
    );
  return index < 0 ? index + extent : index;
}

/** Indices of an axis for cases: both ends and negative ones come up. */
/* @__NO_SIDE_EFFECTS__ */
export function indicesOf(extent: number, shape: Shape, dtype: "int32" | "int64" = "int64"): CaseInput {
  return { shape, dtype, low: -extent, high: extent };
}

/** A tensor of zeros. */
export function zeros(build: Builder, type: TensorType): Operand {
  return expandTo(build, build.constant(filled(0, [], type.dtype)), type.shape);
}

/** A constant 0, 1, 2 … along one axis of `shape`, with extents of 1 beside it. */
export function countAlong(build: Builder, shape: Shape, axis: number, dtype: "int32" | "int64", from = 0): Operand {
  const data = Int32Array.from({ length: shape[axis]! }, (_, place) => from + place);
  return build.constant(
    tensorData(
      data,
      shape.map((extent, i) => (i === axis ? extent : 1)),
      dtype,
    ),
  );
}

/** How GatherElements walks data: places of data in the order of its result, at index 0 along the axis. */
export function elementStrides(data: Shape, axis: number): { readonly strides: number[]; readonly axisStride: number } {
  const strides = stridesOf(data);
  const axisStride = strides[axis]!;
  strides[axis] = 0;
  return { strides, axisStride };
}

/** Throws ShapeError unless indices have data's rank and, but for `axis`, no larger extents. */
export function checkElementIndices(who: string, data: Shape, indices: Shape, axis: number): void {
  if (indices.length !== data.length || indices.some((extent, i) => i !== axis && extent > data[i]!))
    throw new ShapeError(
      `${who}: indices ${formatShape(indices)} must have the rank of data ${formatShape(data)} and be no larger beside axis ${axis}`,
    );
}

/** Visits every element of `shape`: its index, and its place in a tensor of these strides. */
export function eachStrided(
  shape: Shape,
  strides: readonly number[],
  visit: (index: number, place: number) => void,
): void {
  const coordinates = shape.map(() => 0);
  const size = sizeOf(shape);
  let place = 0;
  for (let index = 0; index < size; index++) {
    visit(index, place);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += strides[axis]!;
      if (++coordinates[axis]! < shape[axis]!) break;
      place -= strides[axis]! * shape[axis]!;
      coordinates[axis] = 0;
    }
  }
}
