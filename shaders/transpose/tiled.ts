// A workgroup carries a square tile through workgroup memory: it reads along the input's contiguous axis and writes along
// the output's, so both sides of memory see whole lines. Wins on GPUs for large swaps; the tile's rows are padded by one
// word, so that a column's words lie in different memory banks.

import { dtypes } from "../../src/core/dtype.ts";
import { stridesOf } from "../../src/core/shape.ts";
import type { transpose } from "../../src/ops/transpose.ts";
import { linearDispatch } from "../common/linear.ts";
import { runsIndex, type Run } from "../common/runs.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { defineStrategy, type Uniform, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { transposeTraffic, walkOf, type TransposeProblem } from "./walk.ts";

/** A workgroup is as wide as its tile, and moves it in several steps if that makes too many threads. */
const threadsOf = (tile: number): number => Math.min(256, tile * tile);

interface Swap {
  /** Extents of the input's contiguous axis and of the output's. */
  readonly columns: number;
  readonly rows: number;
  /** Input elements from one row to the next, output elements from one column to the next. */
  readonly rowStride: number;
  readonly columnStride: number;
  /** All other axes: one batch element is one matrix. */
  readonly batch: number;
  readonly batchIn: readonly Run[];
  readonly batchOut: readonly Run[];
}

/** Undefined where the contiguous axis is the same before and after: there is nothing to swap. */
function swapOf(problem: TransposeProblem): Swap | undefined {
  const walk = walkOf(problem);
  const extents = walk.map(({ extent }) => extent);
  const outStrides = stridesOf(extents);
  const column = walk.findIndex(({ stride }) => stride === 1);
  const row = walk.length - 1;
  if (column < 0 || column === row || extents.includes(0)) return undefined;
  const others = [...walk.keys()].filter((axis) => axis !== column && axis !== row);
  return {
    columns: extents[column]!,
    rows: extents[row]!,
    rowStride: walk[row]!.stride,
    columnStride: outStrides[column]!,
    batch: others.reduce((product, axis) => product * extents[axis]!, 1),
    batchIn: others.map((axis) => walk[axis]!),
    batchOut: others.map((axis) => ({ extent: extents[axis]!, stride: outStrides[axis]! })),
  };
}

/** Index expressions of a batch element's first word on either side. */
function batchPlaces(swap: Swap, uniforms: Record<string, Uniform>): { input: string; output: string } {
  return {
    input: runsIndex(swap.batchIn, "in", "matrix", uniforms),
    output: runsIndex(swap.batchOut, "out", "matrix", uniforms),
  };
}

export default defineStrategy({
  op: operatorNamed<typeof transpose>("Transpose"),
  name: "tiled",
  params: { tile: [32, 16] },
  supports: (problem, limits, { tile }) =>
    firstReason(
      swapOf(problem) !== undefined || "the innermost axis stays innermost",
      fitsBindings(limits, problem),
      fitsWorkgroup(limits, [tile, threadsOf(tile) / tile], 4 * tile * (tile + 1)),
    ),
  dispatch(problem, { tile }) {
    const { columns, rows, batch } = swapOf(problem)!;
    return linearDispatch(batch * Math.ceil(columns / tile) * Math.ceil(rows / tile), 1);
  },
  uniforms(problem, { tile }) {
    const swap = swapOf(problem)!;
    const uniforms: Record<string, Uniform> = {
      columns: { type: "u32", value: swap.columns },
      rows: { type: "u32", value: swap.rows },
      row_stride: { type: "u32", value: swap.rowStride },
      column_stride: { type: "u32", value: swap.columnStride },
      batch: { type: "u32", value: swap.batch },
      tiles_across: { type: "u32", value: Math.ceil(swap.columns / tile) },
      tiles_down: { type: "u32", value: Math.ceil(swap.rows / tile) },
    };
    batchPlaces(swap, uniforms);
    return uniforms;
  },
  trafficBytes: transposeTraffic,
  barriers(problem, { tile }) {
    const { columns, rows, batch } = swapOf(problem)!;
    return threadsOf(tile) * batch * Math.ceil(columns / tile) * Math.ceil(rows / tile);
  },
  source(problem, { tile }) {
    const { input, output } = batchPlaces(swapOf(problem)!, {});
    return {
      code: wgsl`
const TILE = ${tile}u;
const STEP = ${threadsOf(tile) / tile}u;
var<workgroup> block: array<array<${dtypes[problem.inputs[0]!.dtype].wgsl}, TILE + 1u>, TILE>;

@compute @workgroup_size(TILE, STEP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
) {
  let number = group.y * groups.x + group.x;
  let tiles = u.tiles_across * u.tiles_down;
  let matrix = number / tiles;
  if (matrix >= u.batch) { return; }
  let first_column = ((number % tiles) % u.tiles_across) * TILE;
  let first_row = ((number % tiles) / u.tiles_across) * TILE;

  let base_in = ${input};
  let column = first_column + local.x;
  for (var y = local.y; y < TILE; y += STEP) {
    let row = first_row + y;
    if (row < u.rows && column < u.columns) { block[y][local.x] = data[base_in + row * u.row_stride + column]; }
  }
  workgroupBarrier();

  let base_out = ${output};
  let row = first_row + local.x;
  for (var x = local.y; x < TILE; x += STEP) {
    let column = first_column + x;
    if (row < u.rows && column < u.columns) {
      let index = base_out + column * u.column_stride + row;
      transposed[index] = epilogue(block[local.x][x], index);
    }
  }
}`,
    };
  },
});
