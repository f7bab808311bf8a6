// A thread a row, in three passes: the maximum, the sum of exponentials, the results. Wins for many short rows (class
// scores of a batch) and along outer axes, where neighbouring threads read neighbouring elements.

import { linearDispatch, linearMain } from "../common/linear.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { defineStrategy, type AnyStrategy } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { ROW_BASE, rowsOf, rowTraffic, rowUniforms, UNDEFINED_ROWS, type Variant } from "./rows.ts";

export default function naive({ op, isLog }: Variant): AnyStrategy {
  return defineStrategy({
    op,
    name: "naive",
    params: { workgroup: [64] },
    supports: (problem, limits, { workgroup }) =>
      firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
    dispatch: (problem, { workgroup }) => linearDispatch(rowsOf(problem).rows, workgroup),
    uniforms(problem) {
      const rows = rowsOf(problem);
      return rowUniforms(rows, Math.max(1, Math.ceil(Math.sqrt(rows.extent))));
    },
    trafficBytes: rowTraffic,
    intensity: () => 2,
    source: (_problem, { workgroup }) => ({
      code: wgsl`
${UNDEFINED_ROWS}
${linearMain(workgroup)}
  let row = index;
  if (row >= u.rows) { return; }
  let base = ${ROW_BASE};
  var peak = ordered(input[base]);
  for (var k = 1u; k < u.extent; k++) { peak = max(peak, ordered(input[base + k * u.stride])); }
  var total = 0.0;
  for (var start = 0u; start < u.extent; start += u.chunk) {
    let end = min(start + u.chunk, u.extent);
    var partial = 0.0;
    for (var k = start; k < end; k++) { partial += exp(input[base + k * u.stride] - peak); }
    total += partial;
  }
#if ${isLog}
  let shift = log(total);
#endif
  for (var k = 0u; k < u.extent; k++) {
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
