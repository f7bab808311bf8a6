// The classic fast GPU product: a workgroup copies a block of A and of B to workgroup memory, and every invocation multiplies
// its own tile of them in registers, so that both memory and workgroup memory are read far less than once a multiply-add.
// Wins on large products on GPUs. Loses where barriers are emulated (software adapters) and where M or N is much smaller
// than a block, because most invocations then compute nothing.
//
// Each operand is stored in groups of four along its contiguous axis, as it is loaded, so nothing is transposed on the way;
// what lies outside is stored as zero, which makes every edge correct without a special case in the inner loop.
// Groups along k are padded by one a row to spread them over the banks, and columns are then dealt out in strides.

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
  type OperandLayout,
} from "./layout.ts";

const ROWS = 4; // rows an invocation
const DEPTH = 16; // steps of k between barriers

type Block = { readonly group: number };

const blockM = ({ group }: Block): number => group * ROWS;
/** Columns an invocation: small workgroups take more, so that their blocks are worth copying. */
const columnsOf = ({ group }: Block): number => (group < 16 ? 8 : 4);
const blockN = (p: Block): number => p.group * columnsOf(p);

/** Groups of four in a block of workgroup memory. */
function storedGroups(layout: OperandLayout, own: number): number {
  return layout.along === "sum" ? own * (DEPTH / 4 + 1) : DEPTH * (own / 4);
}

/** `fn load_NAME(base, own, k)`: the group of four that starts there along the contiguous axis, zeros outside. */
function loadFunction(name: "a" | "b", layout: OperandLayout): string {
  const [extent, ownStride, sumStride] =
    name === "a" ? ["u.M", "u.a_row_stride", "u.a_col_stride"] : ["u.N", "u.b_col_stride", "u.b_row_stride"];
  const isSum = layout.along === "sum";
  const room = isSum ? "u.K - k" : `${extent} - own`;
  const step = isSum ? sumStride : ownStride;
  return wgsl`
fn load_${name}(base: u32, own: u32, k: u32) -> vec4<f32> {
  var group = vec4<f32>(0.0);
  if (own < ${extent} && k < u.K) {
    let first = base + own * ${ownStride} + k * ${sumStride};
#if ${layout.isVector}
    group = ${name}[first >> 2u];
#else
    let room = ${room};
    group.x = ${name}[first];
    if (room > 1u) { group.y = ${name}[first + ${step}]; }
    if (room > 2u) { group.z = ${name}[first + 2u * ${step}]; }
    if (room > 3u) { group.w = ${name}[first + 3u * ${step}]; }
#endif
  }
  return group;
}`;
}

/** Copies one block to workgroup memory: invocation `lane` takes groups lane, lane + lanes, … */
function fillBlock(name: "a" | "b", layout: OperandLayout, own: number, lanes: number): string {
  const perRow = layout.along === "sum" ? DEPTH / 4 : own / 4;
  const rows = layout.along === "sum" ? own : DEPTH;
  const pitch = layout.along === "sum" ? perRow + 1 : perRow;
  const place =
    layout.along === "sum" ? `first_${name} + row, first + column * 4u` : `first_${name} + column * 4u, first + row`;
  return wgsl`
    for (var i = lane; i < ${rows * perRow}u; i += ${lanes}u) {
      let row = i / ${perRow}u;
      let column = i % ${perRow}u;
      ${name}_block[row * ${pitch}u + column] = load_${name}(offset_${name}, ${place});
    }`;
}

