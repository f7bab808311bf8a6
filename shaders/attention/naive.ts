// An invocation a query, or a part of its columns where there are many: it walks through the keys once, with its scores,
// their sum and the weighted values in variables. Any strides, any sizes, any mask. Wins where queries are many and heads narrow.

import type { scaledDotProductAttention } from "../../src/ops/scaledDotProductAttention.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  attentionFunctions,
  attentionTraffic,
  attentionUniforms,
  geometryOf,
  type AttentionProblem,
} from "./scores.ts";

const WORKGROUP = 64;
/** Columns of a result that an invocation keeps. */
const COLUMNS = 32;

const partsOf = (problem: AttentionProblem): number => Math.ceil(geometryOf(problem).valueD / COLUMNS);

function invocations(problem: AttentionProblem): number {
  const { B, heads, L } = geometryOf(problem);
  return B * heads * L * partsOf(problem);
}

export default defineStrategy({
  op: operatorNamed<typeof scaledDotProductAttention>("ScaledDotProductAttention"),
  name: "naive",
  params: {},
  supports: (problem, limits) => fitsBindings(limits, problem),
  dispatch: (problem) => linearDispatch(invocations(problem), WORKGROUP),
  uniforms(problem) {
    const { D, valueD } = geometryOf(problem);
    return {
      ...attentionUniforms(problem),
      depth: { type: "u32", value: D },
      columns: { type: "u32", value: valueD },
      parts: { type: "u32", value: partsOf(problem) },
      count: { type: "u32", value: invocations(problem) },
    };
  },
  trafficBytes: (problem) => attentionTraffic(problem, 1),
  source: (problem) => ({
    code: wgsl`
// q [B, H, L, D], k [B, Hkv, S, D], v [B, Hkv, S, Dv], y [B, H, L, Dv] by strides
${attentionFunctions(problem)}

${linearMain(WORKGROUP)}
  if (index >= u.count) { return; }
  let query = index / u.parts;
  let i = query % u.queries;
  let head = (query / u.queries) % u.heads;
  let batch = query / (u.queries * u.heads);
  let first = (index % u.parts) * ${COLUMNS}u;
  let width = min(u.columns - first, ${COLUMNS}u);
  let key_head = head / (u.heads / u.key_heads);
  let q_row = batch * u.q_batch + head * u.q_head + i * u.q_row;
  let k_first = batch * u.k_batch + key_head * u.k_head;
  let v_first = batch * u.v_batch + key_head * u.v_head + first * u.v_column;
  let end = key_end(batch, i);
  var weighted = array<f32, ${COLUMNS}>();
  var sum = 0.0;
  var peak = LOWEST;
  for (var j = 0u; j < end; j++) {
    var product = 0.0;
    for (var d = 0u; d < u.depth; d++) {
      product += q[q_row + d * u.q_column] * k[k_first + j * u.k_row + d * u.k_column];
    }
    let score = score_of(product, batch, head, i, j);
    if (ordered(score) > peak) {
      let shrink = exp(peak - score);
      peak = ordered(score);
      sum *= shrink;
      for (var c = 0u; c < width; c++) { weighted[c] *= shrink; }
    }
    let weight = exp(score - peak);
    if (weight == 0.0) { continue; }
    sum += weight;
    for (var c = 0u; c < width; c++) { weighted[c] += weight * v[v_first + j * u.v_row + c * u.v_column]; }
  }
  let y_first = batch * u.y_batch + head * u.y_head + i * u.y_row + first * u.y_column;
  for (var c = 0u; c < width; c++) {
    let place = y_first + c * u.y_column;
    y[place] = epilogue(result_of(weighted[c], sum, peak), place);
  }
}`,
  }),
});
