// The convolution as a matrix product that is never laid out in memory: weights [M, C·KH·KW] times patches
// [C·KH·KW, N·out_h·out_w], whose elements are looked up in X while a block of them is copied to workgroup memory. Then as in
// a blocked matrix product: every invocation multiplies 4 channels × 4 pixels in registers. Patches are shared by all
// channels of a block, weights by all its pixels. Wins on GPUs when M and C·KH·KW are large; with few channels most rows
// of a block are empty, and where barriers are emulated it loses to directRegister.
//
// Both blocks are stored in groups of four along the sum, one group of padding a row to spread rows over the banks.
// What lies outside (padding, ragged edges) is stored as zero.

import type { conv } from "../../src/ops/conv.ts";
import { convGeometry, type ConvAttributes, type ConvGeometry } from "../../src/ops/convGeometry.ts";
import { convConstants, convUniforms, isPlanar } from "../common/convWindow.ts";
import { unroll, unrolledList } from "../common/unroll.ts";
import { firstReason, fitsBindings, fitsWorkgroup } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

const TILE = 4; // channels and pixels an invocation
const DEPTH = 16; // terms between barriers
const QUADS = DEPTH / 4;
const PITCH = QUADS + 1;

interface Block {
  readonly g: ConvGeometry;
  /** Terms of one output's sum. */
  readonly K: number;
  readonly pixels: number;
  readonly channels: number;
  readonly workgroups: [number, number, number];
}

/** `group` is [invocations along the pixels, along the channels] of a workgroup. */
function blockOf(problem: KernelProblem<ConvAttributes>, [across = 1, down = 1]: readonly number[]): Block {
  const g = convGeometry(problem);
  const pixels = TILE * across;
  const channels = TILE * down;
  const workgroups: [number, number, number] = [
    Math.ceil((g.N * g.outH * g.outW) / pixels),
    Math.ceil(g.M / g.group / channels),
    g.group,
  ];
  return { g, K: (g.C / g.group) * g.kH * g.kW, pixels, channels, workgroups };
}

