// The checks every `infer` begins with: are the inputs there, and of a type the operator takes?

import { dtypes, type DType } from "../core/dtype.ts";
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

/** Element types an input takes: a list, or all of a kind. A `number` is a float or an integer; `any` has bool as well. */
export type Accepted = readonly DType[] | "float" | "integer" | "signed" | "number" | "any";

function accepts(accepted: Accepted, dtype: DType): boolean {
  if (typeof accepted !== "string") return accepted.includes(dtype);
  const { kind, low } = dtypes[dtype];
  switch (accepted) {
    case "float":
      return kind === "float";
    case "integer":
      return kind === "int";
    case "signed":
      return low < 0;
    case "number":
      return kind !== "bool";
    case "any":
      return true;
  }
}

/** Throws {@link DTypeError} unless `type` is one of `accepted`. */
export function requireDType(who: string, input: string, type: TensorType, accepted: Accepted): void {
  if (accepts(accepted, type.dtype)) return;
  const wanted = typeof accepted === "string" ? `of a ${accepted} type` : accepted.join(" or ");
  throw new DTypeError(`${who}: ${input} must be ${wanted}, got ${formatType(type)}`);
}

/** Throws {@link DTypeError} unless all types are the same. */
export function requireSameDType(who: string, types: readonly TensorType[]): void {
  if (types.some((type) => type.dtype !== types[0]?.dtype))
    throw new DTypeError(`${who}: inputs must have one element type, got ${formatInputs(types)}`);
}
