// Resize: nearest, linear and cubic interpolation along any axes. All of its attributes end in one table an axis
// (resizeTable.ts); Resample follows the tables, two axes at a time.

import { dtypes, isFloat, type DType } from "../core/dtype.ts";
import { sizeOf, type Shape } from "../core/shape.ts";
import { tensorData, type TensorData } from "../core/tensorData.ts";
import { asFloat32, asType } from "./asType.ts";
import { max, min } from "./extrema.ts";
import { requireDType, requireInputs } from "./check.ts";
import { defineOperator, summationBound, type Builder, type Numbers, type Operand, type Operator } from "./operator.ts";
import { resample, resampleAxes } from "./resample.ts";
import { axisTable, isIdentity, resizedAxes, type AxisTable, type ResizeAttributes } from "./resizeTable.ts";
import { round, roundHalfToEven } from "./rounding.ts";

/** An axis that changes, with its table. */
interface Step {
  readonly axis: number;
  readonly table: AxisTable;
}

/** The axes that change, outermost first. */
function stepsOf(shape: Shape, attributes: ResizeAttributes): Step[] {
  return resizedAxes(shape, attributes)
    .map((axis) => ({ axis: axis.axis, resized: axis, table: axisTable(axis, attributes) }))
    .filter(({ resized, table }) => !isIdentity(table, resized))
    .sort((a, b) => a.axis - b.axis);
}

/** True if every place is one element or lies outside: nothing to add up, so any element type will do. */
function isSelection({ starts, weights, taps }: AxisTable): boolean {
  return taps === 1 && weights.every((weight, place) => weight === 1 || starts[place]! < 0);
}

/** What an interpolated integer is kept within: small types saturate; others hardly come near their limits. */
function limitsOf(dtype: DType): readonly [low: number, high: number] | undefined {
  const { low, high } = dtypes[dtype];
  return high < 2 ** 24 ? [low, high] : undefined;
}

/** The two table operands of {@link resample}. */
function tableOperands(build: Builder, table: AxisTable): (Operand | undefined)[] {
  const { starts, weights, taps } = table;
  const bits = (): TensorData => tensorData(new Uint32Array(weights.buffer), [starts.length, taps]);
  return [build.constant(tensorData(starts, [starts.length])), isSelection(table) ? undefined : build.constant(bits())];
}

const resizeDefaults: ResizeAttributes = {
  antialias: 0,
  axes: [],
  coordinate_transformation_mode: "half_pixel",
  cubic_coeff_a: -0.75,
  exclude_outside: 0,
  extrapolation_value: 0,
  keep_aspect_ratio_policy: "stretch",
  mode: "nearest",
  nearest_mode: "round_prefer_floor",
  roi: [],
  scales: [],
  sizes: [],
};

const linear = { mode: "linear" };
const cubicMode = { mode: "cubic" };

/**
 * Resize (ONNX, with roi, scales, sizes and axes as attributes): X [..] interpolated to floor(extent · scale) or `sizes`.
 * All modes, any axes. Any element type for `nearest`; integers are otherwise interpolated as float32, rounded and kept within their type.
 * Throws ShapeError unless exactly one of scales and sizes is given, one for each of `axes`.
 */