export default defineStrategy<ConvAttributes, { group: readonly number[] }>({
  op: operatorNamed<typeof conv>("Conv"),
  name: "implicitGemm",
  params: {
    group: [
      [16, 4],
      [16, 16],
    ],
  },

  supports(problem, limits, { group }) {
    const { g, pixels, channels, workgroups } = blockOf(problem, group);
    const most = limits.maxComputeWorkgroupsPerDimension;
    return firstReason(
      isPlanar(g),
      fitsWorkgroup(limits, [group[0]!, group[1]!], 16 * PITCH * (pixels + channels)),
      Math.max(...workgroups) <= most || `${workgroups.join(" × ")} workgroups pass ${most} in a dimension`,
      fitsBindings(limits, problem),
    );
  },
  dispatch: (problem, { group }) => blockOf(problem, group).workgroups,
  uniforms(problem, { group }) {
    const { g, K } = blockOf(problem, group);
    return {
      ...convUniforms(g),
      K: { type: "u32", value: K },
      pixels: { type: "u32", value: g.N * g.outH * g.outW },
    };
  },
  source(problem, { group }) {
    const { g, K, pixels, channels } = blockOf(problem, group);
    const [across, down] = [group[0]!, group[1]!];
    const isVector = K % 4 === 0;
    return {
      bindings: { w: isVector ? "vec4<f32>" : "f32" },
      code: wgsl`
// x [N, C, H, W], w [M, K] with K = C/group · KH · KW, as vec4 along K where it divides, b [M]; y [N, M, out_h, out_w]
${convConstants(g)}
const LANES = ${across * down}u;
var<workgroup> w_block: array<vec4<f32>, ${channels * PITCH}>; // [channel, k / 4]
var<workgroup> x_block: array<vec4<f32>, ${pixels * PITCH}>; // [pixel, k / 4]

// Weights k … k + 3 of channel m of the group, zeros outside.
fn load_w(first_m: u32, m: u32, k: u32) -> vec4<f32> {
  var weights = vec4<f32>(0.0);
  if (m < u.group_m && k < u.K) {
    let first = (first_m + m) * u.K + k;
#if ${isVector}
    weights = w[first >> 2u];
#else
    weights.x = w[first];
    if (k + 1u < u.K) { weights.y = w[first + 1u]; }
    if (k + 2u < u.K) { weights.z = w[first + 2u]; }
    if (k + 3u < u.K) { weights.w = w[first + 3u]; }
#endif
  }
  return weights;
}

// Element k of a pixel's patch: plane is the first channel's, corner the position of tap 0, 0.
fn load_x(plane: u32, corner: vec2<i32>, k: u32) -> f32 {
  let c = k / (KH * KW);
  let tap = k % (KH * KW);
  let ih = corner.x + i32(tap / KW) * DILATION_H;
  let iw = corner.y + i32(tap % KW) * DILATION_W;
  if (k >= u.K || u32(ih) >= u.H || u32(iw) >= u.W) { return 0.0; }
  return x[((plane + c) * u.H + u32(ih)) * u.W + u32(iw)];
}

@compute @workgroup_size(${across}, ${down})
fn main(
  @builtin(workgroup_id) block: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let first_pixel = block.x * ${pixels}u;
  let first_row = block.y * ${channels}u; // in its group
  let first_m = block.z * u.group_m;
  let first_c = block.z * u.group_c;
${unroll(TILE, (i) => unroll(TILE, (j) => `  var sum${i}_${j} = 0.0;`))}
  for (var first = 0u; first < u.K; first += ${DEPTH}u) {
    for (var i = lane; i < ${channels * QUADS}u; i += LANES) {
      let row = i / ${QUADS}u;
      let quad = i % ${QUADS}u;
      w_block[row * ${PITCH}u + quad] = load_w(first_m, first_row + row, first + quad * 4u);
    }
    for (var i = lane; i < ${pixels * QUADS}u; i += LANES) {
      let place = i % ${pixels}u;
      let quad = i / ${pixels}u;
      let pixel = first_pixel + place;
      var patch_values = vec4<f32>(0.0);
      if (pixel < u.pixels) {
        let ow = pixel % u.out_w;
        let oh = (pixel / u.out_w) % u.out_h;
        let plane = pixel / (u.out_w * u.out_h) * u.C + first_c;
        let corner = vec2<i32>(i32(oh) * STRIDE_H - PAD_TOP, i32(ow) * STRIDE_W - PAD_LEFT);
        let k = first + quad * 4u;
        patch_values = vec4<f32>(
          load_x(plane, corner, k),
          load_x(plane, corner, k + 1u),
          load_x(plane, corner, k + 2u),
          load_x(plane, corner, k + 3u),
        );
      }
      x_block[place * ${PITCH}u + quad] = patch_values;
    }
    workgroupBarrier();
    for (var quad = 0u; quad < ${QUADS}u; quad++) {
${unroll(TILE, (i) => `      let w${i} = w_block[(local.y * ${TILE}u + ${i}u) * ${PITCH}u + quad];`)}
${unroll(TILE, (j) => `      let x${j} = x_block[(local.x + ${j * across}u) * ${PITCH}u + quad];`)}
${unroll(TILE, (i) => unroll(TILE, (j) => `      sum${i}_${j} += dot(w${i}, x${j});`))}
    }
    workgroupBarrier();
  }
  // A loop, not a copy of the epilogue for each output: compiling those would take longer than running.
  var results = array<f32, ${TILE * TILE}>(${unrolledList(TILE * TILE, (i) => `sum${Math.floor(i / TILE)}_${i % TILE}`)});
  let area = u.out_h * u.out_w;
  for (var i = 0u; i < ${TILE * TILE}u; i++) {
    let row = first_row + local.y * ${TILE}u + i / ${TILE}u;
    let pixel = first_pixel + local.x + (i % ${TILE}u) * ${across}u;
    if (row < u.group_m && pixel < u.pixels) {
      let m = first_m + row;
      let index = ((pixel / area) * u.M + m) * area + pixel % area;
#if ${problem.inputs[2] !== undefined}
      y[index] = epilogue(results[i] + b[m], index);
#else
      y[index] = epilogue(results[i], index);
#endif
    }
  }
}`,
    };
  },
  trafficBytes(problem, { group }) {
    const { g, K, pixels, channels, workgroups } = blockOf(problem, group);
    const blocks = workgroups[0] * workgroups[1] * workgroups[2];
    return 4 * (blocks * K * (pixels + channels) + g.N * g.M * g.outH * g.outW);
  },
  barriers(problem, { group }) {
    const { K, workgroups } = blockOf(problem, group);
    const blocks = workgroups[0] * workgroups[1] * workgroups[2];
    return blocks * group[0]! * group[1]! * 2 * Math.ceil(K / DEPTH);
  },
  intensity(problem, { group }) {
    const { K, pixels, channels } = blockOf(problem, group);
    return (pixels * channels) / (pixels + channels / (K % 4 === 0 ? 4 : 1));
  },
});
