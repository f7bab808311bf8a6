// Weighted sums of neighbours along one or two axes, following tables that are data: what Resize comes down to, whatever
// its attributes. Tables are words without a gradient: weights are the bits of float32 numbers.

import { ShapeError } from "../core/errors.ts";
import { formatShape, normalizeAxis, sizeOf, type Shape, type TensorType } from "../core/shape.ts";
import { formatInputs, requireDType } from "./check.ts";
import {
  defineOperator,
  summationBound,
  type Numbers,
  type Operand,
  type Operator,
  type Problem,
  type ReferenceInput,
} from "./operator.ts";

export type ResampleAttributes = {
  /** The axis of `columns`, then, further out, that of `rows` if there are any. */
  readonly axes: readonly number[];
  /** The result wherever a start is -1. */
  readonly fill: number;
};

export type ResampleGradientAttributes = {
  readonly axis: number;
  /** X's extent along the axis. */
  readonly extent: number;
};

/** One axis and its table, as numbers. Without weights each place is one neighbour. */
interface ResampledAxis {
  readonly axis: number;
  readonly starts: ArrayLike<number>;
  readonly weights: ArrayLike<number> | undefined;
}

/**
 * x [..] of `shape` with each of some axes resampled: place j is Σ_t weights[j, t] · x[starts[j] + t], and `fill` wherever a
 * start is -1 along any axis.
 */
export function resampleAxes(x: Numbers, shape: Shape, axes: readonly ResampledAxis[], fill: number): Float64Array {
  let values: Numbers = x;
  let extents = shape;
  for (const along of axes) {
    values = resampleAxis(values, extents, along);
    extents = extents.with(along.axis, along.starts.length);
  }
  const y = Float64Array.from(values);
  for (const { axis, starts } of axes) {
    const inner = sizeOf(extents.slice(axis + 1));
    for (let at = 0; at < y.length; at++) if (starts[Math.floor(at / inner) % extents[axis]!]! < 0) y[at] = fill;
  }
  return y;
}

function resampleAxis(x: Numbers, shape: Shape, { axis, starts, weights }: ResampledAxis): Float64Array {
  const from = shape[axis]!;
  const inner = sizeOf(shape.slice(axis + 1));
  const outer = sizeOf(shape.slice(0, axis));
  const to = starts.length;
  const taps = weights ? weights.length / Math.max(1, to) : 1;
  const y = new Float64Array(outer * to * inner);
  for (let o = 0; o < outer; o++)
    for (let j = 0; j < to; j++)
      for (let t = 0; t < taps && starts[j]! >= 0; t++)
        for (let i = 0; i < inner; i++)
          y[(o * to + j) * inner + i]! +=
            (weights ? weights[j * taps + t]! : 1) * x[(o * from + starts[j]! + t) * inner + i]!;
  return y;
}

/** The float32 numbers whose bits a table of weights holds. */
function weightsOf(bits: ReferenceInput | undefined): Float32Array | undefined {
  return bits && new Float32Array(Uint32Array.from(bits.data).buffer);
}

/** Weights of one result element along each axis: 1 where there is no table of weights, 0 where there is no second axis. */
export function tapsOf({ inputs }: Problem): { columns: number; rows: number } {
  const [, columns, columnWeights, rows, rowWeights] = inputs;
  const taps = (starts: TensorType | undefined, weights: TensorType | undefined): number =>
    weights?.shape[1] ?? (starts ? 1 : 0);
  return { columns: taps(columns, columnWeights), rows: taps(rows, rowWeights) };
}

function checkTable(who: string, starts: TensorType, weights: TensorType | undefined): void {
  requireDType(who, "starts", starts, ["int32"]);
  if (weights) requireDType(who, "weights", weights, ["uint32"]);
  const fits = !weights || (weights.shape.length === 2 && weights.shape[0] === starts.shape[0]);
  if (starts.shape.length !== 1 || !fits)
    throw new ShapeError(`${who}: expected starts [N] and weights [N, taps], got ${formatInputs([starts, weights])}`);
}

const starts = (count: number, high: number, low = 0) => ({ shape: [count], dtype: "int32", low, high }) as const;
/** Bits of floats in [0.25, 1). */
const weights = (count: number, taps: number) =>
  ({ shape: [count, taps], dtype: "uint32", low: 0x3e800000, high: 0x3f800000 }) as const;

/**
 * Resample: X [.., W, ..] along axes[0], and [.., H, ..] along axes[1], by tables. Place j of the first becomes
 * Σ_t columnWeights[j, t] · X[columns[j] + t], with columns int32 [N] and columnWeights [N, taps] the bits of float32
 * numbers (without it: one neighbour of weight 1); `fill` where columns[j] is -1. Rows alike. Any element type
 * without weights, a float type with them.
 */
