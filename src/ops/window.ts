// A window sliding over one to three padded spatial axes, as convolution and pooling share it. Each axis is resolved on its
// own (auto_pad, explicit pads, ceil_mode, the defaults of absent attributes). What works with the result sees three axes
// always: those that are not there have extent 1 and a window of one element, which changes no place in memory.

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

/** Throws unless `shape` is [N, C, …] with one to three spatial axes. */
export function checkSpatialRank(shape: Shape, who: string): void {
  const spatial = shape.length - 2;
  if (spatial > 3)
    throw new UnsupportedError(`${who}: X is ${formatShape(shape)}: windows over more than 3 axes are not supported`);
  if (spatial < 1) throw new ShapeError(`${who}: X must be [N, C, …] with spatial axes, got ${formatShape(shape)}`);
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

/** The axis that is not there. */
const ABSENT: WindowAxis = { extent: 1, kernel: 1, stride: 1, dilation: 1, padBegin: 0, padEnd: 0, out: 1 };

/** `axes` as depth, height and width, absent ones first. */
export function threeAxes(
  axes: readonly WindowAxis[],
): readonly [depth: WindowAxis, height: WindowAxis, width: WindowAxis] {
  const [first, second, third] = [ABSENT, ABSENT, ...axes].slice(-3);
  return [first!, second!, third!];
}

/** Whether a window of one element moves over an axis element by element, so that the axis is the same before and after. */
function isPlain({ extent, kernel, stride, padBegin, out }: WindowAxis): boolean {
  return kernel === 1 && stride === 1 && padBegin === 0 && out === extent;
}

/**
 * The same window with neighbouring axes that it does not see as axes (one element, moving by one) made one: their elements
 * lie in one row, and a 1×1 convolution is a convolution of one long row.
 */
export function mergePlainAxes(axes: readonly WindowAxis[]): WindowAxis[] {
  const merged: WindowAxis[] = [];
  for (const axis of axes) {
    const last = merged.at(-1);
    if (last && isPlain(last) && isPlain(axis))
      merged[merged.length - 1] = { ...axis, extent: last.extent * axis.extent, out: last.out * axis.out };
    else merged.push(axis);
  }
  return merged;
}
