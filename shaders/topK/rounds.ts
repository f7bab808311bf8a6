// A workgroup a line, k rounds: each finds the best of what comes after the one found last, so nothing has to be marked or
// moved. Wins for small k.

import { sizeOf } from "../../src/core/shape.ts";
import type { topK } from "../../src/ops/topK.ts";
import { linearDispatch } from "../common/linear.ts";
import { lineMain, lineUniforms, linesOfProblem } from "../common/lines.ts";
import { before, bestOfWorkgroup, NOBODY, orderOf } from "../common/order.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import type { TopKAttributes } from "../../src/ops/topK.ts";

const lineCount = (problem: KernelProblem<TopKAttributes>): number => {
  const { outer, inner } = linesOfProblem(problem);
  return outer * inner;
};

export default defineStrategy({
  op: operatorNamed<typeof topK>("TopK"),
  name: "rounds",
  params: { workgroup: [256, 64] },
  supports: (problem, limits, { workgroup }) =>
    firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup], 8 * workgroup)),
  dispatch: (problem) => linearDispatch(lineCount(problem), 1),
  uniforms: (problem) => ({ ...lineUniforms(problem), k: { type: "u32", value: problem.attributes.k } }),
  trafficBytes: (problem) =>
    4 * sizeOf(problem.inputs[0]!.shape) * problem.attributes.k + 8 * sizeOf(problem.outputs[0]!.shape),
  barriers: (problem, { workgroup }) =>
    lineCount(problem) * problem.attributes.k * workgroup * (2 + Math.log2(workgroup)),
  source: ({ inputs: [x], attributes }, { workgroup }) => ({
    code: wgsl`
${orderOf(x!.dtype, attributes.largest !== 1)}
${before()}
var<workgroup> bests: array<vec2<u32>, ${workgroup}>;
${lineMain(workgroup)}
  var last = vec2<u32>(0u);
  for (var rank = 0u; rank < u.k; rank++) {
    var best = ${NOBODY};
    for (var place = local; place < u.length; place += ${workgroup}u) {
      let other = vec2<u32>(order_of(x[first + place * u.inner]), place);
      if ((rank == 0u || before(last, other)) && before(other, best)) { best = other; }
    }
${bestOfWorkgroup(workgroup)}
    last = bests[0];
    if (local == 0u) {
      let to = (line / u.inner * u.k + rank) * u.inner + line % u.inner;
      values[to] = epilogue(x[first + last.y * u.inner], to);
      indices[to] = i32(last.y);
    }
    workgroupBarrier();
  }
}`,
  }),
});
