// A thread a line, one element after the other. Wins where there are lines enough to fill the machine.

import { dtypes } from "../../src/core/dtype.ts";
import type { CumulativeAttributes } from "../../src/ops/cumulative.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { lineTraffic, lineUniforms } from "../common/lines.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { defineStrategy, type AnyStrategy, type OperatorName } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

export default function naive(op: OperatorName<CumulativeAttributes>, combine: string, start: number): AnyStrategy {
  return defineStrategy({
    op,
    name: "naive",
    params: { workgroup: [64] },
    supports: (problem, limits, { workgroup }) =>
      firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
    dispatch: (problem, { workgroup }) => linearDispatch(lineUniforms(problem)["lines"]!.value, workgroup),
    uniforms: lineUniforms,
    trafficBytes: lineTraffic,
    source: ({ inputs: [x], attributes: { exclusive, reverse } }, { workgroup }) => ({
      code: wgsl`
${linearMain(workgroup)}
  if (index >= u.lines) { return; }
  let first = index / u.inner * (u.length * u.inner) + index % u.inner;
  var total = ${dtypes[x!.dtype].wgsl}(${start});
  for (var step = 0u; step < u.length; step++) {
    let place = first + ${reverse === 1 ? "(u.length - 1u - step)" : "step"} * u.inner;
    let next = total ${combine} x[place];
    y[place] = epilogue(${exclusive === 1 ? "total" : "next"}, place);
    total = next;
  }
}`,
    }),
  });
}
