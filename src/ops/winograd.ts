// Winograd's minimal filtering: a 3×3 convolution that moves by one, in tiles of 2×2 or 4×4 outputs, as three operators
// around a batch of matrix products. A tile's inputs and the kernel are transformed (V = Bᵀ·d·B, U = G·w·Gᵀ), multiplied
// position by position, which for all channels is one matrix product a position, and transformed back (Y = Aᵀ·Z·A): 16
// multiplications for 4 outputs, or 36 for 16, instead of 36 and 144. Sources: Lavin & Gray 2015, "Fast Algorithms for
// Convolutional Neural Networks"; Winograd 1980. ONNX has no such operators.
//
// The transforms add numbers that largely cancel again, so rounding errors grow with the transforms' norms; see
// winogradErrorFactor.

import { DTypeError, ShapeError } from "../core/errors.ts";
import { formatType, sizeOf, type TensorType } from "../core/shape.ts";
import { requireInputs } from "./check.ts";
import { defineOperator, summationBound, type ReferenceOutput } from "./operator.ts";

/** Taps of the kernel along each axis. */
export const WINOGRAD_KERNEL = 3;

type Matrix = readonly (readonly number[])[];

interface Transforms {
  /** Bᵀ: [patch, patch], of the inputs of a tile. */
  readonly input: Matrix;
  /** G: [patch, 3], of the kernel. */
  readonly weights: Matrix;
  /** Aᵀ: [tile, patch], of the products. */
  readonly output: Matrix;
}

const TRANSFORMS: Readonly<Record<number, Transforms>> = {
  2: {
    input: [
      [1, 0, -1, 0],
      [0, 1, 1, 0],
      [0, -1, 1, 0],
      [0, 1, 0, -1],
    ],
    weights: [
      [1, 0, 0],
      [1 / 2, 1 / 2, 1 / 2],
      [1 / 2, -1 / 2, 1 / 2],
      [0, 0, 1],
    ],
    output: [
      [1, 1, 1, 0],
      [0, 1, -1, -1],
    ],
  },
  4: {
    input: [
      [4, 0, -5, 0, 1, 0],
      [0, -4, -4, 1, 1, 0],
      [0, 4, -4, -1, 1, 0],
      [0, -2, -1, 2, 1, 0],
      [0, 2, -1, -2, 1, 0],
      [0, 4, 0, -5, 0, 1],
    ],
    weights: [
      [1 / 4, 0, 0],
      [-1 / 6, -1 / 6, -1 / 6],
      [-1 / 6, 1 / 6, -1 / 6],
      [1 / 24, 1 / 12, 1 / 6],
      [1 / 24, -1 / 12, 1 / 6],
      [0, 0, 1],
    ],
    output: [
      [1, 1, 1, 1, 1, 0],
      [0, 1, -1, 2, -2, 0],
      [0, 1, 1, 4, 4, 0],
      [0, 1, -1, 8, -8, 1],
    ],
  },
};

/** The transforms for tiles of `tile` × `tile` outputs. */
export function winogradTransforms(tile: number): Transforms {
  const transforms = TRANSFORMS[tile];
  if (!transforms) throw new ShapeError(`Winograd: tile must be 2 or 4, got ${tile}`);
  return transforms;
}

/** Inputs along each axis that a tile of outputs sees. */
export const patchOf = (tile: number): number => tile + WINOGRAD_KERNEL - 1;

/** How many tiles lie along each spatial axis of […, height, width]. */
const tilesAlong = (extent: number, tile: number): number => Math.ceil(extent / tile);

/**
 * How much larger than a direct convolution's the rounding error may be, relative to Σ|terms|, where inputs and weights
 * have magnitudes of about the same size throughout a tile: Σ|terms| becomes |Aᵀ|·((|G|·|w|·|Gᵀ|) ∘ (|Bᵀ|·|d|·|B|))·|A|,
 * by up to 7.1 (2×2) or 256 (4×4, the outputs in a corner) times as much, and four operators round instead of one.
 */
