// Linear attention: instead of scores over all keys, a head keeps a matrix S that every step decays, corrects and adds k·vᵀ to,
// and that its queries read. The columns of S do not depend on each other, which is what its kernel lives on.

import { ShapeError, UnsupportedError } from "../core/errors.ts";
import { sizeOf, type TensorType } from "../core/shape.ts";
import { formatInputs, requireDType } from "./check.ts";
import { defineOperator, EPSILON, summationBound, type Operator } from "./operator.ts";
import { requireShape } from "./recurrence.ts";
import { expUlps } from "./unary.ts";

export type LinearAttentionAttributes = {
  readonly q_num_heads: number;
  /** Divides q_num_heads: query heads share key heads, each with the next ones. */
  readonly kv_num_heads: number;
  /** Factor of the outputs; 0 means 1/√key size. */
  readonly scale: number;
  /** "linear", "gated" (S decays first), "delta" (what S holds under the key is replaced) or "gated_delta". */
  readonly update_rule: string;
};

/** B batches, T steps, query heads and key heads, sizes of keys and values, and what decay has: 0, 1 or dK values a head. */
export interface LinearAttentionExtents {
  readonly B: number;
  readonly T: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly dK: number;
  readonly dV: number;
  readonly decayWidth: number;
  /** Values of beta a step: 0, 1 or one a key head. */
  readonly betaWidth: number;
}

const NAMES = ["query", "key", "value", "past_state", "decay", "beta"];

/** Extents of a problem. Throws ShapeError or UnsupportedError where its inputs do not fit together. */
export function linearAttentionExtents(
  inputs: readonly (TensorType | undefined)[],
  { q_num_heads: heads, kv_num_heads: keyHeads, update_rule }: LinearAttentionAttributes,
): LinearAttentionExtents {
  const who = "LinearAttention";
  const [query, key, value, past, decay, beta] = inputs;
  const fail = (why: string): never => {
    throw new ShapeError(`${who}: ${why}, got ${formatInputs(inputs)}`);
  };
  if (query?.shape.length !== 3 || key?.shape.length !== 3 || value?.shape.length !== 3)
    return fail("query, key and value must have 3 axes");
  inputs.forEach((type, i) => type && requireDType(who, NAMES[i]!, type, "float"));
  if (!["linear", "gated", "delta", "gated_delta"].includes(update_rule))
    throw new UnsupportedError(`${who}: update_rule "${update_rule}" is not known`);
  if (keyHeads < 1 || heads < 1 || heads % keyHeads !== 0)
    fail(`${heads} query heads do not share ${keyHeads} key heads`);
  const [B, T] = query.shape as readonly [number, number];
  const [dK, dV] = [query.shape[2]! / heads, value.shape[2]! / keyHeads];
  requireShape(who, "query", query, [B, T, heads * Math.floor(dK)]);
  requireShape(who, "key", key, [B, T, keyHeads * dK]);
  requireShape(who, "value", value, [B, T, keyHeads * Math.floor(dV)]);
  requireShape(who, "past_state", past, [B, keyHeads, dK, dV]);
  if ((decay !== undefined) !== update_rule.startsWith("gated"))
    fail(`decay goes with the gated rules, not "${update_rule}"`);
  if ((beta !== undefined) !== update_rule.endsWith("delta"))
    fail(`beta goes with the delta rules, not "${update_rule}"`);
  const isPerHead = decay?.shape[2] === keyHeads;
  requireShape(who, "decay", decay, [B, T, isPerHead ? keyHeads : keyHeads * dK]);
  requireShape(who, "beta", beta, [B, T, beta?.shape[2] === 1 ? 1 : keyHeads]);
  return {
    B,
    T,
    heads,
    keyHeads,
    dK,
    dV,
    decayWidth: decay ? (isPerHead ? 1 : dK) : 0,
    betaWidth: beta?.shape[2] ?? 0,
  };
}

/** The factor of the outputs. */
export function linearAttentionScale({ scale }: LinearAttentionAttributes, { dK }: LinearAttentionExtents): number {
  return Math.fround(scale === 0 ? 1 / Math.sqrt(dK) : scale);
}

/**
 * LinearAttention (ONNX, opset 27). query [B, T, Hq·dK], key [B, T, H·dK], value [B, T, H·dV], past_state [B, H, dK, dV],
 * decay [B, T, H·dK] or [B, T, H], beta [B, T, H] or [B, T, 1] → output [B, T, Hq·dV], present_state [B, H, dK, dV]:
 * S ← e^decay · S; S ← S + k·(beta·(v - kᵀ·S)); output = scale · qᵀ·S, each part where the rule has it. Float types.
 */
