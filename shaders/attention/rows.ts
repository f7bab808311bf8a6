// An invocation takes several rows and goes through the keys a few at a time, first for the scores, then for the weighted
// values, which it keeps in an array of its own. There is no workgroup memory and no barrier. Neighbours have the same keys,
// so each of a quad loads a quarter of them and hands it around; without subgroups every invocation loads all. Best on
// CPU-emulated adapters, where an element loaded costs as much as many multiply-adds: 4 rows and 16 keys take 32 elements a step
// of 4 columns for 256 multiply-adds.

import type { scaledDotProductAttention } from "../../src/ops/scaledDotProductAttention.ts";
import { QUAD, sharesLoads, sharingExtensions } from "../common/quads.ts";
import { unroll, unrolledList, unrolledSum } from "../common/unroll.ts";
import { firstReason, fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  attentionFunctions,
  attentionTraffic,
  attentionUniforms,
  geometryOf,
  loadsOf,
  rowsOf,
  vectorOperands,
  type AttentionProblem,
} from "./scores.ts";

const WORKGROUP = 8;
/** Keys an invocation loads at a time. */
const OWN = 4;
/** Vectors of weighted values an invocation may keep. */
const MOST_VECTORS = 256;

function groupsOf(problem: AttentionProblem, rows: number): [number, number, number] {
  const g = geometryOf(problem);
  return [Math.ceil(rowsOf(g) / (rows * WORKGROUP)), g.B * g.keyHeads, 1];
}

