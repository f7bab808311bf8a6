// An invocation keeps one column of one head's state and walks through the sequence with it, all by itself. The column lies in
// the result present_state, where neighbours are next to each other.

import {
  type linearAttention,
  linearAttentionExtents,
  linearAttentionScale,
  type LinearAttentionAttributes,
} from "../../src/ops/linearAttention.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

const WORKGROUP = 64;

type LinearAttentionProblem = KernelProblem<LinearAttentionAttributes>;

const extentsOf = ({ inputs, attributes }: LinearAttentionProblem) => linearAttentionExtents(inputs, attributes);
const columns = (problem: LinearAttentionProblem): number => {
  const { B, keyHeads, dV } = extentsOf(problem);
  return B * keyHeads * dV;
};

export default defineStrategy({
  op: operatorNamed<typeof linearAttention>("LinearAttention"),
  name: "naive",
  readsOutputs: true,
  params: {},
  supports: (problem, limits) => fitsBindings(limits, problem),
  dispatch: (problem) => linearDispatch(columns(problem), WORKGROUP),
  uniforms: (problem) => {
    const { T, heads, keyHeads, dK, dV } = extentsOf(problem);
    const extents = {
      columns: columns(problem),
      steps: T,
      group_size: heads / keyHeads,
      key_heads: keyHeads,
      d_k: dK,
      d_v: dV,
    };
    return {
      ...Object.fromEntries(Object.entries(extents).map(([name, value]) => [name, { type: "u32", value }])),
      scale: { type: "f32", value: linearAttentionScale(problem.attributes, extentsOf(problem)) },
    };
  },
  source(problem) {
    const [, , , past, decay, beta] = problem.inputs;
    const { decayWidth, betaWidth } = extentsOf(problem);
    return {
      code: wgsl`
// query [B, T, heads, d_k], key [B, T, key_heads, d_k], value [B, T, key_heads, d_v], past_state, present_state
// [B, key_heads, d_k, d_v], decay [B, T, key_heads, d_k or 1], beta [B, T, key_heads or 1], output [B, T, heads, d_v]
${linearMain(WORKGROUP)}
  if (index >= u.columns) { return; }
  let m = index % u.d_v;
  let head = index / u.d_v % u.key_heads;
  let batch = index / u.d_v / u.key_heads;
  let column = (batch * u.key_heads + head) * u.d_k * u.d_v + m;
  for (var d = 0u; d < u.d_k; d++) {
    let place = column + d * u.d_v;
    present_state[place] = ${past ? "past_state[place]" : "0.0"};
  }
  for (var t = 0u; t < u.steps; t++) {
    let row = batch * u.steps + t;
    let own = row * u.key_heads + head;
    let keys = own * u.d_k;
    var held = 0.0;
#if ${decay !== undefined || beta !== undefined}
    for (var d = 0u; d < u.d_k; d++) {
      let place = column + d * u.d_v;
      var state = present_state[place];
#if ${decay !== undefined}
      state *= exp(decay[${decayWidth === 1 ? "own" : "keys + d"}]);
      present_state[place] = state;
#endif
      held += key[keys + d] * state;
    }
#endif
    var added = value[own * u.d_v + m];
#if ${beta !== undefined}
    added = beta[${betaWidth === 1 ? "row" : "own"}] * (added - held);
#endif
    for (var d = 0u; d < u.d_k; d++) { present_state[column + d * u.d_v] += key[keys + d] * added; }
    for (var i = 0u; i < u.group_size; i++) {
      let query_head = own * u.group_size + i;
      var sum = 0.0;
      for (var d = 0u; d < u.d_k; d++) { sum += query[query_head * u.d_k + d] * present_state[column + d * u.d_v]; }
      let place = query_head * u.d_v + m;
      output[place] = epilogue(u.scale * sum, place);
    }
  }
  for (var d = 0u; d < u.d_k; d++) {
    let place = column + d * u.d_v;
    present_state[place] = epilogue1(present_state[place]);
  }
}`,
    };
  },
  trafficBytes: (problem) => {
    const { T, dK, heads, keyHeads } = extentsOf(problem);
    return 4 * columns(problem) * (T * dK * (6 + (2 * heads) / keyHeads) + 2 * dK);
  },
});
