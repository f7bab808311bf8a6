// One output element a thread, fetched from wherever it lies. Takes every permutation; stores are contiguous, loads are
// not. Wins where the innermost axis stays put, and on adapters whose caches forgive strided loads.

import { sizeOf } from "../../src/core/shape.ts";
import type { transpose } from "../../src/ops/transpose.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { runsIndex } from "../common/runs.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { defineStrategy, type Uniform, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { transposeTraffic, walkOf } from "./walk.ts";

export default defineStrategy({
  op: operatorNamed<typeof transpose>("Transpose"),
  name: "naive",
  params: { workgroup: [64, 256] },
  supports: (problem, limits, { workgroup }) =>
    firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
  dispatch: (problem, { workgroup }) => linearDispatch(sizeOf(problem.outputs[0]!.shape), workgroup),
  uniforms(problem) {
    const uniforms: Record<string, Uniform> = {
      count: { type: "u32", value: sizeOf(problem.outputs[0]!.shape) },
    };
    runsIndex(walkOf(problem), "walk", "index", uniforms);
    return uniforms;
  },
  trafficBytes: transposeTraffic,
  source: (problem, { workgroup }) => ({
    code: wgsl`
${linearMain(workgroup)}
  if (index >= u.count) { return; }
  transposed[index] = epilogue(data[${runsIndex(walkOf(problem), "walk", "index", {})}], index);
}`,
  }),
});
