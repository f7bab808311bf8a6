// A workgroup a line: every thread searches its share, then the best of them is found pairwise. Wins for few long lines.

import { sizeOf } from "../../src/core/shape.ts";
import type { ArgMaxAttributes } from "../../src/ops/argMax.ts";
import { lineMain, lineTraffic, lineUniforms } from "../common/lines.ts";
import { linearDispatch } from "../common/linear.ts";
import { before, bestOfWorkgroup, NOBODY, orderOf } from "../common/order.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { defineStrategy, type AnyStrategy, type OperatorName } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

export default function workgroupSearch(op: OperatorName<ArgMaxAttributes>, smallest: boolean): AnyStrategy {
  return defineStrategy({
    op,
    name: "workgroup",
    params: { workgroup: [256, 64] },
    supports: (problem, limits, { workgroup }) =>
      firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup], 8 * workgroup)),
    dispatch: (problem) => linearDispatch(sizeOf(problem.outputs[0]!.shape), 1),
    uniforms: lineUniforms,
    trafficBytes: lineTraffic,
    barriers: (problem, { workgroup }) => sizeOf(problem.outputs[0]!.shape) * workgroup * (1 + Math.log2(workgroup)),
    source: ({ inputs: [data], attributes }, { workgroup }) => ({
      code: wgsl`
${orderOf(data!.dtype, smallest, true)}
${before(attributes.select_last_index === 1)}
var<workgroup> bests: array<vec2<u32>, ${workgroup}>;
${lineMain(workgroup)}
  var best = ${NOBODY};
  for (var place = local; place < u.length; place += ${workgroup}u) {
    let other = vec2<u32>(order_of(data[first + place * u.inner]), place);
    if (before(other, best)) { best = other; }
  }
${bestOfWorkgroup(workgroup)}
  if (local == 0u) { reduced[line] = epilogue(i32(bests[0].y), line); }
}`,
    }),
  });
}
