// The checks every `infer` begins with: are the inputs there, and of a type the operator takes?

import type { DType } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { formatType, type TensorType } from "../core/shape.ts";

/** `float32 [2, 3], int32 []`, for messages; an absent optional input shows as `(absent)`. */
export function formatInputs(inputs: readonly (TensorType | undefined)[]): string {
  return inputs.map((type) => (type ? formatType(type) : "(absent)")).join(", ");
}

/** All inputs of an operator that has no optional ones. Throws {@link ShapeError} when some are missing or too many. */
export function requireInputs(
  who: string,
  names: readonly string[],
  inputs: readonly (TensorType | undefined)[],
): TensorType[] {
  const present = inputs.filter((type) => type !== undefined);
  if (inputs.length !== names.length || present.length !== names.length)
    throw new ShapeError(
      `${who}: expected ${names.length} input${names.length === 1 ? "" : "s"} (${names.join(", ")}), got ${present.length}: ${formatInputs(inputs)}`,
    );
  return present;
}

/** Throws {@link DTypeError} unless `type` is one of `accepted`. */
export function requireDType(who: string, input: string, type: TensorType, accepted: readonly DType[]): void {
  if (!accepted.includes(type.dtype))
    throw new DTypeError(`${who}: ${input} must be ${accepted.join(" or ")}, got ${formatType(type)}`);
}

/** Throws {@link DTypeError} unless all types are the same. */
export function requireSameDType(who: string, types: readonly TensorType[]): void {
  if (types.some((type) => type.dtype !== types[0]?.dtype))
    throw new DTypeError(`${who}: inputs must have one element type, got ${formatInputs(types)}`);
}