export function winogradErrorFactor(tile: number, channels: number): number {
  const { input, weights, output } = winogradTransforms(tile);
  const sums = (matrix: Matrix): number[] => matrix.map((row) => row.reduce((sum, value) => sum + Math.abs(value), 0));
  const [b, g] = [sums(input), sums(weights)];
  const along = Math.max(
    ...output.map((row) => row.reduce((sum, value, i) => sum + Math.abs(value) * g[i]! * b[i]!, 0)),
  );
  const growth = along ** 2 / WINOGRAD_KERNEL ** 2;
  const patch = patchOf(tile);
  const operators = summationBound(patch ** 2) * 2 + summationBound(WINOGRAD_KERNEL ** 2) + summationBound(channels);
  return (growth * operators) / summationBound(WINOGRAD_KERNEL ** 2 * channels + 1);
}

/** left · block · leftᵀ for a square block, with Σ|terms| of each element. */
function transformBlock(
  left: Matrix,
  block: Float64Array,
  size: number,
): { values: Float64Array; terms: Float64Array } {
  const rows = left.length;
  const values = new Float64Array(rows * rows);
  const terms = new Float64Array(rows * rows);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < rows; j++) {
      let sum = 0;
      let magnitude = 0;
      for (let k = 0; k < size; k++)
        for (let l = 0; l < size; l++) {
          const term = left[i]![k]! * block[k * size + l]! * left[j]![l]!;
          sum += term;
          magnitude += Math.abs(term);
        }
      values[i * rows + j] = sum;
      terms[i * rows + j] = magnitude;
    }
  return { values, terms };
}

const emptyOutput = (type: TensorType): { values: Float64Array; terms: Float64Array } => ({
  values: new Float64Array(sizeOf(type.shape)),
  terms: new Float64Array(sizeOf(type.shape)),
});

function requireFloat(who: string, type: TensorType): void {
  if (type.dtype !== "float32") throw new DTypeError(`${who}: takes float32, got ${formatType(type)}`);
}

export type WinogradWeightsAttributes = {
  /** Outputs along each axis of a tile: 2 or 4. */
  readonly tile: number;
  /** Groups of the convolution. */
  readonly group: number;
};

/** U = G·w·Gᵀ of every kernel: W [M, C/group, 3, 3] → U [(tile + 2)² · group, M/group, C/group]. */
export const winogradWeights = defineOperator<WinogradWeightsAttributes>({
  name: "WinogradWeights",
  inputs: ["W"],
  outputs: ["transformed"],
  attributes: { tile: 4, group: 1 },
  infer(inputs, { tile, group }) {
    const [W] = requireInputs("WinogradWeights", ["W"], inputs);
    requireFloat("WinogradWeights", W!);
    const [M, C, kH, kW] = W!.shape;
    if (W!.shape.length !== 4 || kH !== WINOGRAD_KERNEL || kW !== WINOGRAD_KERNEL || M! % group !== 0)
      throw new ShapeError(`WinogradWeights: expected [M, C, 3, 3] with M in ${group} groups, got ${formatType(W!)}`);
    winogradTransforms(tile);
    return [{ dtype: W!.dtype, shape: [patchOf(tile) ** 2 * group, M! / group, C!] }];
  },
  reference([W], { outputs, attributes: { tile } }) {
    const result = emptyOutput(outputs[0]!);
    const { weights } = winogradTransforms(tile);
    const kernels = W!.shape[0]! * W!.shape[1]!;
    const taps = WINOGRAD_KERNEL ** 2;
    for (let kernel = 0; kernel < kernels; kernel++) {
      const block = Float64Array.from(W!.data.subarray(kernel * taps, (kernel + 1) * taps));
      scatter(result, transformBlock(weights, block, WINOGRAD_KERNEL), kernel, kernels);
    }
    return [result];
  },
  errorBound: () => summationBound(WINOGRAD_KERNEL ** 2),
  flops: ({ inputs, attributes: { tile } }) => {
    const patch = patchOf(tile);
    return ((2 * sizeOf(inputs[0]!.shape)) / WINOGRAD_KERNEL) * patch * (1 + patch / WINOGRAD_KERNEL);
  },
  cases: [
    { inputs: [[1, 1, 3, 3]] },
    { inputs: [[1, 1, 3, 3]], attributes: { tile: 2 } },
    { inputs: [[5, 7, 3, 3]] },
    { inputs: [[6, 17, 3, 3]], attributes: { tile: 2, group: 3 } },
    { inputs: [[0, 3, 3, 3]] },
  ],
});

