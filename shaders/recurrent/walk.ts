// What both walks through a sequence share: a workgroup for every direction and batch element, strides as uniforms, and the
// order of the steps.

import { recurrentSequence, sequenceGeometry, type CellAttributes } from "../../src/ops/recurrent.ts";
import { linearDispatch } from "../common/linear.ts";
import type { KernelProblem, Uniform } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

export type SequenceProblem = KernelProblem<CellAttributes>;

export { recurrentSequence, sequenceGeometry };

/** A workgroup for every direction and batch element. */
export function walkDispatch(problem: SequenceProblem): [number, number, number] {
  const { B, D } = sequenceGeometry(problem);
  return linearDispatch(B * D, 1);
}

export function walkUniforms(problem: SequenceProblem): Record<string, Uniform> {
  const { T, B, gateStrides, yStrides, stateStrides } = sequenceGeometry(problem);
  const values = {
    steps: T,
    batches: B,
    gates_t: gateStrides.t,
    gates_b: gateStrides.b,
    y_t: yStrides.t,
    y_b: yStrides.b,
    y_d: yStrides.d,
    state_b: stateStrides.b,
    state_d: stateStrides.d,
  };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { type: "u32", value }]));
}

/** Steps a walk really takes, all directions and batch elements together: each costs `barriers` a thread. */
export function walkSteps(problem: SequenceProblem): number {
  const { T, B, D } = sequenceGeometry(problem);
  return T * B * D;
}

/** Declares `direction`, `batch`, `length`, `is_reverse` and where this sequence's gates, outputs and states begin. */
export function walkHead(problem: SequenceProblem): string {
  const { D, gates, H, reverse } = sequenceGeometry(problem);
  return wgsl`
  let sequence = group.y * groups.x + group.x;
  if (sequence >= ${D}u * u.batches) { return; }
  let direction = sequence % ${D}u;
  let batch = sequence / ${D}u;
#if ${problem.inputs[3] !== undefined}
  let length = u32(clamp(sequence_lens[batch], 0, i32(u.steps)));
#else
  let length = u.steps;
#endif
  let is_reverse = ${reverse ? "true" : "direction == 1u"};
  let gates_base = batch * u.gates_b + direction * ${gates * H}u;
  let y_base = batch * u.y_b + direction * u.y_d;
  let state_base = batch * u.state_b + direction * u.state_d;
  let r_base = direction * ${gates * H * H}u;`;
}

/** Rb of a GRU's last gate for unit j, where it is added inside the step. */
export function resetBias(problem: SequenceProblem): string {
  const { H } = sequenceGeometry(problem);
  return problem.inputs[2] ? `b[direction * ${6 * H}u + ${5 * H}u + j]` : "0.0";
}

/** The initial state of unit `at`. */
export function initialState(problem: SequenceProblem, which: "h" | "c", at: string): string {
  return problem.inputs[which === "h" ? 4 : 5] ? `initial_${which}[state_base + ${at}]` : "0.0";
}

/** Outputs of padded steps are zero. */
export function padding(workgroup: number, H: number): string {
  return `  for (var t = length; t < u.steps; t++) {
    for (var j = lane; j < ${H}u; j += ${workgroup}u) { y[y_base + t * u.y_t + j] = 0.0; }
  }`;
}
