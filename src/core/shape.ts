// Shapes are plain arrays of non-negative integers, row-major: the last dimension is contiguous.

import { ShapeError } from "./errors.ts";
import type { DType } from "./dtype.ts";

/** Extents of a tensor, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** What is known of a tensor before it has values. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** Number of elements: the product of the extents, 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const extent of shape) size *= extent;
  return size;
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((extent, axis) => extent === b[axis]);
}

/** `[2, 3, 4]`, the way shapes appear in every message. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** `float32 [2, 3]`, the way tensor types appear in every message. */
export function formatType(type: TensorType): string {
  return `${type.dtype} ${formatShape(type.shape)}`;
}

/** Maps an axis in [-rank, rank) to [0, rank). Throws {@link ShapeError} naming `who` otherwise. */
export function normalizeAxis(axis: number, rank: number, who: string): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank)
    throw new ShapeError(`${who}: axis ${axis} is outside [-${rank}, ${rank}) of a rank-${rank} tensor`);
  return axis < 0 ? axis + rank : axis;
}

/** Sorted, distinct, non-negative axes. Throws {@link ShapeError} on an axis out of range or given twice. */
export function normalizeAxes(axes: readonly number[], rank: number, who: string): number[] {
  const normal = axes.map((axis) => normalizeAxis(axis, rank, who)).sort((a, b) => a - b);
  for (let i = 1; i < normal.length; i++)
    if (normal[i] === normal[i - 1])
      throw new ShapeError(`${who}: axis ${normal[i]} is given twice in [${axes.join(", ")}]`);
  return normal;
}

/** Throws {@link ShapeError} unless every extent is a non-negative safe integer. */
export function checkShape(shape: Shape, who: string): void {
  for (const extent of shape)
    if (!Number.isSafeInteger(extent) || extent < 0)
      throw new ShapeError(`${who}: ${formatShape(shape)} is not a shape: extents must be non-negative integers`);
}
