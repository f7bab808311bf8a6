// Resizing one axis is a linear map that depends on extents and attributes only: every place of the result is a weighted sum
// of a few neighbours. The maps are worked out here, on the host, so that the coordinates' arithmetic, in which half a unit
// in the last place decides which neighbour is nearest, is the same everywhere; kernels only follow the tables.

import { ShapeError, UnsupportedError } from "../core/errors.ts";
import { formatShape, normalizeAxis, type Shape } from "../core/shape.ts";

/** Attributes of Resize, named as in ONNX; `[]` is ONNX's default of an absent list. */
export type ResizeAttributes = {
  /** 0 or 1: when shrinking, widen the filter by the same factor. `linear` and `cubic` only. */
  readonly antialias: number;
  /** The axes that `scales`, `sizes` and `roi` speak of; [] stands for all. */
  readonly axes: readonly number[];
  readonly coordinate_transformation_mode: string;
  readonly cubic_coeff_a: number;
  /** 0 or 1: neighbours outside the tensor weigh nothing; otherwise the border's element is repeated. */
  readonly exclude_outside: number;
  /** What `tf_crop_and_resize` gives outside the tensor. */
  readonly extrapolation_value: number;
  /** `stretch`, or for `sizes` `not_larger` or `not_smaller`. */
  readonly keep_aspect_ratio_policy: string;
  /** `nearest`, `linear` or `cubic`. */
  readonly mode: string;
  /** `round_prefer_floor`, `round_prefer_ceil`, `floor`, `ceil`, or `simple`: that of Resize before version 11. */
  readonly nearest_mode: string;
  /** Begins, then ends, one each an axis, in units of the extent; `tf_crop_and_resize` only. */
  readonly roi: readonly number[];
  /** Either these or `sizes`. */
  readonly scales: readonly number[];
  readonly sizes: readonly number[];
};

/** How one axis is resized. */
interface ResizedAxis {
  readonly axis: number;
  readonly from: number;
  readonly to: number;
  readonly scale: number;
  /** from · scale, which need not be whole: the length that `align_corners` maps onto. */
  readonly length: number;
  /** Begin and end of the region, in units of the extent. */
  readonly region: readonly [number, number];
}

/** Result place j is Σ_t weights[j · taps + t] · x[starts[j] + t]; a start of -1 says that it lies outside. */
export interface AxisTable {
  readonly starts: Int32Array;
  readonly weights: Float32Array;
  readonly taps: number;
}

/** Every axis that `attributes` speak of, with its extents. Throws ShapeError where they do not fit `shape`. */
export function resizedAxes(shape: Shape, attributes: ResizeAttributes): ResizedAxis[] {
  const { scales, sizes, roi, keep_aspect_ratio_policy: policy } = attributes;
  const axes =
    attributes.axes.length === 0
      ? shape.map((_, axis) => axis)
      : attributes.axes.map((axis) => normalizeAxis(axis, shape.length, "Resize"));
  const bySizes = sizes.length > 0;
  const given = bySizes ? sizes : scales;
  if (bySizes === scales.length > 0 && axes.length > 0)
    throw new ShapeError("Resize: exactly one of scales and sizes must be given");
  if (given.length !== axes.length)
    throw new ShapeError(
      `Resize: ${given.length} ${bySizes ? "sizes" : "scales"} for ${axes.length} axes of ${formatShape(shape)}`,
    );
  if (given.some((value) => !(value > 0) && !(bySizes && value === 0)))
    throw new ShapeError(`Resize: ${bySizes ? "sizes" : "scales"} must be positive, got [${given.join(", ")}]`);
  if (roi.length !== 0 && roi.length !== 2 * axes.length)
    throw new ShapeError(`Resize: roi must hold ${2 * axes.length} numbers, got ${roi.length}`);

  const ratios = axes.map((axis, i) => (bySizes ? given[i]! / shape[axis]! : Math.fround(given[i]!)));
  const common = policy === "not_larger" ? Math.min(...ratios) : Math.max(...ratios);
  return axes.map((axis, i) => {
    const from = shape[axis]!;
    const isStretched = !bySizes || policy === "stretch";
    const scale = isStretched ? ratios[i]! : common;
    // The product is rounded to float32 as exporters and runtimes do: 10 · 0.7 is 7, though float32 holds 0.69999999.
    const to = !bySizes
      ? Math.floor(Math.fround(from * scale))
      : isStretched
        ? given[i]!
        : Math.floor(scale * from + 0.5);
    if (from === 0 && to > 0) throw new ShapeError(`Resize: axis ${axis} is empty and cannot become ${to} long`);
    return {
      axis,
      from,
      to,
      scale,
      length: bySizes && isStretched ? to : from * scale,
      region: [roi[i] ?? 0, roi[axes.length + i] ?? 1],
    };
  });
}

