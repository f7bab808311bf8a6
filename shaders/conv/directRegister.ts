// Every invocation computes several neighbouring columns of one output row for several output channels. For each input
// channel and kernel row it loads the stretch of the input row that all of them see, once, and the weights of each channel,
// and multiplies them out in registers: no barrier, no workgroup memory, and the taps in the padding cost a select a load.
// Wide kernel rows are gone through a few taps at a time, so that many columns still fit. Input rows are read as vec4 or
// vec2 where their extent divides. Where the device has subgroups, four invocations, which work on the same channels at
// neighbouring places, share the loads of weights. Strong for few to medium channels and on CPU-emulated adapters; many channels on a GPU want weights shared through workgroup memory (implicitGemm).

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
  rowFunction,
  rowWidth,
  storedLanes,
  storeResults,
  type Term,
} from "../common/convWindow.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { QUAD, sharesLoads, sharingExtensions } from "../common/quads.ts";
import { unroll } from "../common/unroll.ts";
import { firstReason, fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

/** Few invocations are spread over many workgroups. */
const workgroupOf = ({ invocations }: Tile): number => (invocations < 1024 ? 16 : 64);
const MOST_TERMS = 1024; // multiply-adds written out in full
const MOST_TERMS_AT_ONCE = 640; // of several kernel rows: they take time to compile

/** Channels and columns of an invocation, at most. */
const TILES: readonly (readonly number[])[] = [
  [4, 16],
  [8, 16],
  [4, 32],
  [1, 16],
  [4, 4],
];
const TAPS = 8; // of a kernel row, at most, written out at once; a multiple of every vector width

interface Choice {
  readonly tile: readonly number[];
  /** Neighbouring invocations that share the loads of weights: 1 or a quad. */
  readonly lanes: number;
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
  /** Tiles of all images that have the same channels: a multiple of `lanes`. */
  readonly places: number;
  readonly invocations: number;
  readonly width: 1 | 2 | 4;
  /** True if no column that is stored can reach past its input row: taps need not be checked. */
  readonly isInside: boolean;
  readonly stretches: readonly Stretch[];
}

function tileOf(g: ConvGeometry, { tile: [mostChannels, mostColumns], lanes }: Choice): Tile {
  const channels = evenPart(g.M / g.group, mostChannels!);
  const isWide = g.kW > TAPS;
  // Rows of Y that fit one tile are entered at column 0 only, which every vector width likes; which taps fall into the
  // padding is then known, and they are left out.
  const isWholeRow = g.outW <= mostColumns! && !isWide;
  const columns = isWholeRow ? Math.max(1, g.outW) : roundUp(evenPart(g.outW, mostColumns!), 4);
  const columnTiles = Math.ceil(g.outW / columns);
  const channelTiles = Math.ceil(g.M / g.group / channels);
  const places = roundUp(g.N * g.outH * columnTiles, lanes);
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
    places,
    invocations: g.group * channelTiles * places,
    width: rowWidth(g.W, isWholeRow ? 0 : columns * g.strideW),
    isInside: isWholeRow || !reachesOutside(g),
    stretches: isWide ? wholeStretches.filter(({ taps }) => taps > 0) : [stretch(g.kW, 1)],
  };
}

const offsetsOf = ({ terms }: Stretch): Set<number> => new Set(terms.flat().map(({ offset }) => offset));

/** What an invocation does for one input channel and kernel row. */
function costOf(
  { channels, stretches, width }: Tile,
  lanes: number,
): { terms: number; elements: number; loads: number } {
  const sum = (of: (stretch: Stretch) => number): number =>
    stretches.reduce((total, stretch) => total + stretch.times * of(stretch), 0);
  return {
    terms: sum(({ terms }) => channels * terms.flat().length),
    elements: sum((stretch) => offsetsOf(stretch).size + (channels * stretch.taps) / lanes),
    loads: sum((stretch) => offsetsOf(stretch).size / width + (channels * stretch.taps) / lanes),
  };
}

