// Operands of pointwise code that runs over four neighbouring elements at a time. A stretched operand keeps up: a row that
// is repeated (a bias) is still read as vec4, a value that is constant along rows is read once and splatted.

import { broadcastStrides } from "../../src/core/broadcast.ts";
import { dtypes, type DType } from "../../src/core/dtype.ts";
import { sizeOf, type Shape, type TensorType } from "../../src/core/shape.ts";
import type { BindingType, Uniform } from "../strategy.ts";
import { operandIndex, vector } from "./program.ts";
import { mergeRuns } from "./runs.ts";

const LANES = [0, 1, 2, 3] as const;

/** How the four elements of an operand lie in memory: beside each other, all the same one, or each elsewhere. */
type Reading = "vector" | "splat" | "gather";

export function readingOf(operand: TensorType, domain: Shape): Reading {
  if (sizeOf(operand.shape) === 1) return "splat";
  const strides = broadcastStrides(operand.shape, domain);
  const inner = mergeRuns(domain.map((extent, axis) => ({ extent, stride: strides[axis]! }))).at(-1)!;
  if (inner.extent % 4 !== 0) return "gather";
  return inner.stride === 0 ? "splat" : "vector";
}

export const vectorType = (dtype: DType): BindingType => `vec4<${dtypes[dtype].wgsl}>`;

/** What an operand's binding is called, and how what is read there is seen, where it is declared as another type. */
interface Place {
  readonly name: string;
  readonly view?: (loaded: string, width: 1 | 4) => string;
}

/**
 * WGSL expression of an operand's four elements from element `e0` of `domain` on, a vector in registers. Where they are
 * a vector in memory, the binding must be declared as {@link vectorType}. Extents and strides are added to `uniforms`
 * under names that start with `uniformName`. The WGSL has the {@link neighbours} of
 * the same `suffix` before.
 */
export function loadVector(
  operand: TensorType,
  domain: Shape,
  { name, view = (loaded) => loaded }: Place,
  uniformName: string,
  uniforms: Record<string, Uniform>,
  suffix = "",
): string {
  const { dtype } = operand;
  const at = (index: string): string => operandIndex(operand, domain, uniformName, index, uniforms);
  const value = (text: string): string => (dtype === "bool" ? `(${text} != 0u)` : text);
  switch (readingOf(operand, domain)) {
    case "vector": {
      const isWhole = sizeOf(operand.shape) === sizeOf(domain);
      const loaded = view(`${name}[${isWhole ? `quad${suffix}` : `(${at(`e0${suffix}`)}) >> 2u`}]`, 4);
      return dtype === "bool" ? `(${loaded} != vec4<u32>(0u))` : loaded;
    }
    case "splat":
      return vector(dtype, value(view(`${name}[${at(`e0${suffix}`)}]`, 1)));
    case "gather":
      return vector(dtype, ...LANES.map((lane) => value(view(`${name}[${at(`e${lane}${suffix}`)}]`, 1))));
  }
}

/** WGSL of the numbers of four neighbouring elements: the `quad`-th four of their tensor. `suffix` ends their names. */
export const neighbours = (quad: string, suffix = ""): string => `  let quad${suffix} = ${quad};
  let e0${suffix} = quad${suffix} * 4u;
  let e1${suffix} = e0${suffix} + 1u;
  let e2${suffix} = e0${suffix} + 2u;
  let e3${suffix} = e0${suffix} + 3u;`;
