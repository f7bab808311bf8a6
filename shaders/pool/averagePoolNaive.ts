// A thread a window: it sums its taps and divides by how many of them count.

import { averagePool } from "../../src/ops/pool.ts";
import { linearMain } from "../common/linear.ts";
import { defineStrategy } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  countUniforms,
  dispatchPool,
  poolTraffic,
  split,
  supportsPool,
  WINDOW_COUNT,
  WINDOW_SUM,
  windowUniforms,
} from "./window.ts";

export default defineStrategy({
  op: averagePool,
  name: "naive",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) => supportsPool(problem, limits, workgroup),
  dispatch: (problem, { workgroup }) => dispatchPool(problem, workgroup),
  uniforms: (problem) => ({ ...windowUniforms(problem), ...countUniforms(problem) }),
  trafficBytes: poolTraffic,
  source: (_problem, { workgroup }) => ({
    code: wgsl`
${WINDOW_SUM}
${WINDOW_COUNT}
${linearMain(workgroup)}
  ${split("u.out_h", "u.out_w", "oh", "ow")}
  y[index] = epilogue(window_sum(plane, oh, ow) / window_count(oh, ow), index);
}`,
  }),
});
