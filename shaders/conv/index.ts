import { sizeOf } from "../../src/core/shape.ts";
import type { Problem } from "../../src/ops/operator.ts";
import { hasManyWeights } from "../common/convWindow.ts";
import type { Special } from "../strategy.ts";
import directRegister from "./directRegister.ts";
import naive from "./naive.ts";

export default [naive, directRegister];

export const special: readonly Special[] = [
  [({ inputs }) => sizeOf(inputs[1]!.shape.slice(2)) === 1, () => import("./pointwise.ts")],
  [({ attributes }) => attributes["group"] !== 1, () => import("./depthwise.ts")],
  [hasManyChannels, () => import("./implicitGemm.ts")],
  [isWinograd, () => import("./winograd.ts")],
  [({ inputs }) => hasManyWeights(inputs[1]!), () => import("./im2col.ts")],
];

/** Channels enough to fill a good part of a block in workgroup memory. */
function hasManyChannels({ inputs, attributes }: Problem): boolean {
  return inputs[1]!.shape[0]! >= 32 * (attributes["group"] as number);
}

/** A 3×3 convolution that moves by one, of channels enough to outweigh the transforms. */
function isWinograd({ inputs, attributes: { strides } }: Problem): boolean {
  const [M, C, ...kernel] = inputs[1]!.shape;
  const isSquare = kernel.length === 2 && kernel.every((extent) => extent === 3);
  return isSquare && M! * C! >= 64 && (strides as readonly number[]).every((stride) => stride === 1);
}
