// Pooling: the maximum or the mean of every window, and their gradients in gather form: each input element asks which
// windows hold it, so that nothing is added concurrently and results do not depend on the order of threads.

import { ShapeError, UnsupportedError } from "../core/errors.ts";
import { formatShape, type Shape, type TensorType } from "../core/shape.ts";
import { requireDType, requireInputs } from "./check.ts";
import { defineOperator, summationBound, type Operator, type OperatorCase, type Problem } from "./operator.ts";
import { reduceMean } from "./reduce.ts";
import { checkSpatialRank, resolveWindow, type WindowAttributes } from "./window.ts";

/** Attributes of {@link maxPool}, named as in ONNX; `[]` is ONNX's default of an absent list, `kernel_shape` is required. */
export type MaxPoolAttributes = {
  readonly auto_pad: string;
  /** 0 or 1: whether a last, partial window counts. */
  readonly ceil_mode: number;
  readonly dilations: readonly number[];
  readonly kernel_shape: readonly number[];
  readonly pads: readonly number[];
  /** 0 only: it concerns ONNX's second output, which is not offered. */
  readonly storage_order: number;
  readonly strides: readonly number[];
};

/** Attributes of {@link averagePool}. */
export type AveragePoolAttributes = Omit<MaxPoolAttributes, "storage_order"> & {
  /** 0 or 1: whether padding counts in a window's number of elements. */
  readonly count_include_pad: number;
};

/** Attributes of {@link averagePoolGradient}: those of the AveragePool, and the spatial extents of its input. */
export type AveragePoolGradientAttributes = AveragePoolAttributes & {
  readonly input_shape: readonly number[];
};

/** A resolved 2-D pooling, always seen forward: X [N, C, H, W] gives Y [N, C, outH, outW]. */
export interface PoolGeometry {
  readonly N: number;
  readonly C: number;
  readonly H: number;
  readonly W: number;
  readonly kH: number;
  readonly kW: number;
  readonly strideH: number;
  readonly strideW: number;
  readonly dilationH: number;
  readonly dilationW: number;
  readonly padTop: number;
  readonly padLeft: number;
  readonly padBottom: number;
  readonly padRight: number;
  readonly outH: number;
  readonly outW: number;
}

/** What MaxPool gives for a window without a single input element (possible with dilation only): the lowest float32. */
export const LOWEST_FLOAT32 = -3.4028234663852886e38;

type PoolAttributes = WindowAttributes & { readonly ceil_mode: number };

function geometryOf(x: Shape, attributes: PoolAttributes, who: string): PoolGeometry {
  checkSpatialRank(x, who);
  const kernel = attributes.kernel_shape;
  if (kernel.length !== x.length - 2 || kernel.some((extent) => !Number.isInteger(extent) || extent < 1))
    throw new ShapeError(`${who}: kernel_shape must be ${x.length - 2} positive integers, got [${kernel.join(", ")}]`);
  const axes = resolveWindow(x.slice(2), kernel, attributes, attributes.ceil_mode !== 0, who);
  for (const { padBegin, padEnd, kernel: extent } of axes)
    if (padBegin >= extent || padEnd >= extent || padEnd < 0)
      throw new ShapeError(
        `${who}: pads ${padBegin} and ${padEnd} must be at least 0 and smaller than the kernel, which is ${extent}`,
      );
  const [vertical, horizontal] = axes;
  return {
    N: x[0]!,
    C: x[1]!,
    H: vertical!.extent,
    W: horizontal!.extent,
    kH: vertical!.kernel,
    kW: horizontal!.kernel,
    strideH: vertical!.stride,
    strideW: horizontal!.stride,
    dilationH: vertical!.dilation,
    dilationW: horizontal!.dilation,
    padTop: vertical!.padBegin,
    padLeft: horizontal!.padBegin,
    padBottom: vertical!.padEnd,
    padRight: horizontal!.padEnd,
    outH: vertical!.out,
    outW: horizontal!.out,
  };
}

function inputOf(inputs: readonly (TensorType | undefined)[], names: readonly string[], who: string): Shape {
  const types = requireInputs(who, names, inputs);
  types.forEach((type, index) => {
    requireDType(who, names[index]!, type, ["float32"]);
  });
  return types[0]!.shape;
}

function checkStorageOrder(attributes: MaxPoolAttributes, who: string): void {
  if (attributes.storage_order !== 0)
    throw new UnsupportedError(
      `${who}: storage_order ${attributes.storage_order} is not supported, only 0 (row-major)`,
    );
}

