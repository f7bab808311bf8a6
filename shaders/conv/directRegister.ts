// Every invocation computes several neighbouring columns of one output row for several output channels. For each input
// channel and kernel row it loads the stretch of the input row that all of them see, once, and the weights of each channel,
// and multiplies them out in registers: no barrier, no workgroup memory, and the taps in the padding cost a select a load.
// Input rows are read as vec4 or vec2 where their extent divides. Strong for few to medium channels, small kernels and on
// CPU-emulated adapters; many channels on a GPU want weights shared through workgroup memory (implicitGemm).

import { conv, convGeometry, type ConvAttributes, type ConvGeometry } from "../../src/ops/conv.ts";
import {
  convConstants,
  convUniforms,
  differsFromNarrower,
  evenPart,
  loadRow,
  roundUp,
  rowBinding,
  rowWidth,
} from "../common/convWindow.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { unroll, unrolledList } from "../common/unroll.ts";
import { firstReason, fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

const WORKGROUP = 64;
const MOST_TERMS = 1024; // multiply-adds written out in full

const CHANNELS = 4; // at most, an invocation
const COLUMNS = [16, 32, 4]; // at most, an invocation

interface Limits {
  readonly columns: number;
}

/** How outputs are dealt out to invocations. */
interface Tile {
  readonly channels: number;
  readonly columns: number;
  readonly columnTiles: number;
  readonly channelTiles: number; // of one group
  readonly invocations: number;
  readonly width: 1 | 2 | 4;
  /** True if a tile spans whole rows: which taps fall into the padding is then known, and they are left out. */
  readonly isWholeRow: boolean;
  /** For each column of a tile, the taps and the columns of x, relative to the tile's first, that they multiply. */
  readonly terms: readonly (readonly { readonly kw: number; readonly offset: number }[])[];
}

function tileOf(g: ConvGeometry, most: Limits): Tile {
  const channels = evenPart(g.M / g.group, CHANNELS);
  // Rows of Y that fit one tile are entered at column 0 only, which every vector width likes.
  const isWholeRow = g.outW <= most.columns;
  const columns = isWholeRow ? Math.max(1, g.outW) : roundUp(evenPart(g.outW, most.columns), 4);
  const columnTiles = Math.ceil(g.outW / columns);
  const channelTiles = Math.ceil(g.M / g.group / channels);
  const terms = Array.from({ length: columns }, (_, column) =>
    Array.from({ length: g.kW }, (_, kw) => ({ kw, offset: column * g.strideW + kw * g.dilationW - g.padLeft })).filter(
      ({ offset }) => !isWholeRow || (offset >= 0 && offset < g.W),
    ),
  );
  return {
    channels,
    columns,
    columnTiles,
    channelTiles,
    invocations: g.N * g.group * channelTiles * g.outH * columnTiles,
    width: rowWidth(g.W, isWholeRow ? 0 : columns * g.strideW),
    isWholeRow,
    terms,
  };
}

const offsetsOf = ({ terms }: Tile): Set<number> => new Set(terms.flat().map(({ offset }) => offset));

const tileOfProblem = (problem: KernelProblem<ConvAttributes>, most: Limits): Tile =>
  tileOf(convGeometry(problem), most);

export default defineStrategy({
  op: conv,
  name: "directRegister",
  params: { columns: COLUMNS },

  supports(problem, limits, most) {
    const g = convGeometry(problem);
    const { channels, terms } = tileOf(g, most);
    const count = channels * terms.flat().length;
    return firstReason(
      count <= MOST_TERMS || `a kernel ${g.kW} wide would be ${count} multiply-adds in a row`,
      differsFromNarrower(most.columns, COLUMNS, g.outW),
      fitsBindings(limits, problem),
    );
  },
  dispatch: (problem, most) => linearDispatch(tileOfProblem(problem, most).invocations, WORKGROUP),
  uniforms(problem, most) {
    const { columnTiles, channelTiles, invocations } = tileOfProblem(problem, most);
    return {
      ...convUniforms(convGeometry(problem)),
      column_tiles: { type: "u32", value: columnTiles },
      channel_tiles: { type: "u32", value: channelTiles },
      invocations: { type: "u32", value: invocations },
    };
  },
  source(problem, most) {
    const g = convGeometry(problem);
    const tile = tileOf(g, most);
    const { channels, columns, width, isWholeRow, terms } = tile;
    const place = { row: "x_row", base: "left", ...(isWholeRow ? {} : { extent: "u.W" }) };
    const row = loadRow("x", "x", width, place, offsetsOf(tile));
    const add = (i: number, j: number): string => {
      const products = terms[j]!.map(({ kw, offset }) => `w${i}_${kw} * ${row.element(offset)}`);
      return products.length === 0 ? "" : `sum${i}_${j} += ${products.join(" + ")};`;
    };
    return {
      bindings: { x: rowBinding(width) },
      code: wgsl`
// x [N, C, H, W] as vectors along W, w [M, C/group, KH, KW], b [M]; y [N, M, out_h, out_w]
${convConstants(g)}

${linearMain(WORKGROUP)}
  if (index >= u.invocations) { return; }
  let ow = (index % u.column_tiles) * ${columns}u;
  let row = index / u.column_tiles;
  let oh = row % u.out_h;
  let tile = row / u.out_h;
  let n = tile / (u.channel_tiles * GROUPS);
  let group = (tile / u.channel_tiles) % GROUPS;
  let first_m = (tile % u.channel_tiles) * ${channels}u; // in its group
${unroll(channels, (i) => `  let m${i} = group * u.group_m + min(first_m + ${i}u, u.group_m - 1u);`)}
  let top = i32(oh) * STRIDE_H - PAD_TOP;
  let left = i32(ow) * STRIDE_W;
${unroll(channels, (i) => unroll(columns, (j) => `  var sum${i}_${j} = 0.0;`))}
  for (var c = 0u; c < u.group_c; c++) {
    let x_plane = (n * u.C + group * u.group_c + c) * u.H;
    for (var kh = 0u; kh < KH; kh++) {
      let ih = top + i32(kh) * DILATION_H;
      if (u32(ih) >= u.H) { continue; }
      let x_row = i32((x_plane + u32(ih)) * u.W);
${row.loads}
${unroll(
  channels,
  (i) => `let w_row${i} = ((m${i} * u.group_c + c) * KH + kh) * KW;
${unroll(g.kW, (kw) => `let w${i}_${kw} = w[w_row${i} + ${kw}u];`)}
${unroll(columns, (j) => add(i, j))}`,
)}
    }
  }
  // A loop, not a copy of the epilogue for each output: compiling those would take longer than running.
  var results = array<f32, ${channels * columns}>(${unrolledList(channels * columns, (i) => `sum${Math.floor(i / columns)}_${i % columns}`)});
  for (var i = 0u; i < ${channels}u; i++) {
    if (first_m + i >= u.group_m) { break; }
    let m = group * u.group_m + first_m + i;
    let y_row = ((n * u.M + m) * u.out_h + oh) * u.out_w;
#if ${problem.inputs[2] !== undefined}
    let bias = b[m];
#else
    let bias = 0.0;
#endif
    for (var j = 0u; j < ${columns}u; j++) {
      if (ow + j < u.out_w) { y[y_row + ow + j] = epilogue(results[i * ${columns}u + j] + bias, y_row + ow + j); }
    }
  }
}`,
    };
  },
  trafficBytes(problem, most) {
    const g = convGeometry(problem);
    const tile = tileOf(g, most);
    const loads = (g.C / g.group) * g.kH * (offsetsOf(tile).size + tile.channels * g.kW);
    return 4 * (tile.invocations * loads + g.N * g.M * g.outH * g.outW);
  },
  intensity(problem, most) {
    const g = convGeometry(problem);
    const tile = tileOf(g, most);
    return (tile.channels * tile.terms.flat().length) / (offsetsOf(tile).size / tile.width + tile.channels * g.kW);
  },
});
