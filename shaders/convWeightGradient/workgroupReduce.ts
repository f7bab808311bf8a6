// One workgroup sums a block of weights (all taps of a kernel row for several output channels): its invocations take rows
// of dY in turn, and their partial sums meet in a tree in workgroup memory, always in the same order. Barriers are paid
// once a workgroup, not once a tile, so even a CPU-emulated adapter gains, and the long sums of a first layer keep a GPU busy.

import type { convWeightGradient } from "../../src/ops/convBack.ts";
import { convConstants, convUniforms, isPlanar } from "../common/convWindow.ts";
import { linearDispatch } from "../common/linear.ts";
import { unroll } from "../common/unroll.ts";
import { firstReason, fitsBindings, fitsWorkgroup } from "../common/workgroup.ts";
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

const TILE = { channels: 4, columns: 16 };

const reduceBlock = (problem: WeightGradientProblem): Block => blockOf(problem, TILE);

export default defineStrategy({
  op: operatorNamed<typeof convWeightGradient>("ConvWeightGradient"),
  name: "workgroupReduce",
  params: { lanes: [64, 256] },

  supports(problem, limits, p) {
    const { channels, terms, geometry } = reduceBlock(problem);
    const count = channels * terms.flat().length;
    return firstReason(
      isPlanar(geometry),
      count <= MOST_TERMS || `this kernel would be ${count} multiply-adds in a row`,
      fitsWorkgroup(limits, [p.lanes], 4 * p.lanes * channels * geometry.kW),
      fitsBindings(limits, problem),
    );
  },
  dispatch: (problem) => linearDispatch(reduceBlock(problem).count, 1),
  uniforms(problem) {
    const { geometry, channelTiles, count } = reduceBlock(problem);
    return {
      ...convUniforms(geometry),
      channel_tiles: { type: "u32", value: channelTiles },
      blocks: { type: "u32", value: count },
    };
  },
  source(problem, p) {
    const block = reduceBlock(problem);
    const { kW } = block.geometry;
    const sums = block.channels * kW;
    return {
      bindings: blockBindings(block),
      code: wgsl`
// x [N, C, H, W] and dy [N, M, out_h, out_w] as vectors along their rows; dw [M, C/group, KH, KW]
${convConstants(block.geometry)}
const LANES = ${p.lanes}u;
var<workgroup> partial: array<array<f32, LANES>, ${sums}>; // [sum, lane]

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let block = workgroup.y * workgroups.x + workgroup.x;
  if (block >= u.blocks) { return; }
${blockStart(block)}
  for (var row = lane; row < u.N * u.out_h; row += LANES) {
    let n = row / u.out_h;
    let oh = row % u.out_h;
${addRow(block)}
  }
${unroll(block.channels, (i) => unroll(kW, (kw) => `  partial[${i * kW + kw}][lane] = sum${i}_${kw};`))}
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    for (var item = lane; item < half * ${sums}u; item += LANES) {
      let sum = item / half;
      let place = item % half;
      partial[sum][place] += partial[sum][place + half];
    }
  }
  workgroupBarrier();
  for (var item = lane; item < ${sums}u; item += LANES) {
    let m = first_m + item / KW;
    if (m < u.group_m) {
      let place = (((group * u.group_m + m) * u.group_c + c) * KH + kh) * KW + item % KW;
      dw[place] = epilogue(partial[item][0], place);
    }
  }
}`,
    };
  },
  trafficBytes(problem) {
    const block = reduceBlock(problem);
    const { N, outH, M, C, group, kH, kW } = block.geometry;
    return 4 * (block.count * N * outH * loadsPerRow(block) + (M * C * kH * kW) / group);
  },
  barriers: (problem, p) => reduceBlock(problem).count * p.lanes * (Math.log2(p.lanes) + 1),
  intensity: (problem) => blockIntensity(reduceBlock(problem)),
});
