// A workgroup takes a block of rows and goes through the keys a tile at a time. Queries and keys are copied to workgroup
// memory a few columns at a time, each invocation sums 4 × 4 scores of the tile in registers, the rows' maxima are found together,
// the weights are exchanged through workgroup memory, and values, copied there too, are added with them. So every key
// and value is read once a block, and scores never leave the workgroup. Wins on GPUs where queries are many; a
// CPU-emulated adapter can't afford the barriers. Dao et al., https://arxiv.org/abs/2205.14135.

import type { scaledDotProductAttention } from "../../src/ops/scaledDotProductAttention.ts";
import { unroll, unrolledList } from "../common/unroll.ts";
import { firstReason, fitsBindings, fitsWorkgroup } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed, type KernelLimits } from "../strategy.ts";
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

/** Rows and keys of an invocation's piece of a tile; 8 invocations stand side by side along the keys. */
const PIECE = 4;
const ACROSS = 8;
const KEYS = PIECE * ACROSS;
/** Vectors along D that are copied between two barriers; rows of copies are padded by one to spread them over the banks. */
const CHUNK = 4;
const PITCH = CHUNK + 1;
/** Vectors of values that an invocation can keep a row. */
const MOST_GROUPS = 8;

type Block = { readonly rows: number };

/** Sizes of one problem's tiles, in vectors. */
function tiles(problem: AttentionProblem, { rows }: Block) {
  const { D, valueD } = geometryOf(problem);
  const [depth, width] = [Math.ceil(D / 4), Math.ceil(valueD / 4)];
  const staged = Math.max((rows + KEYS) * PITCH, width);
  // A power of two of values at a time, so that they divide the tile.
  const together = Math.min(KEYS, 2 ** Math.floor(Math.log2(staged / Math.max(1, width))));
  const bytes = 16 * staged + 4 * rows * (KEYS + 1) + 4 * rows * ACROSS + 8 * rows;
  return { depth, width, staged, together, groups: Math.ceil(width / ACROSS), bytes, threads: (rows / PIECE) * ACROSS };
}

function groupsOf(problem: AttentionProblem, { rows }: Block): [number, number, number] {
  const g = geometryOf(problem);
  return [Math.ceil(rowsOf(g) / rows), g.B * g.keyHeads, 1];
}

function fits(problem: AttentionProblem, limits: KernelLimits, block: Block): true | string {
  const { L, D, valueD } = geometryOf(problem);
  const { groups, bytes } = tiles(problem, block);
  return firstReason(
    fitsBindings(limits, problem),
    fitsWorkgroup(limits, [ACROSS, block.rows / PIECE], bytes),
    groups <= MOST_GROUPS || `heads of ${valueD} values, and an invocation keeps ${4 * ACROSS * MOST_GROUPS}`,
    L * D * valueD > 0 || "nothing to compute",
  );
}

