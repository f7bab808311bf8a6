// A thread a window: the place of its first maximum, counted along rows or, if asked for, along the first spatial axis.

import { dtypes } from "../../src/core/dtype.ts";
import type { maxPoolIndices } from "../../src/ops/maxPoolIndices.ts";
import { linearMain } from "../common/linear.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { argMax, dispatchPool, poolTraffic, SPLIT_WINDOW, supportsPool, windowUniforms } from "../common/poolWindow.ts";

export default defineStrategy({
  op: operatorNamed<typeof maxPoolIndices>("MaxPoolIndices"),
  name: "naive",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) => supportsPool(problem, limits, workgroup),
  dispatch: (problem, { workgroup }) => dispatchPool(problem, workgroup),
  uniforms: windowUniforms,
  trafficBytes: poolTraffic,
  source: ({ inputs: [x], attributes }, { workgroup }) => ({
    code: wgsl`
${argMax(dtypes[x!.dtype].wgsl)}
${linearMain(workgroup)}
  ${SPLIT_WINDOW}
  var best = arg_max(plane, od, oh, ow);
#if ${attributes.storage_order === 1}
  if (best >= 0) {
    let slice = (best / (u.in_w * u.in_h)) % u.in_d;
    let row = (best / u.in_w) % u.in_h;
    best = plane * u.in_d * u.in_h * u.in_w + ((best % u.in_w) * u.in_h + row) * u.in_d + slice;
  }
#endif
  indices[index] = epilogue(best, index);
}`,
  }),
});