function checkGradientShape(dy: Shape, g: PoolGeometry, who: string): void {
  const expected = [g.N, g.C, g.outH, g.outW];
  if (dy.length !== expected.length || dy.some((extent, axis) => extent !== expected[axis]))
    throw new ShapeError(`${who}: dY must be ${formatShape(expected)}, the pooling's output, got ${formatShape(dy)}`);
}

/** Geometry of a problem of any operator in this file that slides a window. */
export function poolGeometry(
  problem: Problem<MaxPoolAttributes | AveragePoolAttributes | AveragePoolGradientAttributes>,
): PoolGeometry {
  const { attributes } = problem;
  const first = problem.inputs[0]!.shape;
  // Gradients that do not read X are told its extents by an attribute.
  const x = "input_shape" in attributes ? [...first.slice(0, 2), ...attributes.input_shape] : first;
  return geometryOf(x, attributes, "pooling");
}

/** Elements [first, end) of a window's taps along one axis that lie in [from, to). */
function taps(start: number, kernel: number, dilation: number, from: number, to: number): [first: number, end: number] {
  const first = Math.max(0, Math.ceil((from - start) / dilation));
  const end = Math.min(kernel, Math.floor((to - 1 - start) / dilation) + 1);
  return [first, Math.max(first, end)];
}

/** Place in X of the first maximum of a window, in row-major order; −1 for a window that holds no element. */
function argMaxOfWindow(g: PoolGeometry, x: ArrayLike<number>, plane: number, oh: number, ow: number): number {
  const top = oh * g.strideH - g.padTop;
  const left = ow * g.strideW - g.padLeft;
  const [rowFirst, rowEnd] = taps(top, g.kH, g.dilationH, 0, g.H);
  const [columnFirst, columnEnd] = taps(left, g.kW, g.dilationW, 0, g.W);
  let best = -1;
  for (let kh = rowFirst; kh < rowEnd; kh++) {
    const row = (plane * g.H + top + kh * g.dilationH) * g.W + left;
    for (let kw = columnFirst; kw < columnEnd; kw++) {
      const index = row + kw * g.dilationW;
      if (best < 0 || x[index]! > x[best]!) best = index;
    }
  }
  return best;
}

/** Elements a window's sum is divided by: the padding counts if asked for, but nothing beyond it ever does. */
function windowCount(g: PoolGeometry, includePad: boolean, oh: number, ow: number): number {
  const [top, bottom, left, right] = includePad ? [g.padTop, g.padBottom, g.padLeft, g.padRight] : [0, 0, 0, 0];
  const rows = taps(oh * g.strideH - g.padTop, g.kH, g.dilationH, -top, g.H + bottom);
  const columns = taps(ow * g.strideW - g.padLeft, g.kW, g.dilationW, -left, g.W + right);
  return (rows[1] - rows[0]) * (columns[1] - columns[0]);
}

const poolFlops = (g: PoolGeometry): number => g.N * g.C * g.outH * g.outW * g.kH * g.kW;

const windowDefaults = { auto_pad: "NOTSET", ceil_mode: 0, dilations: [], kernel_shape: [], pads: [], strides: [] };

/** Windows worth testing, as a shape of X and attributes. */
const windows: readonly { x: Shape; window: Partial<PoolAttributes>; why?: string }[] = [
  { x: [1, 1, 1, 1], window: { kernel_shape: [1, 1] } },
  { x: [4, 6, 28, 28], window: { kernel_shape: [2, 2], strides: [2, 2] }, why: "LeNet's first at batch 4" },
  { x: [4, 16, 10, 10], window: { kernel_shape: [2, 2], strides: [2, 2] }, why: "LeNet's second at batch 4" },
  { x: [2, 3, 7, 11], window: { kernel_shape: [3, 3] }, why: "windows overlap" },
  { x: [2, 3, 7, 11], window: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } },
  {
    x: [1, 2, 8, 9],
    window: { kernel_shape: [3, 2], strides: [2, 3], pads: [0, 1, 2, 0] },
    why: "different pads on every side",
  },
  {
    x: [1, 1, 4, 4],
    window: { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 },
    why: "last window partly outside",
  },
  {
    x: [1, 2, 2, 5],
    window: { kernel_shape: [1, 1], strides: [2, 2], ceil_mode: 1 },
    why: "ceil_mode would add a window outside",
  },
  {
    x: [1, 2, 6, 7],
    window: { kernel_shape: [3, 3], strides: [3, 4], pads: [1, 1, 1, 1], ceil_mode: 1 },
    why: "a window starting in the end padding is dropped",
  },
  { x: [1, 2, 9, 8], window: { kernel_shape: [3, 2], dilations: [2, 3] } },
  {
    x: [1, 2, 9, 8],
    window: { kernel_shape: [3, 2], dilations: [2, 3], strides: [2, 2], pads: [1, 1, 2, 0], ceil_mode: 1 },
  },
  { x: [1, 2, 9, 8], window: { kernel_shape: [3, 4], strides: [2, 2], auto_pad: "SAME_UPPER" } },
  { x: [1, 2, 9, 8], window: { kernel_shape: [3, 4], strides: [2, 2], auto_pad: "SAME_LOWER" } },
  { x: [1, 2, 9, 8], window: { kernel_shape: [2, 3], strides: [3, 1], auto_pad: "VALID" } },
  { x: [1, 17, 33, 5], window: { kernel_shape: [5, 5] }, why: "window as wide as the input" },
  { x: [3, 5, 6, 6], window: { kernel_shape: [2, 2], strides: [3, 3] }, why: "elements that no window holds" },
  { x: [0, 3, 6, 6], window: { kernel_shape: [2, 2] }, why: "empty batch" },
];

