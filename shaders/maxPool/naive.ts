// A thread a window: it looks for the maximum among its taps. Right for every window; the usual small ones leave little
// to be gained, since the kernel waits for memory anyway.

import { dtypes } from "../../src/core/dtype.ts";
import { emptyMaximum, type maxPool } from "../../src/ops/maxPool.ts";
import { linearMain } from "../common/linear.ts";
import { literal } from "../common/program.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { argMax, dispatchPool, poolTraffic, SPLIT_WINDOW, supportsPool, windowUniforms } from "../common/poolWindow.ts";

export default defineStrategy({
  op: operatorNamed<typeof maxPool>("MaxPool"),
  name: "naive",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) => supportsPool(problem, limits, workgroup),
  dispatch: (problem, { workgroup }) => dispatchPool(problem, workgroup),
  uniforms: windowUniforms,
  trafficBytes: poolTraffic,
  source: ({ inputs: [x] }, { workgroup }) => ({
    code: wgsl`
${argMax(dtypes[x!.dtype].wgsl)}
${linearMain(workgroup)}
  ${SPLIT_WINDOW}
  let best = arg_max(plane, od, oh, ow);
  var value = ${literal(emptyMaximum(x!.dtype), x!.dtype)};
  if (best >= 0) { value = x[best]; }
  y[index] = epilogue(value, index);
}`,
  }),
});
