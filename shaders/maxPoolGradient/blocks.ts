// For windows that do not overlap and stay inside the input, the usual case: a thread takes one stride × stride block of
// the input, finds the window's first maximum once and writes the whole block, gradient and zeros. The naive kernel
// searches every window again for each of its elements.

import type { maxPoolGradient } from "../../src/ops/maxPoolGradient.ts";
import { poolGeometry } from "../../src/ops/poolGeometry.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { unroll } from "../common/unroll.ts";
import { firstReason } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  fewTaps,
  poolTraffic,
  staysInside,
  supportsPool,
  windowUniforms,
  type PoolProblem,
} from "../common/poolWindow.ts";

/** Blocks of stride × stride that cover the input, the last ones ragged. */
function blocksOf(problem: PoolProblem): { rows: number; columns: number; count: number } {
  const { planes, height, width } = poolGeometry(problem);
  const rows = Math.ceil(height.extent / height.stride);
  const columns = Math.ceil(width.extent / width.stride);
  return { rows, columns, count: planes * rows * columns };
}

function disjoint(problem: PoolProblem): true | string {
  const { depth, height, width } = poolGeometry(problem);
  if (depth.extent > 1) return "three spatial axes";
  const axes = [height, width];
  if (axes.some(({ kernel, stride, dilation }) => dilation * (kernel - 1) >= stride)) return "windows overlap";
  return axes.every(({ kernel, dilation }) => dilation === 1 || kernel === 1) || "windows are dilated";
}

export default defineStrategy({
  op: operatorNamed<typeof maxPoolGradient>("MaxPoolGradient"),
  name: "blocks",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) =>
    firstReason(staysInside(problem), disjoint(problem), fewTaps(problem), supportsPool(problem, limits, workgroup)),
  dispatch: (problem, { workgroup }) => linearDispatch(blocksOf(problem).count, workgroup),
  uniforms(problem) {
    const { rows, columns, count } = blocksOf(problem);
    return {
      ...windowUniforms(problem),
      count: { type: "i32", value: count },
      block_rows: { type: "i32", value: rows },
      block_columns: { type: "i32", value: columns },
    };
  },
  trafficBytes: poolTraffic,
  intensity: () => 1,
  source(problem, { workgroup }) {
    const { height, width } = poolGeometry(problem);
    const [kH, kW] = [height.kernel, width.kernel];
    const place = (i: number): string => `corner + ${Math.floor(i / kW)} * u.in_w + ${i % kW}`;
    return {
      code: wgsl`
// x [planes, in_h, in_w], dy [planes, out_h, out_w]; dx [planes, in_h, in_w]
${linearMain(workgroup)}
  let block = i32(index);
  if (block >= u.count) { return; }
  let ow = block % u.block_columns;
  let oh = (block / u.block_columns) % u.block_rows;
  let plane = block / (u.block_columns * u.block_rows);
  let corner = (plane * u.in_h + oh * u.stride_h) * u.in_w + ow * u.stride_w;
  var best = -1; // place of the window's first maximum; none in what the windows leave over
  var gradient = 0.0;
  if (oh < u.out_h && ow < u.out_w) {
    gradient = dy[(plane * u.out_h + oh) * u.out_w + ow];
    var highest = x[corner];
    best = corner;
${unroll(kH * kW - 1, (i) => {
  const tap = `tap${i + 1}`;
  return `    let ${tap} = x[${place(i + 1)}];
    if (${tap} > highest) { highest = ${tap}; best = ${place(i + 1)}; }`;
})}
  }
  for (var i = 0; i < min(u.stride_h, u.in_h - oh * u.stride_h); i++) {
    for (var j = 0; j < min(u.stride_w, u.in_w - ow * u.stride_w); j++) {
      let place = corner + i * u.in_w + j;
      dx[place] = epilogue(select(0.0, gradient, place == best), u32(place));
    }
  }
}`,
    };
  },
});
