// GridSample: a tensor read at places that are data, with interpolation. Every spatial axis is treated alike, so pictures,
// volumes and lines are one operator: the sum over all combinations of each axis' neighbours.

import { ShapeError, UnsupportedError } from "../core/errors.ts";
import { sizeOf } from "../core/shape.ts";
import { formatInputs, requireDType, requireInputs } from "./check.ts";
import { gridSampleGradient } from "./gridSampleGradient.ts";
import { defineOperator, type Operator, type OperatorCase } from "./operator.ts";

export type GridSampleAttributes = {
  /** 1: -1 and 1 are the centres of the outermost elements, 0: their outer edges. */
  readonly align_corners: number;
  /** `linear`, `nearest` or `cubic`. */
  readonly mode: string;
  /** What lies outside: `zeros`, the `border`'s elements, or the tensor's `reflection`. */
  readonly padding_mode: string;
};

/** Neighbours along one axis, by mode. */
export const GRID_TAPS: Readonly<Record<string, number>> = { nearest: 1, linear: 2, cubic: 4 };

const CUBIC_COEFFICIENT = -0.75;

/** Half a unit from an even number goes to it in a plane, away from 0 in a volume: so did the libraries ONNX followed. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const isTie = x - floor === 0.5;
  return isTie ? floor + (Math.abs(floor) % 2) : Math.floor(x + 0.5);
}

/** Reflects x at low and high until it lies between them. */
function reflect(x: number, low: number, high: number): number {
  const range = high - low;
  if (range <= 0) return low;
  const outside = x < low ? low - x : x - high;
  if (outside <= 0) return x;
  const turns = Math.floor(outside / range);
  const rest = outside - turns * range;
  return x < low === (turns % 2 === 0) ? low + rest : high - rest;
}

/** One axis of a sampled place: its neighbours' places (-1: outside, where there are zeros) and weights. */
interface AxisNeighbours {
  readonly places: readonly number[];
  readonly weights: readonly number[];
  /** How much the weights may change by rounding of the coordinate, in units of ε. */
  readonly doubt: number;
}

function neighbours(coordinate: number, extent: number, attributes: GridSampleAttributes): AxisNeighbours {
  const { align_corners, mode, padding_mode } = attributes;
  const [low, high] = align_corners !== 0 ? [0, extent - 1] : [-0.5, extent - 0.5];
  const inside = (place: number): number => Math.min(Math.max(place, 0), extent - 1);
  const pad = (place: number): number => {
    if (padding_mode === "zeros") return place >= 0 && place < extent ? place : -1;
    return inside(padding_mode === "border" ? place : reflect(place, low, high));
  };

  let x = align_corners !== 0 ? ((coordinate + 1) / 2) * (extent - 1) : ((coordinate + 1) * extent - 1) / 2;
  const doubt = 2 * (Math.abs(coordinate) + 2) * (extent + 1);
  if (mode === "nearest") x = roundHalfEven(x);
  // Only beyond the outer edge: within it cubic neighbours are padded one by one.
  if (x < low || x > high) {
    if (padding_mode === "border") x = inside(x);
    if (padding_mode === "reflection") x = reflect(x, low, high);
  }
  if (mode === "nearest") return { places: [pad(Math.trunc(x))], weights: [1], doubt: 0 };

  const base = Math.floor(x);
  const t = x - base;
  if (mode === "linear") return { places: [pad(base), pad(base + 1)], weights: [1 - t, t], doubt };
  const weights = [1 + t, t, 1 - t, 2 - t].map((distance) => cubic(distance));
  return { places: [base - 1, base, base + 1, base + 2].map(pad), weights, doubt: 3 * doubt + 20 };
}

