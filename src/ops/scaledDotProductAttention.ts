// Scaled dot-product attention as one operator, softmax(scale · Q·Kᵀ + mask) · V, so that a kernel can work through the keys
// in pieces and never write the scores to memory (Dao et al., "FlashAttention", https://arxiv.org/abs/2205.14135). Each
// operand says in which order its axes lie, since models split and merge heads by transposing; query heads that share a
// key head find it by their number.

import { isFloat } from "../core/dtype.ts";
import { UsageError } from "../core/errors.ts";
import { sizeOf, type Shape } from "../core/shape.ts";
import {
  attentionGeometry,
  attentionScale,
  castTo,
  composedScores,
  groupedOperands,
  inverse,
  keyEnd,
  permuted,
  transposed,
  type AttentionGeometry,
  type ScaledDotProductAttributes,
} from "./attentionScores.ts";
import { mul, sub } from "./binary.ts";
import { requireDType, requireSameDType } from "./check.ts";
import { sumTo } from "./expand.ts";
import { reduceSum } from "./reduce.ts";
import { matMul } from "./matmul.ts";
import { defineOperator, EPSILON, summationBound, type Operand, type Operator, type OperatorCase } from "./operator.ts";
import { reshapeTo } from "./reshape.ts";
import { expUlps } from "./unary.ts";
import { where } from "./where.ts";

const IDENTITY = [0, 1, 2, 3];

/** Pairs of a query and a key that causality leaves. */
function visiblePairs(attributes: ScaledDotProductAttributes, geometry: AttentionGeometry): number {
  if (attributes.causal === "none") return geometry.L * geometry.S;
  let pairs = 0;
  for (let i = 0; i < geometry.L; i++) pairs += keyEnd(attributes, geometry, i, geometry.S);
  return pairs;
}

/**
 * ScaledDotProductAttention: softmax(mask(softcap(scale · Q·Kᵀ)))·V. Q [B, H, L, D], K [B, Hkv, S, D], V [B, Hkv, S, Dv], each
 * with its axes in the order its `perm` tells, H a multiple of Hkv; attn_mask broadcasts to [B, H, L, S] (bool: seen;
 * float: added); lengths [B]: how many keys count. Y [B, H, L, Dv], its axes in the order of y_perm. Floats. Throws
 * ShapeError where these do not fit. Vaswani et al., https://arxiv.org/abs/1706.03762.
 */