/** Shape of the pooled x, for the cases of gradients. */
function pooledShape(x: Shape, window: Partial<PoolAttributes>): Shape {
  const g = geometryOf(x, { ...windowDefaults, ...window }, "case");
  return [g.N, g.C, g.outH, g.outW];
}

/** Maximum of every window of X [N, C, H, W]. Source: ONNX MaxPool (opset 22), first output only. */
export const maxPool: Operator<MaxPoolAttributes> = defineOperator<MaxPoolAttributes>({
  name: "MaxPool",
  inputs: ["X"],
  outputs: ["Y"],
  attributes: { ...windowDefaults, storage_order: 0 },

  infer(inputs, attributes) {
    checkStorageOrder(attributes, "MaxPool");
    const g = geometryOf(inputOf(inputs, ["X"], "MaxPool"), attributes, "MaxPool");
    return [{ dtype: "float32", shape: [g.N, g.C, g.outH, g.outW] }];
  },

  reference([X], problem) {
    const g = poolGeometry(problem);
    const x = X!.data; // [N, C, H, W]
    const values = new Float64Array(g.N * g.C * g.outH * g.outW);
    let index = 0;
    for (let plane = 0; plane < g.N * g.C; plane++)
      for (let oh = 0; oh < g.outH; oh++)
        for (let ow = 0; ow < g.outW; ow++) {
          const place = argMaxOfWindow(g, x, plane, oh, ow);
          values[index++] = place < 0 ? LOWEST_FLOAT32 : x[place]!;
        }
    return [{ values, terms: new Float64Array(values.length) }];
  },

  errorBound: () => 0,
  flops: (problem) => poolFlops(poolGeometry(problem)),

  gradient({ build, attributes, inputs: [X], outputGradients: [dY] }) {
    if (!X || !dY) return [];
    return [build.apply(maxPoolGradient, [X, dY], attributes)];
  },

  cases: windows.map(({ x, window, ...why }) => ({ inputs: [x], attributes: window, ...why })),
});

/**
 * Gradient of MaxPool: from X [N, C, H, W] and dY [N, C, outH, outW], dX. A window's gradient goes to its first maximum
 * in row-major order. ONNX has no such operator.
 */
export const maxPoolGradient: Operator<MaxPoolAttributes> = defineOperator<MaxPoolAttributes>({
  name: "MaxPoolGradient",
  inputs: ["X", "dY"],
  outputs: ["dX"],
  attributes: { ...windowDefaults, storage_order: 0 },

  infer(inputs, attributes) {
    const x = inputOf(inputs, ["X", "dY"], "MaxPoolGradient");
    checkStorageOrder(attributes, "MaxPoolGradient");
    checkGradientShape(inputs[1]!.shape, geometryOf(x, attributes, "MaxPoolGradient"), "MaxPoolGradient");
    return [{ dtype: "float32", shape: x }];
  },

  reference([X, dY], problem) {
    const g = poolGeometry(problem);
    const values = new Float64Array(g.N * g.C * g.H * g.W);
    const terms = new Float64Array(values.length);
    let index = 0;
    for (let plane = 0; plane < g.N * g.C; plane++)
      for (let oh = 0; oh < g.outH; oh++)
        for (let ow = 0; ow < g.outW; ow++) {
          const gradient = dY!.data[index++]!;
          const place = argMaxOfWindow(g, X!.data, plane, oh, ow);
          if (place < 0) continue;
          values[place]! += gradient;
          terms[place]! += Math.abs(gradient);
        }
    return [{ values, terms }];
  },

  errorBound: (problem) => summationBound(coveringWindows(poolGeometry(problem))),
  flops: (problem) => poolFlops(poolGeometry(problem)),

  cases: windows.map(({ x, window, ...why }) => ({ inputs: [x, pooledShape(x, window)], attributes: window, ...why })),
});

