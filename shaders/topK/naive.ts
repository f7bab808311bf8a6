// A thread an element: it counts the elements of its line that come before it, and its count is its place in the result.
// Work is the square of the line's length, but every step is one comparison and no thread waits for another.

import { sizeOf } from "../../src/core/shape.ts";
import type { topK } from "../../src/ops/topK.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { lineUniforms, linesOfProblem } from "../common/lines.ts";
import { before, orderOf } from "../common/order.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

export default defineStrategy({
  op: operatorNamed<typeof topK>("TopK"),
  name: "naive",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) =>
    firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
  dispatch: (problem, { workgroup }) => linearDispatch(sizeOf(problem.inputs[0]!.shape), workgroup),
  uniforms: (problem) => ({ ...lineUniforms(problem), k: { type: "u32", value: problem.attributes.k } }),
  trafficBytes: (problem) =>
    4 * sizeOf(problem.inputs[0]!.shape) * linesOfProblem(problem).length + 8 * sizeOf(problem.outputs[0]!.shape),
  source: ({ inputs: [x], attributes }, { workgroup }) => ({
    code: wgsl`
${orderOf(x!.dtype, attributes.largest !== 1)}
${before()}
${linearMain(workgroup)}
  if (index >= u.lines * u.length) { return; }
  let place = index / u.inner % u.length;
  let first = index - place * u.inner;
  let own = vec2<u32>(order_of(x[index]), place);
  var rank = 0u;
  for (var p = 0u; p < u.length; p++) {
    rank += select(0u, 1u, before(vec2<u32>(order_of(x[first + p * u.inner]), p), own));
  }
  if (rank < u.k) {
    let to = (index / (u.inner * u.length) * u.k + rank) * u.inner + index % u.inner;
    values[to] = epilogue(x[index], to);
    indices[to] = i32(place);
  }
}`,
  }),
});
