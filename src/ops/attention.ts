// Attention as ONNX has it: what its inputs and attributes mean for the operator that computes it,
// ScaledDotProductAttention. Where everything is hidden from a query, its weights and its result are 0.

import { ShapeError, UnsupportedError } from "../core/errors.ts";
import { formatShape, sizeOf, type TensorType } from "../core/shape.ts";
import { broadcastStrides } from "../core/broadcast.ts";
import { filled } from "../core/tensorData.ts";
import { castTo, composedResult, composedScores, type ScaledDotProductAttributes } from "./attentionScores.ts";
import { formatInputs, requireDType } from "./check.ts";
import { concatenate } from "./concat.ts";
import {
  defineOperator,
  summationBound,
  type Builder,
  type Operand,
  type Operator,
  type OperatorCase,
} from "./operator.ts";
import { reshapeTo } from "./reshape.ts";
import { scaledDotProductAttention } from "./scaledDotProductAttention.ts";
import { transpose } from "./transpose.ts";

export type AttentionAttributes = {
  /** 1: a query attends to no key behind it; queries stand at the end of what is cached. */
  readonly is_causal: number;
  /** Heads of 3-D inputs. */
  readonly q_num_heads: number;
  readonly kv_num_heads: number;
  /** Factor of the scores; 0 means 1/√head size. */
  readonly scale: number;
  /** Scores are squeezed into ±softcap; 0: not. */
  readonly softcap: number;
  /** What qk_matmul_output is: 0 the scores, 1 after softcap, 2 after the masks, 3 the softmax. */
  readonly qk_matmul_output_mode: number;
  /** "float16" rounds the softmax to that; everything else computes in float32. */
  readonly softmax_precision: string;
};

/** B batches, query heads, key heads, L queries, P keys in the cache, S keys in all, and the two head sizes. */
interface Extents {
  readonly B: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly L: number;
  readonly P: number;
  readonly S: number;
  readonly D: number;
  readonly valueD: number;
  /** Inputs are [B, length, heads · size] instead of [B, heads, length, size]. */
  readonly isFlat: boolean;
}

function extentsOf(inputs: readonly (TensorType | undefined)[], attributes: AttentionAttributes): Extents {
  const [Q, K, V, mask, pastKey, pastValue, lengths] = inputs;
  const fail = (why: string): never => {
    throw new ShapeError(`Attention: ${why}, got ${formatInputs(inputs)}`);
  };
  if (!Q || !K || !V) return fail("Q, K and V are required");
  for (const type of [Q, K, V, pastKey, pastValue]) if (type) requireDType("Attention", "Q, K, V", type, "float");
  if (mask && mask.dtype !== "bool") requireDType("Attention", "attn_mask", mask, "float");
  if (lengths) requireDType("Attention", "nonpad_kv_seqlen", lengths, ["int32", "int64"]);
  const isFlat = Q.shape.length === 3;
  if (![3, 4].includes(Q.shape.length) || K.shape.length !== Q.shape.length || V.shape.length !== Q.shape.length)
    fail("Q, K and V must all have 3 or all 4 axes");
  /** [heads, length, size] */
  const parts = ({ shape }: TensorType, heads: number): readonly [number, number, number] => {
    if (!isFlat) return [shape[1]!, shape[2]!, shape[3]!];
    if (heads < 1 || shape[2]! % heads !== 0) fail(`${heads} heads do not divide ${formatShape(shape)}`);
    return [heads, shape[1]!, shape[2]! / heads];
  };
  const [heads, L, D] = parts(Q, attributes.q_num_heads);
  const [keyHeads, fresh, keyD] = parts(K, attributes.kv_num_heads);
  const [valueHeads, values, valueD] = parts(V, attributes.kv_num_heads);
  if (
    keyD !== D ||
    fresh !== values ||
    keyHeads !== valueHeads ||
    K.shape[0] !== Q.shape[0] ||
    V.shape[0] !== Q.shape[0]
  )
    fail("Q, K and V do not fit together");
  if (heads % keyHeads !== 0) fail(`${heads} query heads do not share ${keyHeads} key heads equally`);
  if ((pastKey === undefined) !== (pastValue === undefined)) fail("past_key and past_value go together");
  const P = pastKey?.shape[2] ?? 0;
  const S = P + fresh;
  if (mask && (mask.shape.length > 4 || mask.shape.at(-1)! > S))
    fail(`attn_mask does not fit ${L} queries and ${S} keys`);
  return { B: Q.shape[0]!, heads, keyHeads, L, P, S, D, valueD, isFlat };
}

