// A workgroup a row: its threads stride over the row together and fold the maximum, then the sum, in workgroup memory.
// Wins for long rows (attention scores, vocabularies); for short ones most of its threads have nothing to do.

import { linearDispatch } from "../common/linear.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { defineStrategy, type AnyStrategy } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { ROW_BASE, rowsOf, rowTraffic, rowUniforms, UNDEFINED_ROWS, type Variant } from "./rows.ts";

export default function workgroupRow({ op, isLog }: Variant): AnyStrategy {
  return defineStrategy({
    op,
    name: "workgroup",
    params: { workgroup: [64, 256] },
    supports: (problem, limits, { workgroup }) =>
      firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup], 4 * workgroup)),
    dispatch: (problem) => linearDispatch(rowsOf(problem).rows, 1),
    uniforms(problem, { workgroup }) {
      const rows = rowsOf(problem);
      return rowUniforms(rows, workgroup * Math.max(1, Math.ceil(Math.sqrt(rows.extent / workgroup))));
    },
    trafficBytes: rowTraffic,
    barriers: (problem, { workgroup }) => rowsOf(problem).rows * workgroup * (3 + 2 * Math.log2(workgroup)),
    intensity: () => 2,
    source: (_problem, { workgroup }) => ({
      code: wgsl`
${UNDEFINED_ROWS}
const WORKGROUP = ${workgroup}u;
var<workgroup> partials: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= u.rows) { return; }
  let base = ${ROW_BASE};

  var highest = ordered(input[base]);
  for (var k = lane; k < u.extent; k += WORKGROUP) { highest = max(highest, ordered(input[base + k * u.stride])); }
  partials[lane] = highest;
  workgroupBarrier();
  for (var live = WORKGROUP / 2u; live > 0u; live /= 2u) {
    if (lane < live) { partials[lane] = max(partials[lane], partials[lane + live]); }
    workgroupBarrier();
  }
  let peak = partials[0];
  workgroupBarrier();

  var sum = 0.0;
  for (var start = lane; start < u.extent; start += u.chunk) {
    let end = min(start + u.chunk, u.extent);
    var partial = 0.0;
    for (var k = start; k < end; k += WORKGROUP) { partial += exp(input[base + k * u.stride] - peak); }
    sum += partial;
  }
  partials[lane] = sum;
  workgroupBarrier();
  for (var live = WORKGROUP / 2u; live > 0u; live /= 2u) {
    if (lane < live) { partials[lane] += partials[lane + live]; }
    workgroupBarrier();
  }
  let total = partials[0];

#if ${isLog}
  let shift = log(total);
#endif
  for (var k = lane; k < u.extent; k += WORKGROUP) {
    let place = base + k * u.stride;
#if ${isLog}
    output[place] = epilogue(defined((input[place] - peak) - shift, peak), place);
#else
    output[place] = epilogue(defined(exp(input[place] - peak) / total, peak), place);
#endif
  }
}`,
    }),
  });
}
