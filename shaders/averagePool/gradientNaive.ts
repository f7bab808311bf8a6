// A thread an input element: it gathers its share of every window that holds it.

import type { averagePoolGradient } from "../../src/ops/averagePool.ts";
import { linearMain } from "../common/linear.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { countUniforms, WINDOW_COUNT } from "./mean.ts";
import { dispatchPool, poolTraffic, supportsPool, windowUniforms } from "../common/poolWindow.ts";
import { eachWindow, SPLIT_ELEMENT } from "../common/poolGradient.ts";

export default defineStrategy({
  op: operatorNamed<typeof averagePoolGradient>("AveragePoolGradient"),
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
  ${SPLIT_ELEMENT}
  var total = 0.0;
  ${eachWindow("partial += dy[place] / window_count(od, oh, ow);")}
  dx[index] = epilogue(total, index);
}`,
  }),
});
