// A matrix product whose weights stay packed: 2, 4 or 8 bits a number, with a scale and a zero point for each block of a
// row. Weights of a language model are read once for every token, so their bytes are its speed, and they take an eighth of
// the memory of float32. `blockGeometry` works out where a number lies, once for the reference and every kernel.

import { dtypes } from "../core/dtype.ts";
import { ShapeError, UsageError } from "../core/errors.ts";
import { formatShape, formatType, sameShape, sizeOf, type Shape, type TensorType } from "../core/shape.ts";
import { formatInputs, requireDType } from "./check.ts";
import {
  defineOperator,
  summationBound,
  type CaseInput,
  type Operator,
  type OperatorCase,
  type Problem,
} from "./operator.ts";

/** Attributes of {@link matMulNBits}, as com.microsoft has them. */
export type MatMulNBitsAttributes = {
  /** Rows of A and of the weights are this long … */
  readonly K: number;
  /** … and there are so many rows of weights. */
  readonly N: number;
  /** Bits of a weight: 2, 4 or 8. */
  readonly bits: number;
  /** Weights of a row that share a scale and a zero point: a power of two, 16 or more. */
  readonly block_size: number;
};

export interface BlockGeometry {
  /** Rows of A in all. */
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly bits: number;
  readonly block: number;
  /** Blocks of a row of weights; the last may reach beyond K. */
  readonly blocks: number;
  /** Weights in a 32-bit word, the lowest bits first, and words in a block. */
  readonly perWord: number;
  readonly wordsPerBlock: number;
  /** Words of a row of zero points. */
  readonly zeroWords: number;
}

export function blockGeometry({
  inputs,
  attributes,
}: Pick<Problem<MatMulNBitsAttributes>, "inputs" | "attributes">): BlockGeometry {
  const { K, N, bits, block_size: block } = attributes;
  const blocks = Math.ceil(K / block);
  return {
    M: sizeOf(inputs[0]!.shape.slice(0, -1)),
    N,
    K,
    bits,
    block,
    blocks,
    perWord: 32 / bits,
    wordsPerBlock: (block * bits) / 32,
    zeroWords: Math.ceil((blocks * bits) / 32),
  };
}

const isPowerOfTwo = (value: number): boolean =>
  Number.isInteger(value) && value > 0 && Number.isInteger(Math.log2(value));

function checkAttributes({ K, N, bits, block_size: block }: MatMulNBitsAttributes): void {
  if (![2, 4, 8].includes(bits)) throw new UsageError(`MatMulNBits: bits must be 2, 4 or 8, got ${bits}`);
  if (!isPowerOfTwo(block) || block < 16)
    throw new UsageError(`MatMulNBits: block_size must be a power of two of 16 or more, got ${block}`);
  if (![K, N].every((extent) => Number.isInteger(extent) && extent > 0))
    throw new UsageError(`MatMulNBits: K and N must be whole and positive, got K=${K}, N=${N}`);
}

function checkShape(input: string, type: TensorType, shape: Shape, why: string): void {
  if (!sameShape(type.shape, shape))
    throw new ShapeError(`MatMulNBits: ${input} must be ${formatShape(shape)} (${why}), got ${formatType(type)}`);
}

const toCase = (
  a: Shape,
  N: number,
  attributes: Pick<MatMulNBitsAttributes, "bits" | "block_size">,
  { zeros = false, why }: { readonly zeros?: boolean; readonly why?: string } = {},
): OperatorCase<MatMulNBitsAttributes> => {
  const all = { K: a.at(-1)!, N, ...attributes };
  const g = blockGeometry({ inputs: [{ dtype: "float32", shape: a }], attributes: all });
  const words = (shape: Shape): CaseInput => ({ shape, dtype: "uint32", low: 0, high: 2 ** 32 });
  return {
    inputs: [a, words([N, g.blocks, g.wordsPerBlock]), [N, g.blocks], ...(zeros ? [words([N, g.zeroWords])] : [])],
    attributes: all,
    ...(why === undefined ? {} : { why }),
  };
};

/**
 * Y = A · Wᵀ with A [.., K] and packed weights W [N, K]: W[n, k] = (q[n, k] − zero point) · scale, of row n's block ⌊k / block_size⌋.
 * B holds q as uint32 words [N, blocks, block_size · bits / 32], scales are [N, blocks], and zero points, if there are any, are
 * packed like B, uint32 [N, ⌈blocks · bits / 32⌉]; without them it is 2^(bits − 1). Source: com.microsoft MatMulNBits, whose
 * bytes these words are.
 */
