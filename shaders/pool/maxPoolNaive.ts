// A thread a window: it looks for the maximum among its taps. Right for every window; the usual small ones leave little
// to be gained, since the kernel waits for memory anyway.

import { LOWEST_FLOAT32, maxPool } from "../../src/ops/pool.ts";
import { linearMain } from "../common/linear.ts";
import { literal } from "../common/program.ts";
import { defineStrategy } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { ARG_MAX, dispatchPool, poolTraffic, split, supportsPool, windowUniforms } from "./window.ts";

export default defineStrategy({
  op: maxPool,
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
  ${split("u.out_h", "u.out_w", "oh", "ow")}
  let best = arg_max(plane, oh, ow);
  var value = ${literal(LOWEST_FLOAT32, "float32")};
  if (best >= 0) { value = x[best]; }
  y[index] = epilogue(value, index);
}`,
  }),
});