export default defineStrategy({
  op: operatorNamed<typeof scaledDotProductAttention>("ScaledDotProductAttention"),
  name: "rows",
  params: { rows: [4, 1], lanes: [QUAD, 1] },
  supports(problem, limits, { rows, lanes }) {
    const { L, D, valueD } = geometryOf(problem);
    const vectors = rows * Math.ceil(valueD / 4);
    return firstReason(
      fitsBindings(limits, problem),
      sharesLoads(limits, lanes),
      vectors <= MOST_VECTORS || `${vectors} vectors of values an invocation`,
      L * D * valueD > 0 || "nothing to compute",
    );
  },
  dispatch: (problem, { rows }) => groupsOf(problem, rows),
  uniforms: attentionUniforms,
  trafficBytes: (problem, { rows }) => attentionTraffic(problem, rows * WORKGROUP),
  accumulators: ({ rows, lanes }) => rows * lanes * OWN,
  busyInvocations(problem, { rows }) {
    const g = geometryOf(problem);
    return g.B * g.keyHeads * Math.ceil(rowsOf(g) / rows);
  },
  intensity(problem, { rows, lanes }) {
    const loads = loadsOf(problem);
    return (4 * rows * OWN * lanes) / ((rows * loads.q + OWN * loads.k + OWN * loads.v) / 2);
  },
  source(problem, { rows, lanes }) {
    const { D, valueD } = geometryOf(problem);
    const [depth, width] = [Math.ceil(D / 4), Math.ceil(valueD / 4)];
    const keys = OWN * lanes;
    const { bindings, functions } = vectorOperands(problem);
    const share = (name: string, lane: number): string => (lanes === 1 ? name : `quadBroadcast(${name}, ${lane}u)`);
    return {
      enable: sharingExtensions(lanes),
      bindings,
      code: wgsl`
// q [B, H, L, D], k [B, Hkv, S, D], v [B, Hkv, S, Dv], y [B, H, L, Dv] by strides, as vec4 where columns divide
${attentionFunctions(problem)}
${functions}

@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let key_head = group.y % u.key_heads;
  let batch = group.y / u.key_heads;
  let start = group.x * ${rows * WORKGROUP}u;
  let end = block_end(batch, start, ${rows * WORKGROUP}u);
  let first = start + local * ${rows}u;
  var places = array<vec2<u32>, ${rows}>();
  var ends = array<u32, ${rows}>();
  for (var r = 0u; r < ${rows}u; r++) {
    places[r] = place_of(key_head, min(first + r, u.rows - 1u));
    ends[r] = key_end(batch, places[r].y);
  }
${unroll(rows, (r) => `let q${r} = batch * u.q_batch + places[${r}].x * u.q_head + places[${r}].y * u.q_row;`)}
  let k_first = batch * u.k_batch + key_head * u.k_head;
  let v_first = batch * u.v_batch + key_head * u.v_head;
  var weighted = array<vec4<f32>, ${rows * width}>();
  var sums = array<f32, ${rows}>();
  var peaks = array<f32, ${rows}>(${unrolledList(rows, () => "LOWEST")});
  for (var j = 0u; j < end; j += ${keys}u) {
    let own = j + ${lanes === 1 ? "0u" : `(local & 3u) * ${OWN}u`};
${unroll(OWN, (n) => `let j${n} = min(own + ${n}u, u.keys - 1u);`)}
${unroll(OWN, (n) => `let k${n} = k_first + j${n} * u.k_row;`)}
${unroll(rows, (r) => unroll(keys, (n) => `var s${r}_${n} = 0.0;`))}
    for (var c = 0u; c < ${depth}u; c++) {
${unroll(rows, (r) => `let row${r} = load_q(q${r}, c);`)}
${unroll(OWN, (n) => `let key${n} = load_k(k${n}, c);`)}
${unroll(keys, (i) => {
  const shared = `let shared${i} = ${share(`key${i % OWN}`, Math.floor(i / OWN))};`;
  return `${shared}\n${unroll(rows, (r) => `s${r}_${i} += dot(row${r}, shared${i});`)}`;
})}
    }
    // Scores become weights in a loop: written out, they would take longer to compile than all the rest.
    var scores = array<f32, ${rows * keys}>(${unrolledList(rows * keys, (i) => `s${Math.floor(i / keys)}_${i % keys}`)});
    var shrinks = array<f32, ${rows}>();
    for (var r = 0u; r < ${rows}u; r++) {
      let old = peaks[r];
      var peak = old;
      for (var n = 0u; n < ${keys}u; n++) {
        let i = r * ${keys}u + n;
        let score = score_of(scores[i], batch, places[r].x, places[r].y, min(j + n, u.keys - 1u));
        scores[i] = select(number_of(0xff800000u), score, j + n < ends[r]);
        peak = max(peak, ordered(scores[i]));
      }
      shrinks[r] = exp(old - peak);
      var sum = 0.0;
      for (var n = 0u; n < ${keys}u; n++) {
        let i = r * ${keys}u + n;
        scores[i] = exp(scores[i] - peak);
        sum += scores[i];
      }
      sums[r] = sums[r] * shrinks[r] + sum;
      peaks[r] = peak;
    }
${unroll(rows, (r) => `let shrink${r} = shrinks[${r}];`)}
${unroll(rows, (r) => unroll(keys, (n) => `let w${r}_${n} = scores[${r * keys + n}];`))}
${unroll(OWN, (n) => `let v${n} = v_first + j${n} * u.v_row;`)}
    for (var c = 0u; c < ${width}u; c++) {
${unroll(OWN, (n) => `let value${n} = load_v(v${n}, c);`)}
${unroll(keys, (i) => `let shared${i} = ${share(`value${i % OWN}`, Math.floor(i / OWN))};`)}
${unroll(
  rows,
  (r) =>
    `weighted[${r * width}u + c] = weighted[${r * width}u + c] * shrink${r} + (${unrolledSum(keys, (n) => `w${r}_${n} * shared${n}`)});`,
)}
    }
  }
  for (var r = 0u; r < ${rows}u && first + r < u.rows; r++) {
    let y_first = batch * u.y_batch + places[r].x * u.y_head + places[r].y * u.y_row;
    for (var c = 0u; c < ${valueD}u; c++) {
      let at = y_first + c * u.y_column;
      y[at] = epilogue(result_of(weighted[r * ${width}u + (c >> 2u)][c & 3u], sums[r], peaks[r]), at);
    }
  }
}`,
    };
  },
});
