// Rotary position embedding: pairs of features are turned by an angle that grows with the position. A composition; its
// parts are slices, one elementwise formula a half, and a join.

import { ShapeError } from "../core/errors.ts";
import { formatShape, type TensorType } from "../core/shape.ts";
import { add, mul, sub } from "./binary.ts";
import { formatInputs, requireDType } from "./check.ts";
import { concatenate } from "./concat.ts";
import { gather } from "./gather.ts";
import { defineOperator, type Operand, type Operator } from "./operator.ts";
import { reshapeTo } from "./reshape.ts";
import { sliceAxis } from "./slice.ts";

export type RotaryEmbeddingAttributes = {
  /** 1: a pair is two neighbours; 0: an element of the first half and one of the second. */
  readonly interleaved: number;
  /** Features of a head that turn, the first ones; 0: all. */
  readonly rotary_embedding_dim: number;
  /** Heads of a 3-D input. */
  readonly num_heads: number;
};

/** B batches, N heads, L positions, `size` features a head, `turned` of which turn. */
interface Extents {
  readonly B: number;
  readonly N: number;
  readonly L: number;
  readonly size: number;
  readonly turned: number;
}

function extentsOf(inputs: readonly (TensorType | undefined)[], attributes: RotaryEmbeddingAttributes): Extents {
  const [X, cos, sin, positions] = inputs;
  const fail = (why: string): never => {
    throw new ShapeError(`RotaryEmbedding: ${why}, got ${formatInputs(inputs)}`);
  };
  if (!X || !cos || !sin) return fail("X, cos_cache and sin_cache are required");
  for (const type of [X, cos, sin]) requireDType("RotaryEmbedding", "X, cos_cache, sin_cache", type, [X.dtype]);
  requireDType("RotaryEmbedding", "X", X, "float");
  const { num_heads, rotary_embedding_dim, interleaved } = attributes;
  const isFlat = X.shape.length === 3;
  if (!isFlat && X.shape.length !== 4) fail("X must have 3 or 4 axes");
  if (isFlat && (num_heads < 1 || X.shape[2]! % num_heads !== 0)) fail(`${num_heads} heads do not divide X`);
  const [B, N, L, size] = (isFlat ? [X.shape[0], num_heads, X.shape[1], X.shape[2]! / num_heads] : X.shape) as [
    number,
    number,
    number,
    number,
  ];
  const turned = rotary_embedding_dim === 0 ? size : rotary_embedding_dim;
  if (turned > size || turned % 2 !== 0) fail(`${turned} of ${size} features cannot turn in pairs`);
  const table = positions ? [cos.shape[0]!, turned / 2] : [B, L, turned / 2];
  for (const { shape } of [cos, sin])
    if (formatShape(shape) !== formatShape(table)) fail(`the caches must be ${formatShape(table)}`);
  if (positions && formatShape(positions.shape) !== formatShape([B, L])) fail(`position_ids must be [${B}, ${L}]`);
  if (interleaved !== 0 && interleaved !== 1) fail(`interleaved must be 0 or 1`);
  return { B, N, L, size, turned };
}

/**
 * RotaryEmbedding (ONNX): X [B, N, L, size] or [B, L, N·size]; cos_cache and sin_cache [positions, turned / 2] with
 * position_ids [B, L], or [B, L, turned / 2] without. Float types. Throws ShapeError where these do not fit.
 */
