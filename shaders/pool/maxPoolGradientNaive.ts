// A thread an input element: it asks every window that holds it whether it was that window's first maximum. Nothing is
// added concurrently, so results do not depend on the order of threads; the price is that windows are searched again.

import { maxPoolGradient } from "../../src/ops/pool.ts";
import { linearMain } from "../common/linear.ts";
import { defineStrategy } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { ARG_MAX, dispatchPool, eachWindow, poolTraffic, split, supportsPool, windowUniforms } from "./window.ts";

export default defineStrategy({
  op: maxPoolGradient,
  name: "naive",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) => supportsPool(problem, limits, workgroup),
  dispatch: (problem, { workgroup }) => dispatchPool(problem, workgroup),
  uniforms: windowUniforms,
  trafficBytes: poolTraffic,
  source: (_problem, { workgroup }) => ({
    code: wgsl`
${ARG_MAX}
${linearMain(workgroup)}
  ${split("u.in_h", "u.in_w", "h", "w")}
  var total = 0.0;
  ${eachWindow("if (arg_max(plane, oh, ow) == element) { partial += dy[place]; }")}
  dx[index] = epilogue(total, index);
}`,
  }),
});
