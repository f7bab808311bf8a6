// MatMul with NumPy semantics: batch axes broadcast, 1-D operands are a row on the left and a column on the right.
// transA and transB swap the last two axes of an operand, as com.microsoft FusedMatMul does, so that gradients need no
// Transpose. All of it comes down to strides, which `matMulGeometry` works out once for the reference and every kernel.

import { broadcastShapes, broadcastStrides } from "../core/broadcast.ts";
import { dtypes, isWide, storeValue, type DType } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { formatShape, sameShape, sizeOf, type Shape, type TensorType } from "../core/shape.ts";
import { requireDType, requireInputs, requireSameDType } from "./check.ts";
import {
  defineOperator,
  summationBound,
  type Builder,
  type Operand,
  type Operator,
  type OperatorCase,
  type Problem,
} from "./operator.ts";
import { reshapeTo } from "./reshape.ts";

/** Attributes of {@link matMul}; both are 0 or 1. */
export type MatMulAttributes = {
  readonly transA: number;
  readonly transB: number;
};

/** Y[b, m, n] = Σₖ A[b, m, k] · B[b, k, n], with every index turned into a stride. Y is row-major [batch…, M, N]. */
export interface MatMulGeometry {
  /**
   * Broadcast batch axes, as few as possible: axes that both operands walk alike are merged, and a batch over which B
   * stays the same is part of M where A's rows allow it ([8, 128, 64] × [64, 10] is one product of 1024 rows).
   */
  readonly batch: readonly number[];
  readonly batchSize: number;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Elements per step of each batch axis, 0 where the operand is broadcast. */
  readonly aBatchStrides: readonly number[];
  readonly bBatchStrides: readonly number[];
  /** Elements from A[m, k] to A[m + 1, k]. */
  readonly aRowStride: number;
  /** Elements from A[m, k] to A[m, k + 1]. */
  readonly aColStride: number;
  /** Elements from B[k, n] to B[k + 1, n]. */
  readonly bRowStride: number;
  /** Elements from B[k, n] to B[k, n + 1]. */
  readonly bColStride: number;
}

/** One operand as a stack of matrices. */
interface Stack {
  readonly batch: Shape;
  readonly rows: number;
  readonly cols: number;
}

/** The logical matrices of an operand after its transposition; a vector is a row on the left, a column on the right. */
function stackOf(shape: Shape, transposed: boolean, side: "A" | "B"): Stack {
  if (shape.length === 0)
    throw new ShapeError(`MatMul: ${side} is a scalar; it must have at least 1 axis (use Mul to scale)`);
  if (shape.length === 1) {
    if (transposed)
      throw new ShapeError(`MatMul: trans${side} needs a matrix, but ${side} is 1-D ${formatShape(shape)}`);
    return side === "A" ? { batch: [], rows: 1, cols: shape[0]! } : { batch: [], rows: shape[0]!, cols: 1 };
  }
  const [p, q] = shape.slice(-2) as [number, number];
  const batch = shape.slice(0, -2);
  return transposed ? { batch, rows: q, cols: p } : { batch, rows: p, cols: q };
}

function stacksOf(inputs: readonly (TensorType | undefined)[], attributes: MatMulAttributes): { a: Stack; b: Stack } {
  const [A, B] = requireInputs("MatMul", ["A", "B"], inputs) as [TensorType, TensorType];
  requireDType("MatMul", "A", A, "number");
  requireSameDType("MatMul", [A, B]);
  const a = stackOf(A.shape, attributes.transA !== 0, "A");
  const b = stackOf(B.shape, attributes.transB !== 0, "B");
  if (a.cols !== b.rows) {
    const flags = [attributes.transA ? "transA" : "", attributes.transB ? "transB" : ""].filter((flag) => flag !== "");
    throw new ShapeError(
      `MatMul: A ${formatShape(A.shape)} and B ${formatShape(B.shape)}${flags.length > 0 ? ` with ${flags.join(" and ")}` : ""}` +
        ` do not multiply: A has ${a.cols} columns, B has ${b.rows} rows`,
    );
  }
  return { a, b };
}

