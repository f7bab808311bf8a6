// Winograd's minimal filtering: patches of the input and the kernels are transformed, multiplied position by position (a
// batch of (tile + 2)² matrix products over the channels), and the products are transformed back. Tiles of 2×2 outputs need
// 2.25 times fewer multiplications than the definition, tiles of 4×4 four times fewer; constant weights are transformed
// once. Wins for many channels, where the products outweigh the transforms. Its rounding errors are larger than a direct
// convolution's, the more so the larger the tile: `winogradErrorFactor` says by how much.

import { add } from "../../src/ops/binary.ts";
import { conv } from "../../src/ops/conv.ts";
import { resolveConv } from "../../src/ops/convGeometry.ts";
import { matMul } from "../../src/ops/matmul.ts";
import { reshapeTo } from "../../src/ops/reshape.ts";
import {
  patchOf,
  WINOGRAD_KERNEL,
  winogradErrorFactor,
  winogradInput,
  winogradOutput,
  winogradWeights,
} from "../../src/ops/winograd.ts";
import { firstReason } from "../common/workgroup.ts";
import { defineRewrite } from "../strategy.ts";

export default defineRewrite({
  op: conv,
  name: "winograd",
  params: { tile: [4, 2] },

  supports({ inputs, outputs, attributes }, limits, { tile }) {
    const { N, C, M, axes } = resolveConv(inputs, attributes);
    const { dtype } = outputs[0]!;
    const tiles = axes.reduce((count, { out }) => count * Math.ceil(out / tile), N);
    const sizeBytes = 4 * patchOf(tile) ** 2 * Math.max(C, M) * tiles;
    return firstReason(
      axes.length === 2 || `${axes.length} spatial axes`,
      axes.every(({ kernel }) => kernel === WINOGRAD_KERNEL) || "not a 3×3 kernel",
      axes.every(({ stride, dilation }) => stride === 1 && dilation === 1) || "it skips",
      axes.every(({ padEnd }) => padEnd >= 0) || "it crops",
      dtype === "float32" || `transforms of ${dtype} would round`,
      N * C * M > 0 || "nothing to compute",
      sizeBytes <= limits.maxStorageBufferBindingSize ||
        `${sizeBytes} bytes of transformed tensors, and the device binds ${limits.maxStorageBufferBindingSize}`,
    );
  },

  rewrite(build, [X, W, B], { inputs, outputs, attributes }, { tile }) {
    const { M, group, axes } = resolveConv(inputs, attributes);
    const pads = [...axes.map(({ padBegin }) => padBegin), ...axes.map(({ padEnd }) => padEnd)];
    const weights = build.apply(winogradWeights, [W], { tile, group });
    const patches = build.apply(winogradInput, [X], { tile, group, pads });
    const products = build.apply(matMul, [weights, patches]);
    const result = build.apply(winogradOutput, [products], { tile, shape: outputs[0]!.shape });
    return [B ? build.apply(add, [result, reshapeTo(build, B, [M, 1, 1])]) : result];
  },

  errorFactor: ({ inputs, attributes }, { tile }) => {
    const { C, group } = resolveConv(inputs, attributes);
    return winogradErrorFactor(tile, C / group);
  },
});