export const linearAttention: Operator<LinearAttentionAttributes> = defineOperator<LinearAttentionAttributes>({
  name: "LinearAttention",
  inputs: NAMES,
  required: 3,
  outputs: ["output", "present_state"],
  attributes: { q_num_heads: 1, kv_num_heads: 1, scale: 0, update_rule: "gated_delta" },

  infer(inputs, attributes) {
    const { B, T, heads, keyHeads, dK, dV } = linearAttentionExtents(inputs, attributes);
    const { dtype } = inputs[0]!;
    return [
      { dtype, shape: [B, T, heads * dV] },
      { dtype: inputs[3]?.dtype ?? dtype, shape: [B, keyHeads, dK, dV] },
    ];
  },

  reference([query, key, value, past, decay, beta], { inputs, outputs, attributes }) {
    const extents = linearAttentionExtents(inputs, attributes);
    const { B, T, heads, keyHeads, dK, dV, decayWidth, betaWidth } = extents;
    const scale = linearAttentionScale(attributes, extents);
    const shared = heads / keyHeads;
    const sumUlps = summationBound(dK);
    const result = outputs.map(({ shape }) => ({
      values: new Float64Array(sizeOf(shape)),
      terms: new Float64Array(sizeOf(shape)),
    }));
    const [output, present] = result as [(typeof result)[0], (typeof result)[0]];
    // One column of S: its values, and their errors in units of ε.
    const S = new Float64Array(dK);
    const doubt = new Float64Array(dK);
    for (let b = 0; b < B; b++)
      for (let head = 0; head < keyHeads; head++)
        for (let m = 0; m < dV; m++) {
          const stateAt = (d: number): number => ((b * keyHeads + head) * dK + d) * dV + m;
          for (let d = 0; d < dK; d++) {
            S[d] = past ? past.data[stateAt(d)]! : 0;
            doubt[d] = 0;
          }
          for (let t = 0; t < T; t++) {
            const row = b * T + t;
            const k = (d: number): number => key!.data[(row * keyHeads + head) * dK + d]!;
            if (decay)
              for (let d = 0; d < dK; d++) {
                const exponent = decay.data[(row * keyHeads + head) * decayWidth + (decayWidth === 1 ? 0 : d)]!;
                const factor = Math.exp(exponent);
                S[d]! *= factor;
                doubt[d] = doubt[d]! * factor + Math.abs(S[d]!) * (expUlps(exponent) + 1);
              }
            let v = value!.data[(row * keyHeads + head) * dV + m]!;
            let vDoubt = 0;
            if (beta) {
              let held = 0;
              for (let d = 0; d < dK; d++) {
                held += k(d) * S[d]!;
                vDoubt += Math.abs(k(d)) * (doubt[d]! + sumUlps * Math.abs(S[d]!));
              }
              const rate = beta.data[row * betaWidth + (betaWidth === 1 ? 0 : head)]!;
              vDoubt = Math.abs(rate) * (vDoubt + 2 * (Math.abs(v) + Math.abs(held)));
              v = rate * (v - held);
            }
            for (let d = 0; d < dK; d++) {
              const added = k(d) * v;
              doubt[d]! += Math.abs(k(d)) * vDoubt + 2 * (Math.abs(S[d]!) + Math.abs(added));
              S[d]! += added;
            }
            for (let i = 0; i < shared; i++) {
              const h = head * shared + i;
              let sum = 0;
              let sumDoubt = 0;
              for (let d = 0; d < dK; d++) {
                const q = query!.data[(row * heads + h) * dK + d]!;
                sum += q * S[d]!;
                sumDoubt += Math.abs(q) * (doubt[d]! + (sumUlps + 1) * Math.abs(S[d]!));
              }
              const at = (row * heads + h) * dV + m;
              output.values[at] = scale * sum;
              output.terms[at] = Math.abs(scale) * sumDoubt;
            }
          }
          for (let d = 0; d < dK; d++) {
            present.values[stateAt(d)] = S[d]!;
            present.terms[stateAt(d)] = doubt[d]!;
          }
        }
    return result;
  },
  // The loop's errors are absolute bounds already, to first order.
  errorBound: () => 1 + 64 * EPSILON,
  flops({ inputs, attributes }) {
    const { B, T, heads, keyHeads, dK, dV } = linearAttentionExtents(inputs, attributes);
    return B * T * dV * dK * (5 * keyHeads + 2 * heads);
  },

  cases: [
    {
      inputs: [
        [2, 4, 32],
        [2, 4, 32],
        [2, 4, 32],
      ],
      attributes: { q_num_heads: 4, kv_num_heads: 4, update_rule: "linear" },
    },
    {
      inputs: [
        [2, 3, 24],
        [2, 3, 12],
        [2, 3, 10],
        [2, 2, 6, 5],
        [2, 3, 12],
        [2, 3, 2],
      ],
      attributes: { q_num_heads: 4, kv_num_heads: 2 },
      why: "query heads share keys; everything there is",
    },
    {
      inputs: [[1, 5, 8], [1, 5, 8], [1, 5, 6], undefined, [1, 5, 2]],
      attributes: { q_num_heads: 2, kv_num_heads: 2, update_rule: "gated", scale: 0.5 },
      why: "one decay a head",
    },
    {
      inputs: [[2, 1, 7], [2, 1, 7], [2, 1, 67], [2, 1, 7, 67], undefined, [2, 1, 1]],
      attributes: { update_rule: "delta" },
      why: "a step of decoding",
    },
    {
      inputs: [
        [1, 0, 4],
        [1, 0, 4],
        [1, 0, 3],
        [1, 1, 4, 3],
      ],
      attributes: { update_rule: "linear" },
      why: "no steps",
    },
    {
      inputs: [
        { shape: [1, 2, 8], dtype: "float16" },
        { shape: [1, 2, 8], dtype: "float16" },
        { shape: [1, 2, 8], dtype: "float16" },
      ],
      attributes: { update_rule: "linear" },
    },
  ],
});
