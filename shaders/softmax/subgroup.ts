// A subgroup a row: its lanes keep a maximum and a sum each, as `online` does, and merge them by shuffling. Wins on GPUs for
// rows of moderate length: neighbouring lanes read neighbouring elements, and nobody waits at a barrier.

import { chunkOfLanes, hasSubgroups, overLanes, subgroupDispatch, subgroupMain } from "../common/subgroups.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { defineStrategy, type AnyStrategy } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { ROW_BASE, rowsOf, rowTraffic, rowUniforms, UNDEFINED_ROWS, type Variant } from "./rows.ts";

export default function subgroup({ op, isLog }: Variant): AnyStrategy {
  return defineStrategy({
    op,
    name: "subgroup",
    params: { workgroup: [64, 256], rows: [4, 16] },
    supports: (problem, limits, { workgroup }) =>
      firstReason(hasSubgroups(limits), fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
    dispatch: (problem, { rows }) => subgroupDispatch(rowsOf(problem).rows, rows),
    uniforms: (problem) => ({
      ...rowUniforms(rowsOf(problem), 1),
      chunk: chunkOfLanes(rowsOf(problem).extent),
    }),
    trafficBytes: rowTraffic,
    intensity: () => 2,
    source: (_problem, { workgroup }) => ({
      enable: ["subgroups"],
      code: wgsl`
${UNDEFINED_ROWS}
${subgroupMain(workgroup, "u.rows")}
    let row = index;
    let base = ${ROW_BASE};
    var peak = ordered(input[base]);
    for (var k = lane; k < u.extent; k += lanes) { peak = max(peak, ordered(input[base + k * u.stride])); }
    ${overLanes("peak", (a, b) => `max(${a}, ${b})`)}
    var total = 0.0;
    for (var start = lane; start < u.extent; start += u.chunk) {
      let end = min(start + u.chunk, u.extent);
      var partial = 0.0;
      for (var k = start; k < end; k += lanes) { partial += exp(input[base + k * u.stride] - peak); }
      total += partial;
    }
    ${overLanes("total", (a, b) => `${a} + ${b}`)}
#if ${isLog}
    let shift = log(total);
#endif
    for (var k = lane; k < u.extent; k += lanes) {
      let place = base + k * u.stride;
#if ${isLog}
      output[place] = epilogue(defined((input[place] - peak) - shift, peak), place);
#else
      output[place] = epilogue(defined(exp(input[place] - peak) / total, peak), place);
#endif
    }
  }
}`,
    }),
  });
}
