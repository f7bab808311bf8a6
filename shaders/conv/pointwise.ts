// A 1×1 convolution that moves by one is a matrix product for each image, W [M, C] times X [C, H·W], and its geometry comes
// as one long row. An invocation multiplies a tile of channels × columns in registers, four input channels at a time: a
// sum is touched once for four products, and weights are read four at once where C divides. Where the device has subgroups,
// four invocations that work on the same channels share their weights: each loads a quarter of them.

import type { conv } from "../../src/ops/conv.ts";
import { convGeometry, type ConvAttributes, type ConvGeometry } from "../../src/ops/convGeometry.ts";
import {
  convUniforms,
  evenPart,
  roundUp,
  rowBinding,
  rowWidth,
  storedLanes,
  storeResults,
} from "../common/convWindow.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { QUAD, sharesLoads, sharingExtensions } from "../common/quads.ts";
import { unroll, unrolledList, unrolledSum } from "../common/unroll.ts";
import { firstReason, fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

const DEPTH = 4; // input channels at a time
const TILES: readonly (readonly number[])[] = [
  [8, 8],
  [4, 8],
  [4, 4],
  [8, 16],
];

/** Few invocations are spread over many workgroups. */
const workgroupOf = (invocations: number): number => (invocations < 1024 ? 16 : 64);

interface Choice {
  /** Channels, at most, and columns of an invocation. */
  readonly tile: readonly number[];
  /** Neighbouring invocations that share the loads of weights: 1 or a quad. */
  readonly lanes: number;
}

interface Block {
  readonly g: ConvGeometry;
  readonly channels: number;
  readonly columns: number;
  readonly columnTiles: number; // a multiple of `lanes`, all of which have the same channels
  readonly channelTiles: number; // of one group
  readonly invocations: number;
  /** Elements of x and of w that are read at once. */
  readonly xWidth: 1 | 2 | 4;
  readonly wWidth: 1 | 4;
}

function blockOf(problem: KernelProblem<ConvAttributes>, { tile: [most, columns], lanes }: Choice): Block {
  const g = convGeometry(problem);
  const channels = roundUp(evenPart(g.M / g.group, most!), lanes);
  const columnTiles = roundUp(Math.ceil(g.W / columns!), lanes);
  const channelTiles = Math.ceil(g.M / g.group / channels);
  return {
    g,
    channels,
    columns: columns!,
    columnTiles,
    channelTiles,
    invocations: g.N * g.group * channelTiles * columnTiles,
    xWidth: rowWidth(g.W, columns!),
    wWidth: (g.C / g.group) % DEPTH === 0 ? 4 : 1,
  };
}

/** True, or that an earlier tile with as many channels spans all columns already. */
function isDifferent({ W }: ConvGeometry, [channels, columns]: readonly number[]): true | string {
  const same = TILES.some(([c, other]) => c === channels && other! < columns! && W <= other!);
  return !same || `${W} columns fit into a narrower tile`;
}

export default defineStrategy({
  op: operatorNamed<typeof conv>("Conv"),
  name: "pointwise",
  params: { lanes: [QUAD, 1], tile: TILES },

  supports(problem, limits, { tile, lanes }) {
    const g = convGeometry(problem);
    return firstReason(
      (g.D === 1 && g.H === 1 && g.kD * g.kH * g.kW === 1) || "not a 1×1 convolution",
      (g.W === g.outW && g.outH === 1 && g.outD === 1 && g.padLeft === 0) || "it skips or pads",
      sharesLoads(limits, lanes),
      isDifferent(g, tile),
      fitsBindings(limits, problem),
    );
  },
  dispatch(problem, choice) {
    const { invocations } = blockOf(problem, choice);
    return linearDispatch(invocations, workgroupOf(invocations));
  },
  uniforms(problem, choice) {
    const { g, columnTiles, channelTiles, invocations } = blockOf(problem, choice);
    return {
      ...convUniforms(g),
      column_tiles: { type: "u32", value: columnTiles },
      channel_tiles: { type: "u32", value: channelTiles },
      invocations: { type: "u32", value: invocations },
    };
  },
  source(problem, choice) {
    const { g, channels, columns, invocations, xWidth, wWidth } = blockOf(problem, choice);
    const vectors = columns / xWidth;
    const { lanes } = choice;
    const storeLanes = storedLanes(g.W, columns);
    const result = (i: number, j: number): string => `sum${i}_${j}`;
    const store = storeResults({ rows: channels, columns, result, first: "column", extent: "u.W" }, storeLanes);
    // Registers x<input channel>_<vector> and w<output channel>. A quad's lane l loads the rows l, l + 4 … of the weights.
    const own = channels / lanes;
    const loadWeights = (load: (i: number) => string): string => {
      const loads = unroll(own, (i) => `let ${lanes === 1 ? "w" : "own"}${i} = ${load(i)};`);
      if (lanes === 1) return loads;
      const share = (i: number): string => `let w${i} = quadBroadcast(own${Math.floor(i / lanes)}, ${i % lanes}u);`;
      return `${loads}\n${unroll(channels, share)}`;
    };
    const loadX = (k: number): string =>
      unroll(vectors, (v) => `let x${k}_${v} = x[(x_row + ${k}u * u.W) / ${xWidth}u + ${v}u];`);
    const x = (k: number, j: number): string =>
      xWidth === 1 ? `x${k}_${j}` : `x${k}_${Math.floor(j / xWidth)}[${j % xWidth}]`;
    const addAll = (depth: number, w: (i: number, k: number) => string): string =>
      unroll(channels, (i) =>
        unroll(columns, (j) => `sum${i}_${j} += ${unrolledSum(depth, (k) => `${w(i, k)} * ${x(k, j)}`)};`),
      );
    return {
      enable: sharingExtensions(lanes),
      ...(storeLanes === 4 ? { lanes: 4 } : {}),
      bindings: { x: rowBinding(xWidth), w: rowBinding(wWidth) },
      code: wgsl`
// x [N, C, W] as vectors along W, w [M, C/group], b [M]; y [N, M, W], W being all positions
${linearMain(workgroupOf(invocations))}
#if ${lanes === 1}
  if (index >= u.invocations) { return; }
#else
  let lane = index % ${lanes}u; // none of a quad may return early
#endif
  let column = (index % u.column_tiles) * ${columns}u;
  let tile = index / u.column_tiles;
  let n = tile / (u.channel_tiles * u.groups);
  let group = (tile / u.channel_tiles) % u.groups;
  let first_m = (tile % u.channel_tiles) * ${channels}u; // in its group
${unroll(own, (i) => {
  const row = lanes === 1 ? `${i}u` : `${i * lanes}u + lane`;
  return `  let w_row${i} = (group * u.group_m + min(first_m + ${row}, u.group_m - 1u)) * u.group_c;`;
})}
${unroll(channels, (i) => unroll(columns, (j) => `  var sum${i}_${j} = 0.0;`))}
  // Columns past the end read what is there and are not stored.
  var x_row = (n * u.C + group * u.group_c) * u.W + column;
  var c = 0u;
  for (; c + ${DEPTH - 1}u < u.group_c; c += ${DEPTH}u) {
${unroll(DEPTH, loadX)}
#if ${wWidth === 4}
${loadWeights((i) => `w[(w_row${i} + c) / 4u]`)}
#else
${loadWeights((i) => `vec4<f32>(${unrolledList(DEPTH, (k) => `w[w_row${i} + c + ${k}u]`)})`)}
#endif
${addAll(DEPTH, (i, k) => `w${i}[${k}]`)}
    x_row += ${DEPTH}u * u.W;
  }
#if ${wWidth === 1}
  for (; c < u.group_c; c++) {
${loadX(0)}
${loadWeights((i) => `w[w_row${i} + c]`)}
${addAll(1, (i) => `w${i}`)}
    x_row += u.W;
  }
#endif
#if ${lanes > 1}
  if (index >= u.invocations) { return; }
#endif
  ${store.array}
  for (var i = 0u; i < min(${channels}u, u.group_m - first_m); i++) {
    let m = group * u.group_m + first_m + i;
    let y_row = (n * u.M + m) * u.W;
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
    const { g, channels, columns, invocations } = blockOf(problem, choice);
    return 4 * (invocations * (g.C / g.group) * (channels / choice.lanes + columns) + g.N * g.M * g.W);
  },
  // A sum costs a sixteenth of a load each time that it is touched; what a ragged tile computes beside Y is lost.
  intensity(problem, choice) {
    const { g, channels, columns, columnTiles, channelTiles, xWidth, wWidth } = blockOf(problem, choice);
    const loads = (DEPTH * columns) / xWidth + (DEPTH * channels) / choice.lanes / wWidth + (channels * columns) / 16;
    const computed = columns * columnTiles * channels * channelTiles * g.group;
    return (DEPTH * channels * columns * Math.min(1, (g.W * g.M) / Math.max(1, computed))) / loads;
  },
});