/** Extents and strides of a MatMul problem, for the reference and for kernels. */
export function matMulGeometry(problem: Problem<MatMulAttributes>): MatMulGeometry {
  const { transA, transB } = problem.attributes;
  const { a, b } = stacksOf(problem.inputs, problem.attributes);
  const K = a.cols;
  const N = b.cols;
  const full = broadcastShapes([a.batch, b.batch], "MatMul");
  const aStrides = broadcastStrides(a.batch, full).map((stride) => stride * a.rows * K);
  const bStrides = broadcastStrides(b.batch, full).map((stride) => stride * K * N);

  const batch: number[] = [];
  const aBatchStrides: number[] = [];
  const bBatchStrides: number[] = [];
  full.forEach((extent, axis) => {
    if (extent === 1) return;
    const aStride = aStrides[axis]!;
    const bStride = bStrides[axis]!;
    const last = batch.length - 1;
    if (last >= 0 && aBatchStrides[last] === extent * aStride && bBatchStrides[last] === extent * bStride) {
      batch[last]! *= extent;
      aBatchStrides[last] = aStride;
      bBatchStrides[last] = bStride;
    } else {
      batch.push(extent);
      aBatchStrides.push(aStride);
      bBatchStrides.push(bStride);
    }
  });

  let M = a.rows;
  let aRowStride = transA ? 1 : K;
  const last = batch.length - 1;
  if (last >= 0 && bBatchStrides[last] === 0 && (M === 1 || aBatchStrides[last] === M * aRowStride)) {
    if (M === 1) aRowStride = aBatchStrides[last]!;
    M *= batch.pop()!;
    aBatchStrides.pop();
    bBatchStrides.pop();
  }
  return {
    batch,
    batchSize: sizeOf(batch),
    M,
    N,
    K,
    aBatchStrides,
    bBatchStrides,
    aRowStride,
    aColStride: transA ? a.rows : 1,
    bRowStride: transB ? 1 : N,
    bColStride: transB ? K : 1,
  };
}

interface MatMulCase extends Partial<MatMulAttributes> {
  readonly a: Shape;
  readonly b: Shape;
  readonly dtype?: DType;
  readonly why?: string;
}

const toCase = ({ a, b, dtype, why, ...attributes }: MatMulCase): OperatorCase<MatMulAttributes> => ({
  inputs: dtype ? [a, b].map((shape) => ({ shape, dtype })) : [a, b],
  attributes,
  ...(why === undefined ? {} : { why }),
});

/** Matrix product of the last two axes; earlier axes broadcast. Floats and integers. Source: ONNX MatMul (opset 13), NumPy matmul. */
export const matMul: Operator<MatMulAttributes> = defineOperator<MatMulAttributes>({
  name: "MatMul",
  accumulates: true,

  inputs: ["A", "B"],
  outputs: ["Y"],
  attributes: { transA: 0, transB: 0 },

  infer(inputs, attributes) {
    const { a, b } = stacksOf(inputs, attributes);
    const shape = broadcastShapes([a.batch, b.batch], "MatMul: batch axes");
    if (inputs[0]!.shape.length > 1) shape.push(a.rows);
    if (inputs[1]!.shape.length > 1) shape.push(b.cols);
    return [{ dtype: inputs[0]!.dtype, shape }];
  },

  reference([A, B], problem) {
    const { dtype } = problem.outputs[0]!;
    // Sums of narrow integers wrap; int64's must fit into a float64's 53 bits on the way and into 32 bits in the end.
    const wraps = dtypes[dtype].kind === "int" && !isWide(dtype);
    const wrapped = (value: number): number => storeValue(value, dtype, "MatMul");
    const { batch, batchSize, M, N, K, ...g } = matMulGeometry(problem);
    const a = A!.data; // [batch…, M, K]
    const b = B!.data; // [batch…, K, N]
    const values = new Float64Array(batchSize * M * N);
    const terms = new Float64Array(batchSize * M * N);
    for (let index = 0; index < batchSize; index++) {
      let aBase = 0;
      let bBase = 0;
      for (let axis = batch.length - 1, rest = index; axis >= 0; axis--) {
        const position = rest % batch[axis]!;
        rest = (rest - position) / batch[axis]!;
        aBase += position * g.aBatchStrides[axis]!;
        bBase += position * g.bBatchStrides[axis]!;
      }
      for (let m = 0; m < M; m++) {
        const yBase = (index * M + m) * N;
        for (let k = 0; k < K; k++) {
          const left = a[aBase + m * g.aRowStride + k * g.aColStride]!;
          let bIndex = bBase + k * g.bRowStride;
          for (let n = 0; n < N; n++) {
            if (wraps) {
              values[yBase + n] = wrapped(values[yBase + n]! + wrapped(Math.imul(left, b[bIndex]!)));
              bIndex += g.bColStride;
              continue;
            }
            const product = left * b[bIndex]!;
            values[yBase + n]! += product;
            terms[yBase + n]! += Math.abs(product);
            bIndex += g.bColStride;
          }
        }
      }
    }
    return [{ values, terms }];
  },

  errorBound: (problem) => summationBound(matMulGeometry(problem).K),

  flops(problem) {
    const { batchSize, M, N, K } = matMulGeometry(problem);
    return 2 * batchSize * M * N * K;
  },

  gradient({ build, operators, attributes, inputs: [A, B], outputGradients: [dY], wanted }) {
    if (!A || !B || !dY) return [];
    // Vectors become matrices first, so that one rule does for all.
    const a = asMatrix(build, A, "A");
    const b = asMatrix(build, B, "B");
    const rows = A.shape.length === 1 ? 1 : attributes.transA ? a.shape.at(-1)! : a.shape.at(-2)!;
    const cols = B.shape.length === 1 ? 1 : attributes.transB ? b.shape.at(-2)! : b.shape.at(-1)!;
    const batch = broadcastShapes([a.shape.slice(0, -2), b.shape.slice(0, -2)], "MatMul");
    const dy = reshapeTo(build, dY, [...batch, rows, cols]);
    // Summed over the batch axes that an operand was broadcast along.
    const shaped = (gradient: Operand, { shape }: Operand, asGiven: Operand): Operand =>
      reshapeTo(build, operators.sumTo(build, gradient, shape), asGiven.shape);
    return [
      wanted[0] ? shaped(gradientOfA(build, a, b, dy, attributes), a, A) : undefined,
      wanted[1] ? shaped(gradientOfB(build, a, b, dy, attributes), b, B) : undefined,
    ];
  },

  cases: (
    [
      { a: [1, 1], b: [1, 1] },
      { a: [3, 5], b: [5, 7] },
      { a: [16, 16], b: [16, 16] },
      { a: [17, 33], b: [33, 18], why: "just past a tile" },
      { a: [67, 129], b: [129, 65], why: "just past several tiles, odd and prime" },
      { a: [64, 64], b: [64, 64] },
      { a: [1, 300], b: [300, 10], why: "one row" },
      { a: [4, 400], b: [400, 120], why: "LeNet at batch 4" },
      { a: [300, 1], b: [1, 40], why: "outer product" },
      { a: [2, 2000], b: [2000, 3], why: "long sums, few results: split-K" },
      { a: [33, 17], b: [33, 18], transA: 1 },
      { a: [17, 33], b: [18, 33], transB: 1 },
      { a: [32, 16], b: [20, 32], transA: 1, transB: 1, why: "extents divisible by 4" },
      { a: [33, 17], b: [18, 33], transA: 1, transB: 1 },
      { a: [5], b: [5], why: "dot product: a scalar" },
      { a: [5], b: [5, 7] },
      { a: [3, 5], b: [5] },
      { a: [5], b: [2, 5, 7] },
      { a: [2, 3, 5], b: [5] },
      { a: [2, 3, 17, 9], b: [2, 3, 9, 18] },
      { a: [2, 3, 5], b: [5, 4], why: "B shared by the batch: one product of 6 rows" },
      { a: [3, 5], b: [2, 5, 4], why: "A shared by the batch" },
      { a: [2, 1, 3, 5], b: [1, 4, 5, 6], why: "both operands broadcast" },
      { a: [2, 4, 1, 3, 5], b: [4, 3, 5, 6], why: "batch axes that only partly merge" },
      { a: [2, 5, 3], b: [5, 4], transA: 1, why: "B shared, but A's rows do not line up" },
      { a: [3, 4, 6], b: [3, 5, 6], transB: 1, why: "attention scores" },
      { a: [3, 0], b: [0, 4], why: "empty sums are 0" },
      { a: [3, 5], b: [5, 0], why: "no columns" },
      { a: [0, 5], b: [5, 4], why: "no rows" },
      { a: [0, 3, 5], b: [5, 4], why: "empty batch" },
      { a: [2, 2, 2, 2, 3, 4], b: [2, 1, 2, 2, 4, 5], why: "six axes" },
      { a: [3, 17], b: [17, 5], dtype: "int32" },
      { a: [2, 4, 4], b: [4, 8], dtype: "uint32", why: "would be read in fours" },
      { a: [5, 3], b: [5, 2], dtype: "int64", transA: 1 },
      { a: [3, 16], b: [16, 8], dtype: "float16" },
    ] satisfies MatMulCase[]
  ).map(toCase),
});

