// A thread an input element: it asks every window that holds it whether it was that window's first maximum. Nothing is
// added concurrently, so results do not depend on the order of threads; the price is that windows are searched again.

import type { maxPoolGradient } from "../../src/ops/maxPoolGradient.ts";
import { linearMain } from "../common/linear.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { argMax, dispatchPool, poolTraffic, supportsPool, windowUniforms } from "../common/poolWindow.ts";
import { eachWindow, SPLIT_ELEMENT } from "../common/poolGradient.ts";

export default defineStrategy({
  op: operatorNamed<typeof maxPoolGradient>("MaxPoolGradient"),
  name: "naive",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) => supportsPool(problem, limits, workgroup),
  dispatch: (problem, { workgroup }) => dispatchPool(problem, workgroup),
  uniforms: windowUniforms,
  trafficBytes: poolTraffic,
  source: (_problem, { workgroup }) => ({
    code: wgsl`
${argMax("f32")}
${linearMain(workgroup)}
  ${SPLIT_ELEMENT}
  var total = 0.0;
  ${eachWindow("if (arg_max(plane, od, oh, ow) == element) { partial += dy[place]; }")}
  dx[index] = epilogue(total, index);
}`,
  }),
});
