// One step of a recurrent network for the whole adapter: units do not wait for each other, so each takes its gates' rows of
// W times x and of R times h by itself, `lanes` invocations to a unit, and no more than one dispatch is needed. What a
// streaming model runs at every frame.

import { type recurrentStep, stepGeometry, type CellAttributes } from "../../src/ops/recurrent.ts";
import { linearDispatch } from "../common/linear.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { wgsl } from "../wgsl.ts";
import { cellFunctions, peepholes } from "./cell.ts";

const WORKGROUP = 64;

type StepProblem = KernelProblem<CellAttributes>;

const units = (problem: StepProblem): number => {
  const { B, D, H } = stepGeometry(problem);
  return B * D * H;
};
const inputSize = (problem: StepProblem): number => problem.inputs[0]!.shape[2]!;

export default defineStrategy({
  op: operatorNamed<typeof recurrentStep>("RecurrentStep"),
  name: "naive",
  params: { lanes: [16, 1] },
  supports: (problem, limits) =>
    firstReason(
      fitsBindings(limits, problem),
      fitsWorkgroup(limits, [WORKGROUP], 4 * WORKGROUP * stepGeometry(problem).gates * 2),
    ),
  dispatch: (problem, { lanes }) => linearDispatch(units(problem) * lanes, WORKGROUP),
  uniforms: (problem) => {
    const { B, stateStrides } = stepGeometry(problem);
    const values = { units: units(problem), batches: B, state_b: stateStrides.b, state_d: stateStrides.d };
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { type: "u32", value }]));
  },
  source(problem, { lanes }) {
    const { attributes, inputs } = problem;
    const geometry = stepGeometry(problem);
    const { cell, gates: K, H, D } = geometry;
    const I = inputSize(problem);
    const [bias, initialH, initialC] = inputs.slice(3);
    const gates = Array.from({ length: K }, (_, gate) => gate);
    // A GRU's candidate keeps its recurrent part apart: the reset gate multiplies that only.
    const isApart = (gate: number): boolean => cell === "GRU" && gate === 2;
    const sums = [...gates.map((gate) => `sum${gate}`), ...(cell === "GRU" ? ["recurrent"] : [])];
    const vectorX = I % 4 === 0;
    const vectorH = H % 4 === 0;
    /** Adds rows of a weight times the vector of `extent` elements at `start`, in fours where that is whole. */
    const multiply = (weights: string, vector: string, start: string, extent: number): string => {
      const isVector = extent % 4 === 0;
      const count = isVector ? extent / 4 : extent;
      const lines = gates.map((gate) => {
        const target = weights === "r" && isApart(gate) ? "recurrent" : `sum${gate}`;
        const element = `${weights}[(direction * ${K * H}u + ${gate * H}u + j) * ${count}u + k]`;
        return `    ${target} += ${isVector ? `dot(${element}, value)` : `${element} * value`};`;
      });
      return `  for (var k = part; k < ${count}u; k += ${lanes}u) {
    let value = ${vector}[(${start})${isVector ? " / 4u" : ""} + k];
${lines.join("\n")}
  }`;
    };
    const biasOf = (gate: number): string => {
      if (!bias) return "";
      const input = `b[direction * ${2 * K * H}u + ${gate * H}u + j]`;
      return isApart(gate) ? ` + ${input}` : ` + ${input} + b[direction * ${2 * K * H}u + ${(K + gate) * H}u + j]`;
    };
    const pre = (gate: number): string => `(sum${gate}${biasOf(gate)})`;
    const readH = (at: string): string =>
      !initialH ? "0.0" : vectorH ? `initial_h[(${at}) >> 2u][(${at}) & 3u]` : `initial_h[${at}]`;
    const readR = (at: string): string => (vectorH ? `r[(${at}) >> 2u][(${at}) & 3u]` : `r[${at}]`);
    return {
      bindings: {
        ...(vectorX ? { x: "vec4<f32>", w: "vec4<f32>" } : {}),
        ...(vectorH ? { r: "vec4<f32>", ...(initialH ? { initial_h: "vec4<f32>" } : {}) } : {}),
      },
      code: wgsl`
// x [1, B, I], w [D, K·H, I], r [D, K·H, H], b [D, 2·K·H], initial_h, initial_c, y, y_c [D, B, H], by strides
#if ${lanes > 1}
var<workgroup> partials: array<array<f32, ${WORKGROUP}>, ${sums.length}>;
#endif

${cellFunctions(geometry, attributes)}

@compute @workgroup_size(${WORKGROUP})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let unit = (group.y * groups.x + group.x) * ${WORKGROUP / lanes}u + lane / ${lanes}u;
  let part = lane % ${lanes}u;
  let is_there = unit < u.units;
  // Invocations without a unit repeat the last one, so that all reach the barrier.
  let own = min(unit, u.units - 1u);
  let j = own % ${H}u;
  let direction = own / ${H}u % ${D}u;
  let batch = own / ${H * D}u;
  let state_base = batch * u.state_b + direction * u.state_d;
${sums.map((name) => `  var ${name} = 0.0;`).join("\n")}
${multiply("w", "x", `batch * ${I}u`, I)}
#if ${initialH !== undefined}
${multiply("r", "initial_h", "state_base", H)}
#endif
#if ${lanes > 1}
${sums.map((name, i) => `  partials[${i}][lane] = ${name};`).join("\n")}
  workgroupBarrier();
  if (part != 0u || !is_there) { return; }
  for (var other = 1u; other < ${lanes}u; other++) {
${sums.map((name, i) => `    ${name} += partials[${i}][lane + other];`).join("\n")}
  }
#else
  if (!is_there) { return; }
#endif
  let at = state_base + j;
#if ${cell === "LSTM"}
  let c = ${initialC ? "initial_c[at]" : "0.0"};
  let pre = vec4<f32>(${[0, 1, 2, 3].map((gate) => (gate < K ? pre(gate) : "0.0")).join(", ")});
  let next = next_state(pre, c, ${peepholes(geometry, attributes, readR)}, direction);
  y_c[at] = next.y;
  let h = next.x;
#elif ${cell === "GRU"}
  let reset = activate0(${K > 1 ? pre(1) : "0.0"}, direction);
  let candidate = ${K > 2 ? pre(2) : "0.0"} + reset * (recurrent${bias ? ` + b[direction * ${2 * K * H}u + ${(2 * K - 1) * H}u + j]` : ""});
  let h = next_state(activate0(${pre(0)}, direction), candidate, ${readH("at")}, direction);
#else
  let h = next_state(${pre(0)}, direction);
#endif
  y[at] = epilogue(h, at);
}`,
    };
  },
  trafficBytes: (problem) => {
    const { gates: K, H } = stepGeometry(problem);
    return 4 * units(problem) * (K * (H + inputSize(problem)) + 4);
  },
  barriers: (problem, { lanes }) => (lanes > 1 ? units(problem) * lanes : 0),
  intensity: (problem) => (stepGeometry(problem).H % 4 === 0 ? 2 : 0.5),
});
