// Constants in rules and compositions, in the type of what they are combined with.

import { filled } from "../core/tensorData.ts";
import type { TensorType } from "../core/shape.ts";
import type { Builder, Operand } from "./operator.ts";

/** The scalar `value` in the element type of `like`. */
export function scalar(build: Builder, value: number, like: Pick<TensorType, "dtype">): Operand {
  return build.constant(like.dtype === "float32" ? value : filled(value, [], like.dtype));
}