export const scaledDotProductAttention: Operator<ScaledDotProductAttributes> =
  defineOperator<ScaledDotProductAttributes>({
    name: "ScaledDotProductAttention",
    inputs: ["Q", "K", "V", "attn_mask", "lengths"],
    required: 3,
    outputs: ["Y"],
    attributes: {
      scale: 0,
      softcap: 0,
      causal: "none",
      offset: 0,
      mask_value: undefined,
      unseen: "zero",
      q_perm: IDENTITY,
      k_perm: IDENTITY,
      v_perm: IDENTITY,
      y_perm: IDENTITY,
    },

    infer(inputs, attributes) {
      const [Q, K, V, mask, lengths] = inputs;
      const who = "ScaledDotProductAttention";
      const { B, heads, L, valueD } = attentionGeometry(inputs, attributes);
      requireDType(who, "Q", Q!, "float");
      requireSameDType(who, [Q!, K!, V!]);
      if (mask && mask.dtype !== "bool") requireDType(who, "attn_mask", mask, "float");
      if (lengths) requireDType(who, "lengths", lengths, ["int32", "int64"]);
      if (!["none", "offset", "end"].includes(attributes.causal) || !["zero", "nan"].includes(attributes.unseen))
        throw new UsageError(
          `${who}: causal is none, offset or end, and unseen zero or nan; got "${attributes.causal}" and "${attributes.unseen}"`,
        );
      return [{ dtype: Q!.dtype, shape: permuted([B, heads, L, valueD], attributes.y_perm) }];
    },

    reference: (inputs, { attributes, outputs }) => {
      const [Q, K, V, mask, lengths] = inputs;
      const g = attentionGeometry(inputs, attributes);
      const { B, heads, keyHeads, L, S, D, valueD } = g;
      const { softcap, mask_value, unseen } = attributes;
      const scale = attentionScale(attributes, D);
      const [q, k, v] = [Q!.data, K!.data, V!.data];
      const values = new Float64Array(sizeOf(outputs[0]!.shape));
      const terms = new Float64Array(values.length);
      const score = new Float64Array(S);
      /** Relative error of a weight, in units of ε, after {@link weigh}. */
      const doubt = new Float64Array(S);

      /** Scores of one query and how far float32 may be from them; returns how many keys may be seen. */
      const look = (b: number, head: number, i: number): number => {
        const end = keyEnd(attributes, g, i, lengths ? lengths.data[b]! : S);
        const kBase = b * g.k[0] + Math.floor((head * keyHeads) / heads) * g.k[1];
        const qBase = b * g.q[0] + head * g.q[1] + i * g.q[2];
        for (let j = 0; j < end; j++) {
          let sum = 0;
          let size = 0;
          for (let d = 0; d < D; d++) {
            const term = q[qBase + d * g.q[3]]! * k[kBase + j * g.k[2] + d * g.k[3]]!;
            sum += term;
            size += Math.abs(term);
          }
          score[j] = scale * sum;
          doubt[j] = Math.abs(scale) * (size * summationBound(D) + 2 * Math.abs(sum));
          if (softcap > 0) {
            score[j] = softcap * Math.tanh(score[j]! / softcap);
            doubt[j]! += 12 * Math.min(softcap, Math.abs(scale * sum)) + 2 * Math.abs(score[j]!);
          }
          if (!mask) continue;
          const [mb, mh, mi, mj] = g.mask!;
          const given = mask.data[b * mb + head * mh + i * mi + j * mj]!;
          if (mask.dtype !== "bool") {
            score[j]! += given;
            doubt[j] = score[j] === -Infinity ? 0 : doubt[j]! + Math.abs(score[j]!);
          } else if (given === 0) {
            score[j] = mask_value ?? -Infinity;
            doubt[j] = 0;
          }
        }
        return end;
      };

      /** Turns scores into weights that sum to 1 (or all to 0), with their doubts. */
      const weigh = (end: number): boolean => {
        let max = -Infinity;
        for (let j = 0; j < end; j++) max = Math.max(max, score[j]!);
        if (max === -Infinity) return false;
        let sum = 0;
        for (let j = 0; j < end; j++) {
          const shifted = score[j]! - max;
          score[j] = Math.exp(shifted);
          sum += score[j]!;
          if (score[j] !== 0) doubt[j]! += Math.abs(shifted) + expUlps(shifted);
        }
        for (let j = 0; j < end; j++) score[j]! /= sum;
        return true;
      };

      for (let b = 0; b < B; b++)
        for (let head = 0; head < heads; head++)
          for (let i = 0; i < L; i++) {
            const end = look(b, head, i);
            const seesAny = weigh(end);
            const vBase = b * g.v[0] + Math.floor((head * keyHeads) / heads) * g.v[1];
            const yBase = b * g.y[0] + head * g.y[1] + i * g.y[2];
            for (let d = 0; d < valueD; d++) {
              const at = yBase + d * g.y[3];
              if (!seesAny) {
                values[at] = unseen === "nan" ? NaN : 0;
                continue;
              }
              const element = (j: number): number => v[vBase + j * g.v[2] + d * g.v[3]]!;
              let sum = 0;
              let size = 0;
              for (let j = 0; j < end; j++) {
                if (score[j] === 0) continue;
                sum += score[j]! * element(j);
                size += score[j]! * Math.abs(element(j));
              }
              // A wrong weight shifts the mean by its distance from it, and no set of weights leaves the values' range.
              let shift = 0;
              let range = 0;
              for (let j = 0; j < end; j++) {
                if (score[j] === 0 && doubt[j] === 0) continue;
                const distance = Math.abs(element(j) - sum);
                shift += (score[j]! * distance * Math.expm1(Math.min(700, doubt[j]! * EPSILON))) / EPSILON;
                range = Math.max(range, distance);
              }
              values[at] = sum;
              // Twice the rounding of plain sums: kernels that go through the keys in pieces rescale what they have.
              terms[at] = Math.min(shift, range / EPSILON) + 2 * summationBound(end) * (size + Math.abs(sum));
            }
          }
      return [{ values, terms }];
    },
    // The loops' errors are absolute bounds already, to first order.
    errorBound: () => 1 + 64 * EPSILON,

    flops({ inputs, attributes }) {
      const geometry = attentionGeometry(inputs, attributes);
      const { B, heads, D, valueD } = geometry;
      return B * heads * visiblePairs(attributes, geometry) * (2 * D + 2 * valueD + 8);
    },

    gradient({ build, attributes, inputs, outputs, outputGradients: [dY], wanted }) {
      // The weights are computed once more. With dP = dY·Vᵀ and P the weights, dScores = P ∘ (dP - Σ dP ∘ P), and that sum
      // over the keys is Σ dY ∘ Y.
      const [Q, , , mask] = inputs;
      const geometry = attentionGeometry(inputs, attributes);
      const { B, heads, L, S, D, valueD } = geometry;
      const { q_perm, k_perm, v_perm, y_perm, softcap } = attributes;
      const [q, k, v] = groupedOperands(build, inputs, attributes, geometry);
      const rows = q.shape.slice(0, 3);
      const { capped, weights } = composedScores(build, inputs, attributes);
      const arriving = (x: Operand): Operand => castTo(build, transposed(build, x, inverse(y_perm)), "float32"); // [B, H, L, Dv]
      const dy = arriving(dY!);
      const dyRows = reshapeTo(build, dy, [...rows, valueD]);
      const leaving = (x: Operand, perm: readonly number[]): Operand =>
        castTo(build, transposed(build, x, inverse(perm)), Q!.dtype);

      const product = build.apply(mul, [dy, arriving(outputs[0]!)]);
      const mean = build.apply(reduceSum, [product], { axes: [3], keepdims: 1 });
      const dWeights = reshapeTo(build, build.apply(matMul, [dyRows, v], { transB: 1 }), [B, heads, L, S]);
      const dMasked = build.apply(mul, [weights, build.apply(sub, [dWeights, mean])]);
      let dScores = dMasked;
      if (mask?.dtype === "bool" && attributes.mask_value !== undefined)
        dScores = build.apply(where, [mask, dScores, build.constant(0)]);
      if (softcap > 0) {
        const share = build.apply(mul, [capped, build.constant(1 / softcap)]);
        const slope = build.apply(sub, [build.constant(1), build.apply(mul, [share, share])]);
        dScores = build.apply(mul, [dScores, slope]);
      }
      dScores = build.apply(mul, [dScores, build.constant(attentionScale(attributes, D))]);
      const dRows = reshapeTo(build, dScores, [...rows, S]);
      const dq = (): Operand => reshapeTo(build, build.apply(matMul, [dRows, k]), [B, heads, L, D]);
      const weightRows = reshapeTo(build, weights, [...rows, S]);
      const dMask = (): Operand | undefined =>
        mask && isFloat(mask.dtype) ? castTo(build, sumTo(build, dMasked, mask.shape), mask.dtype) : undefined;
      return [
        wanted[0] ? leaving(dq(), q_perm) : undefined,
        wanted[1] ? leaving(build.apply(matMul, [dRows, q], { transA: 1 }), k_perm) : undefined,
        wanted[2] ? leaving(build.apply(matMul, [weightRows, dyRows], { transA: 1 }), v_perm) : undefined,
        wanted[3] ? dMask() : undefined,
      ];
    },

    cases: attentionCases(),
  });

