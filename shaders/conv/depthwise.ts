// For convolutions whose groups have one input channel each: an invocation computes a block of several rows and columns of one
// output channel. The kernel stays in registers, and every input row is loaded once for all the output rows it meets, so
// that even here, where no channel shares anything with another, a load feeds several multiply-adds.

import type { conv } from "../../src/ops/conv.ts";
import { convGeometry, type ConvAttributes, type ConvGeometry } from "../../src/ops/convGeometry.ts";
import {
  columnTerms,
  planarConstants,
  convUniforms,
  evenPart,
  isPlanar,
  loadRow,
  reachesOutside,
  roundUp,
  rowBinding,
  rowWidth,
  storedLanes,
  storeResults,
  type Term,
} from "../common/convWindow.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { unroll } from "../common/unroll.ts";
import { firstReason, fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

const WORKGROUP = 32; // blocks are few: spread them over many workgroups
const MOST_TERMS = 1024; // multiply-adds written out in full
/** Rows and columns of an invocation, at most. */
const TILES: readonly (readonly number[])[] = [
  [4, 16],
  [2, 16],
  [2, 8],
];

interface Limits {
  readonly tile: readonly number[];
}

/** How outputs are dealt out to invocations. */
interface Block {
  readonly rows: number;
  readonly columns: number;
  readonly rowTiles: number;
  readonly columnTiles: number;
  readonly invocations: number;
  readonly width: 1 | 2 | 4;
  readonly isInside: boolean;
  /** For each column, the taps of a kernel row and the columns of x that they multiply. */
  readonly terms: readonly (readonly Term[])[];
  /** Each input row that is read, relative to the block's first, with the output rows it adds to and the kernel rows it meets there. */
  readonly inputRows: readonly { readonly row: number; readonly meets: readonly { r: number; kh: number }[] }[];
}

function blockOf(
  problem: KernelProblem<ConvAttributes>,
  { tile: [mostRows, mostColumns] }: Limits,
): Block & { readonly g: ConvGeometry } {
  const g = convGeometry(problem);
  const isWholeRow = g.outW <= mostColumns!;
  const columns = isWholeRow ? Math.max(1, g.outW) : roundUp(evenPart(g.outW, mostColumns!), 4);
  const rows = evenPart(g.outH, mostRows!);
  const [rowTiles, columnTiles] = [Math.ceil(g.outH / rows), Math.ceil(g.outW / columns)];
  const span = (rows - 1) * g.strideH + (g.kH - 1) * g.dilationH + 1;
  const inputRows = Array.from({ length: span }, (_, row) => ({
    row,
    meets: Array.from({ length: rows * g.kH }, (_, i) => ({ r: Math.floor(i / g.kH), kh: i % g.kH })).filter(
      ({ r, kh }) => r * g.strideH + kh * g.dilationH === row,
    ),
  })).filter(({ meets }) => meets.length > 0);
  return {
    g,
    rows,
    columns,
    rowTiles,
    columnTiles,
    invocations: g.N * g.M * rowTiles * columnTiles,
    width: rowWidth(g.W, isWholeRow ? 0 : columns * g.strideW),
    isInside: isWholeRow || !reachesOutside(g),
    terms: columnTerms(g, columns, g.kW, isWholeRow),
    inputRows,
  };
}

const offsetsOf = ({ terms }: Block): Set<number> => new Set(terms.flat().map(({ offset }) => offset));

const termCount = ({ rows, terms }: Block, { kH }: ConvGeometry): number => rows * kH * terms.flat().length;

/** True, or that another tile comes to the same. */
function isDifferent({ outH, outW }: ConvGeometry, tile: readonly number[]): true | string {
  const own = (rows: number, columns: number): string => `${evenPart(outH, rows)} ${Math.min(columns, outW)}`;
  const same = TILES.find(([rows, columns]) => own(rows!, columns!) === own(tile[0]!, tile[1]!))!;
  return (same[0] === tile[0] && same[1] === tile[1]) || "another tile comes to the same";
}

export default defineStrategy({
  op: operatorNamed<typeof conv>("Conv"),
  name: "depthwise",
  params: { tile: TILES },

  supports(problem, limits, most) {
    const g = convGeometry(problem);
    if (g.C !== g.group) return "a group has several input channels";
    const count = termCount(blockOf(problem, most), g);
    return firstReason(
      isPlanar(g),
      count <= MOST_TERMS || `this kernel would be ${count} multiply-adds in a row`,
      isDifferent(g, most.tile),
      fitsBindings(limits, problem),
    );
  },
  dispatch: (problem, most) => linearDispatch(blockOf(problem, most).invocations, WORKGROUP),
  uniforms(problem, most) {
    const { g, rowTiles, columnTiles, invocations } = blockOf(problem, most);
    return {
      ...convUniforms(g),
      row_tiles: { type: "u32", value: rowTiles },
      column_tiles: { type: "u32", value: columnTiles },
      invocations: { type: "u32", value: invocations },
    };
  },
  source(problem, most) {
    const block = blockOf(problem, most);
    const { g, rows, columns, width, isInside, terms, inputRows } = block;
    const storeLanes = storedLanes(g.outW, columns);
    const result = (r: number, j: number): string => `sum${r}_${j}`;
    const store = storeResults({ rows, columns, result, first: "ow", extent: "u.out_w" }, storeLanes);
    const place = { row: "x_row", base: "left", ...(isInside ? {} : { extent: "u.W" }) };
    const x = loadRow("x", "x", width, place, offsetsOf(block));
    const add = (r: number, kh: number, j: number): string => {
      const products = terms[j]!.map(({ kw, offset }) => `w${kh}_${kw} * ${x.element(offset)}`);
      return products.length === 0 ? "" : `sum${r}_${j} += ${products.join(" + ")};`;
    };
    return {
      ...(storeLanes === 4 ? { lanes: 4 } : {}),
      bindings: { x: rowBinding(width) },
      code: wgsl`
// x [N, C, H, W] as vectors along W, w [M, 1, KH, KW], b [M]; y [N, M, out_h, out_w]
${planarConstants(g)}

${linearMain(WORKGROUP)}
  if (index >= u.invocations) { return; }
  let ow = (index % u.column_tiles) * ${columns}u;
  let oh = (index / u.column_tiles) % u.row_tiles * ${rows}u;
  let plane = index / (u.column_tiles * u.row_tiles);
  let m = plane % u.M;
  let x_plane = ((plane / u.M) * u.C + m / u.group_m) * u.H;
  let top = i32(oh) * STRIDE_H - PAD_TOP;
  let left = i32(ow) * STRIDE_W;
${unroll(g.kH, (kh) => unroll(g.kW, (kw) => `  let w${kh}_${kw} = w[m * ${g.kH * g.kW}u + ${kh * g.kW + kw}u];`))}
${unroll(rows, (r) => unroll(columns, (j) => `  var sum${r}_${j} = 0.0;`))}
${inputRows
  .map(
    ({ row, meets }) => `  if (u32(top + ${row}) < u.H) {
    let x_row = i32((x_plane + u32(top + ${row})) * u.W);
${x.loads}
${meets.map(({ r, kh }) => unroll(columns, (j) => add(r, kh, j))).join("\n")}
  }`,
  )
  .join("\n")}
  ${store.array}
#if ${problem.inputs[2] !== undefined}
  let bias = b[m];
#else
  let bias = 0.0;
#endif
  for (var i = 0u; i < min(${rows}u, u.out_h - oh); i++) {
    let y_row = (plane * u.out_h + oh + i) * u.out_w;
    ${store.row}
  }
}`,
    };
  },
  trafficBytes(problem, most) {
    const block = blockOf(problem, most);
    const { g, inputRows } = block;
    const loads = inputRows.length * offsetsOf(block).size + g.kH * g.kW;
    return 4 * (block.invocations * loads + g.N * g.M * g.outH * g.outW);
  },
  accumulators: ({ tile: [rows, columns] }) => rows! * columns!,
  intensity(problem, most) {
    const block = blockOf(problem, most);
    const { g, inputRows, width } = block;
    return termCount(block, g) / ((inputRows.length * offsetsOf(block).size) / width + g.kH * g.kW);
  },
});
