// A thread a line, element by element. Wins where there are lines enough to fill the machine and neighbouring threads read
// neighbouring elements, that is when the searched axis is not the innermost.

import { sizeOf } from "../../src/core/shape.ts";
import type { ArgMaxAttributes } from "../../src/ops/argMax.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { before, orderOf } from "../common/order.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { defineStrategy, type AnyStrategy, type OperatorName } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { lineTraffic, lineUniforms } from "../common/lines.ts";

export default function naive(op: OperatorName<ArgMaxAttributes>, smallest: boolean): AnyStrategy {
  return defineStrategy({
    op,
    name: "naive",
    params: { workgroup: [64] },
    supports: (problem, limits, { workgroup }) =>
      firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
    dispatch: (problem, { workgroup }) => linearDispatch(sizeOf(problem.outputs[0]!.shape), workgroup),
    uniforms: lineUniforms,
    trafficBytes: lineTraffic,
    source: ({ inputs: [data], attributes }, { workgroup }) => ({
      code: wgsl`
${orderOf(data!.dtype, smallest, true)}
${before(attributes.select_last_index === 1)}
${linearMain(workgroup)}
  if (index >= u.lines) { return; }
  let first = index / u.inner * (u.length * u.inner) + index % u.inner;
  var best = vec2<u32>(order_of(data[first]), 0u);
  for (var place = 1u; place < u.length; place++) {
    let other = vec2<u32>(order_of(data[first + place * u.inner]), place);
    if (before(other, best)) { best = other; }
  }
  reduced[index] = epilogue(i32(best.y), index);
}`,
    }),
  });
}
