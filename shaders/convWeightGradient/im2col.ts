// The gradient of a convolution's weights as a matrix product: dY [M, blocks] times the transposed patches of X
// [blocks, K] for each image and group, summed over images. Any number of axes, strides, dilations, groups; wins for many
// channels, where the product is worth writing the patches out.

import { convWeightGradient } from "../../src/ops/convBack.ts";
import { resolveConvWeightGradient } from "../../src/ops/convBackGeometry.ts";
import { reduceSum } from "../../src/ops/reduce.ts";
import { im2Col } from "../../src/ops/im2Col.ts";
import { matMul } from "../../src/ops/matmul.ts";
import { reshapeTo } from "../../src/ops/reshape.ts";
import { firstReason } from "../common/workgroup.ts";
import { defineRewrite } from "../strategy.ts";

const product = (values: readonly number[]): number => values.reduce((result, value) => result * value, 1);

export default defineRewrite({
  op: convWeightGradient,
  name: "im2col",
  params: {},

  supports({ inputs, outputs, attributes }, limits) {
    const { N, C, M, axes } = resolveConvWeightGradient(inputs, attributes);
    const sizeBytes = 4 * N * C * product(axes.map(({ kernel, out }) => kernel * out));
    const isCovered = axes.every(
      ({ extent, kernel, stride, dilation, padBegin, padEnd, out }) =>
        Math.floor((extent + padBegin + padEnd - dilation * (kernel - 1) - 1) / stride) + 1 === out,
    );
    return firstReason(
      N * C * M * product(axes.map(({ out }) => out)) > 0 || "nothing to compute",
      isCovered || "dY has other extents than the windows",
      outputs[0]!.dtype === "float32" || "sums are kept in float32 only",
      sizeBytes <= limits.maxStorageBufferBindingSize ||
        `${sizeBytes} bytes of columns, and the device binds ${limits.maxStorageBufferBindingSize}`,
    );
  },

  rewrite(build, [X, dY], { inputs, outputs, attributes }) {
    const { N, C, M, group, axes } = resolveConvWeightGradient(inputs, attributes);
    const taps = product(axes.map(({ kernel }) => kernel));
    const blocks = product(axes.map(({ out }) => out));
    const K = (C / group) * taps;
    const columns = build.apply(im2Col, [X], {
      block_shape: axes.map(({ kernel }) => kernel),
      dilations: axes.map(({ dilation }) => dilation),
      strides: axes.map(({ stride }) => stride),
      pads: [...axes.map(({ padBegin }) => padBegin), ...axes.map(({ padEnd }) => padEnd)],
    });
    const matrix = reshapeTo(build, columns, [N, group, K, blocks]);
    const gradients = reshapeTo(build, dY!, [N, group, M / group, blocks]);
    const sums = build.apply(matMul, [gradients, matrix], { transB: 1 }); // [N, group, M/group, K]
    const total = N > 1 ? build.apply(reduceSum, [sums], { axes: [0], keepdims: 0 }) : sums;
    return [reshapeTo(build, total, outputs[0]!.shape)];
  },
});
