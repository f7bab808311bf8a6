// A workgroup a result: its threads stride over the elements together, then fold their partial results in workgroup
// memory, halving the number of live threads each step. Wins for few, long rows, where a thread a result would leave the
// machine idle; loses on adapters that pay dearly for barriers.

import { linearDispatch } from "../common/linear.ts";
import { defineStrategy, type AnyStrategy, type Uniform } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  chunkOf,
  elementType,
  finish,
  places,
  reductionOf,
  reductionTraffic,
  scaleOf,
  supportsReduction,
  type Reducer,
} from "./reduction.ts";

export default function workgroupTree(reducer: Reducer): AnyStrategy {
  return defineStrategy({
    op: reducer.op,
    name: "workgroupTree",
    params: { workgroup: [64, 256] },
    supports: (problem, limits, { workgroup }) => supportsReduction(reducer, problem, limits, workgroup, 4 * workgroup),
    dispatch: (problem) => linearDispatch(reductionOf(problem).results, 1),
    uniforms(problem, { workgroup }) {
      const reduction = reductionOf(problem);
      const uniforms: Record<string, Uniform> = {
        results: { type: "u32", value: reduction.results },
        count: { type: "u32", value: reduction.count },
        chunk: { type: "u32", value: workgroup * chunkOf(reduction.count / workgroup) },
        ...scaleOf(reducer, reduction),
      };
      places(reduction, uniforms);
      return uniforms;
    },
    trafficBytes: reductionTraffic,
    barriers: (problem, { workgroup }) => reductionOf(problem).results * workgroup * (1 + Math.log2(workgroup)),
    source(problem, { workgroup }) {
      const { base, step } = places(reductionOf(problem), {});
      const element = `data[base + ${step}]`;
      const type = elementType(problem);
      return {
        code: wgsl`
${reducer.helpers}
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
#if ${reducer.isSum}
  var total = ${type}(0);
  for (var start = lane; start < u.count; start += u.chunk) {
    let end = min(start + u.chunk, u.count);
    var partial = ${type}(0);
    for (var r = start; r < end; r += WORKGROUP) { partial += ${element}; }
    total += partial;
  }
#else
  var total = data[base];
  for (var r = lane; r < u.count; r += WORKGROUP) { total = ${reducer.combine("total", element)}; }
#endif
  partials[lane] = total;
  workgroupBarrier();
  for (var live = WORKGROUP / 2u; live > 0u; live /= 2u) {
    if (lane < live) { partials[lane] = ${reducer.combine("partials[lane]", "partials[lane + live]")}; }
    workgroupBarrier();
  }
  if (lane == 0u) {
    let value = partials[0];
    reduced[index] = epilogue(${finish(reducer, "value")}, index);
  }
}`,
      };
    },
  });
}
