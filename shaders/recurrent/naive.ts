// A workgroup walks through one sequence, an invocation a unit (or several): it sums the unit's rows of R times the state
// before, which is read from where the step before stored it, in Y. Any hidden size, no workgroup memory; every weight and
// every state is a load of its own. A GRU that resets before the product keeps r·h in the slot of Y that h will take.

import { defineStrategy, operatorNamed } from "../strategy.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { wgsl } from "../wgsl.ts";
import { cellFunctions, peepholes } from "./cell.ts";
import {
  initialState,
  padding,
  recurrentSequence,
  resetBias,
  sequenceGeometry,
  walkDispatch,
  walkHead,
  walkSteps,
  walkUniforms,
} from "./walk.ts";

export default defineStrategy({
  op: operatorNamed<typeof recurrentSequence>("RecurrentSequence"),
  name: "naive",
  readsOutputs: true,
  params: { workgroup: [64, 8] },
  supports: (problem, limits, { workgroup }) =>
    firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
  dispatch: walkDispatch,
  uniforms: walkUniforms,
  source(problem, { workgroup }) {
    const { attributes } = problem;
    const geometry = sequenceGeometry(problem);
    const { cell, gates: K, H } = geometry;
    const isOrdered = cell === "GRU" && !attributes.linear_before_reset;
    const products = Array.from({ length: K }, (_, gate) => gate);
    const sums = (which: readonly number[], state: string): string =>
      [
        ...which.map((gate) => `      var sum${gate} = 0.0;`),
        `      for (var k = 0u; k < ${H}u; k++) {`,
        `        let state = ${state};`,
        ...which.map((gate) => `        sum${gate} += r[r_base + (${gate * H}u + j) * ${H}u + k] * state;`),
        `      }`,
      ].join("\n");
    const before = "before(step == 0u, state_base, y_before, k)";
    const pre = (gate: number): string => `gates[gates_at + ${gate * H}u + j]`;
    const units = `for (var j = lane; j < ${H}u; j += ${workgroup}u)`;
    return {
      code: wgsl`
// gates [T, B, D·K·H], r [D, K·H, H], initial_h, initial_c [D, B, H], y [T, D, B, H], y_h, y_c [D, B, H], by strides
${cellFunctions(geometry, attributes)}

// h[k] after the step before; y_before is where that step stored it.
fn before(is_first: bool, state_base: u32, y_before: u32, k: u32) -> f32 {
  if (is_first) { return ${initialState(problem, "h", "k")}; }
  return y[y_before + k];
}

@compute @workgroup_size(${workgroup})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
${walkHead(problem)}
  var y_before = 0u;
  var y_at = 0u;
  for (var step = 0u; step < length; step++) {
    let t = select(step, length - 1u - step, is_reverse);
    let gates_at = gates_base + t * u.gates_t;
    y_at = y_base + t * u.y_t;
#if ${isOrdered}
    ${units} {
${sums([0, 1], before)}
      y_h[state_base + j] = activate0(${pre(0)} + sum0, direction);
      let reset = activate0(${pre(1)} + sum1, direction);
      y[y_at + j] = reset * before(step == 0u, state_base, y_before, j);
    }
    storageBarrier();
    ${units} {
${sums([2], "y[y_at + k]")}
      let h = before(step == 0u, state_base, y_before, j);
      y_h[state_base + j] = next_state(y_h[state_base + j], ${pre(2)} + sum2, h, direction);
    }
    storageBarrier();
    ${units} { y[y_at + j] = epilogue(y_h[state_base + j], y_at + j); }
#else
    ${units} {
${sums(products, before)}
#if ${cell === "LSTM"}
      var c = ${initialState(problem, "c", "j")};
      if (step > 0u) { c = y_c[state_base + j]; }
      let pre = vec4<f32>(${[0, 1, 2, 3].map((gate) => `${pre(gate)} + sum${gate % K}`).join(", ")});
      let next = next_state(pre, c, ${peepholes(geometry, attributes, (at) => `r[${at}]`)}, direction);
      y_c[state_base + j] = next.y;
      let h = next.x;
#elif ${cell === "GRU"}
      let reset = activate0(${pre(1)} + sum${1 % K}, direction);
      let z = activate0(${pre(0)} + sum0, direction);
      let candidate = ${pre(2)} + reset * (sum${2 % K} + ${resetBias(problem)});
      let h = next_state(z, candidate, before(step == 0u, state_base, y_before, j), direction);
#else
      let h = next_state(${pre(0)} + sum0, direction);
#endif
      y[y_at + j] = epilogue(h, y_at + j);
    }
#endif
    storageBarrier();
    y_before = y_at;
  }
  for (var j = lane; j < ${H}u; j += ${workgroup}u) {
    var last = 0.0;
    if (length > 0u) { last = y[y_at + j]; }
    y_h[state_base + j] = last;
#if ${cell === "LSTM"}
    if (length == 0u) { y_c[state_base + j] = 0.0; }
#endif
  }
${padding(workgroup, H)}
}`,
    };
  },
  trafficBytes: (problem) => {
    const { gates: K, H } = sequenceGeometry(problem);
    return 4 * walkSteps(problem) * K * H * (2 * H + 2);
  },
  barriers: (problem, { workgroup }) => walkSteps(problem) * workgroup * 3,
  busyInvocations: (problem, { workgroup }) => {
    const { B, D, H } = sequenceGeometry(problem);
    return B * D * Math.min(H, workgroup);
  },
});
