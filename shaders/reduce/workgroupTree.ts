// A workgroup a result: its threads stride over the elements together, then fold their partial results in workgroup
// memory, halving the number of live threads each step. Wins for few, long rows, where a thread a result would leave the
// machine idle; loses on adapters that pay dearly for barriers.

import { dtypes } from "../../src/core/dtype.ts";
import { linearDispatch } from "../common/linear.ts";
import { defineStrategy, type AnyStrategy } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  chunkOf,
  finish,
  foldLoop,
  places,
  reductionOf,
  reductionTraffic,
  reductionUniforms,
  supportsReduction,
  type Reducer,
} from "./reduction.ts";

export default function workgroupTree(reducer: Reducer): AnyStrategy {
  return defineStrategy({
    op: reducer.op,
    name: "workgroupTree",
    params: { workgroup: [64, 256] },
    supports: (problem, limits, { workgroup }) => supportsReduction(problem, limits, workgroup, 4 * workgroup),
    dispatch: (problem) => linearDispatch(reductionOf(problem).results, 1),
    uniforms(problem, { workgroup }) {
      const reduction = reductionOf(problem);
      return reductionUniforms(reduction, workgroup * chunkOf(reduction.count / workgroup));
    },
    trafficBytes: reductionTraffic,
    barriers: (problem, { workgroup }) => reductionOf(problem).results * workgroup * (1 + Math.log2(workgroup)),
    source(problem, { workgroup }) {
      const { base, step } = places(reductionOf(problem), {});
      const { dtype } = problem.inputs[0]!;
      const type = dtypes[dtype].wgsl;
      const fold = foldLoop(reducer, dtype, {
        type,
        load: `data[base + ${step}]`,
        first: "lane",
        stride: "WORKGROUP",
        end: "u.count",
      });
      return {
        code: wgsl`
${reducer.helpers ?? ""}
const WORKGROUP = ${workgroup}u;
var<workgroup> partials: array<${type}, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  if (index >= u.results) { return; }
  let base = ${base};
  ${fold}
  partials[lane] = total;
  workgroupBarrier();
  for (var live = WORKGROUP / 2u; live > 0u; live /= 2u) {
    if (lane < live) { partials[lane] = ${reducer.combine("partials[lane]", "partials[lane + live]", dtype)}; }
    workgroupBarrier();
  }
  if (lane == 0u) {
    let value = partials[0];
    reduced[index] = epilogue(${finish(reducer, "value", dtype)}, index);
  }
}`,
      };
    },
  });
}
