// A workgroup walks through one sequence with its state in workgroup memory, so that a whole sequence is one dispatch and
// only weights and gate inputs come from memory. Rows of R times the state are dealt out over all invocations, `lanes` to a
// row: neighbours read neighbouring weights, and there is work for more invocations than units. The partial sums meet in
// workgroup memory, where the invocation of a unit adds them up and takes the step: two barriers a step, four for a GRU that
// resets before the product. Wins wherever barriers are cheap; hidden sizes beyond workgroup memory are left to `naive`.

import type { RecurrentGeometry } from "../../src/ops/recurrence.ts";
import type { CellAttributes } from "../../src/ops/recurrent.ts";
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

const isOrdered = ({ cell }: RecurrentGeometry, { linear_before_reset }: CellAttributes): boolean =>
  cell === "GRU" && linear_before_reset === 0;

/** State, the second state (an LSTM's cells; r·h and z of a GRU) and the partial sums. */
function storageBytes(geometry: RecurrentGeometry, attributes: CellAttributes, lanes: number): number {
  const { gates: K, H, cell } = geometry;
  const states = isOrdered(geometry, attributes) ? 3 : cell === "LSTM" ? 2 : 1;
  return 4 * H * (states + K * lanes);
}

export default defineStrategy({
  op: operatorNamed<typeof recurrentSequence>("RecurrentSequence"),
  name: "persistent",
  params: { lanes: [4, 1], workgroup: [256, 64] },
  supports: (problem, limits, { lanes, workgroup }) =>
    firstReason(
      fitsBindings(limits, problem),
      fitsWorkgroup(limits, [workgroup], storageBytes(sequenceGeometry(problem), problem.attributes, lanes)),
    ),
  dispatch: walkDispatch,
  uniforms: walkUniforms,
  source(problem, { lanes, workgroup }) {
    const { attributes } = problem;
    const geometry = sequenceGeometry(problem);
    const { cell, gates: K, H } = geometry;
    const ordered = isOrdered(geometry, attributes);
    const isVector = H % 4 === 0;
    const sum = (gate: number): string =>
      Array.from({ length: lanes }, (_, part) => `partials[(${gate * H}u + j) * ${lanes}u + ${part}u]`).join(" + ");
    const pre = (gate: number): string => `gates[gates_at + ${gate * H}u + j]`;
    const readR = (at: string): string => (isVector ? `r[(${at}) >> 2u][(${at}) & 3u]` : `r[${at}]`);
    const units = `for (var j = lane; j < H; j += ${workgroup}u)`;
    /** Partial sums of rows first … of R times `vector`. */
    const multiply = (first: number, rows: number, vector: string): string => wgsl`
    for (var item = lane; item < ${rows * lanes}u; item += ${workgroup}u) {
      let row = ${first}u + item / ${lanes}u;
      let part = item % ${lanes}u;
#if ${isVector}
      let weights = (r_base + row * H) >> 2u;
      var sum = vec4<f32>(0.0);
      for (var k = part; k < ${H / 4}u; k += ${lanes}u) {
        let at = 4u * k;
        sum += r[weights + k] * vec4<f32>(${vector}[at], ${vector}[at + 1u], ${vector}[at + 2u], ${vector}[at + 3u]);
      }
      partials[row * ${lanes}u + part] = (sum.x + sum.y) + (sum.z + sum.w);
#else
      let weights = r_base + row * H;
      var sum = 0.0;
      for (var k = part; k < H; k += ${lanes}u) { sum += r[weights + k] * ${vector}[k]; }
      partials[row * ${lanes}u + part] = sum;
#endif
    }
    workgroupBarrier();`;
    return {
      ...(isVector ? { bindings: { r: "vec4<f32>" } } : {}),
      code: wgsl`
// gates [T, B, D·K·H], r [D, K·H, H], initial_h, initial_c [D, B, H], y [T, D, B, H], y_h, y_c [D, B, H], by strides
const H = ${H}u;
var<workgroup> state: array<f32, ${Math.max(H, 1)}>;
var<workgroup> partials: array<f32, ${Math.max(K * H * lanes, 1)}>; // [K·H, lanes]
#if ${cell === "LSTM"}
var<workgroup> cells: array<f32, ${Math.max(H, 1)}>;
#elif ${ordered}
var<workgroup> reset_state: array<f32, ${Math.max(H, 1)}>;
var<workgroup> update: array<f32, ${Math.max(H, 1)}>;
#endif

${cellFunctions(geometry, attributes)}

@compute @workgroup_size(${workgroup})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
${walkHead(problem)}
  ${units} {
    state[j] = ${initialState(problem, "h", "j")};
#if ${cell === "LSTM"}
    cells[j] = ${initialState(problem, "c", "j")};
#endif
  }
  workgroupBarrier();

  for (var step = 0u; step < length; step++) {
    let t = select(step, length - 1u - step, is_reverse);
    let gates_at = gates_base + t * u.gates_t;
    let y_at = y_base + t * u.y_t;
${multiply(0, ordered ? 2 * H : K * H, "state")}
#if ${ordered}
    ${units} {
      update[j] = activate0(${pre(0)} + (${sum(0)}), direction);
      reset_state[j] = activate0(${pre(1)} + (${sum(1)}), direction) * state[j];
    }
    workgroupBarrier();
${multiply(2 * H, H, "reset_state")}
#endif
    ${units} {
#if ${cell === "LSTM"}
      let pre = vec4<f32>(${[0, 1, 2, 3].map((gate) => `${pre(gate)} + (${sum(gate)})`).join(", ")});
      let next = next_state(pre, cells[j], ${peepholes(geometry, attributes, readR)}, direction);
      cells[j] = next.y;
      let h = next.x;
#elif ${ordered}
      let h = next_state(update[j], ${pre(2)} + (${sum(2)}), state[j], direction);
#elif ${cell === "GRU"}
      let z = activate0(${pre(0)} + (${sum(0)}), direction);
      let reset = activate0(${pre(1)} + (${sum(1)}), direction);
      let candidate = ${pre(2)} + reset * ((${sum(2)}) + ${resetBias(problem)});
      let h = next_state(z, candidate, state[j], direction);
#else
      let h = next_state(${pre(0)} + (${sum(0)}), direction);
#endif
      state[j] = h;
      y[y_at + j] = epilogue(h, y_at + j);
    }
    workgroupBarrier();
  }
  ${units} {
    y_h[state_base + j] = select(0.0, state[j], length > 0u);
#if ${cell === "LSTM"}
    y_c[state_base + j] = select(0.0, cells[j], length > 0u);
#endif
  }
${padding(workgroup, H)}
}`,
    };
  },
  trafficBytes: (problem) => {
    const { gates: K, H } = sequenceGeometry(problem);
    return 4 * walkSteps(problem) * K * H * (H + 2);
  },
  barriers: (problem, { workgroup }) =>
    walkSteps(problem) * workgroup * (isOrdered(sequenceGeometry(problem), problem.attributes) ? 4 : 2),
  busyInvocations: (problem, { lanes, workgroup }) => {
    const { B, D, gates: K, H } = sequenceGeometry(problem);
    return B * D * Math.min(workgroup, K * H * lanes);
  },
  intensity: (problem) => (sequenceGeometry(problem).H % 4 === 0 ? 0.8 : 0.5),
});
