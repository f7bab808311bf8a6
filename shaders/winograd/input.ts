// An invocation transforms one patch of one channel in registers. Neighbouring invocations have neighbouring patches, so
// that stores are contiguous; what patches share of the input meets in the cache.

import { winogradInputGeometry, winogradTransforms, type winogradInput } from "../../src/ops/winograd.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { unroll } from "../common/unroll.ts";
import { fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { transformRegisters } from "./transform.ts";

const WORKGROUP = 64;

type Attributes = (typeof winogradInput)["attributes"];
const geometryOf = ({ inputs, attributes }: KernelProblem<Attributes>): ReturnType<typeof winogradInputGeometry> =>
  winogradInputGeometry(inputs[0]!, attributes);

export default defineStrategy({
  op: operatorNamed<typeof winogradInput>("WinogradInput"),
  name: "naive",
  params: {},
  supports: (problem, limits) => fitsBindings(limits, problem),
  dispatch(problem) {
    const { C, tiles } = geometryOf(problem);
    return linearDispatch(C * tiles, WORKGROUP);
  },
  uniforms(problem) {
    const { C, H, W, top, left, rows, columns, tiles } = geometryOf(problem);
    const fields = { C, H, W, top, left, rows, columns, tiles };
    return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, { type: "u32", value }]));
  },
  source(problem) {
    const { patch } = geometryOf(problem);
    const { tile } = problem.attributes;
    const load = (i: number, j: number): string =>
      `let x${i}_${j} = select(0.0, x[row${i} + ${j}u], is_row${i} & is_column${j});`;
    return {
      code: wgsl`
// x [N, C, H, W]; v [positions, C, tiles]
${linearMain(WORKGROUP)}
  if (index >= u.C * u.tiles) { return; }
  let place = index % u.tiles;
  let c = index / u.tiles;
  let line = place / u.columns;
  // Positions left of or above the image wrap to numbers that no extent reaches.
  let first_row = (line % u.rows) * ${tile}u - u.top;
  let first_column = (place % u.columns) * ${tile}u - u.left;
  let corner = ((line / u.rows * u.C + c) * u.H + first_row) * u.W + first_column;
${unroll(patch, (j) => `  let is_column${j} = first_column + ${j}u < u.W;`)}
${unroll(patch, (i) => `  let is_row${i} = first_row + ${i}u < u.H;\n  let row${i} = corner + ${i}u * u.W;`)}
${unroll(patch, (i) => unroll(patch, (j) => `  ${load(i, j)}`))}
${transformRegisters(winogradTransforms(tile).input, "x", "r", "v")}
  let pitch = u.C * u.tiles;
  var at = index;
${unroll(patch, (a) => unroll(patch, (b) => `  v[at] = epilogue(v${a}_${b}, at);\n  at += pitch;`))}
}`,
    };
  },
  trafficBytes(problem) {
    const { C, tiles, patch } = geometryOf(problem);
    return 8 * C * tiles * patch ** 2;
  },
  intensity: (problem) => geometryOf(problem).patch,
});
