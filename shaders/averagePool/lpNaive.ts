// A thread a window: it sums powers of its taps' magnitudes, by multiplication, and takes the root. WGSL's pow is a rough
// guess for other roots than the square one; a Newton step makes it good to a few units in the last place.

import type { lpPool } from "../../src/ops/averagePool.ts";
import { linearMain } from "../common/linear.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { dispatchPool, poolTraffic, SPLIT_WINDOW, supportsPool, windowUniforms } from "../common/poolWindow.ts";
import { windowSum } from "./mean.ts";

export default defineStrategy({
  op: operatorNamed<typeof lpPool>("LpPool"),
  name: "naive",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) => supportsPool(problem, limits, workgroup),
  dispatch: (problem, { workgroup }) => dispatchPool(problem, workgroup),
  uniforms: (problem) => ({ ...windowUniforms(problem), p: { type: "i32", value: problem.attributes.p } }),
  trafficBytes: poolTraffic,
  source: ({ attributes: { p } }, { workgroup }) => ({
    code: wgsl`
fn power(x: f32, n: i32) -> f32 {
  var product = x;
  for (var i = 1; i < n; i++) { product *= x; }
  return product;
}

fn root(sum: f32) -> f32 {
#if ${p === 1}
  return sum;
#elif ${p === 2}
  return sqrt(sum);
#else
  if (sum == 0.0) { return 0.0; }
  let guess = pow(sum, 1.0 / f32(u.p));
  let slope = power(guess, u.p - 1);
  // Where the power overflows or vanishes there is nothing to correct with.
  if (!(slope > 0.0 && slope < 1e38 && sum < 1e38)) { return guess; }
  return guess - (guess - sum / slope) / f32(u.p);
#endif
}
${windowSum("power(abs(x[place]), u.p)")}
${linearMain(workgroup)}
  ${SPLIT_WINDOW}
  y[index] = epilogue(root(window_sum(plane, od, oh, ow)), index);
}`,
  }),
});
