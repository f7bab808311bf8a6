// What the pooling operators share: attributes, the resolved window, and for their references the places of X that every
// window of a plane holds.

import { ShapeError } from "../core/errors.ts";
import { formatShape, type Shape } from "../core/shape.ts";
import type { Problem } from "./operator.ts";
import { checkSpatialRank, resolveWindow, threeAxes, type WindowAttributes, type WindowAxis } from "./window.ts";

/** Attributes of every pooling, named as in ONNX; `[]` is ONNX's default of an absent list, `kernel_shape` is required. */
export type PoolAttributes = {
  readonly auto_pad: string;
  /** 0 or 1: whether a last, partial window counts. */
  readonly ceil_mode: number;
  readonly dilations: readonly number[];
  readonly kernel_shape: readonly number[];
  readonly pads: readonly number[];
  readonly strides: readonly number[];
};

export const poolDefaults: PoolAttributes = {
  auto_pad: "NOTSET",
  ceil_mode: 0,
  dilations: [],
  kernel_shape: [],
  pads: [],
  strides: [],
};

/** A resolved pooling, always seen forward and with three axes: X [planes, D, H, W] gives Y [planes, outD, outH, outW]. */
export interface PoolGeometry {
  readonly planes: number;
  readonly depth: WindowAxis;
  readonly height: WindowAxis;
  readonly width: WindowAxis;
}

/** The window over the spatial axes of `x`, in x's own rank. */
function resolvePool(
  x: Shape,
  attributes: WindowAttributes & { readonly ceil_mode: number },
  who: string,
): WindowAxis[] {
  checkSpatialRank(x, who);
  const kernel = attributes.kernel_shape;
  if (kernel.length !== x.length - 2 || kernel.some((extent) => !Number.isInteger(extent) || extent < 1))
    throw new ShapeError(`${who}: kernel_shape must be ${x.length - 2} positive integers, got [${kernel.join(", ")}]`);
  const axes = resolveWindow(x.slice(2), kernel, attributes, attributes.ceil_mode !== 0, who);
  for (const { padBegin, padEnd, kernel: extent, dilation } of axes)
    if (padEnd < 0 || Math.max(padBegin, padEnd) > (extent - 1) * dilation)
      throw new ShapeError(
        `${who}: pads ${padBegin} and ${padEnd} must be at least 0 and smaller than the kernel, which is ${extent}`,
      );
  return axes;
}

/** Shape of the pooled x. */
export function pooledShape(x: Shape, attributes: PoolAttributes, who: string): Shape {
  const outs = resolvePool(x, attributes, who).map(({ out }) => out);
  return [...x.slice(0, 2), ...outs];
}

/** Geometry of a problem of any operator that slides a window: poolings, and their gradients. */
export function poolGeometry(
  problem: Problem<PoolAttributes & { readonly input_shape?: readonly number[] }>,
): PoolGeometry {
  const { attributes } = problem;
  const first = problem.inputs[0]!.shape;
  // Gradients that do not read X are told its extents by an attribute.
  const x = attributes.input_shape ? [...first.slice(0, 2), ...attributes.input_shape] : first;
  const [depth, height, width] = threeAxes(resolvePool(x, attributes, "pooling"));
  return { planes: x[0]! * x[1]!, depth, height, width };
}

/** Elements that the windows of one plane are read from, and windows of one plane. */
export const planeSize = ({ depth, height, width }: PoolGeometry): number =>
  depth.extent * height.extent * width.extent;
const planeWindows = ({ depth, height, width }: PoolGeometry): number => depth.out * height.out * width.out;

/** Elements of a whole window. */
export const windowSize = ({ depth, height, width }: PoolGeometry): number =>
  depth.kernel * height.kernel * width.kernel;

/** One operation for each element of each window. */
export const poolFlops = (g: PoolGeometry): number => g.planes * planeWindows(g) * windowSize(g);

/** Most windows that can hold one element. */
export function coveringWindows({ depth, height, width }: PoolGeometry): number {
  return [depth, height, width].reduce((count, { kernel, out }) => count * Math.min(kernel, out), 1);
}

/** Positions of window `o`'s taps along one axis that lie in [from, to). */
function taps({ stride, padBegin, kernel, dilation }: WindowAxis, o: number, from: number, to: number): number[] {
  const positions = Array.from({ length: kernel }, (_, k) => o * stride - padBegin + k * dilation);
  return positions.filter((position) => position >= from && position < to);
}

/** Every window of one plane, in row-major order, as the places of its elements in the plane, in row-major order too. */
export function windowsOf(g: PoolGeometry): number[][] {
  const inside = (axis: WindowAxis): number[][] =>
    Array.from({ length: axis.out }, (_, o) => taps(axis, o, 0, axis.extent));
  const [slices, rows, columns] = [inside(g.depth), inside(g.height), inside(g.width)];
  return slices.flatMap((ds) =>
    rows.flatMap((hs) =>
      columns.map((ws) =>
        ds.flatMap((d) => hs.flatMap((h) => ws.map((w) => (d * g.height.extent + h) * g.width.extent + w))),
      ),
    ),
  );
}

/**
 * Elements each window's sum is divided by, in the order of {@link windowsOf}: the padding counts if asked for, but nothing
 * beyond it ever does. A window without any element counts 1.
 */
export function windowCounts(g: PoolGeometry, includePad: boolean): number[] {
  const counts = (axis: WindowAxis): number[] => {
    const [begin, end] = includePad ? [axis.padBegin, axis.padEnd] : [0, 0];
    return Array.from({ length: axis.out }, (_, o) => taps(axis, o, -begin, axis.extent + end).length);
  };
  const [slices, rows, columns] = [counts(g.depth), counts(g.height), counts(g.width)];
  return slices.flatMap((d) => rows.flatMap((h) => columns.map((w) => Math.max(1, d * h * w))));
}

/** Throws unless `dy` is what pooling `x` gives. */
export function checkPooled(dy: Shape, x: Shape, attributes: PoolAttributes, who: string): void {
  const expected = pooledShape(x, attributes, who);
  if (dy.length !== expected.length || dy.some((extent, axis) => extent !== expected[axis]))
    throw new ShapeError(`${who}: dY must be ${formatShape(expected)}, the pooling's output, got ${formatShape(dy)}`);
}