/** [B, length, heads · size] as [B, length, heads, size]. */
function split(build: Builder, x: Operand, heads: number): Operand {
  if (x.shape.length === 4) return x;
  const [B, length, size] = x.shape as readonly [number, number, number];
  return reshapeTo(build, x, [B, length, heads, size / heads]);
}

const HEADS_FIRST = [0, 1, 2, 3];
const HEADS_LATER = [0, 2, 1, 3];

const scaleOf = ({ scale }: AttentionAttributes, { D }: Extents): number => (scale === 0 ? 1 / Math.sqrt(D) : scale);

/** `mask` [.., l] with hidden keys appended up to `S`: ONNX allows masks that end early. */
function completeMask(build: Builder, mask: Operand, S: number): Operand {
  const missing = S - mask.shape.at(-1)!;
  if (missing <= 0) return mask;
  const hidden = filled(mask.dtype === "bool" ? 0 : -Infinity, [...mask.shape.slice(0, -1), missing], mask.dtype);
  return concatenate(build, [mask, build.constant(hidden)], -1);
}

/**
 * Attention (ONNX, opset 24). Q [B, Hq, L, D], K [B, Hkv, S, D], V [B, Hkv, S, Dv], or with heads and sizes merged
 * [B, L, Hq·D] …; attn_mask broadcasts to [B, Hq, L, P + S] (bool: seen; float: added); past_key, past_value
 * [B, Hkv, P, ·] stand before K and V; nonpad_kv_seqlen [B] is the number of keys that count. Outputs Y, present_key,
 * present_value and the scores. Throws ShapeError where these do not fit.
 */
