// Register tiles whose rows of A are loaded once for four invocations. All invocations of a workgroup have the same rows and
// each its own columns, so in a quad (four neighbours of a subgroup) every invocation loads a quarter of A's part and hands it
// to the others: `quadBroadcast` is a shuffle on a GPU, and a few instructions on a CPU that emulates one, where every
// element loaded costs as much as twenty-five multiply-adds. A tile of 16 × 8 then needs 12 elements a step for 128
// multiply-adds. No workgroup memory, no barrier; B comes through the caches. The best kernel for large products on adapters
// emulated on a CPU, and for a few rows of A against a wide B everywhere. Edges read clamped rows and columns and drop the
// results.

import { type matMul, matMulGeometry } from "../../src/ops/matmul.ts";
import { QUAD, sharesLoads, sharingExtensions } from "../common/quads.ts";
import { unroll } from "../common/unroll.ts";
import { firstReason, fitsBindings, fitsWorkgroup } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed, type KernelLimits } from "../strategy.ts";
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
  matrixOf,
  neighboursAt,
  placeOf,
  product,
  readsNeighbours,
  stepsOf,
  storeGroups,
  transposed,
  type Operand,
} from "./steps.ts";

type Tile = { readonly rows: number; readonly vectors: number; readonly lanes: number };
const LANES = [8, 64];

/** Columns of a workgroup: each invocation has `vectors` groups of four. */
const blockN = ({ vectors, lanes }: Tile): number => 4 * vectors * lanes;

/** A workgroup is one or a few whole subgroups and no more: the rows of B that one streams should fit into a cache. */
function fitsSubgroups({ subgroupMaxSize = 64 }: KernelLimits, lanes: number): true | string {
  const fitting = LANES.find((one) => one >= subgroupMaxSize) ?? LANES.at(-1)!;
  return lanes === fitting || `${lanes} invocations, where subgroups of up to ${subgroupMaxSize} want ${fitting}`;
}

/** `s<i>`: four steps of row i. An invocation loads one row of each four, or one step of them, and the quad exchanges them. */
function shareA(a: Operand, rows: number): string {
  const groups = rows / 4;
  if (!readsNeighbours(a))
    return wgsl`
${unroll(groups, (g) => `let t${g} = ${stepsOf(a, `a_row${g}`)};`)}
${unroll(rows, (i) => `let s${i} = quadBroadcast(t${i >> 2}, ${i & 3}u);`)}`;
  return wgsl`
${unroll(groups, (g) => `let t${g} = ${neighboursAt(a, `a_row${g}`, "lane")};`)}
${unroll(groups, (g) => unroll(4, (q) => `let t${g}_${q} = quadBroadcast(t${g}, ${q}u);`))}
${unroll(rows, (i) => `let s${i} = ${transposed(i)};`)}`;
}

export default defineStrategy({
  op: operatorNamed<typeof matMul>("MatMul"),
  name: "subgroup",
  params: { rows: [16, 8], vectors: [2, 1], lanes: LANES },

  supports(problem, limits, p) {
    return firstReason(
      sharesLoads(limits, QUAD),
      fitsSubgroups(limits, p.lanes),
      fitsWorkgroup(limits, [p.lanes]),
      blockDispatchFits(problem, limits, p.rows, blockN(p)),
      fitsBindings(limits, problem),
    );
  },
  dispatch: (problem, p) => blockDispatch(problem, p.rows, blockN(p)),
  uniforms: (problem) => matMulUniforms(problem),
  source(problem, p) {
    const { rows, vectors, lanes } = p;
    const layouts = operandLayouts(problem);
    const { N, K } = matMulGeometry(problem);
    const hasTail = K % 4 !== 0;
    const a: Operand = { name: "a", layout: layouts.a, hasTail };
    const b: Operand = { name: "b", layout: layouts.b, hasTail };
    const firstRow = (g: number): string =>
      readsNeighbours(a) ? `min(m + ${4 * g}u, u.M - 4u)` : `min(m + ${4 * g}u + lane, u.M - 1u)`;
    const column = (j: number): number => (j >> 2) * 4 * lanes + (j & 3);
    const isVector = N % 4 === 0;
    return {
      enable: sharingExtensions(QUAD),
      bindings: operandBindings(problem),
      ...(isVector ? { lanes: 4 as const } : {}),
      code: wgsl`
// a [batch…, M, K], b [batch…, K, N] by strides, as vec4 along the contiguous axis where it divides; y [batch…, M, N]
${batchOffsets(problem)}

@compute @workgroup_size(${lanes})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(subgroup_invocation_id) place: u32,
) {
  let lane = place & 3u;
  let m = group.y * ${rows}u;
  let n = group.x * ${blockN(p)}u + local.x * 4u;
  let offsets = batch_offsets(group.z);
${unroll(rows / 4, (g) => `  let a_row${g} = ${placeOf(a, `offsets.x + ${firstRow(g)} * u.a_row_stride`)};`)}
${unroll(4 * vectors, (j) => `  let b_col${j} = ${placeOf(b, `offsets.y + min(n + ${column(j)}u, u.N - ${readsNeighbours(b) ? 4 : 1}u) * u.b_col_stride`)};`)}
${declareSteps(a)}
${declareSteps(b)}
${unroll(rows, (i) => unroll(vectors, (v) => `  var sum${i}_${v} = vec4<f32>(0.0);`))}
  for (var k = 0u; k < u.K; k += 4u) {
${declarePlace(a)}
${declarePlace(b)}
${unroll(vectors, (v) => `let b${v} = ${matrixOf(b, (j) => `b_col${4 * v + j}`)};`)}
${shareA(a, rows)}
${unroll(rows, (i) => unroll(vectors, (v) => `sum${i}_${v} += ${product(b, `b${v}`, `s${i}`)};`))}
  }
${storeGroups(rows * vectors, (i) => `sum${Math.floor(i / vectors)}_${i % vectors}`, {
  place: wgsl`
    let row = m + i / ${vectors}u;
    let own = n + (i % ${vectors}u) * ${4 * lanes}u;
    let extent = select(0u, u.N, row < u.M);
    let index = (group.z * u.M + row) * u.N + own;`,
  step: "1u",
  isVector,
})}
}`,
    };
  },
  trafficBytes(problem, p) {
    const { batchSize, M, N, K } = matMulGeometry(problem);
    const reads = K * (M * Math.ceil(N / blockN(p)) + N * Math.ceil(M / p.rows));
    return 4 * batchSize * (reads + M * N);
  },
  busyInvocations(problem, p) {
    const { batchSize, M, N } = matMulGeometry(problem);
    return batchSize * Math.ceil(M / p.rows) * Math.ceil(N / (4 * p.vectors));
  },
  intensity(problem, { rows, vectors }) {
    const { a, b } = operandLayouts(problem);
    const loads = (rows / QUAD) * (a.isVector ? 1 : 4) + 4 * vectors * (b.isVector ? 1 : 4);
    return (16 * rows * vectors * usedShare(problem, rows, 4 * vectors)) / loads;
  },
});