/** Most windows that can hold one element. */
function coveringWindows(g: PoolGeometry): number {
  return Math.min(g.kH, g.outH) * Math.min(g.kW, g.outW);
}

/** Mean of every window of X [N, C, H, W]. Source: ONNX AveragePool (opset 22). */
export const averagePool: Operator<AveragePoolAttributes> = defineOperator<AveragePoolAttributes>({
  name: "AveragePool",
  inputs: ["X"],
  outputs: ["Y"],
  attributes: { ...windowDefaults, count_include_pad: 0 },

  infer(inputs, attributes) {
    const g = geometryOf(inputOf(inputs, ["X"], "AveragePool"), attributes, "AveragePool");
    return [{ dtype: "float32", shape: [g.N, g.C, g.outH, g.outW] }];
  },

  reference([X], problem) {
    const g = poolGeometry(problem);
    const x = X!.data; // [N, C, H, W]
    const includePad = problem.attributes.count_include_pad !== 0;
    const values = new Float64Array(g.N * g.C * g.outH * g.outW);
    const terms = new Float64Array(values.length);
    let index = 0;
    for (let plane = 0; plane < g.N * g.C; plane++)
      for (let oh = 0; oh < g.outH; oh++)
        for (let ow = 0; ow < g.outW; ow++, index++) {
          const top = oh * g.strideH - g.padTop;
          const left = ow * g.strideW - g.padLeft;
          const [rowFirst, rowEnd] = taps(top, g.kH, g.dilationH, 0, g.H);
          const [columnFirst, columnEnd] = taps(left, g.kW, g.dilationW, 0, g.W);
          let sum = 0;
          let sumTerms = 0;
          for (let kh = rowFirst; kh < rowEnd; kh++) {
            const row = (plane * g.H + top + kh * g.dilationH) * g.W + left;
            for (let kw = columnFirst; kw < columnEnd; kw++) {
              const value = x[row + kw * g.dilationW]!;
              sum += value;
              sumTerms += Math.abs(value);
            }
          }
          // A window without any element gives 0.
          const count = Math.max(1, windowCount(g, includePad, oh, ow));
          values[index] = sum / count;
          terms[index] = sumTerms / count;
        }
    return [{ values, terms }];
  },

  errorBound(problem) {
    const g = poolGeometry(problem);
    return summationBound(g.kH * g.kW) + 3; // and a division
  },

  flops: (problem) => poolFlops(poolGeometry(problem)),

  gradient({ build, attributes, inputs: [X], outputGradients: [dY] }) {
    if (!X || !dY) return [];
    return [build.apply(averagePoolGradient, [dY], { ...attributes, input_shape: X.shape.slice(2) })];
  },

  cases: averageCases().map(({ x, window, ...why }) => ({ inputs: [x], attributes: window, ...why })),
});

/** {@link windows}, those with padding once more with the padding counted. */
function averageCases(): { x: Shape; window: Partial<AveragePoolAttributes>; why?: string }[] {
  const padded = windows.filter(({ window }) => window.pads ?? window.auto_pad ?? window.ceil_mode);
  return [
    ...windows,
    ...padded.map(({ x, window, ...why }) => ({ x, window: { ...window, count_include_pad: 1 }, ...why })),
  ];
}

