// Products with at most eight rows, or at most eight columns: the large operand is read once, and there is nothing to share
// but the thin one, which stays in registers, four steps of k at a time. An invocation has 4 · vectors neighbouring outputs
// for each thin row. With one slice it walks all of K alone, which suits adapters that a few invocations keep busy. With more,
// the invocations of a workgroup divide K among them and add up through workgroup memory: a GPU gets enough of them to reach
// its bandwidth. Neighbouring invocations read neighbouring memory either way round: along the outputs, or along K.

import { type MatMulAttributes, matMulGeometry } from "../../src/ops/matmul.ts";
import { unroll } from "../common/unroll.ts";
import { firstReason, fitsBindings, fitsWorkgroup } from "../common/workgroup.ts";
import type { KernelLimits, Strategy } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  batchOffsets,
  blockDispatchFits,
  matMulUniforms,
  operandBindings,
  operandLayouts,
  type MatMulProblem,
} from "./layout.ts";
import {
  declarePlace,
  declareSteps,
  loadSteps,
  placeOf,
  matrixOf,
  product,
  readsNeighbours,
  storeGroups,
  type Operand,
} from "./steps.ts";

export type ThinParameters = {
  /** Groups of four outputs an invocation has for each thin row. */
  readonly vectors: number;
  /** Invocations among which K is divided. */
  readonly slices: number;
};

const MOST = 8; // rows or columns of the thin operand
const LANES = 8; // invocations beside each other in a workgroup, each with its own outputs

/** Which operand is thin, and the extents. */
function thinOf(problem: MatMulProblem): { isA: boolean; thin: number; wide: number } {
  const { M, N } = matMulGeometry(problem);
  return M <= N ? { isA: true, thin: M, wide: N } : { isA: false, thin: N, wide: M };
}

const storageBytes = (thin: number, { vectors, slices }: ThinParameters): number =>
  slices === 1 ? 0 : 16 * thin * vectors * LANES * slices;

function dispatch(problem: MatMulProblem, { vectors }: ThinParameters): [number, number, number] {
  return [Math.ceil(thinOf(problem).wide / (4 * vectors * LANES)), 1, matMulGeometry(problem).batchSize];
}

function supports(problem: MatMulProblem, limits: KernelLimits, p: ThinParameters): true | string {
  const { isA, thin } = thinOf(problem);
  const block = 4 * p.vectors * LANES;
  return firstReason(
    isA ? blockDispatchFits(problem, limits, MOST, block) : blockDispatchFits(problem, limits, block, MOST),
    fitsWorkgroup(limits, [LANES * p.slices], storageBytes(thin, p)),
    fitsBindings(limits, problem),
  );
}

