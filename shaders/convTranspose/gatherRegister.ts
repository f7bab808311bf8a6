// The gather with several neighbouring columns of one output row and several channels an invocation. A tile starts at a
// multiple of the horizontal stride, so which taps reach which of its columns is known when the text is written: no tap is
// tried in vain along a row, whatever the stride. The stretch of the input row they need is loaded once per input channel
// and kernel row, as vectors where its extent divides, and shared by all columns and channels of the tile. No barrier, no
// atomics. Wins wherever a tile finds enough columns and channels; the input gradient of Conv runs here.

import type { convTranspose } from "../../src/ops/convBack.ts";
import { convTransposeGeometry } from "../../src/ops/convBackGeometry.ts";
import { type ConvGeometry, type ConvTransposeAttributes } from "../../src/ops/convGeometry.ts";
import {
  convConstants,
  convUniforms,
  differsFromNarrower,
  evenPart,
  isPlanar,
  loadRow,
  roundUp,
  rowBinding,
  rowWidth,
} from "../common/convWindow.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { unroll, unrolledList } from "../common/unroll.ts";
import { firstReason, fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { reachingTaps } from "./taps.ts";

const WORKGROUP = 64;
const MOST_TERMS = 1024; // multiply-adds written out in full

const CHANNELS = 4; // at most, an invocation
const COLUMNS = [16, 32, 4]; // at most, an invocation

interface Limits {
  readonly columns: number;
}

/** A tap and the column of x, relative to the tile's first, that it multiplies. */
interface Term {
  readonly kw: number;
  readonly offset: number;
}

/** How outputs are dealt out to invocations. */
interface Tile {
  readonly channels: number;
  readonly columns: number;
  readonly columnTiles: number;
  readonly channelTiles: number; // of one group
  readonly invocations: number;
  readonly width: 1 | 2 | 4;
  /** True if a tile spans whole rows: which taps miss the input is then known, and they are left out. */
  readonly isWholeRow: boolean;
  /** The terms of each column of a tile. */
  readonly terms: readonly (readonly Term[])[];
}

function tileOf(g: ConvGeometry, most: Limits): Tile {
  const channels = evenPart(g.C / g.group, CHANNELS);
  // Rows that fit one tile are entered at column 0 only, which every vector width likes.
  const isWholeRow = g.W <= most.columns;
  const step = 4 * g.strideW;
  const columns = isWholeRow ? Math.max(1, g.W) : roundUp(evenPart(g.W, most.columns), step);
  const columnTiles = Math.ceil(g.W / columns);
  const channelTiles = Math.ceil(g.C / g.group / channels);
  const terms = Array.from({ length: columns }, (_, column) =>
    Array.from({ length: g.kW }, (_, kw) => ({
      kw,
      offset: (column + g.padLeft - kw * g.dilationW) / g.strideW,
    })).filter(({ offset }) => Number.isInteger(offset) && (!isWholeRow || (offset >= 0 && offset < g.outW))),
  );
  return {
    channels,
    columns,
    columnTiles,
    channelTiles,
    invocations: g.N * g.group * channelTiles * g.H * columnTiles,
    width: rowWidth(g.outW, isWholeRow ? 0 : columns / g.strideW),
    isWholeRow,
    terms,
  };
}

const tileOfProblem = (problem: KernelProblem<ConvTransposeAttributes>, most: Limits): Tile =>
  tileOf(convTransposeGeometry(problem), most);

const offsetsOf = ({ terms }: Tile): Set<number> => new Set(terms.flat().map(({ offset }) => offset));

export default defineStrategy({
  op: operatorNamed<typeof convTranspose>("ConvTranspose"),
  name: "gatherRegister",
  params: { columns: COLUMNS },

  supports(problem, limits, most) {
    const g = convTransposeGeometry(problem);
    const { channels, terms } = tileOf(g, most);
    const count = channels * terms.flat().length;
    return firstReason(
      isPlanar(g),
      count <= MOST_TERMS || `this kernel would be ${count} multiply-adds in a row`,
      differsFromNarrower(most.columns, COLUMNS, g.W),
      fitsBindings(limits, problem),
    );
  },
  dispatch: (problem, most) => linearDispatch(tileOfProblem(problem, most).invocations, WORKGROUP),
  uniforms(problem, most) {
    const { columnTiles, channelTiles, invocations } = tileOfProblem(problem, most);
    return {
      ...convUniforms(convTransposeGeometry(problem)),
      column_tiles: { type: "u32", value: columnTiles },
      channel_tiles: { type: "u32", value: channelTiles },
      invocations: { type: "u32", value: invocations },
    };
  },
  source(problem, most) {
    const g = convTransposeGeometry(problem);
    const tile = tileOf(g, most);
    const { channels, columns, width, isWholeRow, terms } = tile;
    const place = { row: "x_row", base: "left", ...(isWholeRow ? {} : { extent: "u.out_w" }) };
    const row = loadRow("x", "x", width, place, offsetsOf(tile));
    const add = (i: number, j: number): string => {
      const products = terms[j]!.map(({ kw, offset }) => `w${i}_${kw} * ${row.element(offset)}`);
      return products.length === 0 ? "" : `sum${i}_${j} += ${products.join(" + ")};`;
    };
    return {
      bindings: { x: rowBinding(width) },
      code: wgsl`
// x [N, M, out_h, out_w] as vectors along out_w, w [M, C/group, KH, KW], b [C]; y [N, C, H, W]: names as in the forward
// convolution y → x
${convConstants(g)}
${reachingTaps(g)}

${linearMain(WORKGROUP)}
  if (index >= u.invocations) { return; }
  let column_tile = index % u.column_tiles;
  let row = index / u.column_tiles;
  let ih = row % u.H;
  let tile = row / u.H;
  let n = tile / (u.channel_tiles * u.groups);
  let group = (tile / u.channel_tiles) % u.groups;
  let first_c = (tile % u.channel_tiles) * ${channels}u; // in its group
${unroll(channels, (i) => `  let c${i} = min(first_c + ${i}u, u.group_c - 1u);`)}
  let left = ${isWholeRow ? "0" : `i32(column_tile) * ${columns / g.strideW}`};
${unroll(channels, (i) => unroll(columns, (j) => `  var sum${i}_${j} = 0.0;`))}
  let reach = i32(ih) + PAD_TOP;
  let first_kh = first_tap(reach, KH, STRIDE_H, DILATION_H);
  for (var i = 0u; i < u.group_m; i++) {
    let m = group * u.group_m + i;
    for (var kh = first_kh; kh < KH; kh += STEP_H) {
      let oh = (reach - i32(kh) * DILATION_H) / STRIDE_H;
      if (u32(oh) >= u.out_h) { continue; }
      let x_row = i32(((n * u.M + m) * u.out_h + u32(oh)) * u.out_w);
${row.loads}
${unroll(
  channels,
  (i) => `let w_row${i} = ((m * u.group_c + c${i}) * KH + kh) * KW;
${unroll(g.kW, (kw) => `let w${i}_${kw} = w[w_row${i} + ${kw}u];`)}
${unroll(columns, (j) => add(i, j))}`,
)}
    }
  }
  // A loop, not a copy of the epilogue for each output: compiling those would take longer than running.
  var results = array<f32, ${channels * columns}>(${unrolledList(channels * columns, (i) => `sum${Math.floor(i / columns)}_${i % columns}`)});
  let first_column = column_tile * ${columns}u;
  for (var i = 0u; i < ${channels}u; i++) {
    if (first_c + i >= u.group_c) { break; }
    let c = group * u.group_c + first_c + i;
    let y_row = ((n * u.C + c) * u.H + ih) * u.W;
#if ${problem.inputs[2] !== undefined}
    let bias = b[c];
#else
    let bias = 0.0;
#endif
    for (var j = 0u; j < ${columns}u; j++) {
      let column = first_column + j;
      if (column < u.W) { y[y_row + column] = epilogue(results[i * ${columns}u + j] + bias, y_row + column); }
    }
  }
}`,
    };
  },
  trafficBytes(problem, most) {
    const g = convTransposeGeometry(problem);
    const tile = tileOf(g, most);
    const loads = (g.M / g.group) * (g.kH / g.strideH) * (offsetsOf(tile).size + tile.channels * g.kW);
    return 4 * (tile.invocations * loads + g.N * g.C * g.H * g.W);
  },
  intensity(problem, most) {
    const g = convTransposeGeometry(problem);
    const tile = tileOf(g, most);
    return (tile.channels * tile.terms.flat().length) / (offsetsOf(tile).size / tile.width + tile.channels * g.kW);
  },
});
