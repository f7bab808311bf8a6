// Sums and products in an element type, for references: integers of up to 32 bits wrap as they do on a GPU; floats, and
// 64-bit types, for which it is an error not to fit, are left as they are until they are stored.

import { dtypes, isWide, storeValue, type DType } from "../core/dtype.ts";

const wraps = (dtype: DType): boolean => dtypes[dtype].kind === "int" && !isWide(dtype);

export function sumIn(dtype: DType, a: number, b: number): number {
  return wraps(dtype) ? storeValue(a + b, dtype, "") : a + b;
}

export function productIn(dtype: DType, a: number, b: number): number {
  return wraps(dtype) ? storeValue(Math.imul(a, b), dtype, "") : a * b;
}
