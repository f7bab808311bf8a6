// Blocks of pixels to channels and back: a Reshape, a Transpose and a Reshape, with no kernel of their own.

import { ShapeError } from "../core/errors.ts";
import { formatType, sizeOf, type Shape, type TensorType } from "../core/shape.ts";
import { requireInputs } from "./check.ts";
import { defineOperator, type Builder, type Operand } from "./operator.ts";
import { reshapeTo } from "./reshape.ts";
import { permute } from "./transpose.ts";

export type DepthToSpaceAttributes = {
  readonly blocksize: number;
  /** Which of a channel's factors varies slowest: "DCR" the place in the block, "CRD" the channel that stays. */
  readonly mode: string;
};

function requireImage(who: string, input: TensorType, blocksize: number, fits: boolean): void {
  if (input.shape.length !== 4 || !Number.isInteger(blocksize) || blocksize < 1 || !fits)
    throw new ShapeError(`${who}: blocks of ${blocksize} do not divide ${formatType(input)}, expected [N, C, H, W]`);
}

function spaceType(input: TensorType, { blocksize: b, mode }: DepthToSpaceAttributes): TensorType {
  const [N, C, H, W] = input.shape as [number, number, number, number];
  requireImage("DepthToSpace", input, b, C % (b * b) === 0);
  if (mode !== "DCR" && mode !== "CRD") throw new ShapeError(`DepthToSpace: mode must be DCR or CRD, got "${mode}"`);
  return { dtype: input.dtype, shape: [N, C / (b * b), H * b, W * b] };
}

/** DepthToSpace (ONNX): [N, C·b·b, H, W] → [N, C, H·b, W·b]. Any element type; exact. */
export const depthToSpace = defineOperator<DepthToSpaceAttributes>({
  name: "DepthToSpace",
  inputs: ["input"],
  outputs: ["output"],
  attributes: { blocksize: 1, mode: "DCR" },
  infer: (inputs, attributes) => [spaceType(requireInputs("DepthToSpace", ["input"], inputs)[0]!, attributes)],
  reference: ([input], { outputs, attributes: { blocksize: b, mode } }) => {
    const [, depth, H, W] = input!.shape as [number, number, number, number];
    const values = new Float64Array(sizeOf(outputs[0]!.shape));
    eachPixel(outputs[0]!.shape, (n, c, y, x, index) => {
      const inBlock = (y % b) * b + (x % b);
      const from = mode === "DCR" ? inBlock * (depth / (b * b)) + c : c * b * b + inBlock;
      values[index] = input!.data[((n * depth + from) * H + Math.floor(y / b)) * W + Math.floor(x / b)]!;
    });
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  flops: () => 0,
  cases: [
    { inputs: [[1, 8, 2, 3]], attributes: { blocksize: 2 } },
    { inputs: [[1, 8, 2, 3]], attributes: { blocksize: 2, mode: "CRD" } },
    { inputs: [[2, 9, 1, 2]], attributes: { blocksize: 3 } },
    { inputs: [[2, 18, 3, 1]], attributes: { blocksize: 3, mode: "CRD" } },
    { inputs: [[1, 3, 2, 2]], attributes: { blocksize: 1 } },
    { inputs: [[0, 4, 2, 2]], attributes: { blocksize: 2 } },
    { inputs: [{ shape: [1, 4, 2, 2], dtype: "uint8" }], attributes: { blocksize: 2 } },
  ],
  decompose: (build, [input], attributes) => {
    const { blocksize: b, mode } = attributes;
    const { shape } = spaceType(input!, attributes);
    const [N, C] = shape as [number, number];
    const [H, W] = input!.shape.slice(2) as [number, number];
    return [
      mode === "DCR"
        ? regroup(build, input!, [N, b, b, C, H, W], [0, 3, 4, 1, 5, 2], shape)
        : regroup(build, input!, [N, C, b, b, H, W], [0, 1, 4, 2, 5, 3], shape),
    ];
  },
});

export type SpaceToDepthAttributes = {
  readonly blocksize: number;
};

function depthType(input: TensorType, { blocksize: b }: SpaceToDepthAttributes): TensorType {
  const [N, C, H, W] = input.shape as [number, number, number, number];
  requireImage("SpaceToDepth", input, b, H % b === 0 && W % b === 0);
  return { dtype: input.dtype, shape: [N, C * b * b, H / b, W / b] };
}

/** SpaceToDepth (ONNX): [N, C, H·b, W·b] → [N, b·b·C, H, W], the place in the block varying slowest. Any type; exact. */
export const spaceToDepth = defineOperator<SpaceToDepthAttributes>({
  name: "SpaceToDepth",
  inputs: ["input"],
  outputs: ["output"],
  attributes: { blocksize: 1 },
  infer: (inputs, attributes) => [depthType(requireInputs("SpaceToDepth", ["input"], inputs)[0]!, attributes)],
  reference: ([input], { outputs, attributes: { blocksize: b } }) => {
    const [, C, H, W] = input!.shape as [number, number, number, number];
    const values = new Float64Array(sizeOf(outputs[0]!.shape));
    eachPixel(outputs[0]!.shape, (n, depth, y, x, index) => {
      const inBlock = Math.floor(depth / C);
      const [row, column] = [y * b + Math.floor(inBlock / b), x * b + (inBlock % b)];
      values[index] = input!.data[((n * C + (depth % C)) * H + row) * W + column]!;
    });
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  flops: () => 0,
  cases: [
    { inputs: [[1, 2, 4, 6]], attributes: { blocksize: 2 } },
    { inputs: [[2, 1, 3, 9]], attributes: { blocksize: 3 } },
    { inputs: [[2, 3, 2, 2]], attributes: { blocksize: 1 } },
    { inputs: [[1, 0, 2, 2]], attributes: { blocksize: 2 } },
    { inputs: [{ shape: [1, 1, 2, 2], dtype: "int32" }], attributes: { blocksize: 2 } },
  ],
  decompose: (build, [input], attributes) => {
    const b = attributes.blocksize;
    const { shape } = depthType(input!, attributes);
    const [N, , H, W] = shape as [number, number, number, number];
    return [regroup(build, input!, [N, input!.shape[1]!, H, b, W, b], [0, 3, 5, 1, 2, 4], shape)];
  },
});

/** Views `x` as `split`, permutes the axes and views the result as `joined`. */
function regroup(build: Builder, x: Operand, split: Shape, perm: readonly number[], joined: Shape): Operand {
  return reshapeTo(build, permute(build, reshapeTo(build, x, split), perm), joined);
}

function eachPixel(
  [N, C, H, W]: Shape,
  visit: (n: number, c: number, y: number, x: number, index: number) => void,
): void {
  let index = 0;
  for (let n = 0; n < N!; n++)
    for (let c = 0; c < C!; c++) for (let y = 0; y < H!; y++) for (let x = 0; x < W!; x++) visit(n, c, y, x, index++);
}
