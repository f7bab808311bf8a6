// A thread a window: it sums its taps and divides by how many of them count.

import type { averagePool } from "../../src/ops/averagePool.ts";
import { linearMain } from "../common/linear.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { countUniforms, WINDOW_COUNT, windowSum } from "./mean.ts";
import { dispatchPool, poolTraffic, SPLIT_WINDOW, supportsPool, windowUniforms } from "../common/poolWindow.ts";

export default defineStrategy({
  op: operatorNamed<typeof averagePool>("AveragePool"),
  name: "naive",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) => supportsPool(problem, limits, workgroup),
  dispatch: (problem, { workgroup }) => dispatchPool(problem, workgroup),
  uniforms: (problem) => ({ ...windowUniforms(problem), ...countUniforms(problem) }),
  trafficBytes: poolTraffic,
  source: (_problem, { workgroup }) => ({
    code: wgsl`
${windowSum("x[place]")}
${WINDOW_COUNT}
${linearMain(workgroup)}
  ${SPLIT_WINDOW}
  y[index] = epilogue(window_sum(plane, od, oh, ow) / window_count(od, oh, ow), index);
}`,
  }),
});
