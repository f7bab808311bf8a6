// An invocation transforms the products of one tile of one channel back, and stores those of its outputs that are there.

import { patchOf, winogradTransforms, type winogradOutput } from "../../src/ops/winograd.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { unroll, unrolledList } from "../common/unroll.ts";
import { fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { transformRegisters } from "./transform.ts";

const WORKGROUP = 64;

type Attributes = (typeof winogradOutput)["attributes"];

/** Channels and tiles. */
function extentsOf({ inputs, attributes: { shape } }: KernelProblem<Attributes>): { M: number; tiles: number } {
  return { M: shape[1]!, tiles: inputs[0]!.shape[2]! };
}

export default defineStrategy({
  op: operatorNamed<typeof winogradOutput>("WinogradOutput"),
  name: "naive",
  params: {},
  supports: (problem, limits) => fitsBindings(limits, problem),
  dispatch(problem) {
    const { M, tiles } = extentsOf(problem);
    return linearDispatch(M * tiles, WORKGROUP);
  },
  uniforms(problem) {
    const { tile, shape } = problem.attributes;
    const [height, width] = [shape[2]!, shape[3]!];
    const fields = {
      ...extentsOf(problem),
      height,
      width,
      rows: Math.ceil(height / tile),
      columns: Math.ceil(width / tile),
    };
    return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, { type: "u32", value }]));
  },
  source({ attributes: { tile } }) {
    const patch = patchOf(tile);
    const row = (a: number): string => `vec${tile}<f32>(${unrolledList(tile, (b) => `y${a}_${b}`)})`;
    return {
      code: wgsl`
// z [positions, M, tiles]; y [N, M, height, width]
${linearMain(WORKGROUP)}
  if (index >= u.M * u.tiles) { return; }
  let pitch = u.M * u.tiles;
${unroll(patch, (i) => unroll(patch, (j) => `  let z${i}_${j} = z[index + ${i * patch + j}u * pitch];`))}
${transformRegisters(winogradTransforms(tile).output, "z", "r", "y")}
  let place = index % u.tiles;
  let line = place / u.columns;
  let first_row = (line % u.rows) * ${tile}u;
  let first_column = (place % u.columns) * ${tile}u;
  let plane = line / u.rows * u.M + index / u.tiles;
  // A loop, not a copy of the epilogue for each output: compiling those would take longer than running.
  var results = array<vec${tile}<f32>, ${tile}>(${unrolledList(tile, row)});
  for (var i = 0u; i < min(${tile}u, u.height - first_row); i++) {
    let results_row = results[i];
    let at = (plane * u.height + first_row + i) * u.width + first_column;
${unroll(tile, (b) => `    if (first_column + ${b}u < u.width) { y[at + ${b}u] = epilogue(results_row[${b}], at + ${b}u); }`)}
  }
}`,
    };
  },
  trafficBytes(problem) {
    const { M, tiles } = extentsOf(problem);
    const { tile } = problem.attributes;
    return 4 * M * tiles * (patchOf(tile) ** 2 + tile ** 2);
  },
  intensity: ({ attributes: { tile } }) => tile,
});
