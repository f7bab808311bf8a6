// Slice takes a part of a tensor and Pad puts a tensor into a larger one: each is the other's gradient, which is why they
// share a file. Splitting is several Slices. A pad may be negative: it crops, so that Pad alone can shift a window over a tensor.

import { ShapeError, UnsupportedError } from "../core/errors.ts";
import { formatShape, normalizeAxes, normalizeAxis, sizeOf, stridesOf, type Shape } from "../core/shape.ts";
import { filled } from "../core/tensorData.ts";
import { add, sub } from "./binary.ts";
import { formatInputs, requireInputs, requireSameDType } from "./check.ts";
import { reduceSum } from "./reduce.ts";
import { defineOperator, type Builder, type Operand, type Operator } from "./operator.ts";
import { gatherByAxis, OUTSIDE } from "./rearrange.ts";
import { reshapeTo } from "./reshape.ts";

export type SliceAttributes = {
  /** First coordinate of each sliced axis, and the one behind the last; negative ones count from the end. Clamped. */
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  /** Which axes; [] means the leading ones. */
  readonly axes: readonly number[];
  /** Any integers but 0; [] means 1. A negative step walks backwards. */
  readonly steps: readonly number[];
};

/** One axis of a resolved slice: coordinates start, start + step, …, `count` of them. */
export interface SliceAxis {
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

const clamp = (value: number, low: number, high: number): number => Math.max(low, Math.min(value, high));

/** Every axis of `shape` as `attributes` slice it. Throws ShapeError on lists that do not fit. */
export function resolveSlice(shape: Shape, { starts, ends, axes, steps }: SliceAttributes): SliceAxis[] {
  const fail = (why: string): never => {
    throw new ShapeError(
      `Slice: starts [${starts.join(", ")}], ends [${ends.join(", ")}], axes [${axes.join(", ")}], steps [${steps.join(", ")}] of ${formatShape(shape)}: ${why}`,
    );
  };
  const count = starts.length;
  if (ends.length !== count || ![0, count].includes(axes.length) || ![0, count].includes(steps.length))
    fail("the lists must be of one length");
  const resolved: SliceAxis[] = shape.map((extent) => ({ start: 0, step: 1, count: extent }));
  const named = starts.map((_, i) => normalizeAxis(axes[i] ?? i, shape.length, "Slice"));
  normalizeAxes(named, shape.length, "Slice"); // none twice
  named.forEach((axis, i) => {
    const extent = shape[axis]!;
    const step = steps[i] ?? 1;
    if (!Number.isInteger(step) || step === 0) fail("a step must be an integer other than 0");
    const fromStart = (place: number): number => (place < 0 ? place + extent : place);
    const [low, high] = step > 0 ? [0, extent] : [-1, extent - 1];
    const start = clamp(fromStart(starts[i]!), Math.max(low, 0), high);
    const end = clamp(fromStart(ends[i]!), low, high);
    resolved[axis] = { start, step, count: Math.max(0, Math.ceil((end - start) / step)) };
  });
  return resolved;
}

/** Slice (ONNX, with the inputs behind data as attributes): every step-th element of some axes. Any type; exact. */
export const slice: Operator<SliceAttributes> = defineOperator<SliceAttributes>({
  name: "Slice",
  inputs: ["data"],
  outputs: ["output"],
  attributes: { starts: [], ends: [], axes: [], steps: [] },
  infer: (inputs, attributes) => {
    const [data] = requireInputs("Slice", ["data"], inputs);
    return [{ dtype: data!.dtype, shape: resolveSlice(data!.shape, attributes).map(({ count }) => count) }];
  },
  reference: ([data], { attributes }) => {
    const strides = stridesOf(data!.shape);
    const places = resolveSlice(data!.shape, attributes).map(({ start, step, count }, axis) =>
      Array.from({ length: count }, (_, c) => (start + c * step) * strides[axis]!),
    );
    const values = gatherByAxis(data!.data, places);
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  gradient: ({ build, attributes, inputs: [data], outputGradients: [gradient] }) => {
    let whole = gradient!;
    resolveSlice(data!.shape, attributes).forEach((taken, axis) => {
      whole = spread(build, whole, axis, taken, data!.shape[axis]!);
    });
    return [whole];
  },
  flops: () => 0,
  minimumBytes: ({ outputs }) => 8 * sizeOf(outputs[0]!.shape),
  cases: [
    { inputs: [[7]], attributes: { starts: [2], ends: [5] } },
    {
      inputs: [[65]],
      attributes: { starts: [-1], ends: [-(2 ** 31)], steps: [-1] },
      why: "backwards to the beginning",
    },
    { inputs: [[20, 10, 5]], attributes: { starts: [0, 0, 3], ends: [20, 10, 4] } },
    { inputs: [[20, 10, 5]], attributes: { starts: [20, 10, 4], ends: [0, 0, 1], steps: [-1, -3, -2] } },
    { inputs: [[20, 10, 5]], attributes: { starts: [1], ends: [1000], axes: [1] }, why: "an end past the end" },
    { inputs: [[20, 10, 5]], attributes: { starts: [0, 1], ends: [-1, 1000], axes: [0, -1] } },
    {
      inputs: [[7, 11]],
      attributes: { starts: [1, 2], ends: [7, 11], axes: [1, 0], steps: [3, 2] },
      why: "axes unsorted",
    },
    { inputs: [[2, 3, 5, 7]], attributes: { starts: [1], ends: [3], axes: [2] } },
    { inputs: [[33, 65]], attributes: { starts: [0], ends: [65], axes: [1], steps: [2] } },
    { inputs: [[5, 3]], attributes: { starts: [9], ends: [12] }, why: "nothing is left" },
    { inputs: [[3, 0]], attributes: { starts: [0], ends: [2] } },
    { inputs: [[]], attributes: {} },
    {
      inputs: [[2, 1, 2, 3, 1, 2, 2, 3]],
      attributes: { starts: [1, -1], ends: [2, -4], axes: [5, 7], steps: [1, -2] },
    },
    { inputs: [{ shape: [5, 7], dtype: "int64" }], attributes: { starts: [1, -2], ends: [4, -7], steps: [2, -2] } },
    { inputs: [{ shape: [9], dtype: "bool" }], attributes: { starts: [1], ends: [9], steps: [2] } },
    { inputs: [{ shape: [9], dtype: "uint8" }], attributes: { starts: [-5], ends: [-1] } },
  ],
});

/** Undoes a slice of one axis: its elements go back to their places in `extent`, zeros between them. */
function spread(build: Builder, x: Operand, axis: number, { start, step, count }: SliceAxis, extent: number): Operand {
  if (step < 0) {
    const backwards = build.apply(slice, [x], { starts: [-1], ends: [-(2 ** 31)], axes: [axis], steps: [-1] });
    return spread(build, backwards, axis, { start: start + (count - 1) * step, step: -step, count }, extent);
  }
  const { shape } = x;
  let spaced = x;
  if (step > 1 && count > 0) {
    // [.., count, ..] → [.., count, 1, ..] → [.., count, step, ..] → [.., count·step, ..]
    const column = reshapeTo(build, x, [...shape.slice(0, axis + 1), 1, ...shape.slice(axis + 1)]);
    const padded = padAxis(build, column, axis + 1, 0, step - 1);
    spaced = reshapeTo(build, padded, [...shape.slice(0, axis), count * step, ...shape.slice(axis + 1)]);
  }
  const first = count === 0 ? 0 : start;
  return padAxis(build, spaced, axis, first, extent - first - spaced.shape[axis]!);
}

/** `x` cut to `count` elements of one axis, beginning with `start`. */
export function sliceAxis(build: Builder, x: Operand, axis: number, start: number, count: number): Operand {
  if (start === 0 && count === x.shape[axis]) return x;
  return build.apply(slice, [x], { starts: [start], ends: [start + count], axes: [axis] });
}

/** Cuts `x` into parts of the given extents along an axis. Throws ShapeError unless they fill it. */
export function splitAxis(
  build: Builder,
  x: Operand,
  axis: number,
  split: readonly number[],
  wanted?: (part: number) => boolean,
): (Operand | undefined)[] {
  const along = normalizeAxis(axis, x.shape.length, "Split");
  const total = split.reduce((sum, extent) => sum + extent, 0);
  if (total !== x.shape[along] || split.some((extent) => !Number.isInteger(extent) || extent < 0))
    throw new ShapeError(`Split: parts [${split.join(", ")}] do not fill axis ${along} of ${formatShape(x.shape)}`);
  let start = 0;
  return split.map((extent, part) => {
    const first = start;
    start += extent;
    return wanted && !wanted(part) ? undefined : sliceAxis(build, x, along, first, extent);
  });
}

export type PadAttributes = {
  /** Elements before each axis in `axes`, then elements behind each; negative ones are cut off. [] means none. */
  readonly pads: readonly number[];
  /** Which axes; [] means all. */
  readonly axes: readonly number[];
  /** "constant", "reflect" (the border is not repeated), "edge" or "wrap". */
  readonly mode: string;
};

/** One axis of a resolved padding: `crop` leading elements fall away, `extent` are kept, `before` and `after` are new. */
export interface PadAxis {
  readonly crop: number;
  readonly extent: number;
  readonly before: number;
  readonly after: number;
}

const PAD_MODES = ["constant", "reflect", "edge", "wrap"];

/** Every axis of `shape` as `attributes` pad it; negative pads crop first. Throws ShapeError on lists that do not fit. */
export function resolvePad(shape: Shape, { pads, axes, mode }: PadAttributes): PadAxis[] {
  const fail = (why: string): never => {
    throw new ShapeError(`Pad: pads [${pads.join(", ")}], axes [${axes.join(", ")}] of ${formatShape(shape)}: ${why}`);
  };
  if (!PAD_MODES.includes(mode)) throw new UnsupportedError(`Pad: mode must be ${PAD_MODES.join(", ")}, got "${mode}"`);
  const padded = axes.length > 0 ? axes.map((axis) => normalizeAxis(axis, shape.length, "Pad")) : [...shape.keys()];
  normalizeAxes(padded, shape.length, "Pad"); // none twice
  if (pads.length !== 0 && pads.length !== 2 * padded.length) fail(`expected ${2 * padded.length} pads`);
  return shape.map((extent, axis) => {
    const place = padded.indexOf(axis);
    const [begin, end] = place < 0 ? [0, 0] : [pads[place] ?? 0, pads[place + padded.length] ?? 0];
    if (!Number.isInteger(begin) || !Number.isInteger(end)) fail("pads must be integers");
    const resolved = {
      crop: Math.max(0, -begin),
      extent: extent + Math.min(0, begin) + Math.min(0, end),
      before: Math.max(0, begin),
      after: Math.max(0, end),
    };
    if (resolved.extent < 0) fail(`more is cut off axis ${axis} than there is`);
    if (resolved.extent === 0 && mode !== "constant" && resolved.before + resolved.after > 0)
      fail(`axis ${axis} has nothing to ${mode}`);
    return resolved;
  });
}

/** The kept coordinate a place beside or inside an axis of `extent` elements shows, or {@link OUTSIDE}. */
function sourceOf(place: number, extent: number, mode: string): number {
  if (place >= 0 && place < extent) return place;
  if (mode === "edge") return clamp(place, 0, extent - 1);
  if (mode === "wrap") return ((place % extent) + extent) % extent;
  if (mode === "constant") return OUTSIDE;
  const period = Math.max(1, 2 * (extent - 1));
  const phase = ((place % period) + period) % period;
  return phase < extent ? phase : period - phase;
}

/** For every coordinate of a padded axis, the input's coordinate it shows, or {@link OUTSIDE}. */
function padSources({ crop, extent, before, after }: PadAxis, mode: string): number[] {
  return Array.from({ length: before + extent + after }, (_, c) => {
    const source = sourceOf(c - before, extent, mode);
    return source === OUTSIDE ? OUTSIDE : source + crop;
  });
}

const PAD_INPUTS = ["data", "constant_value"];

/**
 * Pad (ONNX, with pads and axes as attributes): data [..] and an optional constant_value of one element, 0 by default.
 * Negative pads crop before the others are applied. Any element type; exact.
 */
export const pad: Operator<PadAttributes> = defineOperator<PadAttributes>({
  name: "Pad",
  inputs: PAD_INPUTS,
  required: 1,
  outputs: ["output"],
  attributes: { pads: [], axes: [], mode: "constant" },
  infer: (inputs, attributes) => {
    const present = inputs.filter((type) => type !== undefined);
    const [data, value] = requireInputs("Pad", PAD_INPUTS.slice(0, present.length), present);
    requireSameDType("Pad", present);
    if (value && sizeOf(value.shape) !== 1)
      throw new ShapeError(`Pad: constant_value must be one element, got ${formatInputs([value])}`);
    const shape = resolvePad(data!.shape, attributes).map(({ before, extent, after }) => before + extent + after);
    return [{ dtype: data!.dtype, shape }];
  },
  reference: ([data, value], { attributes }) => {
    const strides = stridesOf(data!.shape);
    const places = resolvePad(data!.shape, attributes).map((axis, i) =>
      padSources(axis, attributes.mode).map((source) => (source === OUTSIDE ? OUTSIDE : source * strides[i]!)),
    );
    const values = gatherByAxis(data!.data, places, value?.data[0]);
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  gradient: ({ build, attributes, inputs: [data, value], outputGradients: [gradient], wanted }) => {
    let inner = gradient!;
    resolvePad(data!.shape, attributes).forEach((axis, i) => {
      inner = padAxisGradient(build, inner, i, axis, data!.shape[i]!, attributes.mode);
    });
    if (!value || !wanted[1]) return [inner, undefined];
    if (attributes.mode !== "constant") return [inner, build.constant(filled(0, value.shape, value.dtype))];
    const total = (x: Operand): Operand => reshapeTo(build, build.apply(reduceSum, [x]), value.shape);
    return [inner, build.apply(sub, [total(gradient!), total(inner)])];
  },
  flops: () => 0,
  cases: [
    { inputs: [[7]], attributes: { pads: [2, 3] } },
    { inputs: [[3, 5], []], attributes: { pads: [1, 0, 0, 2] } },
    { inputs: [[2, 3, 5, 7], []], attributes: { pads: [0, 0, 1, 2, 0, 0, 3, 4] }, why: "the spatial axes of an image" },
    { inputs: [[65, 3], [1]], attributes: { pads: [1, 1], axes: [-2] } },
    { inputs: [[5, 7], []], attributes: { pads: [-1, 2, 1, -3] }, why: "crops and pads" },
    { inputs: [[5, 3]], attributes: { pads: [-1, -3], axes: [0] }, why: "crops only" },
    { inputs: [[4, 5]], attributes: { pads: [2, 1, 3, 2], mode: "reflect" } },
    { inputs: [[3, 2]], attributes: { pads: [5, 3, 7, 1], mode: "reflect" }, why: "reflects several times" },
    { inputs: [[1, 3]], attributes: { pads: [2, 0, 1, 0], mode: "reflect" }, why: "reflects one element" },
    { inputs: [[3, 4, 5]], attributes: { pads: [0, 2, 1, 0, 0, 3], mode: "edge" } },
    { inputs: [[3, 4]], attributes: { pads: [4, 1, 2, 6], mode: "wrap" } },
    { inputs: [[5, 4]], attributes: { pads: [-1, 1, 2, 3], mode: "wrap" }, why: "wraps what was not cropped" },
    { inputs: [[2, 1, 2, 3, 1, 2, 2, 3]], attributes: { pads: [1, 0, 1, 2], axes: [3, 6] } },
    { inputs: [[0, 3]], attributes: { pads: [1, 0, 1, 0] }, why: "nothing but padding" },
    { inputs: [[3]], attributes: { pads: [-1, -2] }, why: "nothing is left" },
    { inputs: [[], []], attributes: {} },
    {
      inputs: [
        { shape: [2, 3], dtype: "int64" },
        { shape: [], dtype: "int64" },
      ],
      attributes: { pads: [1, 0, 1, 2] },
    },
    { inputs: [{ shape: [5], dtype: "int32" }], attributes: { pads: [2, 3], mode: "edge" } },
    { inputs: [{ shape: [5], dtype: "bool" }], attributes: { pads: [2, 1] } },
  ],
});

/** `x` with `before` and `after` zeros along one axis; negative numbers crop. */
function padAxis(build: Builder, x: Operand, axis: number, before: number, after: number): Operand {
  return before === 0 && after === 0 ? x : build.apply(pad, [x], { pads: [before, after], axes: [axis] });
}

/** Sums what a padded axis shows back to where it came from: one term for every run of neighbours shown in order. */
function padAxisGradient(
  build: Builder,
  gradient: Operand,
  axis: number,
  padded: PadAxis,
  extent: number,
  mode: string,
): Operand {
  if (mode === "constant")
    return padAxis(
      build,
      gradient,
      axis,
      padded.crop - padded.before,
      extent - padded.crop - padded.extent - padded.after,
    );
  const sources = padSources(padded, mode);
  let sum: Operand | undefined;
  for (let first = 0; first < sources.length; ) {
    const step = (sources[first + 1] ?? 0) - sources[first]!;
    let count = 1;
    // A run of one step; a jump (where wrapping begins again) ends it.
    if (Math.abs(step) <= 1)
      while (first + count < sources.length && sources[first + count]! - sources[first + count - 1]! === step) count++;
    const shown = sliceAxis(build, gradient, axis, first, count);
    const term =
      step === 0 && count > 1
        ? spread(
            build,
            build.apply(reduceSum, [shown], { axes: [axis] }),
            axis,
            { start: sources[first]!, step: 1, count: 1 },
            extent,
          )
        : spread(build, shown, axis, { start: sources[first]!, step: count === 1 ? 1 : step, count }, extent);
    sum = sum ? build.apply(add, [sum, term]) : term;
    first += count;
  }
  return sum ?? padAxis(build, gradient, axis, 0, extent);
}