function code(problem: MatMulProblem, p: ThinParameters, isVector: boolean): string {
  const { isA, thin } = thinOf(problem);
  const { vectors, slices } = p;
  const layouts = operandLayouts(problem);
  const hasTail = matMulGeometry(problem).K % 4 !== 0;
  const a: Operand = { name: "a", layout: layouts.a, hasTail };
  const b: Operand = { name: "b", layout: layouts.b, hasTail };
  const [few, many] = isA ? [a, b] : [b, a];
  const [fewStart, manyStart] = isA ? ["offsets.x", "offsets.y"] : ["offsets.y", "offsets.x"];
  const [fewStride, manyStride] = isA ? ["u.a_row_stride", "u.b_col_stride"] : ["u.b_col_stride", "u.a_row_stride"];
  const extent = isA ? "u.N" : "u.M";
  // Neighbours in memory are neighbours in the workgroup.
  const alongSum = many.layout.along === "sum";
  const [lane, slice] = alongSum
    ? [`local / ${slices}u`, `local % ${slices}u`]
    : [`local % ${LANES}u`, `local / ${LANES}u`];
  const pairs = thin * vectors;
  const sum = (i: number): string => `sum${Math.floor(i / vectors)}_${i % vectors}`;
  const column = (j: number): number => (alongSum ? j : (j >> 2) * 4 * LANES + (j & 3));
  // Group i of lane `lane`: its first output, and where that lies in y.
  const place = wgsl`
    let row = i / ${vectors}u;
    let own = first + (i % ${vectors}u) * ${alongSum ? 4 : 4 * LANES}u;
    let extent = ${extent};
    let index = ${isA ? "(group.z * u.M + row) * u.N + own" : "(group.z * u.M + own) * u.N + row"};`;
  const store = { place, step: isA ? "1u" : "u.N", isVector };
  const firstOf = (of: string): string =>
    `group.x * ${4 * vectors * LANES}u + (${of}) * ${alongSum ? 4 * vectors : 4}u`;
  return wgsl`
// a [batch…, M, K], b [batch…, K, N] by strides, as vec4 along the contiguous axis where it divides; y [batch…, M, N]
// ${thin} ${isA ? "rows" : "columns"} against ${isA ? "columns" : "rows"}
#if ${slices > 1}
var<workgroup> partial: array<vec4<f32>, ${pairs * LANES * slices}>; // [pair, slice, lane]
#endif
${batchOffsets(problem)}

@compute @workgroup_size(${LANES * slices})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let lane = ${lane};
  let slice = ${slice};
  let first = ${firstOf("lane")};
  let offsets = batch_offsets(group.z);
${unroll(readsNeighbours(few) ? Math.ceil(thin / 4) * 4 : thin, (i) => `  let row${i} = ${placeOf(few, `${fewStart} + ${i}u * ${fewStride}`)};`)}
${unroll(4 * vectors, (j) => `  let column${j} = ${placeOf(many, `${manyStart} + min(first + ${column(j)}u, ${extent} - ${readsNeighbours(many) ? 4 : 1}u) * ${manyStride}`)};`)}
${unroll(pairs, (i) => `  var ${sum(i)} = vec4<f32>(0.0);`)}
${declareSteps(a)}
${declareSteps(b)}
  for (var k = slice * 4u; k < u.K; k += ${4 * slices}u) {
${declarePlace(a)}
${declarePlace(b)}
${unroll(vectors, (v) => `let m${v} = ${matrixOf(many, (j) => `column${4 * v + j}`)};`)}
${loadSteps(few, thin, (i) => `row${i}`)}
${unroll(pairs, (i) => `${sum(i)} += ${product(many, `m${i % vectors}`, `s${Math.floor(i / vectors)}`)};`)}
  }
#if ${slices === 1}
${storeGroups(pairs, sum, store)}
#else
${unroll(pairs, (i) => `  partial[(${i * slices}u + slice) * ${LANES}u + lane] = ${sum(i)};`)}
  workgroupBarrier();
  for (var item = local; item < ${pairs * LANES}u; item += ${LANES * slices}u) {
    let pair = item / ${LANES}u;
    var total = partial[pair * ${slices * LANES}u + item % ${LANES}u];
    for (var other = 1u; other < ${slices}u; other++) {
      total += partial[(pair * ${slices}u + other) * ${LANES}u + item % ${LANES}u];
    }
    let first = ${firstOf(`item % ${LANES}u`)};
    let i = pair;
    ${place}
#if ${isVector}
    if (own < extent) { y[index >> 2u] = epilogue4(total, index >> 2u); }
#else
    for (var c = 0u; c < 4u && own + c < extent; c++) {
      y[index + c * ${store.step}] = epilogue(total[c], index + c * ${store.step});
    }
#endif
  }
#endif
}`;
}

/** All of a strategy but its name and which problems it is for. */
export const thin = {
  dispatch,
  supports,
  uniforms: (problem: MatMulProblem) => matMulUniforms(problem),
  source(problem: MatMulProblem, p: ThinParameters) {
    const { isA, wide } = thinOf(problem);
    const isVector = wide % 4 === 0 && (isA || matMulGeometry(problem).N === 1);
    return {
      bindings: operandBindings(problem),
      ...(isVector ? { lanes: 4 as const } : {}),
      code: code(problem, p, isVector),
    };
  },
  trafficBytes(problem: MatMulProblem, { vectors }: ThinParameters): number {
    const { batchSize, K } = matMulGeometry(problem);
    const { thin: few, wide: many } = thinOf(problem);
    return 4 * batchSize * (K * many + few * K * Math.ceil(many / (4 * vectors * LANES)) + few * many);
  },
  barriers: (problem: MatMulProblem, p: ThinParameters): number =>
    p.slices === 1 ? 0 : dispatch(problem, p)[0] * matMulGeometry(problem).batchSize * LANES * p.slices,
  busyInvocations(problem: MatMulProblem, { vectors, slices }: ThinParameters): number {
    const { batchSize, K } = matMulGeometry(problem);
    const { wide: many } = thinOf(problem);
    return batchSize * Math.ceil(many / (4 * vectors)) * Math.min(slices, Math.ceil(K / 4));
  },
  intensity(problem: MatMulProblem, { vectors }: ThinParameters): number {
    const { isA, thin: few, wide: many } = thinOf(problem);
    const { a, b } = operandLayouts(problem);
    const [fewLayout, manyLayout] = isA ? [a, b] : [b, a];
    const loads = few * (fewLayout.isVector ? 1 : 4) + 4 * vectors * (manyLayout.isVector ? 1 : 4);
    return (16 * Math.max(1, few) * vectors * Math.min(1, Math.max(1, many) / (4 * vectors))) / loads;
  },
} satisfies Partial<Strategy<MatMulAttributes, ThinParameters>>;

/** True, or why the thin extent is not within `from` … `to`. */
export function isThin(problem: MatMulProblem, from: number, to: number): true | string {
  const { thin: few } = thinOf(problem);
  return (few >= from && few <= to) || `${few} rows or columns, not ${from} to ${to}`;
}
