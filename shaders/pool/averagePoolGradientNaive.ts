// A thread an input element: it gathers its share of every window that holds it.

import { averagePoolGradient } from "../../src/ops/pool.ts";
import { linearMain } from "../common/linear.ts";
import { defineStrategy } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  countUniforms,
  dispatchPool,
  eachWindow,
  poolTraffic,
  split,
  supportsPool,
  WINDOW_COUNT,
  windowUniforms,
} from "./window.ts";

export default defineStrategy({
  op: averagePoolGradient,
  name: "naive",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) => supportsPool(problem, limits, workgroup),
  dispatch: (problem, { workgroup }) => dispatchPool(problem, workgroup),
  uniforms: (problem) => ({ ...windowUniforms(problem), ...countUniforms(problem) }),
  trafficBytes: poolTraffic,
  source: (_problem, { workgroup }) => ({
    code: wgsl`
${WINDOW_COUNT}
${linearMain(workgroup)}
  ${split("u.in_h", "u.in_w", "h", "w")}
  var total = 0.0;
  ${eachWindow("partial += dy[place] / window_count(oh, ow);")}
  dx[index] = epilogue(total, index);
}`,
  }),
});
