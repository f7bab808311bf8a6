// A transposed convolution that moves by s is s small convolutions an axis, one for each remainder of the output's place by
// s: that one meets every s-th tap. They are one ordinary convolution with s times as many channels an axis, whose results
// are interleaved (transposed) afterwards. Wins for large strides and many channels, as no tap is tried in vain and all
// kernels of Conv, Winograd's too, are at hand; where the stride is 1 nothing is interleaved, and the kernel is flipped.

import { add } from "../../src/ops/binary.ts";
import { conv } from "../../src/ops/conv.ts";
import { convTranspose } from "../../src/ops/convBack.ts";
import { resolveConvTranspose } from "../../src/ops/convBackGeometry.ts";
import type { Builder, Operand } from "../../src/ops/operator.ts";
import { reshapeTo } from "../../src/ops/reshape.ts";
import { pad, slice } from "../../src/ops/slice.ts";
import { transpose } from "../../src/ops/transpose.ts";
import { firstReason } from "../common/workgroup.ts";
import { defineRewrite } from "../strategy.ts";

interface Axis {
  readonly kernel: number;
  readonly stride: number;
}

const product = (values: readonly number[]): number => values.reduce((result, value) => result * value, 1);

/** Taps that each of the small convolutions has. */
const tapsOf = ({ kernel, stride }: Axis): number => Math.ceil(kernel / stride);

/** W [M, C/group, ..kernel] as [C · strides, M/group, ..taps]: tap j of remainder r is tap r + stride·j, backwards. */
function cutWeights(build: Builder, W: Operand, group: number, axes: readonly Axis[]): Operand {
  const [M, ownC] = W.shape as [number, number];
  const zeros = axes.map((axis) => tapsOf(axis) * axis.stride - axis.kernel);
  const none = W.shape.map(() => 0);
  const whole = zeros.some((count) => count > 0) ? build.apply(pad, [W], { pads: [...none, 0, 0, ...zeros] }) : W;
  const cut = reshapeTo(build, whole, [group, M / group, ownC, ...axes.flatMap((axis) => [tapsOf(axis), axis.stride])]);
  const tapAxes = axes.map((_, i) => 3 + 2 * i);
  const flipped = build.apply(slice, [cut], {
    axes: tapAxes,
    starts: axes.map(() => -1),
    ends: axes.map(() => -(2 ** 31)),
    steps: axes.map(() => -1),
  });
  const perm = [0, 2, ...tapAxes.map((axis) => axis + 1), 1, ...tapAxes];
  const channels = group * ownC * product(axes.map(({ stride }) => stride));
  return reshapeTo(build, build.apply(transpose, [flipped], { perm }), [channels, M / group, ...axes.map(tapsOf)]);
}

export default defineRewrite({
  op: convTranspose,
  name: "subpixel",
  params: {},

  // Of the convolution that is transposed, `C` and `extent` belong to the result here, `M` and `out` to the input.
  supports({ inputs, outputs, attributes }) {
    const { N, C, M, axes } = resolveConvTranspose(inputs, attributes);
    return firstReason(
      N * C * M * product(axes.map(({ out }) => out)) > 0 || "nothing to compute",
      axes.every(({ dilation, kernel }) => dilation === 1 || kernel === 1) || "dilated",
      outputs[0]!.dtype === "float32" || "parts are kept in float32 only",
    );
  },

  rewrite(build, [X, W, B], { inputs, outputs, attributes }) {
    const { N, C, group, axes } = resolveConvTranspose(inputs, attributes);
    // The small convolutions are computed where the result is, from place `first` on; a kernel reaches `taps - 1` beyond.
    const parts = axes.map((axis) => {
      const reach = tapsOf(axis) - 1;
      const first = Math.min(Math.floor(axis.padBegin / axis.stride), reach);
      const count = Math.ceil((axis.padBegin + axis.extent) / axis.stride) - first;
      const begin = reach - first;
      const end = Math.max(0, count - axis.out + reach - begin);
      return { begin, end, length: axis.out + begin + end - reach, skipped: axis.padBegin - axis.stride * first };
    });
    const pads = [...parts.map(({ begin }) => begin), ...parts.map(({ end }) => end)];
    const convolved = build.apply(conv, [X, cutWeights(build, W!, group, axes)], { group, pads });
    const lengths = parts.map(({ length }) => length);
    const strides = axes.map(({ stride }) => stride);
    let image = convolved;
    if (strides.some((stride) => stride > 1)) {
      const split = reshapeTo(build, convolved, [N, C, ...strides, ...lengths]);
      const perm = [0, 1, ...axes.flatMap((_, i) => [2 + axes.length + i, 2 + i])];
      image = reshapeTo(build, build.apply(transpose, [split], { perm }), [
        N,
        C,
        ...lengths.map((length, i) => length * strides[i]!),
      ]);
    }
    if (image.shape.some((extent, i) => extent !== outputs[0]!.shape[i]))
      image = build.apply(slice, [image], {
        axes: axes.map((_, i) => 2 + i),
        starts: parts.map(({ skipped }) => skipped),
        ends: parts.map(({ skipped }, i) => skipped + axes[i]!.extent),
      });
    return [B ? build.apply(add, [image, reshapeTo(build, B, [C, ...axes.map(() => 1)])]) : image];
  },
});
