// Casts in compositions: those that compute in float32 whatever float type they are given.

import type { DType } from "../core/dtype.ts";
import type { Builder, Operand } from "./operator.ts";
import { cast } from "./cast.ts";

/** `x` in another element type, if it has another. */
export function asType(build: Builder, x: Operand, dtype: DType): Operand {
  return x.dtype === dtype ? x : build.apply(cast, [x], { to: dtype });
}

/** `x` as float32. */
export function asFloat32(build: Builder, x: Operand): Operand {
  return asType(build, x, "float32");
}
