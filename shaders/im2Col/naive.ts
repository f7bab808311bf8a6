// An invocation copies a run of one tap along a row of blocks. Finding its place takes a dozen divisions, which a run pays
// for once; runs of 1 give a GPU contiguous stores.

import { dtypes } from "../../src/core/dtype.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { type im2Col, patchAxes } from "../../src/ops/im2Col.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { words } from "../movement/elementwise.ts";

const WORKGROUP = 64;
const NO_AXIS = { extent: 1, taps: 1, stride: 1, dilation: 1, padBegin: 0, blocks: 1 };

/** Depth, height and width; runs along a row of blocks, and all of them. */
function layoutOf({ inputs, attributes }: KernelProblem<(typeof im2Col)["attributes"]>, run: number) {
  const { shape } = inputs[0]!;
  const own = patchAxes(shape, attributes);
  const axes = [...new Array<typeof NO_AXIS>(3 - own.length).fill(NO_AXIS), ...own] as const;
  const [d, h, w] = axes as [typeof NO_AXIS, typeof NO_AXIS, typeof NO_AXIS];
  const runs = Math.ceil(w.blocks / run);
  const planes = shape[0]! * shape[1]!;
  return { d, h, w, runs, count: planes * d.taps * h.taps * w.taps * d.blocks * h.blocks * runs };
}

export default defineStrategy({
  op: operatorNamed<typeof im2Col>("Im2Col"),
  name: "naive",
  params: { run: [16, 1] },
  supports: (problem, limits) => fitsBindings(limits, problem),
  dispatch: (problem, { run }) => linearDispatch(layoutOf(problem, run).count, WORKGROUP),
  uniforms(problem, { run }) {
    const { d, h, w, runs, count } = layoutOf(problem, run);
    const fields: Record<string, number> = { runs, count };
    for (const [name, axis] of Object.entries({ d, h, w }))
      for (const [field, value] of Object.entries(axis)) fields[`${field}_${name}`.toLowerCase()] = value;
    return words(fields);
  },
  source(problem, { run }) {
    const type = dtypes[problem.inputs[0]!.dtype].wgsl;
    return {
      code: wgsl`
// input [N·C, D, H, W]; output [N·C, taps, blocks]
${linearMain(WORKGROUP)}
  if (index >= u.count) { return; }
  let first = (index % u.runs) * ${run}u;
  let line = index / u.runs;
  let oh = line % u.blocks_h;
  let od = (line / u.blocks_h) % u.blocks_d;
  let row = line / (u.blocks_h * u.blocks_d); // (plane · taps_d + kd) · taps_h …
  let kw = row % u.taps_w;
  let kh = (row / u.taps_w) % u.taps_h;
  let kd = (row / (u.taps_w * u.taps_h)) % u.taps_d;
  let plane = row / (u.taps_w * u.taps_h * u.taps_d);
  // Places before the beginning wrap to numbers that no extent reaches.
  let d = od * u.stride_d + kd * u.dilation_d - u.padbegin_d;
  let h = oh * u.stride_h + kh * u.dilation_h - u.padbegin_h;
  let is_row = (d < u.extent_d) & (h < u.extent_h);
  let from_row = ((plane * u.extent_d + d) * u.extent_h + h) * u.extent_w;
  var w = first * u.stride_w + kw * u.dilation_w - u.padbegin_w;
  let to = line * u.blocks_w;
  for (var ow = first; ow < min(first + ${run}u, u.blocks_w); ow++) {
    let value = select(${type}(0), input[from_row + w], is_row & (w < u.extent_w));
    output[to + ow] = epilogue(value, to + ow);
    w += u.stride_w;
  }
}`,
    };
  },
  trafficBytes: ({ outputs }) => 8 * sizeOf(outputs[0]!.shape),
});