export const resample: Operator<ResampleAttributes> = defineOperator<ResampleAttributes>({
  name: "Resample",
  inputs: ["X", "columns", "columnWeights", "rows", "rowWeights"],
  required: 2,
  outputs: ["Y"],
  attributes: { axes: [-1], fill: 0 },
  infer: ([X, columns, columnWeights, rows, rowWeights], attributes) => {
    const axes = attributes.axes.map((axis) => normalizeAxis(axis, X!.shape.length, "Resample"));
    if (axes.length !== (rows ? 2 : 1) || (rows && axes[1]! >= axes[0]!))
      throw new ShapeError(
        `Resample: expected the columns' axis and, with rows, one further out, got ${formatShape(attributes.axes)}`,
      );
    if (columnWeights || rowWeights) requireDType("Resample", "X", X!, "float");
    checkTable("Resample", columns!, columnWeights);
    if (rows) checkTable("Resample", rows, rowWeights);
    const shape = [...X!.shape];
    shape[axes[0]!] = columns!.shape[0]!;
    if (rows) shape[axes[1]!] = rows.shape[0]!;
    return [{ dtype: X!.dtype, shape }];
  },
  reference: ([X, columns, columnWeights, rows, rowWeights], { attributes: { axes, fill } }) => {
    const tables = [[columns!, columnWeights] as const, ...(rows ? [[rows, rowWeights] as const] : [])];
    const run = (data: Numbers, filling: number, change: (weight: number) => number): Float64Array => {
      const steps = tables.map(([places, table], i) => ({
        axis: normalizeAxis(axes[i]!, X!.shape.length, "Resample"),
        starts: places.data,
        weights: weightsOf(table)?.map(change),
      }));
      return resampleAxes(data, X!.shape, steps, filling);
    };
    const values = run(X!.data, fill, (weight) => weight);
    if (!columnWeights && !rowWeights) return [{ values, terms: new Float64Array(values.length) }];
    return [{ values, terms: run(X!.data.map(Math.abs), Math.abs(fill), Math.abs) }];
  },
  errorBound: (problem) => {
    const { columns, rows } = tapsOf(problem);
    return summationBound(columns * Math.max(1, rows));
  },
  gradient: ({ build, attributes, inputs, outputGradients: [dy] }) => {
    const [X, columns, columnWeights, rows, rowWeights] = inputs;
    const along = (gradient: Operand, i: number, table: readonly (Operand | undefined)[]): Operand => {
      const axis = normalizeAxis(attributes.axes[i]!, X!.shape.length, "Resample");
      return build.apply(resampleGradient, [gradient, ...table], { axis, extent: X!.shape[axis]! });
    };
    const first = rows ? along(dy!, 1, [rows, rowWeights]) : dy!;
    return [along(first, 0, [columns, columnWeights])];
  },
  flops: (problem) => {
    const { columns, rows } = tapsOf(problem);
    return 2 * columns * Math.max(1, rows) * sizeOf(problem.outputs[0]!.shape);
  },
  cases: [
    { inputs: [[5], starts(8, 5)], why: "one neighbour: a selection" },
    { inputs: [[2, 5, 3], starts(8, 4), weights(8, 2)], attributes: { axes: [1] } },
    { inputs: [[2, 3, 4, 5], starts(7, 5), undefined, starts(9, 4)], attributes: { axes: [3, 2] } },
    {
      inputs: [[2, 3, 4, 5], starts(7, 4), weights(7, 2), starts(9, 3), weights(9, 2)],
      attributes: { axes: [-1, -2] },
    },
    { inputs: [[1, 2, 7, 9], starts(5, 6), weights(5, 4), starts(3, 6), undefined], attributes: { axes: [3, 2] } },
    { inputs: [[2, 5, 4, 3], starts(9, 3), weights(9, 2), starts(3, 4), weights(3, 2)], attributes: { axes: [2, 1] }, why: "channels last" }, // prettier-ignore
    { inputs: [[4, 3, 6], starts(5, 5), weights(5, 2), starts(7, 3), weights(7, 2)], attributes: { axes: [2, 0] }, why: "an axis between" }, // prettier-ignore
    { inputs: [[1, 1, 9, 67], starts(65, 66, -1), weights(65, 2), starts(4, 7, -1), weights(4, 3)], attributes: { axes: [3, 2], fill: 2.5 }, why: "some places outside" }, // prettier-ignore
    { inputs: [[3, 31], starts(4, 2), weights(4, 30)], why: "many taps" },
    {
      inputs: [{ shape: [2, 4, 5], dtype: "int32" }, starts(7, 5), undefined, starts(3, 4)],
      attributes: { axes: [2, 1] },
    },
    { inputs: [{ shape: [7], dtype: "bool" }, starts(15, 7)] },
    { inputs: [[0, 3], starts(5, 3)] },
    { inputs: [[2, 3], starts(0, 3)] },
  ],
});

