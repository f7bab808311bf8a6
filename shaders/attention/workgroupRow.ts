// A workgroup a row: each invocation scores a key of the tile, they find the largest together, and then share the columns of
// the values out among themselves, several keys at a time where columns are few. Wins on GPUs where queries are few and keys
// many, as in a step of decoding, which would leave other strategies with a handful of invocations.

import type { scaledDotProductAttention } from "../../src/ops/scaledDotProductAttention.ts";
import { linearDispatch } from "../common/linear.ts";
import { firstReason, fitsBindings, fitsWorkgroup } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  attentionFunctions,
  attentionTraffic,
  attentionUniforms,
  geometryOf,
  loadsOf,
  vectorOperands,
  type AttentionProblem,
} from "./scores.ts";

function queriesOf(problem: AttentionProblem): number {
  const { B, heads, L } = geometryOf(problem);
  return B * heads * L;
}

/** Vectors of a row of queries and of values. */
function vectors(problem: AttentionProblem): { readonly depth: number; readonly width: number } {
  const { D, valueD } = geometryOf(problem);
  return { depth: Math.ceil(D / 4), width: Math.ceil(valueD / 4) };
}

export default defineStrategy({
  op: operatorNamed<typeof scaledDotProductAttention>("ScaledDotProductAttention"),
  name: "workgroupRow",
  params: { workgroup: [128] },
  supports(problem, limits, { workgroup }) {
    const { depth, width } = vectors(problem);
    return firstReason(
      fitsBindings(limits, problem),
      fitsWorkgroup(limits, [workgroup], 16 * (depth + workgroup) + 8 * workgroup),
      (depth > 0 && width > 0) || "heads of no size",
      width <= workgroup || `${width} vectors of values, more than a workgroup of ${workgroup}`,
    );
  },
  dispatch: (problem) => linearDispatch(queriesOf(problem), 1),
  uniforms: (problem) => ({ ...attentionUniforms(problem), count: { type: "u32", value: queriesOf(problem) } }),
  trafficBytes: (problem) => attentionTraffic(problem, 1),
  barriers: (problem, { workgroup }) =>
    queriesOf(problem) * workgroup * (3 + Math.log2(workgroup)) * (1 + Math.ceil(geometryOf(problem).S / workgroup)),
  intensity: (problem) => 4 / Math.max(loadsOf(problem).k, loadsOf(problem).v),
  source(problem, { workgroup }) {
    const { valueD } = geometryOf(problem);
    const { depth, width } = vectors(problem);
    const parts = Math.floor(workgroup / width);
    const { bindings, functions } = vectorOperands(problem);
    return {
      bindings,
      code: wgsl`
// q [B, H, L, D], k [B, Hkv, S, D], v [B, Hkv, S, Dv], y [B, H, L, Dv] by strides, as vec4 where columns divide
${attentionFunctions(problem)}
${functions}
const WORKGROUP = ${workgroup}u;
const WIDTH = ${width}u;
const PARTS = ${parts}u;
var<workgroup> row: array<vec4<f32>, ${depth}>;
var<workgroup> weights: array<f32, WORKGROUP>;
var<workgroup> partials: array<f32, WORKGROUP>;
var<workgroup> weighted_parts: array<vec4<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let query = group.y * groups.x + group.x;
  if (query >= u.count) { return; }
  let i = query % u.queries;
  let head = (query / u.queries) % u.heads;
  let batch = query / (u.queries * u.heads);
  let key_head = head / (u.heads / u.key_heads);
  let k_first = batch * u.k_batch + key_head * u.k_head;
  let v_first = batch * u.v_batch + key_head * u.v_head;
  let end = key_end(batch, i);
  for (var c = lane; c < ${depth}u; c += WORKGROUP) {
    row[c] = load_q(batch * u.q_batch + head * u.q_head + i * u.q_row, c);
  }
  workgroupBarrier();

  let column = lane % WIDTH;
  let part = lane / WIDTH;
  var weighted = vec4<f32>();
  var sum = 0.0;
  var peak = LOWEST;
  for (var j = 0u; j < end; j += WORKGROUP) {
    let key = min(j + lane, u.keys - 1u);
    var product = 0.0;
    for (var c = 0u; c < ${depth}u; c++) { product += dot(row[c], load_k(k_first + key * u.k_row, c)); }
    let score = select(number_of(0xff800000u), score_of(product, batch, head, i, key), j + lane < end);
    partials[lane] = max(peak, ordered(score));
    workgroupBarrier();
    for (var live = WORKGROUP / 2u; live > 0u; live /= 2u) {
      if (lane < live) { partials[lane] = max(partials[lane], partials[lane + live]); }
      workgroupBarrier();
    }
    let old = peak;
    peak = partials[0];
    let shrink = exp(old - peak);
    let weight = exp(score - peak);
    weights[lane] = weight;
    sum = sum * shrink + weight;
    weighted *= shrink;
    workgroupBarrier();
    let count = min(WORKGROUP, end - j);
    if (part < PARTS) {
      for (var n = part; n < count; n += PARTS) {
        weighted += weights[n] * load_v(v_first + (j + n) * u.v_row, column);
      }
    }
    workgroupBarrier();
  }

  partials[lane] = sum;
  weighted_parts[lane] = weighted;
  workgroupBarrier();
  for (var live = WORKGROUP / 2u; live > 0u; live /= 2u) {
    if (lane < live) { partials[lane] += partials[lane + live]; }
    workgroupBarrier();
  }
  let total = partials[0];
  if (lane >= WIDTH) { return; }
  var whole = weighted_parts[lane];
  for (var p = 1u; p < PARTS; p++) { whole += weighted_parts[p * WIDTH + lane]; }
  let y_first = batch * u.y_batch + head * u.y_head + i * u.y_row;
  for (var e = 0u; e < min(4u, ${valueD}u - 4u * lane); e++) {
    let at = y_first + (4u * lane + e) * u.y_column;
    y[at] = epilogue(result_of(whole[e], total, peak), at);
  }
}`,
    };
  },
});
