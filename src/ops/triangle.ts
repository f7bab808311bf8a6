// Operators that choose by where an element lies in its matrix. A column of row numbers is compared with a row of column
// numbers, both constants, so that neither has a kernel and the comparison joins its pointwise neighbours.

import type { DType } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { formatType, sizeOf, type TensorType } from "../core/shape.ts";
import { filled } from "../core/tensorData.ts";
import { equal, greater, less } from "./binary.ts";
import { requireInputs } from "./check.ts";
import { defineOperator, type Builder, type Operand } from "./operator.ts";
import { where } from "./where.ts";

/** int32 [rows, 1]: the column each row's k-th diagonal passes; and int32 [1, columns]: the columns. */
function diagonal(build: Builder, rows: number, columns: number, k: number): [diagonal: Operand, column: Operand] {
  const beyond = rows + columns; // no diagonal is further out; k may be any 64-bit number
  const offset = Math.max(-beyond, Math.min(k, beyond));
  return [
    build.constant({ dtype: "int32", shape: [rows, 1], data: Int32Array.from({ length: rows }, (_, i) => i + offset) }),
    build.constant({ dtype: "int32", shape: [1, columns], data: Int32Array.from({ length: columns }, (_, i) => i) }),
  ];
}

export type TriluAttributes = {
  /** 1 keeps the upper triangle, 0 the lower. */
  readonly upper: number;
  /** The outermost diagonal kept: 0 is the main one, positive ones lie above it. */
  readonly k: number;
};

/** Trilu (ONNX, with k as an attribute): the upper or lower triangle of each matrix of [.., N, M], zeros elsewhere. */
export const trilu = defineOperator<TriluAttributes>({
  name: "Trilu",
  inputs: ["input"],
  outputs: ["output"],
  attributes: { upper: 1, k: 0 },
  infer: (inputs) => {
    const [input] = requireInputs("Trilu", ["input"], inputs);
    if (input!.shape.length < 2) throw new ShapeError(`Trilu: expected matrices, got ${formatType(input!)}`);
    return [{ dtype: input!.dtype, shape: input!.shape }];
  },
  reference: ([input], { attributes: { upper, k } }) => {
    const [rows, columns] = input!.shape.slice(-2) as [number, number];
    const values = Float64Array.from(input!.data, (x, at) => {
      const [row, column] = [Math.floor(at / columns) % rows, at % columns];
      return (upper === 1 ? column >= row + k : column <= row + k) ? x : 0;
    });
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  flops: () => 0,
  cases: [
    { inputs: [[4, 5]] },
    { inputs: [[5, 4]], attributes: { upper: 0 } },
    { inputs: [[2, 3, 3]], attributes: { k: 1 } },
    { inputs: [[2, 3, 3]], attributes: { k: -1, upper: 0 } },
    { inputs: [[33, 65]], attributes: { k: -3 } },
    { inputs: [[3, 1, 5]], attributes: { k: 2, upper: 0 } },
    { inputs: [[3, 4]], attributes: { k: 100 }, why: "nothing is kept" },
    { inputs: [[3, 4]], attributes: { k: -100 }, why: "everything is kept" },
    { inputs: [[3, 0, 5]] },
    { inputs: [{ shape: [3, 4], dtype: "int64" }], attributes: { upper: 0 } },
    { inputs: [{ shape: [3, 4], dtype: "bool" }] },
  ],
  decompose: (build, [input], { upper, k }) => {
    const [rows, columns] = input!.shape.slice(-2) as [number, number];
    const [edge, column] = diagonal(build, rows, columns, upper === 1 ? k - 1 : k + 1);
    const kept = build.apply(upper === 1 ? greater : less, [column, edge]);
    return [build.apply(where, [kept, input, build.constant(filled(0, [], input!.dtype))])];
  },
});

export type EyeLikeAttributes = {
  /** Element type of the result; "" is the input's. */
  readonly dtype: string;
  /** Which diagonal is 1: 0 is the main one, positive ones lie above it. */
  readonly k: number;
};

function eyeType(input: TensorType, { dtype }: EyeLikeAttributes): TensorType {
  if (input.shape.length !== 2) throw new ShapeError(`EyeLike: expected a matrix, got ${formatType(input)}`);
  return { dtype: dtype === "" ? input.dtype : (dtype as DType), shape: input.shape };
}

/** EyeLike (ONNX): ones on a diagonal, zeros elsewhere, in the shape of input [N, M]. Its values do not matter. */
export const eyeLike = defineOperator<EyeLikeAttributes>({
  name: "EyeLike",
  inputs: ["input"],
  outputs: ["output"],
  attributes: { dtype: "", k: 0 },
  infer: (inputs, attributes) => [eyeType(requireInputs("EyeLike", ["input"], inputs)[0]!, attributes)],
  reference: ([input], { attributes: { k } }) => {
    const columns = input!.shape[1]!;
    const values = Float64Array.from(input!.data, (_, at) => (at % columns === Math.floor(at / columns) + k ? 1 : 0));
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  flops: () => 0,
  cases: [
    { inputs: [[4, 4]] },
    { inputs: [[3, 5]], attributes: { k: 1 } },
    { inputs: [[5, 3]], attributes: { k: -2 } },
    { inputs: [[3, 3]], attributes: { k: 7 }, why: "off the matrix" },
    { inputs: [{ shape: [4, 3], dtype: "int32" }], attributes: { dtype: "float32" } },
    { inputs: [{ shape: [2, 3], dtype: "int64" }] },
    { inputs: [[2, 3]], attributes: { dtype: "bool" } },
    { inputs: [[0, 3]] },
  ],
  decompose: (build, [input], attributes) => {
    const { dtype, shape } = eyeType(input!, attributes);
    if (sizeOf(shape) === 0) return [build.constant(filled(0, shape, dtype))];
    const isOne = build.apply(equal, diagonal(build, shape[0]!, shape[1]!, attributes.k));
    const scalar = (value: number): Operand => build.constant(filled(value, [], dtype));
    return [build.apply(where, [isOne, scalar(1), scalar(0)])];
  },
});
