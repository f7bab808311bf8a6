// Gemm is a matrix product with a scaled addition, so it has no kernel: it expands to MatMul, Mul and Add, and the fuser
// folds the elementwise part into the matmul kernel's epilogue.

import { broadcastShapes, broadcastStrides } from "../core/broadcast.ts";
import { isFloat, type DType } from "../core/dtype.ts";
import { ShapeError, UnsupportedError } from "../core/errors.ts";
import { formatShape, sameShape, type Shape, type TensorType } from "../core/shape.ts";
import { add, mul } from "./binary.ts";
import { requireDType, requireSameDType } from "./check.ts";
import { matMul } from "./matmul.ts";
import { defineOperator, summationBound, type OperatorCase } from "./operator.ts";
import { scalar } from "./scalar.ts";

/** Attributes of {@link gemm}, named as in ONNX. */
export type GemmAttributes = {
  readonly alpha: number;
  readonly beta: number;
  /** 0 or 1. */
  readonly transA: number;
  /** 0 or 1. */
  readonly transB: number;
};

function extents(
  inputs: readonly (TensorType | undefined)[],
  { alpha, beta, transA, transB }: GemmAttributes,
): { M: number; N: number; K: number } {
  const [A, B, C] = inputs;
  if (!A || !B) throw new ShapeError("Gemm: inputs A and B are both required");
  requireDType("Gemm", "A", A, "number");
  requireSameDType("Gemm", C ? [A, B, C] : [A, B]);
  if (!isFloat(A.dtype) && !(Number.isInteger(alpha) && Number.isInteger(beta)))
    throw new UnsupportedError(`Gemm: integers cannot be scaled by alpha ${alpha} and beta ${beta}`);
  if (A.shape.length !== 2 || B.shape.length !== 2)
    throw new ShapeError(
      `Gemm: A and B must be matrices, got ${formatShape(A.shape)} and ${formatShape(B.shape)}; MatMul takes batches`,
    );
  const [a0, a1] = A.shape as readonly [number, number];
  const [b0, b1] = B.shape as readonly [number, number];
  const [M, K] = transA ? [a1, a0] : [a0, a1];
  const [rows, N] = transB ? [b1, b0] : [b0, b1];
  if (K !== rows)
    throw new ShapeError(
      `Gemm: A ${formatShape(A.shape)} (transA ${transA}) and B ${formatShape(B.shape)} (transB ${transB}) do not multiply: ` +
        `A has ${K} columns, B has ${rows} rows`,
    );
  if (C && !sameShape(broadcastShapes([C.shape, [M, N]], "Gemm"), [M, N]))
    throw new ShapeError(`Gemm: C ${formatShape(C.shape)} does not broadcast to [${M}, ${N}]`);
  return { M, N, K };
}

interface GemmCase extends Partial<GemmAttributes> {
  readonly a: Shape;
  readonly b: Shape;
  readonly c?: Shape;
  readonly dtype?: DType;
  readonly why?: string;
}

const toCase = ({ a, b, c, dtype, why, ...attributes }: GemmCase): OperatorCase<GemmAttributes> => ({
  inputs: [a, b, ...(c ? [c] : [])].map((shape) => (dtype ? { shape, dtype } : shape)),
  attributes,
  ...(why === undefined ? {} : { why }),
});

/** Y [M, N] = alpha·A·B + beta·C, with A and B optionally transposed. Floats and integers. Source: ONNX Gemm (opset 13). */
export const gemm = defineOperator<GemmAttributes>({
  name: "Gemm",
  inputs: ["A", "B", "C"],
  required: 2,
  outputs: ["Y"],
  attributes: { alpha: 1, beta: 1, transA: 0, transB: 0 },

  infer(inputs, attributes) {
    const { M, N } = extents(inputs, attributes);
    return [{ dtype: inputs[0]!.dtype, shape: [M, N] }];
  },

  reference([A, B, C], { inputs, attributes }) {
    const { M, N, K } = extents(inputs, attributes);
    const { alpha, beta, transA, transB } = attributes;
    const a = A!.data; // [M, K], or [K, M] when transA
    const b = B!.data; // [K, N], or [N, K] when transB
    const values = new Float64Array(M * N);
    const terms = new Float64Array(M * N);
    for (let m = 0; m < M; m++)
      for (let k = 0; k < K; k++) {
        const left = alpha * a[transA ? k * M + m : m * K + k]!;
        for (let n = 0; n < N; n++) {
          const product = left * b[transB ? n * K + k : k * N + n]!;
          values[m * N + n]! += product;
          terms[m * N + n]! += Math.abs(product);
        }
      }
    if (C && beta !== 0) {
      const [rowStride, columnStride] = broadcastStrides(C.shape, [M, N]) as [number, number];
      for (let m = 0; m < M; m++)
        for (let n = 0; n < N; n++) {
          const bias = beta * C.data[m * rowStride + n * columnStride]!;
          values[m * N + n]! += bias;
          terms[m * N + n]! += Math.abs(bias);
        }
    }
    return [{ values, terms }];
  },

  // Two more for the products with alpha and beta.
  errorBound: ({ inputs, attributes }) => summationBound(extents(inputs, attributes).K + 1) + 2,

  flops({ inputs, attributes }) {
    const { M, N, K } = extents(inputs, attributes);
    return 2 * M * N * K + (inputs[2] ? M * N : 0);
  },

  decompose(build, [A, B, C], { alpha, beta, transA, transB }) {
    let Y = build.apply(matMul, [A, B], { transA, transB });
    if (alpha !== 1) Y = build.apply(mul, [Y, scalar(build, alpha, Y)]);
    // As in BLAS, beta 0 means that C is not read at all.
    if (C && beta !== 0) Y = build.apply(add, [Y, beta === 1 ? C : build.apply(mul, [C, scalar(build, beta, C)])]);
    return [Y];
  },

  cases: (
    [
      { a: [1, 1], b: [1, 1], c: [1] },
      { a: [3, 5], b: [5, 7] },
      { a: [3, 5], b: [5, 7], c: [7], why: "bias of a linear layer" },
      { a: [3, 5], b: [5, 7], c: [3, 1], why: "one value a row" },
      { a: [3, 5], b: [5, 7], c: [3, 7] },
      { a: [3, 5], b: [5, 7], c: [], why: "scalar C" },
      {
        a: [4, 400],
        b: [120, 400],
        c: [120],
        transB: 1,
        why: "LeNet's first linear layer, weights as PyTorch has them",
      },
      { a: [4, 120], b: [84, 120], c: [84], transB: 1 },
      { a: [4, 84], b: [10, 84], c: [10], transB: 1 },
      { a: [33, 17], b: [33, 18], c: [18], transA: 1, alpha: 0.5, beta: -2 },
      { a: [33, 17], b: [18, 33], c: [17, 18], transA: 1, transB: 1, alpha: 1.5 },
      { a: [3, 5], b: [5, 7], c: [7], beta: 0, why: "C not read" },
      { a: [3, 0], b: [0, 4], c: [4], why: "empty sums: beta·C alone" },
      { a: [0, 5], b: [5, 4], c: [4], why: "no rows" },
      { a: [3, 5], b: [4, 5], c: [4], dtype: "int32", transB: 1, alpha: 2, beta: 3 },
    ] satisfies GemmCase[]
  ).map(toCase),
});