export default defineStrategy({
  op: operatorNamed<typeof scaledDotProductAttention>("ScaledDotProductAttention"),
  name: "flash",
  params: { rows: [32] },
  supports: fits,
  dispatch: groupsOf,
  uniforms: attentionUniforms,
  trafficBytes: (problem, { rows }) => attentionTraffic(problem, rows),
  barriers(problem, block) {
    const { depth, together, threads } = tiles(problem, block);
    const [x, y] = groupsOf(problem, block);
    const aTile = 2 * Math.ceil(depth / CHUNK) + 1 + 2 * Math.ceil(KEYS / together);
    return x * y * threads * (2 + Math.ceil(geometryOf(problem).S / KEYS) * aTile);
  },
  busyInvocations(problem) {
    const g = geometryOf(problem);
    return g.B * g.keyHeads * Math.ceil(rowsOf(g) / PIECE) * ACROSS;
  },
  intensity(problem, { rows }) {
    const loads = loadsOf(problem);
    return (4 * rows * KEYS) / ((rows * loads.q + KEYS * loads.k + KEYS * loads.v) / 2);
  },
  source(problem, block) {
    const { rows } = block;
    const { valueD } = geometryOf(problem);
    const { depth, width, staged, together, groups, threads } = tiles(problem, block);
    const { bindings, functions } = vectorOperands(problem);
    return {
      bindings,
      code: wgsl`
// q [B, H, L, D], k [B, Hkv, S, D], v [B, Hkv, S, Dv], y [B, H, L, Dv] by strides, as vec4 where columns divide
${attentionFunctions(problem)}
${functions}
var<workgroup> staged: array<vec4<f32>, ${staged}>; // [rows, ${PITCH}] of q, then [keys, ${PITCH}] of k; or [${together}, ${width}] of v
var<workgroup> weights: array<f32, ${rows * (KEYS + 1)}>; // [rows, keys + 1]
var<workgroup> partials: array<f32, ${rows * ACROSS}>;
var<workgroup> q_rows: array<u32, ${rows}>;

@compute @workgroup_size(${ACROSS}, ${rows / PIECE})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let key_head = group.y % u.key_heads;
  let batch = group.y / u.key_heads;
  let first = group.x * ${rows}u;
  let last = min(first + ${rows}u, u.rows) - 1u;
  let end = block_end(batch, first, ${rows}u);
  let k_first = batch * u.k_batch + key_head * u.k_head;
  let v_first = batch * u.v_batch + key_head * u.v_head;
  for (var r = lane; r < ${rows}u; r += ${threads}u) {
    let place = place_of(key_head, min(first + r, last));
    q_rows[r] = batch * u.q_batch + place.x * u.q_head + place.y * u.q_row;
  }
  let own = local.y * ${PIECE}u;
  var places = array<vec2<u32>, ${PIECE}>();
  var ends = array<u32, ${PIECE}>();
  for (var r = 0u; r < ${PIECE}u; r++) {
    places[r] = place_of(key_head, min(first + own + r, last));
    ends[r] = key_end(batch, places[r].y);
  }
  var sums = array<f32, ${PIECE}>();
  var peaks = array<f32, ${PIECE}>(LOWEST, LOWEST, LOWEST, LOWEST);
${unroll(PIECE, (r) => unroll(groups, (g) => `var weighted${r}_${g} = vec4<f32>();`))}
  workgroupBarrier();

  for (var j = 0u; j < end; j += ${KEYS}u) {
${unroll(PIECE, (r) => unroll(PIECE, (n) => `var s${r}_${n} = 0.0;`))}
    for (var start = 0u; start < ${depth}u; start += ${CHUNK}u) {
      for (var e = lane; e < ${(rows + KEYS) * CHUNK}u; e += ${threads}u) {
        let r = e / ${CHUNK}u;
        let c = start + e % ${CHUNK}u;
        var vector = vec4<f32>();
        if (c < ${depth}u) {
          if (r < ${rows}u) { vector = load_q(q_rows[r], c); }
          else { vector = load_k(k_first + min(j + r - ${rows}u, u.keys - 1u) * u.k_row, c); }
        }
        staged[r * ${PITCH}u + e % ${CHUNK}u] = vector;
      }
      workgroupBarrier();
      for (var c = 0u; c < ${CHUNK}u; c++) {
${unroll(PIECE, (n) => `let key${n} = staged[(${rows + n * ACROSS}u + local.x) * ${PITCH}u + c];`)}
${unroll(PIECE, (r) => `let row${r} = staged[(own + ${r}u) * ${PITCH}u + c];\n${unroll(PIECE, (n) => `s${r}_${n} += dot(row${r}, key${n});`)}`)}
      }
      workgroupBarrier();
    }

    var scores = array<f32, ${PIECE * PIECE}>(${unrolledList(PIECE * PIECE, (i) => `s${i >> 2}_${i & 3}`)});
    for (var r = 0u; r < ${PIECE}u; r++) {
      var peak = LOWEST;
      for (var n = 0u; n < ${PIECE}u; n++) {
        let key = j + n * ${ACROSS}u + local.x;
        let score = score_of(scores[r * ${PIECE}u + n], batch, places[r].x, places[r].y, min(key, u.keys - 1u));
        scores[r * ${PIECE}u + n] = select(number_of(0xff800000u), score, key < ends[r]);
        peak = max(peak, ordered(scores[r * ${PIECE}u + n]));
      }
      partials[(own + r) * ${ACROSS}u + local.x] = peak;
    }
    workgroupBarrier();
    var shrinks = array<f32, ${PIECE}>();
    for (var r = 0u; r < ${PIECE}u; r++) {
      var peak = peaks[r];
      for (var n = 0u; n < ${ACROSS}u; n++) { peak = max(peak, partials[(own + r) * ${ACROSS}u + n]); }
      shrinks[r] = exp(peaks[r] - peak);
      peaks[r] = peak;
      var sum = 0.0;
      for (var n = 0u; n < ${PIECE}u; n++) {
        let weight = exp(scores[r * ${PIECE}u + n] - peak);
        weights[(own + r) * ${KEYS + 1}u + n * ${ACROSS}u + local.x] = weight;
        sum += weight;
      }
      sums[r] = sums[r] * shrinks[r] + sum;
    }
${unroll(PIECE, (r) => unroll(groups, (g) => `weighted${r}_${g} *= shrinks[${r}];`))}
    for (var start = 0u; start < ${KEYS}u; start += ${together}u) {
      for (var e = lane; e < ${together * width}u; e += ${threads}u) {
        staged[e] = load_v(v_first + min(j + start + e / ${width}u, u.keys - 1u) * u.v_row, e % ${width}u);
      }
      workgroupBarrier();
      for (var n = 0u; n < ${together}u; n++) {
${unroll(PIECE, (r) => `let weight${r} = weights[(own + ${r}u) * ${KEYS + 1}u + start + n];`)}
${unroll(groups, (g) => `let value${g} = staged[n * ${width}u + min(local.x + ${g * ACROSS}u, ${width - 1}u)];`)}
${unroll(PIECE, (r) => unroll(groups, (g) => `weighted${r}_${g} += weight${r} * value${g};`))}
      }
      workgroupBarrier();
    }
  }

  for (var r = 0u; r < ${PIECE}u; r++) { partials[(own + r) * ${ACROSS}u + local.x] = sums[r]; }
  workgroupBarrier();
  var weighted = array<vec4<f32>, ${PIECE * groups}>(${unrolledList(PIECE * groups, (i) => `weighted${Math.floor(i / groups)}_${i % groups}`)});
  for (var i = 0u; i < ${PIECE * groups * 4}u; i++) {
    let r = i / ${groups * 4}u;
    let c = 4u * (local.x + (i / 4u) % ${groups}u * ${ACROSS}u) + i % 4u;
    if (first + own + r > last || c >= ${valueD}u) { continue; }
    var sum = 0.0;
    for (var n = 0u; n < ${ACROSS}u; n++) { sum += partials[(own + r) * ${ACROSS}u + n]; }
    let at = batch * u.y_batch + places[r].x * u.y_head + places[r].y * u.y_row + c * u.y_column;
    y[at] = epilogue(result_of(weighted[i / 4u][i % 4u], sum, peaks[r]), at);
  }
}`,
    };
  },
});