/** The map of one axis. */
export function axisTable(axis: ResizedAxis, attributes: ResizeAttributes): AxisTable {
  const { from, to } = axis;
  const isCrop = attributes.coordinate_transformation_mode === "tf_crop_and_resize";
  const rows = Array.from({ length: to }, (_, place): ReadonlyMap<number, number> | undefined => {
    if (isCrop) {
      const x = Math.fround(coordinate(place, axis, attributes, Math.fround));
      if (x < 0 || x > from - 1) return undefined;
    }
    return attributes.mode === "nearest" ? nearest(place, axis, attributes) : weighted(place, axis, attributes);
  });

  const spans = rows.map((row) => {
    const places = row ? [...row.keys()] : [];
    return row && { first: Math.min(...places), end: Math.max(...places) + 1 };
  });
  const taps = Math.max(1, ...spans.map((span) => (span ? span.end - span.first : 0)));
  const starts = new Int32Array(to);
  const weights = new Float32Array(to * taps);
  rows.forEach((row, place) => {
    const start = row ? Math.min(spans[place]!.first, from - taps) : -1;
    starts[place] = start;
    row?.forEach((weight, at) => {
      weights[place * taps + at - start] = weight;
    });
  });
  return { starts, weights, taps };
}

/** True if every place of the result is the same place of the input. */
export function isIdentity({ starts, weights, taps }: AxisTable, { from, to }: ResizedAxis): boolean {
  return from === to && taps === 1 && starts.every((start, place) => start === place) && weights.every((w) => w === 1);
}

/** Where place x of the result lies in the input. `round` is applied after every operation. */
function coordinate(
  x: number,
  { from, to, scale, length, region: [begin, end] }: ResizedAxis,
  { coordinate_transformation_mode: mode }: ResizeAttributes,
  round: (value: number) => number,
): number {
  const factor = round(scale);
  const centre = round((x + 0.5) / factor);
  switch (mode) {
    case "half_pixel":
      return round(centre - 0.5);
    case "half_pixel_symmetric": {
      const offset = round((from / 2) * round(1 - round(to / round(length))));
      return round(round(offset + centre) - 0.5);
    }
    case "pytorch_half_pixel":
      return length > 1 ? round(centre - 0.5) : 0;
    case "tf_half_pixel_for_nn":
      return centre;
    case "asymmetric":
      return round(x / factor);
    case "align_corners":
      return length === 1 ? 0 : round(round(x * (from - 1)) / round(length - 1));
    case "tf_crop_and_resize": {
      if (length === 1) return round(0.5 * (begin + end) * (from - 1));
      const step = round(round(round(x * round(end - begin)) * (from - 1)) / round(length - 1));
      return round(round(begin * (from - 1)) + step);
    }
    default:
      throw new UnsupportedError(`Resize: coordinate_transformation_mode ${mode} is not known`);
  }
}

const clamp = (place: number, extent: number): number => Math.min(Math.max(place, 0), extent - 1);

/** The one neighbour of a place. Its coordinate is a float32, as other runtimes have it: 3 / 0.6 is 5, not 4.9999998. */
function nearest(place: number, axis: ResizedAxis, attributes: ResizeAttributes): ReadonlyMap<number, number> {
  const x = coordinate(place, axis, attributes, Math.fround);
  const round = (): number => {
    switch (attributes.nearest_mode) {
      case "round_prefer_floor":
        return Math.ceil(x - 0.5);
      case "round_prefer_ceil":
        return Math.floor(x + 0.5);
      case "floor":
        return Math.floor(x);
      case "ceil":
        return Math.ceil(x);
      case "simple":
        return axis.scale < 1 ? Math.ceil(x) : Math.floor(x);
      default:
        throw new UnsupportedError(`Resize: nearest_mode ${attributes.nearest_mode} is not known`);
    }
  };
  return new Map([[clamp(round(), axis.from), 1]]);
}

/** All neighbours of a place with their weights. */
function weighted(place: number, axis: ResizedAxis, attributes: ResizeAttributes): ReadonlyMap<number, number> {
  const { mode, cubic_coeff_a: a, antialias, exclude_outside } = attributes;
  if (mode !== "linear" && mode !== "cubic") throw new UnsupportedError(`Resize: mode ${mode} is not known`);
  const radius = mode === "linear" ? 1 : 2;
  const filter = mode === "linear" ? (t: number) => Math.max(0, 1 - Math.abs(t)) : (t: number) => cubic(t, a);
  const shrink = antialias === 0 ? 1 : Math.min(axis.scale, 1);

  const x = coordinate(place, axis, attributes, (value) => value);
  const base = Math.ceil(x) - 1; // x - base is in (0, 1]
  const first = Math.floor(-radius / shrink) + 1;
  const row = new Map<number, number>();
  let sum = 0;
  for (let t = first; t < 2 - first; t++) {
    const weight = filter(shrink * (base + t - x));
    const at = clamp(base + t, axis.from);
    if (weight === 0 || (exclude_outside !== 0 && at !== base + t)) continue;
    sum += weight;
    row.set(at, (row.get(at) ?? 0) + weight);
  }
  if (antialias !== 0 || exclude_outside !== 0) for (const [at, weight] of row) row.set(at, weight / sum);
  return row;
}

/** Keys' cubic convolution kernel with parameter a. */
function cubic(t: number, a: number): number {
  const x = Math.abs(t);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}
