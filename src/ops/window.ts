// A window sliding over padded spatial axes, as Conv and the pooling operators share it. Each axis is resolved on its own
// (auto_pad, explicit pads, ceil_mode, the defaults of absent attributes), so a 1-D or 3-D caller needs nothing new here.

import { ShapeError, UnsupportedError } from "../core/errors.ts";
import { formatShape, type Shape } from "../core/shape.ts";

/** ONNX attributes of a sliding window; `[]` stands for ONNX's default of an absent list. */
export interface WindowAttributes {
  /** "NOTSET" (use `pads`), "SAME_UPPER", "SAME_LOWER" or "VALID". */
  readonly auto_pad: string;
  readonly dilations: readonly number[];
  readonly kernel_shape: readonly number[];
  /** All begins, then all ends. A negative end crops: gradients of strided windows need it. */
  readonly pads: readonly number[];
  readonly strides: readonly number[];
}

/** One axis of a resolved window: output `o` reads inputs `o·stride − padBegin + k·dilation` for k in [0, kernel). */
export interface WindowAxis {
  readonly extent: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly padBegin: number;
  readonly padEnd: number;
  readonly out: number;
}

/** Positions [first, end) of `o` for which `o·stride + offset` lies in [0, extent). */
export interface PositionRange {
  readonly first: number;
  readonly end: number;
}

const AUTO_PADS = ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"];

/** Number of spatial axes of `shape` [N, C, …]; throws unless there are exactly two. */
export function checkSpatialRank(shape: Shape, who: string): void {
  const spatial = shape.length - 2;
  if (spatial === 2) return;
  if (spatial === 1 || spatial === 3)
    throw new UnsupportedError(
      `${who}: X is ${formatShape(shape)}: ${spatial}-D windows are not supported yet, only [N, C, H, W]` +
        (spatial === 1 ? "; Reshape X to [N, C, 1, L]" : ""),
    );
  throw new ShapeError(`${who}: X must be [N, C, H, W], got ${formatShape(shape)}`);
}

/** A list attribute with one value a spatial axis; `[]` gives `fallback` everywhere. */
export function axisValues(
  values: readonly number[],
  count: number,
  fallback: number,
  least: number,
  name: string,
  who: string,
): readonly number[] {
  if (values.length === 0) return new Array<number>(count).fill(fallback);
  if (values.length !== count || values.some((value) => !Number.isInteger(value) || value < least))
    throw new ShapeError(`${who}: ${name} must be ${count} integers of at least ${least}, got [${values.join(", ")}]`);
  return values;
}

/** The same list for `pads`: begins, then ends. */
export function padValues(pads: readonly number[], count: number, autoPad: string, who: string): readonly number[] {
  if (!AUTO_PADS.includes(autoPad))
    throw new ShapeError(`${who}: auto_pad must be one of ${AUTO_PADS.join(", ")}, got "${autoPad}"`);
  if (pads.length === 0) return new Array<number>(2 * count).fill(0);
  if (pads.length !== 2 * count || !pads.every(Number.isInteger) || pads.slice(0, count).some((pad) => pad < 0))
    throw new ShapeError(
      `${who}: pads must be ${2 * count} integers, all begins (at least 0) and then all ends, got [${pads.join(", ")}]`,
    );
  return pads;
}

/** Splits padding over both sides; an odd one goes to the end for SAME_UPPER and to the beginning otherwise. */
export function splitPadding(total: number, autoPad: string): [begin: number, end: number] {
  const small = Math.floor(total / 2);
  return autoPad === "SAME_UPPER" ? [small, total - small] : [total - small, small];
}

/**
 * Resolves every spatial axis of a window over `extents`. Throws {@link ShapeError} when a kernel does not fit into the
 * padded input.
 */
export function resolveWindow(
  extents: readonly number[],
  kernels: readonly number[],
  attributes: WindowAttributes,
  ceilMode: boolean,
  who: string,
): WindowAxis[] {
  const count = extents.length;
  const strides = axisValues(attributes.strides, count, 1, 1, "strides", who);
  const dilations = axisValues(attributes.dilations, count, 1, 1, "dilations", who);
  const autoPad = attributes.auto_pad;
  const pads = padValues(attributes.pads, count, autoPad, who);

  return extents.map((extent, axis) => {
    const kernel = kernels[axis]!;
    const stride = strides[axis]!;
    const dilation = dilations[axis]!;
    const span = (kernel - 1) * dilation + 1; // from the first tap to the last, both included
    if (autoPad === "SAME_UPPER" || autoPad === "SAME_LOWER") {
      const out = Math.ceil(extent / stride);
      const total = Math.max(0, (out - 1) * stride + span - extent);
      const [padBegin, padEnd] = splitPadding(total, autoPad);
      return { extent, kernel, stride, dilation, padBegin, padEnd, out };
    }
    const padBegin = autoPad === "VALID" ? 0 : pads[axis]!;
    const padEnd = autoPad === "VALID" ? 0 : pads[axis + count]!;
    const slack = extent + padBegin + padEnd - span;
    if (slack < 0)
      throw new ShapeError(
        `${who}: kernel of ${kernel}${dilation > 1 ? ` (dilated to ${span})` : ""} does not fit into the padded input of ` +
          `${extent + padBegin + padEnd} (${extent} + pads ${padBegin} and ${padEnd}) on spatial axis ${axis}`,
      );
    let out = (ceilMode ? Math.ceil(slack / stride) : Math.floor(slack / stride)) + 1;
    // ONNX: a window that would start in the end padding is dropped.
    if (ceilMode && (out - 1) * stride >= extent + padBegin) out--;
    return { extent, kernel, stride, dilation, padBegin, padEnd, out };
  });
}

/** Where an output position meets the input through one tap: see {@link PositionRange}. */
export function positionsInside(offset: number, stride: number, extent: number, out: number): PositionRange {
  const first = Math.max(0, Math.ceil(-offset / stride));
  const end = Math.min(out, Math.floor((extent - 1 - offset) / stride) + 1);
  return { first, end: Math.max(first, end) };
}