export const rotaryEmbedding: Operator<RotaryEmbeddingAttributes> = defineOperator<RotaryEmbeddingAttributes>({
  name: "RotaryEmbedding",
  inputs: ["X", "cos_cache", "sin_cache", "position_ids"],
  required: 3,
  outputs: ["Y"],
  attributes: { interleaved: 0, rotary_embedding_dim: 0, num_heads: 0 },

  infer(inputs, attributes) {
    extentsOf(inputs, attributes);
    return [inputs[0]!];
  },

  reference([X, cos, sin, positions], { inputs, attributes }) {
    const { B, N, L, size, turned } = extentsOf(inputs, attributes);
    const half = turned / 2;
    const values = Float64Array.from(X!.data);
    const terms = new Float64Array(values.length);
    for (let b = 0; b < B; b++)
      for (let l = 0; l < L; l++) {
        const row = positions ? positions.data[b * L + l]! : b * L + l;
        for (let n = 0; n < N; n++) {
          const base = (X!.shape.length === 3 ? (b * L + l) * N + n : (b * N + n) * L + l) * size;
          for (let i = 0; i < half; i++) {
            const first = base + (attributes.interleaved ? 2 * i : i);
            const second = attributes.interleaved ? first + 1 : first + half;
            const [c, s] = [cos!.data[row * half + i]!, sin!.data[row * half + i]!];
            const [x, y] = [X!.data[first]!, X!.data[second]!];
            values[first] = c * x - s * y;
            values[second] = s * x + c * y;
            terms[first] = Math.abs(c * x) + Math.abs(s * y);
            terms[second] = Math.abs(s * x) + Math.abs(c * y);
          }
        }
      }
    return [{ values, terms }];
  },
  errorBound: () => 3,
  flops: ({ inputs, attributes }) => {
    const { B, N, L, turned } = extentsOf(inputs, attributes);
    return 3 * B * N * L * turned;
  },

  decompose(build, [X, cosCache, sinCache, positions], attributes) {
    const { B, N, L, size, turned } = extentsOf([X, cosCache, sinCache, positions], attributes);
    const half = turned / 2;
    const isFlat = X!.shape.length === 3;
    /** The caches at each position, over the heads: [B, L, 1, turned / 2] or [B, 1, L, turned / 2]. */
    const angles = (cache: Operand): Operand =>
      reshapeTo(
        build,
        positions ? build.apply(gather, [cache, positions], { axis: 0 }) : cache,
        isFlat ? [B, L, 1, half] : [B, 1, L, half],
      );
    const [cos, sin] = [angles(cosCache!), angles(sinCache!)];
    const leading = isFlat ? [B, L, N] : [B, N, L];
    const whole = reshapeTo(build, X!, [...leading, size]);
    const turning = sliceAxis(build, whole, 3, 0, turned);
    /** First or second element of each pair, [.., turned / 2]. */
    const part = (which: number): Operand => {
      if (!attributes.interleaved) return sliceAxis(build, turning, 3, which * half, half);
      const pairs = reshapeTo(build, turning, [...leading, half, 2]);
      return reshapeTo(build, sliceAxis(build, pairs, 4, which, 1), [...leading, half]);
    };
    const [x, y] = [part(0), part(1)];
    const times = (a: Operand, b: Operand): Operand => build.apply(mul, [a, b]);
    const real = build.apply(sub, [times(cos, x), times(sin, y)]);
    const imaginary = build.apply(add, [times(sin, x), times(cos, y)]);
    const shape = attributes.interleaved ? [...leading, half, 1] : [...leading, half];
    const joined = concatenate(build, [reshapeTo(build, real, shape), reshapeTo(build, imaginary, shape)], -1);
    const rotated = reshapeTo(build, joined, [...leading, turned]);
    const rest = sliceAxis(build, whole, 3, turned, size - turned);
    return [reshapeTo(build, turned === size ? rotated : concatenate(build, [rotated, rest], 3), X!.shape)];
  },

  cases: [
    { inputs: [[2, 4, 3, 8], [50, 4], [50, 4], { shape: [2, 3], dtype: "int64", low: 0, high: 50 }] },
    {
      inputs: [[2, 3, 32], [9, 4], [9, 4], { shape: [2, 3], dtype: "int64", low: 0, high: 9 }],
      attributes: { num_heads: 4 },
    },
    {
      inputs: [
        [2, 4, 3, 8],
        [2, 3, 4],
        [2, 3, 4],
      ],
      attributes: { interleaved: 1 },
    },
    {
      inputs: [
        [2, 4, 3, 8],
        [2, 3, 2],
        [2, 3, 2],
      ],
      attributes: { rotary_embedding_dim: 4 },
    },
    {
      inputs: [
        [1, 3, 10],
        [1, 3, 2],
        [1, 3, 2],
      ],
      attributes: { num_heads: 2, rotary_embedding_dim: 4, interleaved: 1 },
    },
  ],
});
