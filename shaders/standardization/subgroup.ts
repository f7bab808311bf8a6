// A subgroup a row: its lanes sum up the mean, then the variance, and combine them by shuffling. Wins on GPUs for rows of
// moderate length: neighbouring lanes read neighbouring elements, and nobody waits at a barrier.

import type { standardization } from "../../src/ops/standardization.ts";
import { chunkOfLanes, hasSubgroups, overLanes, subgroupDispatch, subgroupMain } from "../common/subgroups.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { places } from "../reduce/reduction.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { distance, isCentered, rowsOf, rowTraffic, rowUniforms, sumLoop } from "./rows.ts";

export default defineStrategy({
  op: operatorNamed<typeof standardization>("Standardization"),
  name: "subgroup",
  params: { workgroup: [64, 256], rows: [4, 16] },
  supports: (problem, limits, { workgroup }) =>
    firstReason(hasSubgroups(limits), fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
  dispatch: (problem, { rows }) => subgroupDispatch(rowsOf(problem).results, rows),
  uniforms: (problem) => ({ ...rowUniforms(problem, 1), chunk: chunkOfLanes(rowsOf(problem).count) }),
  trafficBytes: rowTraffic,
  intensity: () => 2,
  source(problem, { workgroup }) {
    const { base, step } = places(rowsOf(problem), {});
    const d = distance(problem);
    const sum = overLanes("total", (a, b) => `${a} + ${b}`);
    return {
      enable: ["subgroups"],
      code: wgsl`
${subgroupMain(workgroup, "u.results")}
    if (u.count == 0u) { return; }
    let base = ${base};
    let size = f32(u.count);
    let origin = x[base];
    var mean = 0.0;
#if ${isCentered(problem)}
    {
      ${sumLoop(d, step, "lane", "lanes")}
      ${sum}
      mean = total / size;
    }
#endif
    ${sumLoop(`(${d} - mean) * (${d} - mean)`, step, "lane", "lanes")}
    ${sum}
    let scale = inverseSqrt(total / size + u.epsilon);
    for (var r = lane; r < u.count; r += lanes) {
      let place = base + ${step};
      y[place] = epilogue((${d} - mean) * scale, place);
    }
  }
}`,
    };
  },
});