/** Gradient of AveragePool: dX [N, C, …input_shape] from dY [N, C, outH, outW]. ONNX has no such operator. */
export const averagePoolGradient: Operator<AveragePoolGradientAttributes> =
  defineOperator<AveragePoolGradientAttributes>({
    name: "AveragePoolGradient",
    inputs: ["dY"],
    outputs: ["dX"],
    attributes: { ...windowDefaults, count_include_pad: 0, input_shape: [] },

    infer(inputs, attributes) {
      const who = "AveragePoolGradient";
      const dy = inputOf(inputs, ["dY"], who);
      checkSpatialRank(dy, who);
      if (attributes.input_shape.length !== dy.length - 2)
        throw new ShapeError(
          `${who}: input_shape must give ${dy.length - 2} extents, got ${formatShape(attributes.input_shape)}`,
        );
      const x = [...dy.slice(0, 2), ...attributes.input_shape];
      checkGradientShape(dy, geometryOf(x, attributes, who), who);
      return [{ dtype: "float32", shape: x }];
    },

    reference([dY], problem) {
      const g = poolGeometry(problem);
      const includePad = problem.attributes.count_include_pad !== 0;
      const values = new Float64Array(g.N * g.C * g.H * g.W);
      const terms = new Float64Array(values.length);
      let index = 0;
      for (let plane = 0; plane < g.N * g.C; plane++)
        for (let oh = 0; oh < g.outH; oh++)
          for (let ow = 0; ow < g.outW; ow++) {
            const top = oh * g.strideH - g.padTop;
            const left = ow * g.strideW - g.padLeft;
            const [rowFirst, rowEnd] = taps(top, g.kH, g.dilationH, 0, g.H);
            const [columnFirst, columnEnd] = taps(left, g.kW, g.dilationW, 0, g.W);
            const share = dY!.data[index++]! / Math.max(1, windowCount(g, includePad, oh, ow));
            for (let kh = rowFirst; kh < rowEnd; kh++) {
              const row = (plane * g.H + top + kh * g.dilationH) * g.W + left;
              for (let kw = columnFirst; kw < columnEnd; kw++) {
                values[row + kw * g.dilationW]! += share;
                terms[row + kw * g.dilationW]! += Math.abs(share);
              }
            }
          }
      return [{ values, terms }];
    },

    errorBound: (problem) => summationBound(coveringWindows(poolGeometry(problem))) + 3,
    flops: (problem) => poolFlops(poolGeometry(problem)),

    // Linear in dY, and AveragePool is its transpose.
    gradient({ build, attributes, outputGradients: [G] }) {
      if (!G) return [];
      const { input_shape: _, ...window } = attributes;
      return [build.apply(averagePool, [G], window)];
    },

    cases: averageCases().map(
      ({ x, window, ...why }): OperatorCase<AveragePoolGradientAttributes> => ({
        inputs: [pooledShape(x, window)],
        attributes: { ...window, input_shape: x.slice(2) },
        ...why,
      }),
    ),
  });

/** Mean over all spatial axes of X [N, C, …], which stay with extent 1. Source: ONNX GlobalAveragePool (opset 22). */
export const globalAveragePool = defineOperator<Readonly<Record<string, never>>>({
  name: "GlobalAveragePool",
  inputs: ["X"],
  outputs: ["Y"],
  attributes: {},

  infer(inputs) {
    const x = inputOf(inputs, ["X"], "GlobalAveragePool");
    if (x.length < 3)
      throw new ShapeError(
        `GlobalAveragePool: X must be [N, C, …] with at least one spatial axis, got ${formatShape(x)}`,
      );
    return [{ dtype: "float32", shape: x.map((extent, axis) => (axis < 2 ? extent : 1)) }];
  },

  reference([X], { outputs }) {
    const values = new Float64Array(outputs[0]!.shape[0]! * outputs[0]!.shape[1]!);
    const terms = new Float64Array(values.length);
    const area = X!.data.length / values.length;
    for (let plane = 0; plane < values.length; plane++) {
      let sum = 0;
      let sumTerms = 0;
      for (let i = plane * area; i < (plane + 1) * area; i++) {
        sum += X!.data[i]!;
        sumTerms += Math.abs(X!.data[i]!);
      }
      values[plane] = sum / area;
      terms[plane] = sumTerms / area;
    }
    return [{ values, terms }];
  },

  errorBound: ({ inputs }) => summationBound(inputs[0]!.shape.slice(2).reduce((area, extent) => area * extent, 1)) + 3,
  flops: ({ inputs }) => inputs[0]!.shape.reduce((size, extent) => size * extent, 1),

  decompose(build, [X]) {
    const axes = X!.shape.map((_, axis) => axis).slice(2);
    return [build.apply(reduceMean, [X], { axes, keepdims: 1 })];
  },

  cases: [
    { inputs: [[1, 1, 1, 1]] },
    { inputs: [[2, 3, 5, 7]] },
    { inputs: [[2, 65, 7, 7]] },
    { inputs: [[1, 2, 33, 65]], why: "long sums" },
    { inputs: [[2, 3, 9]], why: "one spatial axis" },
    { inputs: [[2, 3, 2, 3, 4]], why: "three spatial axes" },
    { inputs: [[0, 3, 4, 4]], why: "empty batch" },
  ],
});