export default defineStrategy({
  op: operatorNamed<typeof matMul>("MatMul"),
  name: "tiledRegister",
  params: { group: [16, 8] },

  supports(problem, limits, p) {
    const { a, b } = operandLayouts(problem);
    return firstReason(
      fitsWorkgroup(limits, [p.group, p.group], 16 * (storedGroups(a, blockM(p)) + storedGroups(b, blockN(p)))),
      blockDispatchFits(problem, limits, blockM(p), blockN(p)),
      fitsBindings(limits, problem),
    );
  },
  dispatch: (problem, p) => blockDispatch(problem, blockM(p), blockN(p)),
  uniforms: (problem) => matMulUniforms(problem),
  source(problem, p) {
    const { a, b } = operandLayouts(problem);
    const { group } = p;
    const columns = columnsOf(p);
    const vectors = columns / 4;
    const pitch = DEPTH / 4 + 1;
    // Column j of an invocation, j in [0, columns).
    const column = (j: number): string =>
      b.along === "sum" ? `local.x + ${j * group}u` : `local.x * ${columns}u + ${j}u`;
    const elementA = (i: number, q: number): string => (a.along === "sum" ? `a${i}[${q}]` : `a${q}[${i}]`);
    const vectorB = (q: number, v: number): string =>
      b.along === "sum" ? `vec4<f32>(${[0, 1, 2, 3].map((c) => `b${4 * v + c}[${q}]`).join(", ")})` : `b${q}_${v}`;
    return {
      bindings: operandBindings(problem),
      code: wgsl`
// a [batch…, M, K], b [batch…, K, N] by strides, as vec4 along the contiguous axis where it divides; y [batch…, M, N]
var<workgroup> a_block: array<vec4<f32>, ${storedGroups(a, blockM(p))}>;
var<workgroup> b_block: array<vec4<f32>, ${storedGroups(b, blockN(p))}>;

${batchOffsets(problem)}
${loadFunction("a", a)}
${loadFunction("b", b)}

@compute @workgroup_size(${group}, ${group})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let offsets = batch_offsets(group.z);
  let offset_a = offsets.x;
  let offset_b = offsets.y;
  let first_a = group.y * ${blockM(p)}u;
  let first_b = group.x * ${blockN(p)}u;
${unroll(ROWS, (i) => unroll(vectors, (v) => `  var sum${i}_${v} = vec4<f32>(0.0);`))}
  for (var first = 0u; first < u.K; first += ${DEPTH}u) {
${fillBlock("a", a, blockM(p), group * group)}
${fillBlock("b", b, blockN(p), group * group)}
    workgroupBarrier();
    for (var k = 0u; k < ${DEPTH}u; k += 4u) {
#if ${a.along === "sum"}
${unroll(ROWS, (i) => `let a${i} = a_block[(local.y * ${ROWS}u + ${i}u) * ${pitch}u + (k >> 2u)];`)}
#else
${unroll(4, (q) => `let a${q} = a_block[(k + ${q}u) * ${group}u + local.y];`)}
#endif
#if ${b.along === "sum"}
${unroll(columns, (j) => `let b${j} = b_block[(${column(j)}) * ${pitch}u + (k >> 2u)];`)}
#else
${unroll(4, (q) => unroll(vectors, (v) => `let b${q}_${v} = b_block[(k + ${q}u) * ${group * vectors}u + local.x * ${vectors}u + ${v}u];`))}
#endif
${unroll(ROWS, (i) => unroll(vectors, (v) => `sum${i}_${v} += ${unrolledSum(4, (q) => `${elementA(i, q)} * ${vectorB(q, v)}`)};`))}
    }
    workgroupBarrier();
  }
  // A loop, not a copy of the epilogue for each element: compiling those would take longer than running.
  var tile = array<f32, ${ROWS * columns}>(${unrolledList(ROWS * columns, (i) => `sum${Math.floor(i / columns)}_${i % columns >> 2}[${i & 3}]`)});
  for (var i = 0u; i < ${ROWS * columns}u; i++) {
    let m = first_a + local.y * ${ROWS}u + i / ${columns}u;
#if ${b.along === "sum"}
    let n = first_b + local.x + (i % ${columns}u) * ${group}u;
#else
    let n = first_b + local.x * ${columns}u + i % ${columns}u;
#endif
    if (m < u.M && n < u.N) {
      let index = (group.z * u.M + m) * u.N + n;
      y[index] = epilogue(tile[i], index);
    }
  }
}`,
    };
  },
  trafficBytes(problem, p) {
    const { batchSize, M, N, K } = matMulGeometry(problem);
    const reads = K * (M * Math.ceil(N / blockN(p)) + N * Math.ceil(M / blockM(p)));
    return 4 * batchSize * (reads + M * N);
  },
  barriers(problem, p) {
    const [x, y, z] = blockDispatch(problem, blockM(p), blockN(p));
    return x * y * z * p.group * p.group * 2 * Math.ceil(matMulGeometry(problem).K / DEPTH);
  },
  busyInvocations(problem, p) {
    const { batchSize, M, N } = matMulGeometry(problem);
    return batchSize * Math.ceil(M / ROWS) * Math.ceil(N / columnsOf(p));
  },
  intensity(problem, p) {
    const { a, b } = operandLayouts(problem);
    // Per step of k: blockM · blockN multiply-adds for blockM + blockN elements.
    const loads = blockM(p) / (a.isVector ? 4 : 1) + blockN(p) / (b.isVector ? 4 : 1);
    return (blockM(p) * blockN(p)) / loads;
  },
});
