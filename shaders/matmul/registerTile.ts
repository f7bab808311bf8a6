// Every invocation computes a tile of rows × columns in registers and walks K four at a time, so that rows + columns
// loads feed rows · columns multiply-adds. There is no workgroup memory and no barrier: sharing between invocations
// is left to the caches. Best on CPU-emulated adapters and for small or narrow products everywhere; large products on a GPU
// belong to tiledRegister. Edges read clamped rows and columns and drop the results.
//
// Operands are read as vec4 along whichever of their axes is contiguous; that needs extents and strides divisible by four
// and is decided per operand, each falling back to scalar loads on its own. Four steps of k are added in one expression:
// drivers that keep variables in memory then touch each accumulator once per four multiply-adds.

import { type matMul, matMulGeometry } from "../../src/ops/matmul.ts";
import { unroll, unrolledList, unrolledSum } from "../common/unroll.ts";
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
  type MatMulProblem,
} from "./layout.ts";

const GROUP = 8; // invocations along each axis of a workgroup

/** Loads of `depth` steps from `k` on and the multiply-adds they feed. */
function multiplyAdd(problem: MatMulProblem, rows: number, columns: number, depth: number): string {
  const { a, b } = operandLayouts(problem);
  const aAlongSum = a.isVector && a.along === "sum";
  const bAlongSum = b.isVector && b.along === "sum";

  const loadA = aAlongSum
    ? unroll(rows, (i) => `let a${i} = a[(a_row${i} + k) >> 2u];`)
    : unroll(depth, (q) =>
        a.isVector
          ? unroll(rows / 4, (g) => `let a_${q}_${g} = a[(a_row${4 * g} + (k + ${q}u) * u.a_col_stride) >> 2u];`)
          : unroll(rows, (i) => `let a_${q}_${i} = a[a_row${i} + (k + ${q}u) * u.a_col_stride];`),
      );
  const elementA = (i: number, q: number): string => {
    if (aAlongSum) return `a${i}[${q}]`;
    return a.isVector ? `a_${q}_${i >> 2}[${i & 3}]` : `a_${q}_${i}`;
  };

  const columnsOf = (g: number, value: (j: number) => string): string =>
    `vec4<f32>(${[0, 1, 2, 3].map((c) => value(4 * g + c)).join(", ")})`;
  const loadB = bAlongSum ? unroll(columns, (j) => `let b${j} = b[(b_col${j} + k) >> 2u];`) : "";
  const vectorB = (q: number, g: number): string => {
    if (bAlongSum) return columnsOf(g, (j) => `b${j}[${q}]`);
    const row = `(k + ${q}u) * u.b_row_stride`;
    return b.isVector ? `b[(b_col${4 * g} + ${row}) >> 2u]` : columnsOf(g, (j) => `b[b_col${j} + ${row}]`);
  };

  return wgsl`
${loadA}
${loadB}
${unroll(depth, (q) => unroll(columns / 4, (g) => `let b_${q}_${g} = ${vectorB(q, g)};`))}
${unroll(rows, (i) =>
  unroll(columns / 4, (g) => `sum${i}_${g} += ${unrolledSum(depth, (q) => `${elementA(i, q)} * b_${q}_${g}`)};`),
)}`;
}

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
    const { a, b } = operandLayouts(problem);
    // A group of four along the operand's own axis is clamped as one: its extent is then divisible by four.
    const rowGroup = a.isVector && a.along === "own" ? 4 : 1;
    const columnGroup = b.isVector && b.along === "own" ? 4 : 1;
    return {
      bindings: operandBindings(problem),
      code: wgsl`
// a [batch…, M, K], b [batch…, K, N] by strides, as vec4 along the contiguous axis where it divides; y [batch…, M, N]
${batchOffsets(problem)}

@compute @workgroup_size(${GROUP}, ${GROUP})
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  let m = gid.y * ${rows}u;
  let n = gid.x * ${columns}u;
  if (m >= u.M || n >= u.N) { return; }
  let offsets = batch_offsets(gid.z);
${unroll(rows, (i) => `let a_row${i} = offsets.x + min(m + ${i}u, u.M - ${rowGroup}u) * u.a_row_stride;`)}
${unroll(columns, (j) => `let b_col${j} = offsets.y + min(n + ${j}u, u.N - ${columnGroup}u) * u.b_col_stride;`)}
${unroll(rows, (i) => unroll(columns / 4, (g) => `var sum${i}_${g} = vec4<f32>(0.0);`))}
  var next = 0u;
  for (; next + 4u <= u.K; next += 4u) {
    let k = next;
${multiplyAdd(problem, rows, columns, 4)}
  }
#if ${matMulGeometry(problem).K % 4 !== 0}
  for (; next < u.K; next++) {
    let k = next;
${multiplyAdd(problem, rows, columns, 1)}
  }
#endif
  // A loop, not ${rows * columns} copies of the epilogue: compiling them would take longer than running.
  var tile = array<f32, ${rows * columns}>(${unrolledList(rows * columns, (i) => `sum${Math.floor(i / columns)}_${i % columns >> 2}[${i & 3}]`)});
  for (var i = 0u; i < ${rows * columns}u; i++) {
    let row = m + i / ${columns}u;
    let column = n + i % ${columns}u;
    if (row < u.M && column < u.N) {
      let index = (gid.z * u.M + row) * u.N + column;
      y[index] = epilogue(tile[i], index);
    }
  }
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
    return (4 * rows * columns) / (rows * (a.isVector ? 1 : 4) + columns * (b.isVector ? 1 : 4));
  },
});