export const resize: Operator<ResizeAttributes> = defineOperator<ResizeAttributes>({
  name: "Resize",
  inputs: ["X"],
  outputs: ["Y"],
  attributes: resizeDefaults,
  infer: (inputs, attributes) => {
    const [X] = requireInputs("Resize", ["X"], inputs);
    requireDType("Resize", "X", X!, attributes.mode === "nearest" ? "any" : "number");
    const shape = [...X!.shape];
    for (const { axis, to } of resizedAxes(shape, attributes)) shape[axis] = to;
    return [{ dtype: X!.dtype, shape }];
  },
  reference: ([X], { attributes }) => {
    const steps = stepsOf(X!.shape, attributes);
    const run = (data: Numbers, filling: number, change: (weight: number) => number): Float64Array => {
      const axes = steps.map(({ axis, table: { starts, weights } }) => ({
        axis,
        starts,
        weights: weights.map(change),
      }));
      return resampleAxes(data, X!.shape, axes, filling);
    };
    const fill = attributes.extrapolation_value;
    const values = run(X!.data, fill, (weight) => weight);
    if (steps.every(({ table }) => isSelection(table))) return [{ values, terms: new Float64Array(values.length) }];
    if (!isFloat(X!.dtype)) {
      const [low, high] = limitsOf(X!.dtype) ?? [-Infinity, Infinity];
      return [{ values: values.map((value) => Math.min(Math.max(roundHalfToEven(value), low), high)) }];
    }
    return [{ values, terms: run(X!.data.map(Math.abs), Math.abs(fill), Math.abs) }];
  },
  errorBound: ({ inputs, attributes }) => {
    const taps = stepsOf(inputs[0]!.shape, attributes).map(({ table }) => table.taps);
    return summationBound(taps.reduce((product, count) => product * count, 1)) + 2 * taps.length;
  },
  flops: ({ inputs, outputs, attributes }) =>
    stepsOf(inputs[0]!.shape, attributes).reduce((sum, { table }) => sum + 2 * table.taps, 0) *
    sizeOf(outputs[0]!.shape),
  cases: [
    { inputs: [[1, 1, 2, 2]], attributes: { scales: [1, 1, 2, 3] } },
    { inputs: [[1, 2, 5, 7]], attributes: { sizes: [1, 2, 3, 11], nearest_mode: "floor", coordinate_transformation_mode: "asymmetric" } }, // prettier-ignore
    { inputs: [[1, 1, 2, 10]], attributes: { scales: [1, 1, 0.6, 0.7] }, why: "0.6 and 0.7 are no float32 numbers" },
    { inputs: [[2, 3, 5, 7]], attributes: { ...linear, scales: [1, 1, 2, 2] } },
    { inputs: [[1, 2, 7, 5]], attributes: { ...linear, sizes: [1, 2, 4, 9], coordinate_transformation_mode: "align_corners" } }, // prettier-ignore
    { inputs: [[1, 1, 4, 4]], attributes: { ...linear, scales: [1, 1, 0.8, 0.8], coordinate_transformation_mode: "align_corners" }, why: "the length mapped onto is 3.2" }, // prettier-ignore
    { inputs: [[1, 1, 4, 4]], attributes: { ...linear, axes: [-1, 2], sizes: [3, 1], coordinate_transformation_mode: "pytorch_half_pixel" } }, // prettier-ignore
    { inputs: [[1, 2, 6, 5]], attributes: { ...linear, scales: [1, 1, 0.7, 1.7], coordinate_transformation_mode: "half_pixel_symmetric" } }, // prettier-ignore
    { inputs: [[1, 2, 8, 9]], attributes: { ...linear, antialias: 1, sizes: [1, 2, 3, 4] } },
    { inputs: [[2, 5, 6]], attributes: { ...cubicMode, scales: [1, 2.5, 1.2] } },
    {
      inputs: [[1, 1, 4, 4]],
      attributes: { ...cubicMode, cubic_coeff_a: -0.5, exclude_outside: 1, scales: [1, 1, 0.8, 2] },
    },
    { inputs: [[1, 1, 9, 9]], attributes: { ...cubicMode, antialias: 1, scales: [1, 1, 0.6, 0.3] } },
    { inputs: [[1, 1, 4, 4]], attributes: { ...linear, axes: [3, 2], sizes: [3, 3], roi: [0.6, 0.4, 0.8, 0.6], coordinate_transformation_mode: "tf_crop_and_resize" } }, // prettier-ignore
    { inputs: [[1, 1, 4, 4]], attributes: { ...linear, axes: [2, 3], sizes: [3, 3], roi: [0.4, 0.6, 1.2, 1.7], coordinate_transformation_mode: "tf_crop_and_resize", extrapolation_value: 10 } }, // prettier-ignore
    { inputs: [[1, 2, 3, 4, 5]], attributes: { ...linear, sizes: [1, 2, 5, 3, 7] }, why: "three axes: two passes" },
    { inputs: [[1, 1, 6, 8]], attributes: { ...linear, axes: [2, 3], sizes: [5, 5], keep_aspect_ratio_policy: "not_smaller" } }, // prettier-ignore
    { inputs: [[2, 3]], attributes: { scales: [1, 1] }, why: "nothing changes" },
    { inputs: [{ shape: [1, 1, 3, 4], dtype: "int32" }], attributes: { ...linear, scales: [1, 1, 3, 1.5] } },
    { inputs: [{ shape: [1, 1, 3, 4], dtype: "uint8", low: 0, high: 256 }], attributes: { ...cubicMode, scales: [1, 1, 2, 1.5] }, why: "overshoots" }, // prettier-ignore
    { inputs: [{ shape: [3, 4], dtype: "int8" }], attributes: { scales: [2, 0.5] } },
    { inputs: [{ shape: [3, 4, 5], dtype: "float16" }], attributes: { ...linear, scales: [2, 0.5, 1.5] } },
    { inputs: [[0, 3]], attributes: { axes: [1], sizes: [5] } },
  ],
  decompose: (build, [X], attributes) => {
    const steps = stepsOf(X!.shape, attributes);
    const interpolates = !steps.every(({ table }) => isSelection(table));
    const isInteger = !isFloat(X!.dtype);
    // Integers, and halves that would be rounded between two passes, take the way of float32.
    const asFloat = interpolates && (isInteger || steps.length > 2);
    let y = asFloat ? asFloat32(build, X!) : X!;
    for (let end = steps.length; end > 0; end -= 2) {
      const pair = steps.slice(Math.max(0, end - 2), end).reverse();
      const tables = pair.flatMap(({ table }) => tableOperands(build, table));
      const axes = pair.map(({ axis }) => axis);
      y = build.apply(resample, [y, ...tables], { axes, fill: attributes.extrapolation_value });
    }
    if (interpolates && isInteger) {
      y = build.apply(round, [y]);
      const limits = limitsOf(X!.dtype);
      if (limits) y = build.apply(min, [build.apply(max, [y, build.constant(limits[0])]), build.constant(limits[1])]);
    }
    return [asType(build, y, X!.dtype)];
  },
});
