// A thread a row. Wins for many short rows, and along outer axes, where neighbouring threads read neighbouring elements.

import type { standardization } from "../../src/ops/standardization.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { places } from "../reduce/reduction.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { distance, isCentered, rowsOf, rowTraffic, rowUniforms, sumLoop } from "./rows.ts";

export default defineStrategy({
  op: operatorNamed<typeof standardization>("Standardization"),
  name: "naive",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) =>
    firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
  dispatch: (problem, { workgroup }) => linearDispatch(rowsOf(problem).results, workgroup),
  uniforms: (problem) => rowUniforms(problem, 1),
  trafficBytes: rowTraffic,
  intensity: () => 2,
  source(problem, { workgroup }) {
    const { base, step } = places(rowsOf(problem), {});
    const d = distance(problem);
    return {
      code: wgsl`
${linearMain(workgroup)}
  if (index >= u.results || u.count == 0u) { return; }
  let base = ${base};
  let size = f32(u.count);
  let origin = x[base];
  var mean = 0.0;
#if ${isCentered(problem)}
  {
    ${sumLoop(d, step, "0u", "1u")}
    mean = total / size;
  }
#endif
  ${sumLoop(`(${d} - mean) * (${d} - mean)`, step, "0u", "1u")}
  let scale = inverseSqrt(total / size + u.epsilon);
  for (var r = 0u; r < u.count; r++) {
    let place = base + ${step};
    y[place] = epilogue((${d} - mean) * scale, place);
  }
}`,
    };
  },
});