/* @__NO_SIDE_EFFECTS__ */
function attentionCases(): OperatorCase<ScaledDotProductAttributes>[] {
  const same = (...shape: number[]): Shape[] => [shape, shape, shape];
  const of = (L: number, S: number, D: number, valueD = D, [B, heads, keyHeads] = [2, 4, 2]): Shape[] => [
    [B, heads, L, D],
    [B, keyHeads, S, D],
    [B, keyHeads, S, valueD],
  ];
  const counts = { shape: [2], dtype: "int32", low: 3, high: 7 } as const;
  const bool = (...shape: number[]) => ({ shape, dtype: "bool" }) as const;
  const lowered = (...shape: number[]) => ({ shape, low: -20, high: 0 });
  return [
    { inputs: same(1, 1, 1, 1) },
    { inputs: same(2, 3, 4, 8) },
    { inputs: same(1, 2, 33, 16), why: "just past a block of rows" },
    { inputs: of(3, 6, 5, 7), why: "grouped queries, sizes that no vector fits" },
    { inputs: of(5, 67, 64), why: "keys past a tile" },
    { inputs: of(67, 131, 20, 36, [1, 2, 1]), why: "several tiles each way, with rests" },
    { inputs: of(1, 261, 32, 64, [1, 4, 2]), why: "a step of decoding" },
    { inputs: of(2, 70, 128, 192, [1, 1, 1]), why: "wide heads" },
    { inputs: of(9, 37, 8), attributes: { causal: "end" } },
    { inputs: of(37, 9, 8), attributes: { causal: "offset", offset: 0 }, why: "more queries than keys" },
    { inputs: of(37, 41, 8), attributes: { causal: "offset", offset: -3 }, why: "the first queries see nothing" },
    { inputs: of(3, 6, 5), attributes: { scale: 0.5, softcap: 2 } },
    { inputs: of(5, 40, 8), attributes: { scale: 3, softcap: 50, causal: "end" } },
    { inputs: [...of(3, 6, 5), [3, 6]] },
    { inputs: [...of(3, 35, 8), lowered(2, 1, 1, 35)], why: "a mask of keys" },
    { inputs: [...of(3, 6, 8), [4, 3, 6]] },
    { inputs: [...of(5, 34, 8), bool(5, 34)] },
    { inputs: [...of(3, 2, 8), bool(2, 4, 3, 2)], why: "some queries see nothing" },
    { inputs: [...of(3, 4, 8), bool(2, 1, 3, 4)], attributes: { mask_value: -1e4 } },
    { inputs: [...of(3, 4, 8), bool(1, 1, 3, 4)], attributes: { mask_value: 0.25, scale: 1, causal: "end" } },
    { inputs: [...of(3, 6, 5), undefined, counts] },
    { inputs: [...of(3, 6, 8), undefined, counts], attributes: { causal: "end" }, why: "queries end where keys do" },
    { inputs: [...of(5, 6, 8), [1, 1, 5, 6], counts], attributes: { causal: "offset", offset: 1 } },
    {
      inputs: [
        [2, 5, 3, 8],
        [2, 7, 3, 8],
        [2, 7, 3, 8],
      ],
      attributes: { q_perm: [0, 2, 1, 3], k_perm: [0, 2, 1, 3], v_perm: [0, 2, 1, 3], y_perm: [0, 2, 1, 3] },
      why: "heads side by side",
    },
    {
      inputs: [
        [2, 3, 8, 5],
        [2, 3, 8, 7],
        [2, 3, 4, 7],
      ],
      attributes: { q_perm: [0, 1, 3, 2], k_perm: [0, 1, 3, 2], v_perm: [0, 1, 3, 2], y_perm: [0, 1, 3, 2] },
      why: "channels first",
    },
    {
      inputs: [
        [7, 2, 2, 4],
        [9, 2, 2, 4],
        [2, 2, 9, 4],
      ],
      attributes: { q_perm: [1, 2, 0, 3], k_perm: [1, 2, 0, 3], y_perm: [2, 0, 1, 3] },
      why: "the sequence outermost",
    },
    {
      inputs: [
        { shape: [1, 1, 5, 8], low: -30, high: 30 },
        { shape: [1, 1, 70, 8], low: -30, high: 30 },
        [1, 1, 70, 8],
      ],
      attributes: { scale: 1 },
      why: "large scores: the maximum moves from tile to tile",
    },
    { inputs: of(2, 0, 4), why: "no keys" },
    { inputs: of(0, 3, 4), why: "no queries" },
    { inputs: of(2, 3, 0, 4), why: "heads of no size" },
    { inputs: of(3, 5, 8).map((shape) => ({ shape, dtype: "float16" })) },
  ];
}
