// A workgroup a row: its threads stride over the row together and fold the mean, then the variance, in workgroup memory.
// Wins for few, long rows (transformers' features, whole images).

import type { standardization } from "../../src/ops/standardization.ts";
import { linearDispatch } from "../common/linear.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { places } from "../reduce/reduction.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { distance, isCentered, rowsOf, rowTraffic, rowUniforms, sumLoop } from "./rows.ts";

export default defineStrategy({
  op: operatorNamed<typeof standardization>("Standardization"),
  name: "workgroup",
  params: { workgroup: [64, 256] },
  supports: (problem, limits, { workgroup }) =>
    firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup], 4 * workgroup)),
  dispatch: (problem) => linearDispatch(rowsOf(problem).results, 1),
  uniforms: (problem, { workgroup }) => rowUniforms(problem, workgroup),
  trafficBytes: rowTraffic,
  barriers: (problem, { workgroup }) => rowsOf(problem).results * workgroup * (4 + 2 * Math.log2(workgroup)),
  intensity: () => 2,
  source(problem, { workgroup }) {
    const { base, step } = places(rowsOf(problem), {});
    const d = distance(problem);
    return {
      code: wgsl`
const WORKGROUP = ${workgroup}u;
var<workgroup> partials: array<f32, WORKGROUP>;

fn sum_of_all(lane: u32, value: f32) -> f32 {
  workgroupBarrier();
  partials[lane] = value;
  workgroupBarrier();
  for (var live = WORKGROUP / 2u; live > 0u; live /= 2u) {
    if (lane < live) { partials[lane] += partials[lane + live]; }
    workgroupBarrier();
  }
  return partials[0];
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  if (index >= u.results || u.count == 0u) { return; }
  let base = ${base};
  let size = f32(u.count);
  let origin = x[base];
  var mean = 0.0;
#if ${isCentered(problem)}
  {
    ${sumLoop(d, step, "lane", "WORKGROUP")}
    mean = sum_of_all(lane, total) / size;
  }
#endif
  ${sumLoop(`(${d} - mean) * (${d} - mean)`, step, "lane", "WORKGROUP")}
  let scale = inverseSqrt(sum_of_all(lane, total) / size + u.epsilon);
  for (var r = lane; r < u.count; r += WORKGROUP) {
    let place = base + ${step};
    y[place] = epilogue((${d} - mean) * scale, place);
  }
}`,
    };
  },
});