/** Keys' cubic convolution kernel. */
function cubic(x: number): number {
  const a = CUBIC_COEFFICIENT;
  return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

const grid = (...shape: number[]) => ({ shape, low: -1.3, high: 1.3 });

const gridCases: readonly OperatorCase<GridSampleAttributes>[] = ["nearest", "linear", "cubic"].flatMap((mode) =>
  ["zeros", "border", "reflection"].flatMap((padding_mode) => [
    { inputs: [[2, 3, 5, 7], grid(2, 3, 5, 2)], attributes: { mode, padding_mode } },
    { inputs: [[1, 2, 6, 4], grid(1, 11, 7, 2)], attributes: { mode, padding_mode, align_corners: 1 } },
    { inputs: [[1, 2, 3, 4, 5], grid(1, 2, 3, 5, 3)], attributes: { mode, padding_mode } },
  ]),
);

/**
 * GridSample (ONNX): X [N, C, H, W] read at grid [N, outH, outW, 2], or X [N, C, D, H, W] at [N, outD, outH, outW, 3] → Y
 * [N, C, outH, outW] …; the grid's coordinates are in [-1, 1], the innermost axis' first. Any number of spatial axes. Any
 * element type for `nearest`, otherwise a float type; the grid is of a float type.
 */
export const gridSample: Operator<GridSampleAttributes> = defineOperator<GridSampleAttributes>({
  name: "GridSample",
  inputs: ["X", "grid"],
  outputs: ["Y"],
  attributes: { align_corners: 0, mode: "linear", padding_mode: "zeros" },
  infer: (inputs, { mode, padding_mode }) => {
    const [X, places] = requireInputs("GridSample", ["X", "grid"], inputs);
    if (!(mode in GRID_TAPS)) throw new UnsupportedError(`GridSample: mode ${mode} is not known`);
    if (!["zeros", "border", "reflection"].includes(padding_mode))
      throw new UnsupportedError(`GridSample: padding_mode ${padding_mode} is not known`);
    requireDType("GridSample", "X", X!, mode === "nearest" ? "any" : "float");
    requireDType("GridSample", "grid", places!, "float");
    const rank = X!.shape.length - 2;
    const fits = places!.shape.length === rank + 2 && places!.shape[0] === X!.shape[0] && places!.shape.at(-1) === rank;
    if (rank < 1 || !fits)
      throw new ShapeError(
        `GridSample: expected X [N, C, H, W] and grid [N, H', W', 2] or alike, got ${formatInputs(inputs)}`,
      );
    return [{ dtype: X!.dtype, shape: [...X!.shape.slice(0, 2), ...places!.shape.slice(1, -1)] }];
  },
  reference: ([X, places], { attributes, outputs }) => {
    const [, C, ...extents] = X!.shape as [number, number, ...number[]];
    const rank = extents.length;
    const values = new Float64Array(sizeOf(outputs[0]!.shape));
    const terms = new Float64Array(values.length);
    const points = sizeOf(outputs[0]!.shape.slice(2));
    const plane = sizeOf(extents);
    for (let at = 0; at < values.length; at++) {
      const point = at % points;
      const image = Math.floor(at / points); // n · C + c
      const row = Math.floor(image / C) * points + point;
      const axes = extents.map((extent, axis) =>
        neighbours(places!.data[row * rank + (rank - 1 - axis)]!, extent, attributes),
      );
      const visit = (axis: number, place: number, weight: number, doubt: number): void => {
        if (axis === rank) {
          const x = X!.data[image * plane + place]!;
          values[at]! += weight * x;
          terms[at]! += (Math.abs(weight) * 4 * rank + doubt) * Math.abs(x);
          return;
        }
        const along = axes[axis]!;
        along.places.forEach((to, i) => {
          if (to < 0) return;
          const share = along.weights[i]!;
          // A product's doubt: either factor may be off.
          visit(
            axis + 1,
            place * extents[axis]! + to,
            weight * share,
            doubt * Math.max(1, Math.abs(share)) + along.doubt,
          );
        });
      };
      visit(0, 0, 1, 0);
    }
    return [attributes.mode === "nearest" ? { values, terms: new Float64Array(values.length) } : { values, terms }];
  },
  errorBound: () => 2,
  gradient: gridSampleGradient,
  flops: ({ inputs, outputs, attributes: { mode } }) =>
    2 * GRID_TAPS[mode]! ** (inputs[0]!.shape.length - 2) * sizeOf(outputs[0]!.shape),
  cases: [
    ...gridCases,
    { inputs: [[1, 1, 1, 1], grid(1, 3, 3, 2)], attributes: { align_corners: 1, padding_mode: "reflection" }, why: "nothing to reflect at" }, // prettier-ignore
    { inputs: [[2, 3, 9], grid(2, 65, 1)], attributes: { padding_mode: "border" }, why: "lines" },
    { inputs: [{ shape: [1, 2, 5, 4], dtype: "int32" }, grid(1, 7, 5, 2)], attributes: { mode: "nearest" } },
    { inputs: [[1, 1, 4, 4], { shape: [1, 9, 9, 2], low: -9, high: 9 }], attributes: { padding_mode: "reflection" }, why: "several turns" }, // prettier-ignore
    { inputs: [[0, 1, 4, 4], grid(0, 3, 3, 2)] },
    { inputs: [[1, 1, 4, 4], grid(1, 0, 3, 2)] },
  ],
});