/** Writes position t of a transformed block to element t·pitch + at. */
function scatter(
  into: { values: Float64Array; terms: Float64Array },
  block: { values: Float64Array; terms: Float64Array },
  at: number,
  pitch: number,
): void {
  block.values.forEach((value, t) => {
    into.values[t * pitch + at] = value;
    into.terms[t * pitch + at] = block.terms[t]!;
  });
}

export type WinogradInputAttributes = WinogradWeightsAttributes & {
  /** Padding of the convolution: top, left, bottom, right. */
  readonly pads: readonly number[];
};

/** What both kernels and references know of a {@link winogradInput} problem. */
export function winogradInputGeometry({ shape }: TensorType, { tile, pads }: WinogradInputAttributes) {
  const [N, C, H, W] = shape as [number, number, number, number];
  const [top, left, bottom, right] = pads as [number, number, number, number];
  const rows = tilesAlong(H + top + bottom - WINOGRAD_KERNEL + 1, tile);
  const columns = tilesAlong(W + left + right - WINOGRAD_KERNEL + 1, tile);
  return { N, C, H, W, top, left, rows, columns, tiles: N * rows * columns, patch: patchOf(tile) };
}

/** V = Bᵀ·d·B of every patch of X [N, C, H, W] → V [(tile + 2)² · group, C/group, tiles], tiles being those of all images. */
export const winogradInput = defineOperator<WinogradInputAttributes>({
  name: "WinogradInput",
  inputs: ["X"],
  outputs: ["V"],
  attributes: { tile: 4, group: 1, pads: [0, 0, 0, 0] },
  infer(inputs, attributes) {
    const [X] = requireInputs("WinogradInput", ["X"], inputs);
    const { group, pads } = attributes;
    requireFloat("WinogradInput", X!);
    if (X!.shape.length !== 4 || X!.shape[1]! % group !== 0 || pads.length !== 4 || pads.some((pad) => pad < 0))
      throw new ShapeError(
        `WinogradInput: expected [N, C, H, W] with C in ${group} groups and four pads, got ${formatType(X!)}, pads [${pads.join(", ")}]`,
      );
    const g = winogradInputGeometry(X!, attributes);
    if (g.rows < 1 || g.columns < 1)
      throw new ShapeError(`WinogradInput: ${formatType(X!)} with pads [${pads.join(", ")}] is smaller than 3×3`);
    return [{ dtype: X!.dtype, shape: [g.patch ** 2 * group, g.C / group, g.tiles] }];
  },
  reference([X], { outputs, attributes }) {
    const result = emptyOutput(outputs[0]!);
    const { N, C, H, W, top, left, rows, columns, tiles, patch } = winogradInputGeometry(X!, attributes);
    const { tile } = attributes;
    const { input } = winogradTransforms(tile);
    const block = new Float64Array(patch ** 2);
    for (let n = 0; n < N; n++)
      for (let c = 0; c < C; c++)
        for (let row = 0; row < rows; row++)
          for (let column = 0; column < columns; column++) {
            for (let i = 0; i < patch ** 2; i++) {
              const h = row * tile - top + Math.floor(i / patch);
              const w = column * tile - left + (i % patch);
              const isInside = h >= 0 && h < H && w >= 0 && w < W;
              block[i] = isInside ? X!.data[((n * C + c) * H + h) * W + w]! : 0;
            }
            const at = c * tiles + (n * rows + row) * columns + column;
            scatter(result, transformBlock(input, block, patch), at, C * tiles);
          }
    return [result];
  },
  errorBound: ({ attributes: { tile } }) => summationBound(patchOf(tile) ** 2),
  flops: ({ outputs, attributes: { tile } }) => 4 * patchOf(tile) * sizeOf(outputs[0]!.shape),
  cases: [
    { inputs: [[1, 1, 3, 3]] },
    { inputs: [[1, 1, 3, 3]], attributes: { tile: 2 } },
    { inputs: [[2, 3, 8, 12]], attributes: { pads: [1, 1, 1, 1] } },
    { inputs: [[2, 6, 7, 9]], attributes: { tile: 2, pads: [0, 2, 1, 0], group: 2 }, why: "ragged tiles, odd pads" },
    { inputs: [[1, 4, 13, 33]], attributes: { pads: [2, 0, 0, 1] } },
    { inputs: [[1, 4, 16, 16]], attributes: { tile: 2, pads: [1, 1, 1, 1] } },
    { inputs: [[0, 3, 5, 5]] },
  ],
});

