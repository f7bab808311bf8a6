// Lines along one axis in a kernel: their extents as uniforms. Line n begins at
// `n / u.inner * (u.length * u.inner) + n % u.inner`, and its elements are `u.inner` apart.

import { sizeOf } from "../../src/core/shape.ts";
import { linesOf, type Lines } from "../../src/ops/lines.ts";
import type { Attributes } from "../../src/ops/operator.ts";
import type { KernelProblem, Uniform } from "../strategy.ts";

type AlongAxis = KernelProblem<Attributes & { readonly axis: number }>;

/** The lines of the first input. */
export function linesOfProblem({ inputs: [x], attributes }: AlongAxis): Lines {
  return linesOf(x!.shape, attributes.axis, "lines");
}

export function lineUniforms(problem: AlongAxis): Record<string, Uniform> {
  const { outer, length, inner } = linesOfProblem(problem);
  return {
    lines: { type: "u32", value: outer * inner },
    length: { type: "u32", value: length },
    inner: { type: "u32", value: inner },
  };
}

/** Every element read once, every result written once. */
export function lineTraffic({ inputs, outputs }: KernelProblem): number {
  return 4 * [inputs[0]!, ...outputs].reduce((sum, type) => sum + sizeOf(type.shape), 0);
}

/** A workgroup a line: `line` is its number, and `local` the thread's within it. */
export function lineMain(workgroup: number): string {
  return `@compute @workgroup_size(${workgroup})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let line = group.y * groups.x + group.x;
  if (line >= u.lines) { return; }
  let first = line / u.inner * (u.length * u.inner) + line % u.inner;`;
}
