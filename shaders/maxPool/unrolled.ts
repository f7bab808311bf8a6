// A thread a few neighbouring windows of a row, for windows that never leave the input: the taps are written out and none
// is checked against the edge, what windows share of an input row is read once, as vectors where extents divide, and
// finding the place in the tensor, which takes several divisions, is paid for once.

import type { maxPool } from "../../src/ops/maxPool.ts";
import { poolGeometry, windowSize } from "../../src/ops/poolGeometry.ts";
import { evenPart, loadRow, rowBinding, rowWidth } from "../common/convWindow.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { unroll } from "../common/unroll.ts";
import { firstReason, fitsBindings, fitsWorkgroup } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { fewTaps, poolTraffic, type PoolProblem, signed, staysInside } from "../common/poolWindow.ts";

const WORKGROUP = 64;
const COLUMNS = [8, 1]; // windows of a thread, at most

/** How windows are dealt out to threads. */
interface Tile {
  readonly columns: number;
  readonly columnTiles: number;
  readonly threads: number;
}

function tileOf(problem: PoolProblem, most: number): Tile {
  const { planes, depth, height, width } = poolGeometry(problem);
  const columns = evenPart(width.out, most);
  const columnTiles = Math.ceil(width.out / columns);
  return { columns, columnTiles, threads: planes * depth.out * height.out * columnTiles };
}

export default defineStrategy({
  op: operatorNamed<typeof maxPool>("MaxPool"),
  name: "unrolled",
  params: { columns: COLUMNS },
  supports: (problem, limits, { columns }) =>
    firstReason(
      staysInside(problem),
      fewTaps(problem),
      columns === 1 || poolGeometry(problem).width.out > 1 || "rows of one window",
      fitsBindings(limits, problem),
      fitsWorkgroup(limits, [WORKGROUP]),
    ),
  dispatch: (problem, { columns }) => linearDispatch(tileOf(problem, columns).threads, WORKGROUP),
  uniforms(problem, { columns }) {
    const { depth, height, width } = poolGeometry(problem);
    const { columnTiles, threads } = tileOf(problem, columns);
    return signed({
      threads,
      column_tiles: columnTiles,
      in_d: depth.extent,
      in_h: height.extent,
      in_w: width.extent,
      out_d: depth.out,
      out_h: height.out,
      out_w: width.out,
      stride_d: depth.stride,
      stride_h: height.stride,
      dilation_d: depth.dilation,
      dilation_h: height.dilation,
    });
  },
  trafficBytes: poolTraffic,
  // Finding its place costs a thread about as much as four loads.
  intensity(problem, { columns: most }) {
    const g = poolGeometry(problem);
    const { columns } = tileOf(problem, most);
    return (columns * windowSize(g)) / (4 + (g.depth.kernel * g.height.kernel * columns * g.width.stride) / 2);
  },
  source(problem, { columns: most }) {
    const { depth, height, width } = poolGeometry(problem);
    const { columns } = tileOf(problem, most);
    const isFloat = problem.inputs[0]!.dtype === "float32";
    const vector = isFloat ? rowWidth(width.extent, columns * width.stride) : 1;
    const offset = (j: number, kw: number): number => j * width.stride + kw * width.dilation;
    const taps = Array.from({ length: columns }, (_, j) =>
      Array.from({ length: width.kernel }, (_unused, kw) => offset(j, kw)),
    );
    // Row r of a window: its kernel slice and row.
    const readRow = (r: number): string => {
      const x = loadRow(`x${r}`, "x", vector, { row: `row${r}`, base: "left" }, taps.flat());
      const compare = (j: number): string =>
        taps[j]!.map((at, kw) =>
          r + kw === 0
            ? `  var most${j} = ${x.element(at)};`
            : `  if (${x.element(at)} > most${j}) { most${j} = ${x.element(at)}; }`,
        ).join("\n");
      return `  let row${r} = corner + ${Math.floor(r / height.kernel)} * slice_step + ${r % height.kernel} * row_step;
${x.loads}
${unroll(columns, compare)}`;
    };
    return {
      bindings: isFloat ? { x: rowBinding(vector) } : {},
      code: wgsl`
// x [planes, in_d, in_h, in_w]; y [planes, out_d, out_h, out_w]
${linearMain(WORKGROUP)}
  let thread = i32(index);
  if (thread >= u.threads) { return; }
  let first = (thread % u.column_tiles) * ${columns};
  let line = thread / u.column_tiles;
  let oh = line % u.out_h;
#if ${depth.out > 1}
  let od = (line / u.out_h) % u.out_d;
#else
  let od = 0;
#endif
  let plane = line / (u.out_h * u.out_d);
  let slice_step = u.dilation_d * u.in_h * u.in_w;
  let row_step = u.dilation_h * u.in_w;
  let corner = ((plane * u.in_d + od * u.stride_d) * u.in_h + oh * u.stride_h) * u.in_w;
  let left = first * ${width.stride};
${unroll(depth.kernel * height.kernel, readRow)}
${unroll(columns, (j) => {
  const store = `let place${j} = u32(line * u.out_w + first) + ${j}u; y[place${j}] = epilogue(most${j}, place${j});`;
  return width.out % columns === 0 ? `  ${store}` : `  if (first + ${j} < u.out_w) { ${store} }`;
})}
}`,
    };
  },
});