/**
 * ResampleGradient: dY [.., N, ..] and one axis' table as {@link resample} takes it → dX [.., extent, ..]: each place of X
 * gathers what it gave, Σ weights[j, t] · dY[j] over all j, t with starts[j] + t = place.
 */
export const resampleGradient: Operator<ResampleGradientAttributes> = defineOperator<ResampleGradientAttributes>({
  name: "ResampleGradient",
  inputs: ["dY", "starts", "weights"],
  required: 2,
  outputs: ["dX"],
  attributes: { axis: -1, extent: 1 },
  infer: ([dY, places, table], attributes) => {
    requireDType("ResampleGradient", "dY", dY!, "float");
    checkTable("ResampleGradient", places!, table);
    const axis = normalizeAxis(attributes.axis, dY!.shape.length, "ResampleGradient");
    if (dY!.shape[axis] !== places!.shape[0])
      throw new ShapeError(`ResampleGradient: starts do not fit axis ${axis} of dY, got ${formatInputs([dY, places])}`);
    return [{ dtype: dY!.dtype, shape: dY!.shape.with(axis, attributes.extent) }];
  },
  reference: ([dY, places, bits], { attributes: { axis: given, extent } }) => {
    const { shape, data } = dY!;
    const axis = normalizeAxis(given, shape.length, "ResampleGradient");
    const inner = sizeOf(shape.slice(axis + 1));
    const to = shape[axis]!;
    const table = weightsOf(bits);
    const taps = table ? table.length / Math.max(1, to) : 1;
    const values = new Float64Array(sizeOf(shape.with(axis, extent)));
    const terms = new Float64Array(values.length);
    for (let at = 0; at < data.length; at++) {
      const j = Math.floor(at / inner) % to;
      const outer = Math.floor(at / (inner * to));
      if (places!.data[j]! < 0) continue;
      for (let t = 0; t < taps; t++) {
        const place = (outer * extent + places!.data[j]! + t) * inner + (at % inner);
        const term = (table ? table[j * taps + t]! : 1) * data[at]!;
        values[place]! += term;
        terms[place]! += Math.abs(term);
      }
    }
    return [{ values, terms }];
  },
  errorBound: ({ inputs }) => summationBound(sizeOf(inputs[1]!.shape) * (inputs[2]?.shape[1] ?? 1)),
  gradient: ({ build, attributes: { axis }, inputs: [, places, table], outputGradients: [gradient] }) => [
    build.apply(resample, [gradient, places, table], { axes: [axis] }),
  ],
  flops: ({ inputs }) => 2 * sizeOf(inputs[0]!.shape) * (inputs[2]?.shape[1] ?? 1),
  cases: [
    { inputs: [[8], starts(8, 5)], attributes: { extent: 5 } },
    { inputs: [[2, 8, 3], starts(8, 4, -1), weights(8, 2)], attributes: { axis: 1, extent: 5 } },
    { inputs: [[3, 4], starts(4, 2), weights(4, 30)], attributes: { extent: 31 } },
    { inputs: [[3, 67], starts(67, 33), weights(67, 3)], attributes: { extent: 35 } },
    { inputs: [[0, 4], starts(4, 2)], attributes: { extent: 3 } },
    { inputs: [[3, 0], starts(0, 2)], attributes: { extent: 2 }, why: "sums of nothing" },
  ],
});

/** Elements a walk over two resampled axes steps through: outer, rows' axis, middle, columns' axis, inner. */
interface ResampleExtents {
  readonly outH: number;
  readonly inH: number;
  readonly middle: number;
  readonly outW: number;
  readonly inW: number;
  readonly inner: number;
}

/** The extents of a problem: H is the rows' axis, 1 and 1 where there is none. */
export function resampleExtents({ inputs, outputs, attributes }: Problem<ResampleAttributes>): ResampleExtents {
  const from = inputs[0]!.shape;
  const to = outputs[0]!.shape;
  const [w, h] = attributes.axes.map((axis) => normalizeAxis(axis, from.length, "Resample"));
  return {
    outH: h === undefined ? 1 : to[h]!,
    inH: h === undefined ? 1 : from[h]!,
    middle: h === undefined ? 1 : sizeOf(from.slice(h + 1, w)),
    outW: to[w!]!,
    inW: from[w!]!,
    inner: sizeOf(from.slice(w! + 1)),
  };
}