/**
 * Kernel rows that are written out together, so that a sum is touched once for all their products: all or one. Tiles of
 * one channel are for small work, which wants a short text.
 */
function rowsAtOnce({ kH }: ConvGeometry, tile: Tile): number {
  return tile.stretches.length === 1 && tile.channels > 1 && kH * costOf(tile, 1).terms <= MOST_TERMS_AT_ONCE ? kH : 1;
}

const tileOfProblem = (problem: KernelProblem<ConvAttributes>, choice: Choice): Tile =>
  tileOf(convGeometry(problem), choice);

/** True, or that an earlier tile comes to the same. */
function isDifferent(g: ConvGeometry, [channels, columns]: readonly number[]): true | string {
  const part = (most: number): number => evenPart(g.M / g.group, most);
  const spans = (most: number): number => Math.min(most, g.outW);
  const place = TILES.findIndex(([c, j]) => part(c!) === part(channels!) && spans(j!) === spans(columns!));
  return TILES[place]![0] === channels && TILES[place]![1] === columns ? true : "a smaller tile comes to the same";
}

/** Groups of one channel, and kernels that `depthwise` writes out. */
const isDepthwise = (g: ConvGeometry): boolean =>
  g.group > 1 && g.C === g.group && g.M === g.group && g.kH * g.kW <= 25;

/** True, or why the tile is none for so many lanes: what a quad shares are the weights of several channels. */
function suits({ tile: [channels, columns], lanes }: Choice): true | string {
  if (lanes > 1) return (channels! > 1 && columns! <= 16) || "a tile for lanes that share nothing";
  return (channels! <= 4 && columns! >= 16) || "a tile for lanes that share loads";
}

