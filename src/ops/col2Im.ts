// Overlapping blocks added up to an image: the inverse of cutting an image into columns, for any number of spatial axes.

import { ShapeError } from "../core/errors.ts";
import { formatType, sizeOf, stridesOf, type Shape, type TensorType } from "../core/shape.ts";
import { requireInputs } from "./check.ts";
import { gather } from "./gather.ts";
import { defineOperator, summationBound } from "./operator.ts";
import { reshapeTo } from "./reshape.ts";
import { pad } from "./slice.ts";
import { axisValues, padValues } from "./window.ts";

export type Col2ImAttributes = {
  /** Spatial extents of the image, and of a block. */
  readonly image_shape: readonly number[];
  readonly block_shape: readonly number[];
  /** One number a spatial axis; [] means 1, for pads (all begins, then all ends) 0. */
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
  readonly strides: readonly number[];
};

/** One spatial axis: block position `o` puts tap `k` at o·stride + k·dilation − padBegin. */
interface BlockAxis {
  readonly extent: number;
  readonly taps: number;
  readonly stride: number;
  readonly dilation: number;
  readonly padBegin: number;
  /** How many blocks lie along the axis. */
  readonly blocks: number;
}

/** Every spatial axis of the problem. Throws ShapeError on lists that do not fit. */
export function blockAxes(attributes: Col2ImAttributes): BlockAxis[] {
  const { image_shape, block_shape } = attributes;
  const rank = image_shape.length;
  const taps = axisValues(block_shape, rank, 1, 1, "block_shape", "Col2Im");
  const strides = axisValues(attributes.strides, rank, 1, 1, "strides", "Col2Im");
  const dilations = axisValues(attributes.dilations, rank, 1, 1, "dilations", "Col2Im");
  const pads = padValues(attributes.pads, rank, "NOTSET", "Col2Im");
  return image_shape.map((extent, i) => {
    const slack = extent + pads[i]! + pads[i + rank]! - dilations[i]! * (taps[i]! - 1) - 1;
    return {
      extent,
      taps: taps[i]!,
      stride: strides[i]!,
      dilation: dilations[i]!,
      padBegin: pads[i]!,
      blocks: Math.max(0, Math.floor(slack / strides[i]!) + 1),
    };
  });
}

/** The pixel that each tap of each block [taps, blocks] falls on, -1 where it is outside. */
function tapPixels(axes: readonly BlockAxis[], image: Shape): Int32Array {
  const tapStrides = stridesOf(axes.map(({ taps }) => taps));
  const blockStrides = stridesOf(axes.map(({ blocks }) => blocks));
  const pixelStrides = stridesOf(image);
  const [taps, blocks] = [product(axes.map((axis) => axis.taps)), product(axes.map((axis) => axis.blocks))];
  return Int32Array.from({ length: taps * blocks }, (_, index) => {
    let pixel = 0;
    for (const [i, { extent, stride, dilation, padBegin, ...count }] of axes.entries()) {
      const o = Math.floor((index % blocks) / blockStrides[i]!) % count.blocks;
      const k = Math.floor(Math.floor(index / blocks) / tapStrides[i]!) % count.taps;
      const place = o * stride + k * dilation - padBegin;
      if (place < 0 || place >= extent) return -1;
      pixel += place * pixelStrides[i]!;
    }
    return pixel;
  });
}

const product = (values: readonly number[]): number => values.reduce((result, value) => result * value, 1);

function imageType(input: TensorType, attributes: Col2ImAttributes): TensorType {
  const axes = blockAxes(attributes);
  const taps = product(axes.map((axis) => axis.taps));
  const blocks = product(axes.map((axis) => axis.blocks));
  const [N, columns, L] = input.shape;
  if (input.shape.length !== 3 || columns! % taps !== 0 || L !== blocks)
    throw new ShapeError(`Col2Im: expected [N, C·${taps}, ${blocks}], got ${formatType(input)}`);
  return { dtype: input.dtype, shape: [N!, columns! / taps, ...attributes.image_shape] };
}

/**
 * Col2Im (ONNX, with the shapes as attributes): input [N, C·taps, L], L blocks in row-major order → [N, C, ..image_shape],
 * each pixel the sum of the taps that fall on it.
 */
export const col2Im = defineOperator<Col2ImAttributes>({
  name: "Col2Im",
  inputs: ["input"],
  outputs: ["output"],
  attributes: { image_shape: [], block_shape: [], dilations: [], pads: [], strides: [] },
  infer: (inputs, attributes) => [imageType(requireInputs("Col2Im", ["input"], inputs)[0]!, attributes)],
  reference: ([input], { attributes, outputs }) => {
    const pixels = product(attributes.image_shape);
    const places = tapPixels(blockAxes(attributes), attributes.image_shape);
    const values = new Float64Array(sizeOf(outputs[0]!.shape));
    const terms = new Float64Array(values.length);
    input!.data.forEach((x, index) => {
      const place = places[index % places.length]!;
      if (place < 0) return;
      const pixel = Math.floor(index / places.length) * pixels + place;
      values[pixel]! += x;
      terms[pixel]! += Math.abs(x);
    });
    return [{ values, terms }];
  },
  errorBound: ({ attributes }) => summationBound(product(attributes.block_shape)),
  // Each tap takes its pixel's gradient: a Gather at constant places, one of which, past the image, is 0.
  gradient: ({ build, attributes, inputs: [input], outputGradients: [gradient] }) => {
    const axes = blockAxes(attributes);
    const pixels = product(attributes.image_shape);
    const [N, C] = gradient!.shape as readonly [number, number];
    const image = reshapeTo(build, gradient!, [N, C, pixels]);
    const padded = build.apply(pad, [image], { pads: [0, 0, 0, 0, 0, 1] });
    const data = Int32Array.from(tapPixels(axes, attributes.image_shape), (place) => (place < 0 ? pixels : place));
    const places = build.constant({ dtype: "int32", shape: [data.length], data });
    return [reshapeTo(build, build.apply(gather, [padded, places], { axis: 2 }), input!.shape)];
  },
  flops: ({ inputs }) => sizeOf(inputs[0]!.shape),
  cases: [
    { inputs: [[1, 5, 5]], attributes: { image_shape: [5, 5], block_shape: [1, 5] } },
    { inputs: [[2, 18, 16]], attributes: { image_shape: [6, 6], block_shape: [3, 3] }, why: "blocks overlap" },
    { inputs: [[1, 9, 4]], attributes: { image_shape: [5, 5], block_shape: [3, 3], strides: [2, 2] } },
    { inputs: [[1, 8, 12]], attributes: { image_shape: [5, 5], block_shape: [2, 2], dilations: [1, 2] } },
    { inputs: [[1, 5, 25]], attributes: { image_shape: [5, 5], block_shape: [1, 5], pads: [0, 2, 0, 2] } },
    { inputs: [[1, 10, 12]], attributes: { image_shape: [3, 4, 5], block_shape: [1, 1, 5] } },
    { inputs: [[2, 3, 3]], attributes: { image_shape: [7], block_shape: [3], strides: [3], pads: [2, 2] } },
    { inputs: [[0, 4, 4]], attributes: { image_shape: [3, 3], block_shape: [2, 2] } },
    { inputs: [{ shape: [1, 4, 4], dtype: "int32" }], attributes: { image_shape: [3, 3], block_shape: [2, 2] } },
  ],
});
