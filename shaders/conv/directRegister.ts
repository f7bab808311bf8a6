// Every invocation computes several neighbouring columns of one output row for several output channels. For each input
// channel and kernel row it loads the stretch of the input row that all of them see, once, and the weights of each channel,
// and multiplies them out in registers: no barrier, no workgroup memory, and the taps in the padding cost a select a load.
// Wide kernel rows are gone through a few taps at a time, so that many columns still fit. Input rows are read as vec4 or
// vec2 where their extent divides. Strong for few to medium channels and on CPU-emulated adapters; many channels on a GPU want weights shared through workgroup memory (implicitGemm).

import type { conv } from "../../src/ops/conv.ts";
import { convGeometry, type ConvAttributes, type ConvGeometry } from "../../src/ops/convGeometry.ts";
import {
  columnTerms,
  convConstants,
  convUniforms,
  differsFromNarrower,
  evenPart,
  isPlanar,
  loadRow,
  reachesOutside,
  roundUp,
  rowBinding,
  rowWidth,
  type Term,
} from "../common/convWindow.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { unroll, unrolledList } from "../common/unroll.ts";
import { firstReason, fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

/** Few invocations are spread over many workgroups. */
const workgroupOf = ({ invocations }: Tile): number => (invocations < 1024 ? 16 : 64);
const MOST_TERMS = 1024; // multiply-adds written out in full
const MOST_TERMS_AT_ONCE = 640; // of several kernel rows: they take time to compile

const CHANNELS = 4; // at most, an invocation
const COLUMNS = [16, 32, 4]; // at most, an invocation
const TAPS = 8; // of a kernel row, at most, written out at once; a multiple of every vector width

interface Limits {
  readonly columns: number;
}

/** Part of a kernel row, gone through `times` times with the following taps each time. */
interface Stretch {
  readonly taps: number;
  readonly times: number;
  /** For each column of a tile, the taps and the columns of x, relative to the tile's first, that they multiply. */
  readonly terms: readonly (readonly Term[])[];
}

/** How outputs are dealt out to invocations. */
interface Tile {
  readonly channels: number;
  readonly columns: number;
  readonly columnTiles: number;
  readonly channelTiles: number; // of one group
  readonly invocations: number;
  readonly width: 1 | 2 | 4;
  /** True if no column that is stored can reach past its input row: taps need not be checked. */
  readonly isInside: boolean;
  readonly stretches: readonly Stretch[];
}

function tileOf(g: ConvGeometry, most: Limits): Tile {
  const channels = evenPart(g.M / g.group, CHANNELS);
  const isWide = g.kW > TAPS;
  // Rows of Y that fit one tile are entered at column 0 only, which every vector width likes; which taps fall into the
  // padding is then known, and they are left out.
  const isWholeRow = g.outW <= most.columns && !isWide;
  const columns = isWholeRow ? Math.max(1, g.outW) : roundUp(evenPart(g.outW, most.columns), 4);
  const columnTiles = Math.ceil(g.outW / columns);
  const channelTiles = Math.ceil(g.M / g.group / channels);
  const stretch = (taps: number, times: number): Stretch => ({
    taps,
    times,
    terms: columnTerms(g, columns, taps, isWholeRow),
  });
  const wholeStretches = [stretch(TAPS, Math.floor(g.kW / TAPS)), stretch(g.kW % TAPS, 1)];
  return {
    channels,
    columns,
    columnTiles,
    channelTiles,
    invocations: g.N * g.group * channelTiles * g.outH * columnTiles,
    width: rowWidth(g.W, isWholeRow ? 0 : columns * g.strideW),
    isInside: isWholeRow || !reachesOutside(g),
    stretches: isWide ? wholeStretches.filter(({ taps }) => taps > 0) : [stretch(g.kW, 1)],
  };
}

const offsetsOf = ({ terms }: Stretch): Set<number> => new Set(terms.flat().map(({ offset }) => offset));

/** What an invocation does for one input channel and kernel row. */
function costOf({ channels, stretches, width }: Tile): { terms: number; elements: number; loads: number } {
  const sum = (of: (stretch: Stretch) => number): number =>
    stretches.reduce((total, stretch) => total + stretch.times * of(stretch), 0);
  return {
    terms: sum(({ terms }) => channels * terms.flat().length),
    elements: sum((stretch) => offsetsOf(stretch).size + channels * stretch.taps),
    loads: sum((stretch) => offsetsOf(stretch).size / width + channels * stretch.taps),
  };
}

/** Kernel rows that are written out together, so that a sum is touched once for all their products: all or one. */
function rowsAtOnce({ kH }: ConvGeometry, tile: Tile): number {
  return tile.stretches.length === 1 && kH * costOf(tile).terms <= MOST_TERMS_AT_ONCE ? kH : 1;
}

const tileOfProblem = (problem: KernelProblem<ConvAttributes>, most: Limits): Tile =>
  tileOf(convGeometry(problem), most);

export default defineStrategy({
  op: operatorNamed<typeof conv>("Conv"),
  name: "directRegister",
  params: { columns: COLUMNS },

  supports(problem, limits, most) {
    const g = convGeometry(problem);
    const { channels, stretches } = tileOf(g, most);
    const count = channels * stretches.reduce((sum, { terms }) => sum + terms.flat().length, 0);
    return firstReason(
      isPlanar(g),
      count <= MOST_TERMS || `a kernel ${g.kW} wide would be ${count} multiply-adds in a row`,
      differsFromNarrower(most.columns, COLUMNS, g.outW),
      fitsBindings(limits, problem),
    );
  },
  dispatch(problem, most) {
    const tile = tileOfProblem(problem, most);
    return linearDispatch(tile.invocations, workgroupOf(tile));
  },
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
    const { channels, columns, width, isInside, stretches } = tile;
    const rows = rowsAtOnce(g, tile);
    const reachesRows = g.padTop > 0 || (g.outH - 1) * g.strideH + (g.kH - 1) * g.dilationH >= g.H;
    // Rows and weights of one input channel: registers x<kernel row>_<vector> and w<output channel>_<kernel row>_<tap>.
    const multiply = (stretch: Stretch): string => {
      const x = Array.from({ length: rows }, (_, k) =>
        loadRow(
          `x${k}`,
          "x",
          width,
          {
            row: `x_row${k}`,
            base: "base",
            ...(isInside ? {} : { extent: "u.W" }),
            ...(rows > 1 && reachesRows ? { guard: `inside${k}` } : {}),
          },
          offsetsOf(stretch),
        ),
      );
      const add = (i: number, j: number): string => {
        const products = x.flatMap((row, k) =>
          stretch.terms[j]!.map(({ kw, offset }) => `w${i}_${k}_${kw} * ${row.element(offset)}`),
        );
        return products.length === 0 ? "" : `sum${i}_${j} += ${products.join(" + ")};`;
      };
      const loadWeights = (i: number): string =>
        unroll(rows, (k) => unroll(stretch.taps, (kw) => `let w${i}_${k}_${kw} = w[w_row${i} + ${k * g.kW + kw}u];`));
      return `let base = left + i32(first_kw) * DILATION_W;
${unroll(rows, (k) => x[k]!.loads)}
${unroll(
  channels,
  (i) => `let w_row${i} = ((m${i} * u.group_c + c) * KH + kh) * KW + first_kw;
${loadWeights(i)}
${unroll(columns, (j) => add(i, j))}`,
)}`;
    };
    const multiplyAll = stretches.map((stretch, i) => {
      const [first, count] = [i === 0 ? 0 : g.kW - stretch.taps, stretch.taps * stretch.times];
      return stretch.times === 1
        ? `{ const first_kw = ${first}u; ${multiply(stretch)} }`
        : `for (var first_kw = 0u; first_kw < ${count}u; first_kw += ${stretch.taps}u) { ${multiply(stretch)} }`;
    });
    return {
      bindings: { x: rowBinding(width) },
      code: wgsl`
// x [N, C, H, W] as vectors along W, w [M, C/group, KH, KW], b [M]; y [N, M, out_h, out_w]
${convConstants(g)}

${linearMain(workgroupOf(tile))}
  if (index >= u.invocations) { return; }
  let ow = (index % u.column_tiles) * ${columns}u;
  let row = index / u.column_tiles;
  let oh = row % u.out_h;
  let tile = row / u.out_h;
  let n = tile / (u.channel_tiles * u.groups);
  let group = (tile / u.channel_tiles) % u.groups;
  let first_m = (tile % u.channel_tiles) * ${channels}u; // in its group
${unroll(channels, (i) => `  let m${i} = group * u.group_m + min(first_m + ${i}u, u.group_m - 1u);`)}
  let top = i32(oh) * STRIDE_H - PAD_TOP;
  let left = i32(ow) * STRIDE_W;
${unroll(channels, (i) => unroll(columns, (j) => `  var sum${i}_${j} = 0.0;`))}
  for (var c = 0u; c < u.group_c; c++) {
    let x_plane = (n * u.C + group * u.group_c + c) * u.H;
#if ${rows > 1}
    const kh = 0u;
${unroll(
  rows,
  (k) => `    let inside${k} = u32(top + ${k} * DILATION_H) < u.H;
    let x_row${k} = i32((x_plane + u32(top + ${k} * DILATION_H)) * u.W);`,
)}
${multiplyAll.join("\n")}
#else
    for (var kh = 0u; kh < KH; kh++) {
      let ih = top + i32(kh) * DILATION_H;
      if (u32(ih) >= u.H) { continue; }
      let x_row0 = i32((x_plane + u32(ih)) * u.W);
${multiplyAll.join("\n")}
    }
#endif
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
    const rows = (g.C / g.group) * g.kH;
    return 4 * (tile.invocations * rows * costOf(tile).elements + g.N * g.M * g.outH * g.outW);
  },
  intensity(problem, most) {
    const { terms, loads } = costOf(tileOfProblem(problem, most));
    return terms / loads;
  },
});
