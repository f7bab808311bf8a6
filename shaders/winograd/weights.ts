// An invocation transforms one kernel in registers. It runs only where weights are not constants, as in training.

import { sizeOf } from "../../src/core/shape.ts";
import { patchOf, WINOGRAD_KERNEL, winogradTransforms, type winogradWeights } from "../../src/ops/winograd.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { unroll } from "../common/unroll.ts";
import { fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { transformRegisters } from "./transform.ts";

const WORKGROUP = 64;
const TAPS = WINOGRAD_KERNEL ** 2;

const kernelsOf = ({ inputs }: Pick<KernelProblem, "inputs">): number => sizeOf(inputs[0]!.shape) / TAPS;

export default defineStrategy({
  op: operatorNamed<typeof winogradWeights>("WinogradWeights"),
  name: "naive",
  params: {},
  supports: (problem, limits) => fitsBindings(limits, problem),
  dispatch: (problem) => linearDispatch(kernelsOf(problem), WORKGROUP),
  uniforms: (problem) => ({ kernels: { type: "u32", value: kernelsOf(problem) } }),
  source({ attributes: { tile } }) {
    const patch = patchOf(tile);
    return {
      code: wgsl`
// w [M · C/group, 3, 3]; transformed [positions, M · C/group]
${linearMain(WORKGROUP)}
  if (index >= u.kernels) { return; }
${unroll(TAPS, (t) => `  let w${Math.floor(t / WINOGRAD_KERNEL)}_${t % WINOGRAD_KERNEL} = w[index * ${TAPS}u + ${t}u];`)}
${transformRegisters(winogradTransforms(tile).weights, "w", "r", "t")}
  var at = index;
${unroll(patch, (a) => unroll(patch, (b) => `  transformed[at] = epilogue(t${a}_${b}, at);\n  at += u.kernels;`))}
}`,
    };
  },
  trafficBytes: (problem) => 4 * kernelsOf(problem) * (TAPS + patchOf(problem.attributes.tile) ** 2),
  intensity: () => WINOGRAD_KERNEL,
});
