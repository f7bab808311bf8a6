// A convolution as a matrix product: the patches under the window become the columns of a matrix, W [M, K] times columns
// [K, blocks] for each image and group, K being channels × taps. It writes every input element as often as there are taps,
// but then runs on the product's kernels, whatever the window: any number of axes, strides, dilations, groups. Where a
// 1×1 kernel meets every element, the input is that matrix already.

import { add } from "../../src/ops/binary.ts";
import { conv } from "../../src/ops/conv.ts";
import { resolveConv, type ResolvedConv } from "../../src/ops/convGeometry.ts";
import { im2Col } from "../../src/ops/im2Col.ts";
import { matMul } from "../../src/ops/matmul.ts";
import { reshapeTo } from "../../src/ops/reshape.ts";
import { firstReason } from "../common/workgroup.ts";
import { defineRewrite } from "../strategy.ts";

/** The window meets every element of the input once, and nothing else. */
const isPlain = ({ axes }: ResolvedConv): boolean =>
  axes.every(({ kernel, stride, padBegin, padEnd }) => kernel === 1 && stride === 1 && padBegin === 0 && padEnd === 0);

const product = (values: readonly number[]): number => values.reduce((result, value) => result * value, 1);

export default defineRewrite({
  op: conv,
  name: "im2col",
  params: {},

  supports({ inputs, outputs, attributes }, limits) {
    const { N, C, M, axes } = resolveConv(inputs, attributes);
    const sizeBytes = 4 * N * C * product(axes.map(({ kernel, out }) => kernel * out));
    return firstReason(
      N * C * M * product(axes.map(({ out }) => out)) > 0 || "nothing to compute",
      outputs[0]!.dtype === "float32" || "sums are kept in float32 only",
      sizeBytes <= limits.maxStorageBufferBindingSize ||
        `${sizeBytes} bytes of columns, and the device binds ${limits.maxStorageBufferBindingSize}`,
    );
  },

  rewrite(build, [X, W, B], { inputs, outputs, attributes }) {
    const resolved = resolveConv(inputs, attributes);
    const { N, C, M, group, axes } = resolved;
    const taps = product(axes.map(({ kernel }) => kernel));
    const blocks = product(axes.map(({ out }) => out));
    const K = (C / group) * taps;
    const columns = isPlain(resolved)
      ? X!
      : build.apply(im2Col, [X], {
          block_shape: axes.map(({ kernel }) => kernel),
          dilations: axes.map(({ dilation }) => dilation),
          strides: axes.map(({ stride }) => stride),
          pads: [...axes.map(({ padBegin }) => padBegin), ...axes.map(({ padEnd }) => padEnd)],
        });
    const grouped = group > 1;
    const weights = reshapeTo(build, W!, grouped ? [group, M / group, K] : [M, K]);
    const matrix = reshapeTo(build, columns, grouped ? [N, group, K, blocks] : [N, K, blocks]);
    const sums = build.apply(matMul, [weights, matrix]);
    const bias = B && reshapeTo(build, B, grouped ? [group, M / group, 1] : [M, 1]);
    return [reshapeTo(build, bias ? build.apply(add, [sums, bias]) : sums, outputs[0]!.shape)];
  },
});
