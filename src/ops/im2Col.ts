// The patches under a sliding window as columns of a matrix: what turns a convolution into a matrix product. The inverse of
// Col2Im, except that what lies in the padding is zero. ONNX has no such operator; PyTorch calls it unfold.

import { ShapeError } from "../core/errors.ts";
import { formatType, sizeOf, stridesOf } from "../core/shape.ts";
import { requireInputs } from "./check.ts";
import { blockAxes, type Col2ImAttributes } from "./col2Im.ts";
import { defineOperator } from "./operator.ts";

/** As Col2Im's, which tells the image's extents; here they are the input's. */
export type Im2ColAttributes = Omit<Col2ImAttributes, "image_shape">;

const product = (values: readonly number[]): number => values.reduce((result, value) => result * value, 1);

/** Every spatial axis of the problem: see `blockAxes`. */
export const patchAxes = (shape: readonly number[], attributes: Im2ColAttributes): ReturnType<typeof blockAxes> =>
  blockAxes({ ...attributes, image_shape: shape.slice(2) });

/** input [N, C, ..image] → [N, C·taps, L], L blocks in row-major order, taps in the order of a kernel's. */
export const im2Col = defineOperator<Im2ColAttributes>({
  name: "Im2Col",
  inputs: ["input"],
  outputs: ["output"],
  attributes: { block_shape: [], dilations: [], pads: [], strides: [] },
  infer(inputs, attributes) {
    const [input] = requireInputs("Im2Col", ["input"], inputs);
    if (input!.shape.length < 3 || input!.shape.length > 5)
      throw new ShapeError(`Im2Col: expected [N, C, …] with one to three spatial axes, got ${formatType(input!)}`);
    const [N, C] = input!.shape;
    const axes = patchAxes(input!.shape, attributes);
    const taps = product(axes.map((axis) => axis.taps));
    return [{ dtype: input!.dtype, shape: [N!, C! * taps, product(axes.map(({ blocks }) => blocks))] }];
  },
  reference([input], { outputs, attributes }) {
    const axes = patchAxes(input!.shape, attributes);
    const tapStrides = stridesOf(axes.map(({ taps }) => taps));
    const blockStrides = stridesOf(axes.map(({ blocks }) => blocks));
    const pixelStrides = stridesOf(axes.map(({ extent }) => extent));
    const taps = product(axes.map((axis) => axis.taps));
    const [blocks, pixels] = [outputs[0]!.shape[2]!, product(axes.map(({ extent }) => extent))];
    const values = new Float64Array(sizeOf(outputs[0]!.shape));
    for (let index = 0; index < values.length; index++) {
      const block = index % blocks;
      const tap = Math.floor(index / blocks) % taps;
      let pixel = Math.floor(index / (blocks * taps)) * pixels;
      const isInside = axes.every(({ extent, stride, dilation, padBegin, ...count }, i) => {
        const o = Math.floor(block / blockStrides[i]!) % count.blocks;
        const k = Math.floor(tap / tapStrides[i]!) % count.taps;
        const place = o * stride + k * dilation - padBegin;
        pixel += place * pixelStrides[i]!;
        return place >= 0 && place < extent;
      });
      values[index] = isInside ? input!.data[pixel]! : 0;
    }
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  flops: () => 0,
  cases: [
    { inputs: [[1, 1, 5, 5]], attributes: { block_shape: [3, 3] } },
    { inputs: [[2, 3, 7, 11]], attributes: { block_shape: [3, 3], pads: [1, 1, 1, 1] } },
    { inputs: [[1, 2, 9, 35]], attributes: { block_shape: [2, 3], strides: [2, 1], pads: [0, 2, 1, 0] } },
    { inputs: [[1, 2, 11, 12]], attributes: { block_shape: [3, 3], dilations: [2, 3], strides: [1, 2] } },
    { inputs: [[2, 3, 17]], attributes: { block_shape: [5], pads: [2, 1], strides: [2], dilations: [2] } },
    { inputs: [[1, 2, 4, 5, 6]], attributes: { block_shape: [2, 3, 2], pads: [1, 0, 1, 0, 2, 1], strides: [2, 1, 2] } },
    { inputs: [[1, 2, 3, 3]], attributes: { block_shape: [3, 3] }, why: "one block" },
    { inputs: [[0, 2, 5, 5]], attributes: { block_shape: [3, 3] } },
    { inputs: [{ shape: [1, 2, 5, 6], dtype: "int32" }], attributes: { block_shape: [2, 2] } },
    { inputs: [{ shape: [1, 2, 5, 6], dtype: "float16" }], attributes: { block_shape: [2, 2] } },
  ],
});
