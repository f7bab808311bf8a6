// Every invocation computes a tile of rows × columns in registers and walks K four at a time, so that rows + columns
// loads feed rows · columns multiply-adds. There is no workgroup memory and no barrier: sharing between invocations
// is left to the caches. Best on CPU-emulated adapters without subgroups and for small or narrow products everywhere; large
// products on a GPU belong to tiledRegister. Edges read clamped rows and columns and drop the results.
//
// Operands are read as vec4 along whichever of their axes is contiguous; that needs extents and strides divisible by four
// and is decided per operand, each falling back to scalar loads on its own. Four steps of k are added in one expression:
// drivers that keep variables in memory then touch each accumulator once per four multiply-adds.

import { type matMul, matMulGeometry } from "../../src/ops/matmul.ts";
import { unroll } from "../common/unroll.ts";
import { firstReason, fitsBindings, fitsWorkgroup } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  batchOffsets,
  blockDispatch,
  blockDispatchFits,
  matMulUniforms,
  operandBindings,
  operandLayouts,
  usedShare,
} from "./layout.ts";
import {
  declarePlace,
  declareSteps,
  loadSteps,
  matrixOf,
  placeOf,
  product,
  readsNeighbours,
  storeGroups,
  type Operand,
} from "./steps.ts";

const GROUP = 8; // invocations along each axis of a workgroup

export default defineStrategy({
  op: operatorNamed<typeof matMul>("MatMul"),
  name: "registerTile",
  params: { rows: [4, 8], columns: [8, 4] },

  supports(problem, limits, { rows, columns }) {
    return firstReason(
      fitsWorkgroup(limits, [GROUP, GROUP]),
      blockDispatchFits(problem, limits, GROUP * rows, GROUP * columns),
      fitsBindings(limits, problem),
    );
  },
  dispatch: (problem, { rows, columns }) => blockDispatch(problem, GROUP * rows, GROUP * columns),
  uniforms: (problem) => matMulUniforms(problem),
  source(problem, { rows, columns }) {
    const layouts = operandLayouts(problem);
    const { N, K } = matMulGeometry(problem);
    const hasTail = K % 4 !== 0;
    const a: Operand = { name: "a", layout: layouts.a, hasTail };
    const b: Operand = { name: "b", layout: layouts.b, hasTail };
    const vectors = columns / 4;
    const isVector = N % 4 === 0;
    const row = (i: number): string =>
      placeOf(a, `offsets.x + min(m + ${i}u, u.M - ${readsNeighbours(a) ? 4 : 1}u) * u.a_row_stride`);
    const column = (j: number): string =>
      placeOf(b, `offsets.y + min(n + ${j}u, u.N - ${readsNeighbours(b) ? 4 : 1}u) * u.b_col_stride`);
    return {
      bindings: operandBindings(problem),
      ...(isVector ? { lanes: 4 as const } : {}),
      code: wgsl`
// a [batch…, M, K], b [batch…, K, N] by strides, as vec4 along the contiguous axis where it divides; y [batch…, M, N]
${batchOffsets(problem)}

@compute @workgroup_size(${GROUP}, ${GROUP})
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  let m = gid.y * ${rows}u;
  let n = gid.x * ${columns}u;
  if (m >= u.M || n >= u.N) { return; }
  let offsets = batch_offsets(gid.z);
${unroll(rows, (i) => `  let a_row${i} = ${row(i)};`)}
${unroll(columns, (j) => `  let b_col${j} = ${column(j)};`)}
${declareSteps(a)}
${declareSteps(b)}
${unroll(rows, (i) => unroll(vectors, (v) => `  var sum${i}_${v} = vec4<f32>(0.0);`))}
  for (var k = 0u; k < u.K; k += 4u) {
${declarePlace(a)}
${declarePlace(b)}
${loadSteps(a, rows, (i) => `a_row${i}`)}
${unroll(vectors, (v) => `let b${v} = ${matrixOf(b, (j) => `b_col${4 * v + j}`)};`)}
${unroll(rows, (i) => unroll(vectors, (v) => `sum${i}_${v} += ${product(b, `b${v}`, `s${i}`)};`))}
  }
${storeGroups(rows * vectors, (i) => `sum${Math.floor(i / vectors)}_${i % vectors}`, {
  place: wgsl`
    let row = m + i / ${vectors}u;
    let own = n + (i % ${vectors}u) * 4u;
    let extent = select(0u, u.N, row < u.M);
    let index = (gid.z * u.M + row) * u.N + own;`,
  step: "1u",
  isVector,
})}
}`,
    };
  },
  trafficBytes(problem, { rows, columns }) {
    const { batchSize, M, N, K } = matMulGeometry(problem);
    const tiles = batchSize * Math.ceil(M / rows) * Math.ceil(N / columns);
    return 4 * (tiles * K * (rows + columns) + batchSize * M * N);
  },
  busyInvocations(problem, { rows, columns }) {
    const { batchSize, M, N } = matMulGeometry(problem);
    return batchSize * Math.ceil(M / rows) * Math.ceil(N / columns);
  },
  intensity(problem, { rows, columns }) {
    const { a, b } = operandLayouts(problem);
    const loads = rows * (a.isVector ? 1 : 4) + columns * (b.isVector ? 1 : 4);
    return (4 * rows * columns * usedShare(problem, rows, columns)) / loads;
  },
});
