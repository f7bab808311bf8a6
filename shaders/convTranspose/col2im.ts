// A transposed convolution as a matrix product: Wᵀ [M·taps, C] times X [C, blocks] gives what each input element adds to
// every place under its window, and Col2Im adds up what overlaps. Any number of axes, strides, dilations, groups; wins for
// many channels, as the products of one tap fill a buffer taps times as large as the input.

import { add } from "../../src/ops/binary.ts";
import { col2Im } from "../../src/ops/col2Im.ts";
import { convTranspose } from "../../src/ops/convBack.ts";
import { resolveConvTranspose } from "../../src/ops/convBackGeometry.ts";
import { matMul } from "../../src/ops/matmul.ts";
import { reshapeTo } from "../../src/ops/reshape.ts";
import { firstReason } from "../common/workgroup.ts";
import { defineRewrite } from "../strategy.ts";

const product = (values: readonly number[]): number => values.reduce((result, value) => result * value, 1);

export default defineRewrite({
  op: convTranspose,
  name: "col2im",
  params: {},

  // Of the convolution that is transposed, `C` and `extent` belong to the result here, `M` and `out` to the input.
  supports({ inputs, outputs, attributes }, limits) {
    const { N, C, M, axes } = resolveConvTranspose(inputs, attributes);
    const sizeBytes = 4 * N * C * product(axes.map(({ kernel, out }) => kernel * out));
    const isCovered = axes.every(
      ({ extent, kernel, stride, dilation, padBegin, padEnd, out }) =>
        padBegin >= 0 && Math.floor((extent + padBegin + padEnd - dilation * (kernel - 1) - 1) / stride) + 1 === out,
    );
    return firstReason(
      N * C * M * product(axes.map(({ out }) => out)) > 0 || "nothing to compute",
      isCovered || "the result is larger than its windows reach",
      outputs[0]!.dtype === "float32" || "sums are kept in float32 only",
      sizeBytes <= limits.maxStorageBufferBindingSize ||
        `${sizeBytes} bytes of columns, and the device binds ${limits.maxStorageBufferBindingSize}`,
    );
  },

  rewrite(build, [X, W, B], { inputs, outputs, attributes }) {
    const { N, C, M, group, axes } = resolveConvTranspose(inputs, attributes);
    const taps = product(axes.map(({ kernel }) => kernel));
    const blocks = product(axes.map(({ out }) => out));
    const rows = (C / group) * taps;
    const weights = reshapeTo(build, W!, group > 1 ? [group, M / group, rows] : [M, rows]);
    const matrix = reshapeTo(build, X!, group > 1 ? [N, group, M / group, blocks] : [N, M, blocks]);
    const products = build.apply(matMul, [weights, matrix], { transA: 1 });
    const result = build.apply(col2Im, [reshapeTo(build, products, [N, C * taps, blocks])], {
      image_shape: axes.map(({ extent }) => extent),
      block_shape: axes.map(({ kernel }) => kernel),
      dilations: axes.map(({ dilation }) => dilation),
      strides: axes.map(({ stride }) => stride),
      pads: [...axes.map(({ padBegin }) => padBegin), ...axes.map(({ padEnd }) => padEnd)],
    });
    const image = reshapeTo(build, result, outputs[0]!.shape);
    return [B ? build.apply(add, [image, reshapeTo(build, B, [C, ...axes.map(() => 1)])]) : image];
  },
});