export type WinogradOutputAttributes = {
  readonly tile: number;
  /** [N, M, height, width] of the convolution's result. */
  readonly shape: readonly number[];
};

/** Y = Aᵀ·Z·A of every tile of products Z [(tile + 2)² · group, M/group, tiles] → Y [N, M, height, width]. */
export const winogradOutput = defineOperator<WinogradOutputAttributes>({
  name: "WinogradOutput",
  inputs: ["Z"],
  outputs: ["Y"],
  attributes: { tile: 4, shape: [] },
  infer(inputs, { tile, shape }) {
    const [Z] = requireInputs("WinogradOutput", ["Z"], inputs);
    requireFloat("WinogradOutput", Z!);
    winogradTransforms(tile);
    const [N, M, height, width] = shape;
    const tiles = N! * tilesAlong(height!, tile) * tilesAlong(width!, tile);
    const [positions, rows, columns] = Z!.shape;
    if (
      shape.length !== 4 ||
      Z!.shape.length !== 3 ||
      positions! * rows! !== patchOf(tile) ** 2 * M! ||
      columns !== tiles
    )
      throw new ShapeError(
        `WinogradOutput: expected [${patchOf(tile) ** 2}·group, M/group, ${tiles}] for [${shape.join(", ")}], got ${formatType(Z!)}`,
      );
    return [{ dtype: Z!.dtype, shape }];
  },
  reference([Z], { outputs, attributes: { tile, shape } }): ReferenceOutput[] {
    const result = emptyOutput(outputs[0]!);
    const { output } = winogradTransforms(tile);
    const [N, M, height, width] = shape as [number, number, number, number];
    const [rows, columns, patch] = [tilesAlong(height, tile), tilesAlong(width, tile), patchOf(tile)];
    const tiles = N * rows * columns;
    const block = new Float64Array(patch ** 2);
    for (let m = 0; m < M; m++)
      for (let place = 0; place < tiles; place++) {
        for (let t = 0; t < patch ** 2; t++) block[t] = Z!.data[(t * M + m) * tiles + place]!;
        const { values, terms } = transformBlock(output, block, patch);
        const n = Math.floor(place / (rows * columns));
        const top = (Math.floor(place / columns) % rows) * tile;
        const left = (place % columns) * tile;
        for (let i = 0; i < tile ** 2; i++) {
          const [h, w] = [top + Math.floor(i / tile), left + (i % tile)];
          if (h >= height || w >= width) continue;
          const at = ((n * M + m) * height + h) * width + w;
          result.values[at] = values[i]!;
          result.terms[at] = terms[i]!;
        }
      }
    return [result];
  },
  errorBound: ({ attributes: { tile } }) => summationBound(patchOf(tile) ** 2),
  flops: ({ inputs, attributes: { tile } }) =>
    ((2 * sizeOf(inputs[0]!.shape)) / patchOf(tile)) * tile * (1 + tile / patchOf(tile)),
  cases: [
    { inputs: [[36, 1, 1]], attributes: { shape: [1, 1, 1, 1] } },
    { inputs: [[16, 2, 1]], attributes: { tile: 2, shape: [1, 2, 2, 1] } },
    { inputs: [[36, 5, 12]], attributes: { shape: [2, 5, 8, 12] } },
    { inputs: [[32, 3, 15]], attributes: { tile: 2, shape: [1, 6, 5, 9] }, why: "ragged tiles in groups" },
    { inputs: [[36, 3, 36]], attributes: { shape: [1, 3, 13, 33] } },
    { inputs: [[36, 3, 0]], attributes: { shape: [0, 3, 5, 5] } },
  ],
});