export const attention: Operator<AttentionAttributes> = defineOperator<AttentionAttributes>({
  name: "Attention",
  inputs: ["Q", "K", "V", "attn_mask", "past_key", "past_value", "nonpad_kv_seqlen"],
  required: 3,
  outputs: ["Y", "present_key", "present_value", "qk_matmul_output"],
  attributes: {
    is_causal: 0,
    q_num_heads: 0,
    kv_num_heads: 0,
    scale: 0,
    softcap: 0,
    qk_matmul_output_mode: 0,
    softmax_precision: "float32",
  },

  infer(inputs, attributes) {
    const { B, heads, keyHeads, L, S, D, valueD, isFlat } = extentsOf(inputs, attributes);
    if (![0, 1, 2, 3].includes(attributes.qk_matmul_output_mode))
      throw new UnsupportedError(`Attention: qk_matmul_output_mode ${attributes.qk_matmul_output_mode} is not known`);
    const [Q, K, V] = inputs as readonly TensorType[];
    return [
      { dtype: Q!.dtype, shape: isFlat ? [B, L, heads * valueD] : [B, heads, L, valueD] },
      { dtype: K!.dtype, shape: [B, keyHeads, S, D] },
      { dtype: V!.dtype, shape: [B, keyHeads, S, valueD] },
      { dtype: Q!.dtype, shape: [B, heads, L, S] },
    ];
  },

  reference([Q, K, V, mask, pastKey, pastValue, lengths], { inputs, attributes, outputs }) {
    const extents = extentsOf(inputs, attributes);
    const { B, heads, keyHeads, L, P, S, D, valueD, isFlat } = extents;
    const { is_causal, softcap, qk_matmul_output_mode: mode } = attributes;
    const scale = scaleOf(attributes, extents);
    /** Element [b, head, at, d] of an operand of `count` heads. */
    const element =
      (x: { readonly data: ArrayLike<number> }, count: number, length: number, size: number) =>
      (b: number, head: number, at: number, d: number): number =>
        x.data[isFlat ? ((b * length + at) * count + head) * size + d : ((b * count + head) * length + at) * size + d]!;
    const cached =
      (past: { readonly data: ArrayLike<number> } | undefined, fresh: ReturnType<typeof element>, size: number) =>
      (b: number, head: number, j: number, d: number): number =>
        j < P ? past!.data[((b * keyHeads + head) * P + j) * size + d]! : fresh(b, head, j - P, d);
    const q = element(Q!, heads, L, D);
    const k = cached(pastKey, element(K!, keyHeads, S - P, D), D);
    const v = cached(pastValue, element(V!, keyHeads, S - P, valueD), valueD);
    const maskLength = mask?.shape.at(-1) ?? S;
    const maskStrides = mask ? broadcastStrides(mask.shape, [B, heads, L, maskLength]) : [];

    const results = outputs.map(({ shape }) => new Float64Array(sizeOf(shape)));
    const [Y, presentKey, presentValue, matrix] = results as [Float64Array, Float64Array, Float64Array, Float64Array];
    const terms = new Float64Array(Y.length);
    for (let b = 0; b < B; b++) {
      for (let head = 0; head < keyHeads; head++)
        for (let j = 0; j < S; j++) {
          const at = (b * keyHeads + head) * S + j;
          for (let d = 0; d < D; d++) presentKey[at * D + d] = k(b, head, j, d);
          for (let d = 0; d < valueD; d++) presentValue[at * valueD + d] = v(b, head, j, d);
        }
      const length = lengths ? lengths.data[b]! : S;
      const offset = pastKey || !lengths ? P : length - L;
      for (let head = 0; head < heads; head++) {
        const keyHead = Math.floor((head * keyHeads) / heads);
        for (let i = 0; i < L; i++) {
          const row = new Float64Array(S);
          const shown = new Float64Array(S);
          for (let j = 0; j < S; j++) {
            let score = 0;
            for (let d = 0; d < D; d++) score += q(b, head, i, d) * k(b, keyHead, j, d);
            score *= scale;
            if (mode === 0) shown[j] = score;
            if (softcap > 0) score = softcap * Math.tanh(score / softcap);
            if (mode === 1) shown[j] = score;
            let isSeen = j < length && (!is_causal || j <= i + offset) && j < maskLength;
            if (mask && isSeen) {
              const value = mask.data[[b, head, i, j].reduce((at, place, axis) => at + place * maskStrides[axis]!, 0)]!;
              if (mask.dtype === "bool") isSeen = value !== 0;
              else score += value;
            }
            row[j] = isSeen ? score : -Infinity;
            if (mode === 2) shown[j] = row[j]!;
          }
          const highest = row.reduce((max, score) => Math.max(max, score), -Infinity);
          let sum = 0;
          for (let j = 0; j < S; j++) sum += row[j] = Math.exp(row[j]! - Math.max(highest, -Number.MAX_VALUE));
          for (let j = 0; j < S; j++) {
            const weight = sum === 0 ? 0 : row[j]! / sum;
            if (mode === 3) shown[j] = weight;
            if (weight === 0) continue;
            for (let d = 0; d < valueD; d++) {
              const at = isFlat ? ((b * L + i) * heads + head) * valueD + d : ((b * heads + head) * L + i) * valueD + d;
              const term = weight * v(b, keyHead, j, d);
              Y[at]! += term;
              terms[at]! += Math.abs(term);
            }
          }
          matrix.set(shown, ((b * heads + head) * L + i) * S);
        }
      }
    }
    return results.map((values, i) => (i === 0 ? { values, terms } : { values }));
  },

  // A bound for the whole needs the size of the scores; what runs is judged part by part.
  errorBound: ({ inputs, attributes }) => {
    const { D, S } = extentsOf(inputs, attributes);
    return 8 * (summationBound(D) + summationBound(S));
  },

  flops({ inputs, attributes }) {
    const { B, heads, L, S, D, valueD } = extentsOf(inputs, attributes);
    return B * heads * L * S * (2 * D + 2 * valueD + 8);
  },

  decompose(build, inputs, attributes) {
    const [Q, K, V, mask, pastKey, pastValue, lengths] = inputs;
    const extents = extentsOf(inputs, attributes);
    const { B, heads, keyHeads, L, P, S, valueD, isFlat } = extents;
    const { is_causal, scale, softcap, softmax_precision, qk_matmul_output_mode: mode } = attributes;
    // Heads of 3-D inputs stay behind the sequence, where they are read in place.
    const headsFirst = (x: Operand): Operand => (isFlat ? build.apply(transpose, [x], { perm: HEADS_LATER }) : x);
    const present = (past: Operand | undefined, fresh: Operand): Operand =>
      past ? concatenate(build, [castTo(build, past, fresh.dtype), headsFirst(fresh)], 2) : fresh;
    const key = present(pastKey, split(build, K!, keyHeads));
    const value = present(pastValue, split(build, V!, keyHeads));
    const isOneType = Q!.dtype === key.dtype && key.dtype === value.dtype;
    const [q, k, v] = [split(build, Q!, heads), key, value].map((x) =>
      castTo(build, x, isOneType ? x.dtype : "float32"),
    );
    const fresh = isFlat ? HEADS_LATER : HEADS_FIRST;
    const cached = pastKey ? HEADS_FIRST : fresh;
    const operands = [q, k, v, mask && completeMask(build, mask, S), lengths];
    const options: ScaledDotProductAttributes = {
      ...scaledDotProductAttention.attributes,
      scale,
      softcap,
      ...(is_causal ? (lengths && !pastKey ? { causal: "end" } : { causal: "offset", offset: P }) : {}),
      q_perm: fresh,
      k_perm: cached,
      v_perm: cached,
      y_perm: fresh,
    };
    // Where the scores are wanted, too, they are computed beside; where not, nothing reads these and they go.
    const { raw, capped, masked, weights } = composedScores(
      build,
      operands,
      options,
      softmax_precision === "float16" ? "float16" : "float32",
    );
    const Y =
      softmax_precision === "float16"
        ? composedResult(build, weights, operands, options)
        : build.apply(scaledDotProductAttention, operands, options);
    return [
      castTo(build, reshapeTo(build, Y, isFlat ? [B, L, heads * valueD] : Y.shape), Q!.dtype),
      castTo(build, pastKey ? key : headsFirst(key), K!.dtype),
      castTo(build, pastKey ? value : headsFirst(value), V!.dtype),
      castTo(build, [raw, capped, masked, weights][mode]!, Q!.dtype),
    ];
  },

  cases: attentionCases(),
});

