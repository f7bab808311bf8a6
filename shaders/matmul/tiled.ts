// Square tiles of A and B are copied to workgroup memory together, then every invocation sums its own element from there:
// each loaded element is used TILE times. The textbook kernel for GPUs. It pays two barriers per TILE multiply-adds, which
// a CPU-emulated adapter can't afford, and it reads workgroup memory twice a multiply-add, which register blocking avoids.

import { type matMul, matMulGeometry } from "../../src/ops/matmul.ts";
import { firstReason, fitsBindings, fitsWorkgroup } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { batchOffsets, blockDispatch, blockDispatchFits, matMulUniforms } from "./layout.ts";

export default defineStrategy({
  op: operatorNamed<typeof matMul>("MatMul"),
  name: "tiled",
  params: { tile: [16, 8] },

  supports(problem, limits, { tile }) {
    return firstReason(
      fitsWorkgroup(limits, [tile, tile], 8 * tile * tile),
      blockDispatchFits(problem, limits, tile, tile),
      fitsBindings(limits, problem),
    );
  },
  dispatch: (problem, { tile }) => blockDispatch(problem, tile, tile),
  uniforms: (problem) => matMulUniforms(problem),
  source: (problem, { tile }) => ({
    code: wgsl`
// a [batch…, M, K], b [batch…, K, N] by strides; y [batch…, M, N]
const TILE = ${tile}u;
var<workgroup> a_tile: array<array<f32, TILE>, TILE>; // [m, k]
var<workgroup> b_tile: array<array<f32, TILE>, TILE>; // [k, n]

${batchOffsets(problem)}

@compute @workgroup_size(TILE, TILE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let m = group.y * TILE + local.y;
  let n = group.x * TILE + local.x;
  let offsets = batch_offsets(group.z);
  let a_row = offsets.x + m * u.a_row_stride;
  let b_col = offsets.y + n * u.b_col_stride;
  var sum = 0.0;
  for (var first = 0u; first < u.K; first += TILE) {
    let a_k = first + local.x;
    let b_k = first + local.y;
    var a_value = 0.0;
    var b_value = 0.0;
    if (m < u.M && a_k < u.K) { a_value = a[a_row + a_k * u.a_col_stride]; }
    if (n < u.N && b_k < u.K) { b_value = b[b_col + b_k * u.b_row_stride]; }
    a_tile[local.y][local.x] = a_value;
    b_tile[local.y][local.x] = b_value;
    workgroupBarrier();
    for (var k = 0u; k < TILE; k++) {
      sum += a_tile[local.y][k] * b_tile[k][local.x];
    }
    workgroupBarrier();
  }
  if (m < u.M && n < u.N) {
    let index = (group.z * u.M + m) * u.N + n;
    y[index] = epilogue(sum, index);
  }
}`,
  }),
  trafficBytes(problem, { tile }) {
    const { batchSize, M, N, K } = matMulGeometry(problem);
    return 4 * batchSize * (K * (M * Math.ceil(N / tile) + N * Math.ceil(M / tile)) + M * N);
  },
  barriers(problem, { tile }) {
    const [x, y, z] = blockDispatch(problem, tile, tile);
    return x * y * z * tile * tile * 2 * Math.ceil(matMulGeometry(problem).K / tile);
  },
  intensity: (_, { tile }) => tile / 2,
});
