// A workgroup a line, a tile of it at a time: partial results double their reach in every step (Hillis and Steele, 1986),
// and the tile's total is carried on to the next. Wins for few long lines.

import { dtypes } from "../../src/core/dtype.ts";
import type { CumulativeAttributes } from "../../src/ops/cumulative.ts";
import { linearDispatch } from "../common/linear.ts";
import { lineMain, lineTraffic, lineUniforms, linesOfProblem } from "../common/lines.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { defineStrategy, type AnyStrategy, type OperatorName } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

export default function tileScan(op: OperatorName<CumulativeAttributes>, combine: string, start: number): AnyStrategy {
  return defineStrategy({
    op,
    name: "tileScan",
    params: { workgroup: [256, 64] },
    supports: (problem, limits, { workgroup }) =>
      firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup], 4 * workgroup)),
    dispatch: (problem) => linearDispatch(lineUniforms(problem)["lines"]!.value, 1),
    uniforms: lineUniforms,
    trafficBytes: lineTraffic,
    barriers(problem, { workgroup }) {
      const { outer, inner, length } = linesOfProblem(problem);
      return outer * inner * Math.ceil(length / workgroup) * workgroup * (2 + 2 * Math.log2(workgroup));
    },
    source: ({ inputs: [x], attributes: { exclusive, reverse } }, { workgroup }) => ({
      code: wgsl`
const SIZE = ${workgroup}u;
var<workgroup> tile: array<${dtypes[x!.dtype].wgsl}, SIZE>;
${lineMain(workgroup)}
  let start = ${dtypes[x!.dtype].wgsl}(${start});
  var carried = start;
  for (var begin = 0u; begin < u.length; begin += SIZE) {
    let step = begin + local;
    let place = first + ${reverse === 1 ? "(u.length - 1u - step)" : "step"} * u.inner;
    var own = start;
    if (step < u.length) { own = x[place]; }
    tile[local] = own;
    workgroupBarrier();
    for (var reach = 1u; reach < SIZE; reach *= 2u) {
      var sum = tile[local];
      if (local >= reach) { sum = tile[local - reach] ${combine} sum; }
      workgroupBarrier();
      tile[local] = sum;
      workgroupBarrier();
    }
    if (step < u.length) {
#if ${exclusive === 1}
      var before = carried;
      if (local > 0u) { before = carried ${combine} tile[local - 1u]; }
      y[place] = epilogue(before, place);
#else
      y[place] = epilogue(carried ${combine} tile[local], place);
#endif
    }
    carried = carried ${combine} tile[SIZE - 1u];
    workgroupBarrier();
  }
}`,
    }),
  });
}
