// A 1×1 convolution that moves by one is a matrix product for each image, W [M, C] times X [C, H·W], and its geometry comes
// as one long row. An invocation multiplies a block of channels × columns in registers, four input channels at a time: a
// sum is touched once for four products, and weights are read four at once where C divides.

import type { conv } from "../../src/ops/conv.ts";
import { convGeometry, type ConvAttributes, type ConvGeometry } from "../../src/ops/convGeometry.ts";
import {
  convConstants,
  convUniforms,
  differsFromNarrower,
  evenPart,
  rowBinding,
  rowWidth,
} from "../common/convWindow.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { unroll, unrolledList, unrolledSum } from "../common/unroll.ts";
import { firstReason, fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

const CHANNELS = 4; // at most, an invocation
const COLUMNS = [16, 8, 4]; // an invocation
const DEPTH = 4; // input channels at a time

/** Few invocations are spread over many workgroups. */
const workgroupOf = (invocations: number): number => (invocations < 1024 ? 16 : 64);

interface Block {
  readonly g: ConvGeometry;
  readonly channels: number;
  readonly columnTiles: number;
  readonly channelTiles: number; // of one group
  readonly invocations: number;
  /** Elements of x and of w that are read at once. */
  readonly xWidth: 1 | 2 | 4;
  readonly wWidth: 1 | 4;
}

function blockOf(problem: KernelProblem<ConvAttributes>, columns: number): Block {
  const g = convGeometry(problem);
  const channels = evenPart(g.M / g.group, CHANNELS);
  const columnTiles = Math.ceil(g.W / columns);
  const channelTiles = Math.ceil(g.M / g.group / channels);
  return {
    g,
    channels,
    columnTiles,
    channelTiles,
    invocations: g.N * g.group * channelTiles * columnTiles,
    xWidth: rowWidth(g.W, columns),
    wWidth: (g.C / g.group) % DEPTH === 0 ? 4 : 1,
  };
}

export default defineStrategy({
  op: operatorNamed<typeof conv>("Conv"),
  name: "pointwise",
  params: { columns: COLUMNS },

  supports(problem, limits, { columns }) {
    const g = convGeometry(problem);
    return firstReason(
      (g.D === 1 && g.H === 1 && g.kD * g.kH * g.kW === 1) || "not a 1×1 convolution",
      (g.W === g.outW && g.outH === 1 && g.outD === 1 && g.padLeft === 0) || "it skips or pads",
      differsFromNarrower(columns, COLUMNS, g.W),
      fitsBindings(limits, problem),
    );
  },
  dispatch(problem, { columns }) {
    const { invocations } = blockOf(problem, columns);
    return linearDispatch(invocations, workgroupOf(invocations));
  },
  uniforms(problem, { columns }) {
    const { g, columnTiles, channelTiles, invocations } = blockOf(problem, columns);
    return {
      ...convUniforms(g),
      column_tiles: { type: "u32", value: columnTiles },
      channel_tiles: { type: "u32", value: channelTiles },
      invocations: { type: "u32", value: invocations },
    };
  },
  source(problem, { columns }) {
    const { g, channels, invocations, xWidth, wWidth } = blockOf(problem, columns);
    const vectors = columns / xWidth;
    // Registers x<input channel>_<vector> and w<output channel>_<input channel>.
    const loadX = (k: number): string =>
      unroll(vectors, (v) => `let x${k}_${v} = x[(x_row + ${k}u * u.W) / ${xWidth}u + ${v}u];`);
    const x = (k: number, j: number): string =>
      xWidth === 1 ? `x${k}_${j}` : `x${k}_${Math.floor(j / xWidth)}[${j % xWidth}]`;
    const addAll = (depth: number, w: (i: number, k: number) => string): string =>
      unroll(channels, (i) =>
        unroll(columns, (j) => `sum${i}_${j} += ${unrolledSum(depth, (k) => `${w(i, k)} * ${x(k, j)}`)};`),
      );
    return {
      bindings: { x: rowBinding(xWidth), w: rowBinding(wWidth) },
      code: wgsl`
// x [N, C, W] as vectors along W, w [M, C/group], b [M]; y [N, M, W], W being all positions
${convConstants(g)}

${linearMain(workgroupOf(invocations))}
  if (index >= u.invocations) { return; }
  let column = (index % u.column_tiles) * ${columns}u;
  let tile = index / u.column_tiles;
  let n = tile / (u.channel_tiles * u.groups);
  let group = (tile / u.channel_tiles) % u.groups;
  let first_m = (tile % u.channel_tiles) * ${channels}u; // in its group
${unroll(channels, (i) => `  let w_row${i} = (group * u.group_m + min(first_m + ${i}u, u.group_m - 1u)) * u.group_c;`)}
${unroll(channels, (i) => unroll(columns, (j) => `  var sum${i}_${j} = 0.0;`))}
  // Columns past the end read what is there and are not stored.
  var x_row = (n * u.C + group * u.group_c) * u.W + column;
  var c = 0u;
  for (; c + ${DEPTH - 1}u < u.group_c; c += ${DEPTH}u) {
${unroll(DEPTH, loadX)}
#if ${wWidth === 4}
${unroll(channels, (i) => `    let w${i} = w[(w_row${i} + c) / 4u];`)}
#else
${unroll(channels, (i) => `    let w${i} = vec4<f32>(${unrolledList(DEPTH, (k) => `w[w_row${i} + c + ${k}u]`)});`)}
#endif
${addAll(DEPTH, (i, k) => `w${i}[${k}]`)}
    x_row += ${DEPTH}u * u.W;
  }
#if ${wWidth === 1}
  for (; c < u.group_c; c++) {
${loadX(0)}
${unroll(channels, (i) => `    let w${i} = w[w_row${i} + c];`)}
${addAll(1, (i) => `w${i}`)}
    x_row += u.W;
  }
#endif
  // A loop, not a copy of the epilogue for each output: compiling those would take longer than running.
  var results = array<f32, ${channels * columns}>(${unrolledList(channels * columns, (i) => `sum${Math.floor(i / columns)}_${i % columns}`)});
  for (var i = 0u; i < ${channels}u; i++) {
    if (first_m + i >= u.group_m) { break; }
    let m = group * u.group_m + first_m + i;
    let y_row = (n * u.M + m) * u.W;
#if ${problem.inputs[2] !== undefined}
    let bias = b[m];
#else
    let bias = 0.0;
#endif
    for (var j = column; j < min(column + ${columns}u, u.W); j++) {
      y[y_row + j] = epilogue(results[i * ${columns}u + j - column] + bias, y_row + j);
    }
  }
}`,
    };
  },
  trafficBytes(problem, { columns }) {
    const { g, channels, invocations } = blockOf(problem, columns);
    return 4 * (invocations * (g.C / g.group) * (channels + columns) + g.N * g.M * g.W);
  },
  intensity(problem, { columns }) {
    const { channels, xWidth, wWidth } = blockOf(problem, columns);
    return (channels * columns) / (columns / xWidth + channels / wWidth);
  },
});