/* @__NO_SIDE_EFFECTS__ */
function attentionCases(): OperatorCase<AttentionAttributes>[] {
  const grouped = [
    [2, 4, 3, 5],
    [2, 2, 6, 5],
    [2, 2, 6, 7],
  ];
  const flat = [
    [2, 3, 20],
    [2, 6, 10],
    [2, 6, 14],
  ];
  const heads = { q_num_heads: 4, kv_num_heads: 2 };
  return [
    {
      inputs: [
        [1, 1, 1, 1],
        [1, 1, 1, 1],
        [1, 1, 1, 1],
      ],
    },
    {
      inputs: [
        [2, 3, 4, 8],
        [2, 3, 6, 8],
        [2, 3, 6, 8],
      ],
    },
    { inputs: grouped, why: "grouped queries, values of another size" },
    { inputs: flat, attributes: heads },
    { inputs: grouped, attributes: { scale: 0.5, softcap: 2, qk_matmul_output_mode: 1 } },
    { inputs: grouped, attributes: { is_causal: 1, qk_matmul_output_mode: 3 } },
    { inputs: [...grouped, [3, 6]], attributes: { qk_matmul_output_mode: 2 } },
    { inputs: [...grouped, [4, 3, 6]] },
    { inputs: [...grouped, [2, 1, 3, 4]], why: "a mask that ends early" },
    { inputs: [...grouped, { shape: [2, 4, 3, 6], dtype: "bool", low: 1, high: 2 }] },
    {
      inputs: [...flat, undefined, [2, 2, 4, 5], [2, 2, 4, 7]],
      attributes: { ...heads, is_causal: 1 },
      why: "a cache before the keys",
    },
    { inputs: [...grouped, undefined, undefined, undefined, { shape: [2], dtype: "int64", low: 3, high: 7 }] },
    {
      inputs: [...grouped, undefined, undefined, undefined, { shape: [2], dtype: "int64", low: 3, high: 7 }],
      attributes: { is_causal: 1 },
      why: "queries stand at the end of what counts",
    },
  ];
}