export const matMulNBits: Operator<MatMulNBitsAttributes> = defineOperator<MatMulNBitsAttributes>({
  name: "MatMulNBits",
  inputs: ["A", "B", "scales", "zero_points"],
  required: 3,
  outputs: ["Y"],
  attributes: { K: 1, N: 1, bits: 4, block_size: 32 },

  infer(inputs, attributes) {
    const [A, B, scales, zeroPoints] = inputs;
    if (!A || !B || !scales || inputs.length > 4)
      throw new ShapeError(`MatMulNBits: expected A, B, scales and perhaps zero_points, got ${formatInputs(inputs)}`);
    checkAttributes(attributes);
    requireDType("MatMulNBits", "A", A, "float");
    requireDType("MatMulNBits", "B", B, ["uint32"]);
    requireDType("MatMulNBits", "scales", scales, "float");
    const { K, N, bits, block_size: block } = attributes;
    if (A.shape.at(-1) !== K)
      throw new ShapeError(`MatMulNBits: rows of A must have K = ${K} elements, got ${formatType(A)}`);
    const g = blockGeometry({ inputs, attributes });
    const layout = `N = ${N}, K = ${K} in blocks of ${block}, ${bits} bits`;
    checkShape("B", B, [N, g.blocks, g.wordsPerBlock], layout);
    checkShape("scales", scales, [N, g.blocks], layout);
    if (zeroPoints) {
      requireDType("MatMulNBits", "zero_points", zeroPoints, ["uint32"]);
      checkShape("zero_points", zeroPoints, [N, g.zeroWords], layout);
    }
    return [{ dtype: A.dtype, shape: [...A.shape.slice(0, -1), N] }];
  },

  reference([A, B, scales, zeroPoints], problem) {
    const { M, N, K, bits, block, blocks, perWord, wordsPerBlock, zeroWords } = blockGeometry(problem);
    const mask = 2 ** bits - 1;
    const number = (words: { readonly [i: number]: number }, first: number, i: number): number =>
      (words[first + Math.floor(i / perWord)]! >>> ((i % perWord) * bits)) & mask;
    const values = new Float64Array(M * N);
    const terms = new Float64Array(M * N);
    const weights = new Float64Array(K);
    for (let n = 0; n < N; n++) {
      for (let k = 0; k < K; k++) {
        const at = Math.floor(k / block);
        const zero = zeroPoints ? number(zeroPoints.data, n * zeroWords, at) : 2 ** (bits - 1);
        weights[k] = (number(B!.data, n * blocks * wordsPerBlock, k) - zero) * scales!.data[n * blocks + at]!;
      }
      for (let m = 0; m < M; m++)
        for (let k = 0; k < K; k++) {
          const product = A!.data[m * K + k]! * weights[k]!;
          values[m * N + n]! += product;
          terms[m * N + n]! += Math.abs(product);
        }
    }
    return [{ values, terms }];
  },

  errorBound: (problem) => summationBound(problem.attributes.K) + 2, // a weight is rounded once

  flops(problem) {
    const { M, N, K } = blockGeometry(problem);
    return 2 * M * N * K;
  },

  minimumBytes({ inputs, outputs }) {
    return [...inputs, ...outputs].reduce(
      (bytes, type) => bytes + (type ? sizeOf(type.shape) * dtypes[type.dtype].sizeBytes : 0),
      0,
    );
  },

  cases: [
    toCase([1, 32], 4, { bits: 4, block_size: 32 }),
    toCase([1, 128], 33, { bits: 4, block_size: 32 }, { zeros: true, why: "one row, odd columns" }),
    toCase([3, 100], 10, { bits: 4, block_size: 32 }, { zeros: true, why: "the last block reaches beyond K" }),
    toCase([2, 3, 48], 16, { bits: 4, block_size: 16 }, { why: "rows of several axes" }),
    toCase([9, 33], 7, { bits: 4, block_size: 16 }, { zeros: true, why: "rows of odd length" }),
    toCase([17, 256], 40, { bits: 4, block_size: 128 }),
    toCase([4, 64], 12, { bits: 8, block_size: 32 }, { zeros: true }),
    toCase([5, 70], 9, { bits: 8, block_size: 16 }),
    toCase([1, 600], 8, { bits: 8, block_size: 64 }, { why: "a long row" }),
    toCase([2, 64], 8, { bits: 2, block_size: 32 }, { zeros: true }),
    toCase([0, 32], 4, { bits: 4, block_size: 16 }, { why: "no rows" }),
    toCase([32], 6, { bits: 4, block_size: 16 }, { why: "a vector" }),
  ],
});