/** A vector as the matrix it stands for; anything else unchanged. */
function asMatrix(build: Builder, operand: Operand, side: "A" | "B"): Operand {
  if (operand.shape.length > 1) return operand;
  return reshapeTo(build, operand, side === "A" ? [1, operand.shape[0]!] : [operand.shape[0]!, 1]);
}

// With P = op(A) and Q = op(B): dP = dY·Qᵀ and dQ = Pᵀ·dY. Where op transposes, so does the gradient.
function gradientOfA(
  build: Builder,
  a: Operand,
  b: Operand,
  dy: Operand,
  { transA, transB }: MatMulAttributes,
): Operand {
  return transA
    ? build.apply(matMul, [b, dy], { transA: transB, transB: 1 })
    : build.apply(matMul, [dy, b], { transA: 0, transB: 1 - transB });
}

function gradientOfB(
  build: Builder,
  a: Operand,
  b: Operand,
  dy: Operand,
  { transA, transB }: MatMulAttributes,
): Operand {
  const batch = dy.shape.slice(0, -2);
  // A matrix shared by a whole batch: the sum over the batch is part of the product's own sum.
  if (b.shape.length === 2 && batch.length > 0 && !transA && sameShape(a.shape.slice(0, -2), batch)) {
    const rows = sizeOf(dy.shape.slice(0, -1));
    a = reshapeTo(build, a, [rows, a.shape.at(-1)!]);
    dy = reshapeTo(build, dy, [rows, dy.shape.at(-1)!]);
  }
  return transB
    ? build.apply(matMul, [dy, a], { transA: 1, transB: transA })
    : build.apply(matMul, [a, dy], { transA: 1 - transA, transB: 0 });
}
