// One invocation sums all taps of a kernel row for several output channels, over every image and position, so that a
// loaded row of X and of dY feeds channels × KW sums. No barrier and no workgroup memory. There are few such blocks
// (C/group · KH · M / channels), each with a long sum: a layer with many channels keeps a device busy, a first layer does not,
// and belongs to workgroupReduce.

import type { convWeightGradient } from "../../src/ops/convBack.ts";
import { convConstants, convUniforms, isPlanar } from "../common/convWindow.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { unrolledList } from "../common/unroll.ts";
import { firstReason, fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  addRow,
  blockBindings,
  blockIntensity,
  blockOf,
  blockStart,
  loadsPerRow,
  MOST_TERMS,
  type Block,
  type WeightGradientProblem,
} from "./rows.ts";

const WORKGROUP = 16; // few invocations: spread them over many workgroups
const COLUMNS = 16;

const tileOf = (problem: WeightGradientProblem, { channels }: { readonly channels: number }): Block =>
  blockOf(problem, { channels, columns: COLUMNS });

export default defineStrategy({
  op: operatorNamed<typeof convWeightGradient>("ConvWeightGradient"),
  name: "registerTile",
  params: { channels: [4, 2] },

  supports(problem, limits, most) {
    const { channels, terms, geometry } = tileOf(problem, most);
    const count = channels * terms.flat().length;
    return firstReason(
      isPlanar(geometry),
      count <= MOST_TERMS || `this kernel would be ${count} multiply-adds in a row`,
      fitsBindings(limits, problem),
    );
  },
  dispatch: (problem, most) => linearDispatch(tileOf(problem, most).count, WORKGROUP),
  uniforms(problem, most) {
    const { geometry, channelTiles, count } = tileOf(problem, most);
    return {
      ...convUniforms(geometry),
      channel_tiles: { type: "u32", value: channelTiles },
      blocks: { type: "u32", value: count },
    };
  },
  source(problem, most) {
    const block = tileOf(problem, most);
    const { kW } = block.geometry;
    return {
      bindings: blockBindings(block),
      code: wgsl`
// x [N, C, H, W] and dy [N, M, out_h, out_w] as vectors along their rows; dw [M, C/group, KH, KW]
${convConstants(block.geometry)}

${linearMain(WORKGROUP)}
  if (index >= u.blocks) { return; }
  let block = index;
${blockStart(block)}
  for (var n = 0u; n < u.N; n++) {
    for (var oh = 0u; oh < u.out_h; oh++) {
${addRow(block)}
    }
  }
  var sums = array<f32, ${block.channels * kW}>(${unrolledList(block.channels * kW, (i) => `sum${Math.floor(i / kW)}_${i % kW}`)});
  for (var i = 0u; i < ${block.channels * kW}u; i++) {
    let m = first_m + i / KW;
    if (m < u.group_m) {
      let place = (((group * u.group_m + m) * u.group_c + c) * KH + kh) * KW + i % KW;
      dw[place] = epilogue(sums[i], place);
    }
  }
}`,
    };
  },
  trafficBytes(problem, most) {
    const block = tileOf(problem, most);
    const { N, outH, M, C, group, kH, kW } = block.geometry;
    return 4 * (block.count * N * outH * loadsPerRow(block) + (M * C * kH * kW) / group);
  },
  intensity: (problem, most) => blockIntensity(tileOf(problem, most)),
});