export default defineStrategy({
  op: operatorNamed<typeof conv>("Conv"),
  name: "directRegister",
  params: { lanes: [QUAD, 1], tile: TILES },

  supports(problem, limits, choice) {
    const g = convGeometry(problem);
    const { channels, stretches } = tileOf(g, choice);
    const count = channels * stretches.reduce((sum, { terms }) => sum + terms.flat().length, 0);
    return firstReason(
      isPlanar(g),
      isDepthwise(g) ? "groups of one channel share nothing: a task for depthwise" : true,
      count <= MOST_TERMS || `a kernel ${g.kW} wide would be ${count} multiply-adds in a row`,
      sharesLoads(limits, choice.lanes),
      suits(choice),
      isDifferent(g, choice.tile),
      fitsBindings(limits, problem),
    );
  },
  dispatch(problem, choice) {
    const tile = tileOfProblem(problem, choice);
    return linearDispatch(tile.invocations, workgroupOf(tile));
  },
  uniforms(problem, choice) {
    const { columnTiles, channelTiles, places, invocations } = tileOfProblem(problem, choice);
    return {
      ...convUniforms(convGeometry(problem)),
      column_tiles: { type: "u32", value: columnTiles },
      channel_tiles: { type: "u32", value: channelTiles },
      places: { type: "u32", value: places },
      invocations: { type: "u32", value: invocations },
    };
  },
  source(problem, choice) {
    const g = convGeometry(problem);
    const { lanes } = choice;
    const tile = tileOf(g, choice);
    const { channels, columns, width, isInside, stretches } = tile;
    const rows = rowsAtOnce(g, tile);
    const storeLanes = storedLanes(g.outW, columns);
    const result = (i: number, j: number): string => `sum${i}_${j}`;
    const store = storeResults({ rows: channels, columns, result, first: "ow", extent: "u.out_w" }, storeLanes);
    const reachesRows = g.padTop > 0 || (g.outH - 1) * g.strideH + (g.kH - 1) * g.dilationH >= g.H;
    // Of a quad no lane may leave the others: rows in the padding are read as zeros, not skipped.
    const isGuarded = reachesRows && (rows > 1 || lanes > 1);
    const extent = isInside ? {} : { extent: "u.W" };
    const isChecked = isGuarded || !isInside;
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
            ...extent,
            ...(isGuarded ? { guard: `inside${k}` } : {}),
            ...(isChecked ? { through: "load_x" } : {}),
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
      // A quad's lane l loads the weights l, l + 4 … of a run, and gets the others from its neighbours.
      const weightAt = (i: number, k: number, kw: number): string => {
        const place = k * g.kW + kw;
        return lanes === 1
          ? `w[w_row${i} + ${place}u]`
          : `quadBroadcast(own${i}_${Math.floor(place / lanes)}, ${place % lanes}u)`;
      };
      const ownLoads = lanes === 1 ? 0 : Math.ceil(((rows - 1) * g.kW + stretch.taps) / lanes);
      const loadWeights = (i: number): string => `
${unroll(ownLoads, (q) => `let own${i}_${q} = w[w_row${i} + ${q * lanes}u + lane];`)}
${unroll(rows, (k) => unroll(stretch.taps, (kw) => `let w${i}_${k}_${kw} = ${weightAt(i, k, kw)};`))}`;
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
      enable: sharingExtensions(lanes),
      ...(storeLanes === 4 ? { lanes: 4 } : {}),
      bindings: { x: rowBinding(width) },
      code: wgsl`
// x [N, C, H, W] as vectors along W, w [M, C/group, KH, KW], b [M]; y [N, M, out_h, out_w]
${planarConstants(g)}

#if ${isChecked}
${rowFunction("load_x", "x", width, extent)}
#endif

${linearMain(workgroupOf(tile))}
#if ${lanes === 1}
  if (index >= u.invocations) { return; }
#else
  let lane = index % ${lanes}u;
#endif
  let place = index % u.places;
  let ow = (place % u.column_tiles) * ${columns}u;
  let row = place / u.column_tiles;
  let oh = row % u.out_h;
  let n = row / u.out_h;
  let tile = index / u.places;
  let group = tile / u.channel_tiles;
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
#if ${isGuarded}
      let inside0 = u32(ih) < u.H;
#elif ${reachesRows}
      if (u32(ih) >= u.H) { continue; }
#endif
      let x_row0 = i32((x_plane + u32(ih)) * u.W);
${multiplyAll.join("\n")}
    }
#endif
  }
#if ${lanes > 1}
  if (index >= u.invocations) { return; }
#endif
  if (n >= u.N) { return; } // a place that rounds them up to whole quads
  ${store.array}
  for (var i = 0u; i < min(${channels}u, u.group_m - first_m); i++) {
    let m = group * u.group_m + first_m + i;
    let y_row = ((n * u.M + m) * u.out_h + oh) * u.out_w;
#if ${problem.inputs[2] !== undefined}
    let bias = b[m];
#else
    let bias = 0.0;
#endif
    ${store.row}
  }
}`,
    };
  },
  trafficBytes(problem, choice) {
    const g = convGeometry(problem);
    const tile = tileOf(g, choice);
    const rows = (g.C / g.group) * g.kH;
    return 4 * (tile.invocations * rows * costOf(tile, choice.lanes).elements + g.N * g.M * g.outH * g.outW);
  },
  // A sum costs a sixteenth of a load each time that it is touched; what a ragged tile computes beside Y is lost.
  intensity(problem, choice) {
    const g = convGeometry(problem);
    const tile = tileOf(g, choice);
    const { channels, columns, columnTiles, channelTiles, stretches } = tile;
    const { terms, loads } = costOf(tile, choice.lanes);
    const steps = stretches.reduce((sum, { times }) => sum + times, 0) / rowsAtOnce(g, tile);
    const computed = columns * columnTiles * channels * channelTiles * g.group;
    return (terms * Math.min(1, (g.outW * g.M) / Math.max(1, computed))) / (loads + (channels * columns * steps) / 16);
  },
});
