// A tensor with its values on the host.

import { dtypeOf, dtypes, storeValue, storeValues, type DType, type TypedArray } from "./dtype.ts";
import { UsageError } from "./errors.ts";
import { formatShape, sizeOf, type Shape, type TensorType } from "./shape.ts";

/** Host tensor: row-major `data` of `sizeOf(shape)` elements. */
export interface TensorData extends TensorType {
  readonly data: TypedArray;
  /** Nobody will ever change the elements, so that plans may share what is made of them. */
  readonly immutable?: boolean;
  /** Where contents are elsewhere until they are needed: `count` elements from `first` on. Asking for `data` may then throw. */
  readonly read?: (first: number, count: number) => Promise<TypedArray>;
}

/** Wraps typed or plain numbers as a host tensor. Throws {@link UsageError} when the length does not match `shape`. */
export function tensorData(data: TypedArray | readonly number[], shape: Shape, dtype?: DType): TensorData {
  const kind = dtype ?? (ArrayBuffer.isView(data) ? dtypeOf(data) : "float32");
  if (data.length !== sizeOf(shape))
    throw new UsageError(
      `tensorData: ${data.length} elements do not fill ${formatShape(shape)}, which holds ${sizeOf(shape)}`,
    );
  if (ArrayBuffer.isView(data)) return { dtype: kind, shape: [...shape], data };
  return { dtype: kind, shape: [...shape], data: storeValues(data, kind, "tensorData") };
}

/** A tensor with every element `value`. */
export function filled(value: number, shape: Shape, dtype: DType = "float32"): TensorData {
  const data = dtypes[dtype].create(sizeOf(shape));
  data.fill(storeValue(value, dtype, "filled"));
  return { dtype, shape: [...shape], data };
}
