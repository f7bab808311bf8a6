// The inner part of both fast weight gradients: one row of dY for several output channels meets one row of X, and every tap
// of a kernel row is summed in registers. Loads are shared by channels × KW sums.

import { convWeightGradientGeometry } from "../../src/ops/convBackGeometry.ts";
import { type ConvGeometry, type ConvWeightGradientAttributes } from "../../src/ops/convGeometry.ts";
import { evenPart, loadRow, roundUp, rowBinding, rowWidth } from "../common/convWindow.ts";
import { unroll } from "../common/unroll.ts";
import type { BindingType, KernelProblem } from "../strategy.ts";

export type WeightGradientProblem = KernelProblem<ConvWeightGradientAttributes>;

/** Multiply-adds written out in full. */
export const MOST_TERMS = 1024;

/** A block of weights: all taps of one kernel row for one input channel and `channels` output channels. */
export interface Block {
  readonly geometry: ConvGeometry;
  readonly channels: number;
  readonly channelTiles: number; // of one group
  readonly count: number;
  /** Columns of dY handled at once, and how many such steps a row takes. */
  readonly columns: number;
  readonly steps: number;
  readonly xWidth: 1 | 2 | 4;
  readonly dyWidth: 1 | 2 | 4;
  /** For each tap, the columns of dY and of X, relative to the step's first, whose products it sums. */
  readonly terms: readonly (readonly { readonly column: number; readonly offset: number }[])[];
}

/** Splits a problem into blocks of at most `most.channels` channels, handled `most.columns` columns at a time. */
export function blockOf(
  problem: WeightGradientProblem,
  most: { readonly channels: number; readonly columns: number },
): Block {
  const g = convWeightGradientGeometry(problem);
  const channels = evenPart(g.M / g.group, most.channels);
  const channelTiles = Math.ceil(g.M / g.group / channels);
  const isWholeRow = g.outW <= most.columns;
  const columns = isWholeRow ? g.outW : roundUp(evenPart(g.outW, most.columns), 4);
  const terms = Array.from({ length: g.kW }, (_, kw) =>
    Array.from({ length: columns }, (_, column) => ({
      column,
      offset: column * g.strideW + kw * g.dilationW - g.padLeft,
    })).filter(({ offset }) => !isWholeRow || (offset >= 0 && offset < g.W)),
  );
  return {
    geometry: g,
    channels,
    channelTiles,
    count: g.group * channelTiles * (g.C / g.group) * g.kH,
    columns,
    steps: Math.ceil(g.outW / Math.max(1, columns)),
    xWidth: rowWidth(g.W, isWholeRow ? 0 : columns * g.strideW),
    dyWidth: rowWidth(g.outW, isWholeRow ? 0 : columns),
    terms,
  };
}

/** Binding types that go with a block's loads. */
export function blockBindings({ xWidth, dyWidth }: Block): Record<string, BindingType> {
  return { x: rowBinding(xWidth), dy: rowBinding(dyWidth) };
}

/** Declares what block number `block` is made of, and its sums. */
export function blockStart({ channels, geometry: { kW } }: Block): string {
  return `
  let kh = block % KH;
  let c = (block / KH) % u.group_c;
  let tile = block / (KH * u.group_c);
  let group = tile / u.channel_tiles;
  let first_m = (tile % u.channel_tiles) * ${channels}u; // in its group
${unroll(channels, (i) => `  let m${i} = group * u.group_m + min(first_m + ${i}u, u.group_m - 1u);`)}
  let x_c = group * u.group_c + c;
${unroll(channels, (i) => unroll(kW, (kw) => `  var sum${i}_${kw} = 0.0;`))}`;
}

/** Adds what row `oh` of image `n` contributes; leaves it to the caller to loop over them. */
export function addRow(block: Block): string {
  const { geometry: g, channels, columns, steps, xWidth, dyWidth, terms } = block;
  const isWholeRow = steps <= 1;
  const extent = (name: string): { extent?: string } => (isWholeRow ? {} : { extent: name });
  const flat = terms.flat();
  const x = loadRow(
    "x",
    "x",
    xWidth,
    { row: "x_row", base: "x_base", ...extent("u.W") },
    flat.map(({ offset }) => offset),
  );
  const dy = Array.from({ length: channels }, (_, i) =>
    loadRow(
      `dy${i}`,
      "dy",
      dyWidth,
      { row: `dy_row${i}`, base: "dy_base", ...extent("u.out_w") },
      flat.map(({ column }) => column),
    ),
  );
  const add = (i: number, kw: number): string => {
    const products = terms[kw]!.map(({ column, offset }) => `${dy[i]!.element(column)} * ${x.element(offset)}`);
    return products.length === 0 ? "" : `sum${i}_${kw} += ${products.join(" + ")};`;
  };
  const step = `
${x.loads}
${unroll(channels, (i) => `${dy[i]!.loads}\n${unroll(g.kW, (kw) => add(i, kw))}`)}`;
  return `
    let ih = i32(oh) * STRIDE_H + i32(kh) * DILATION_H - PAD_TOP;
    if (u32(ih) < u.H) {
      let x_row = i32(((n * u.C + x_c) * u.H + u32(ih)) * u.W);
${unroll(channels, (i) => `      let dy_row${i} = i32(((n * u.M + m${i}) * u.out_h + oh) * u.out_w);`)}
${
  isWholeRow
    ? `const dy_base = 0;\nconst x_base = 0;${step}`
    : `for (var first = 0; first < i32(u.out_w); first += ${columns}) {
let dy_base = first;
let x_base = first * STRIDE_W;${step}
}`
}
    }`;
}

/** Elements one invocation loads for one row. */
export function loadsPerRow({ geometry: g, channels, columns, steps, terms }: Block): number {
  return steps * (new Set(terms.flat().map(({ offset }) => offset)).size + channels * columns) * (g.outH > 0 ? 1 : 0);
}

/** Multiply-adds a load, vectors counted as one. */
export function blockIntensity({ channels, columns, xWidth, dyWidth, terms }: Block): number {
  const flat = terms.flat();
  const loads = new Set(flat.map(({ offset }) => offset)).size / xWidth + (channels * columns) / dyWidth;
  return (channels * flat.length) / Math.max(1, loads);
}
