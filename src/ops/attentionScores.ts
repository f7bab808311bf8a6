// Attention's extents and strides, and attention by way of products and a Softmax: what its kernels, its gradient and the
// composition that is weighed against the kernels share.

import { broadcastShapes, broadcastStrides } from "../core/broadcast.ts";
import { dtypes, type DType } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { formatShape, stridesOf, type Shape, type TensorType } from "../core/shape.ts";
import { add, less, mul } from "./binary.ts";
import { cast } from "./cast.ts";
import { formatInputs } from "./check.ts";
import { isInf } from "./logic.ts";
import { matMul } from "./matmul.ts";
import type { Builder, Operand } from "./operator.ts";
import { reshapeTo } from "./reshape.ts";
import { tanh } from "./sigmoid.ts";
import { softmax } from "./softmax.ts";
import { permutationOf, transpose } from "./transpose.ts";
import { where } from "./where.ts";

export type ScaledDotProductAttributes = {
  /** Factor of the scores; 0 means 1/√D. */
  readonly scale: number;
  /** Scores are squeezed into ±softcap before the mask; 0: not. */
  readonly softcap: number;
  /**
   * Which keys a query may see: "none" hides none; "offset": query i sees keys up to i + offset; "end": queries stand at the
   * end of the keys that count, query i sees keys up to i + length - L.
   */
  readonly causal: string;
  readonly offset: number;
  /** The score of keys that a bool mask hides; undefined: they are left out altogether. */
  readonly mask_value: number | undefined;
  /** Results of a query that sees no key: "zero", or "nan", which a Softmax of nothing but -∞ is. */
  readonly unseen: string;
  /** Axis i of [B, H, L, D] is axis q_perm[i] of Q, as in Transpose; the same for K and V. */
  readonly q_perm: readonly number[];
  readonly k_perm: readonly number[];
  readonly v_perm: readonly number[];
  /** Axis i of the result is axis y_perm[i] of [B, H, L, Dv]. */
  readonly y_perm: readonly number[];
};

/** Elements from one batch, head, row and column to the next. */
export type AttentionStrides = readonly [batch: number, head: number, row: number, column: number];

/** B batches, query heads, key heads, L queries, S keys, the two head sizes, and how every operand lies in memory. */
export interface AttentionGeometry {
  readonly B: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly L: number;
  readonly S: number;
  readonly D: number;
  readonly valueD: number;
  readonly q: AttentionStrides;
  readonly k: AttentionStrides;
  readonly v: AttentionStrides;
  readonly y: AttentionStrides;
  /** 0 along axes that the mask is stretched over; undefined without a mask. */
  readonly mask: AttentionStrides | undefined;
}

export const permuted = (shape: Shape, perm: readonly number[]): Shape => perm.map((axis) => shape[axis]!);

export const inverse = (perm: readonly number[]): number[] => perm.map((_, axis) => perm.indexOf(axis));

/** Extents and strides of a problem, for the reference and for kernels. Throws ShapeError where operands do not fit. */
export function attentionGeometry(
  inputs: readonly (TensorType | undefined)[],
  attributes: ScaledDotProductAttributes,
): AttentionGeometry {
  const [Q, K, V, mask, lengths] = inputs;
  const fail = (why: string): never => {
    throw new ShapeError(`ScaledDotProductAttention: ${why}, got ${formatInputs(inputs)}`);
  };
  if (!Q || !K || !V) return fail("Q, K and V are required");
  if ([Q, K, V].some(({ shape }) => shape.length !== 4)) fail("Q, K and V must have 4 axes");
  const lie = ({ shape }: TensorType, perm: readonly number[]): { shape: Shape; strides: AttentionStrides } => {
    permutationOf(shape, perm);
    const strides = permuted(stridesOf(shape), perm);
    return { shape: permuted(shape, perm), strides: strides as unknown as AttentionStrides };
  };
  const [q, k, v] = [lie(Q, attributes.q_perm), lie(K, attributes.k_perm), lie(V, attributes.v_perm)];
  const [B, heads, L, D] = q.shape as readonly [number, number, number, number];
  const [keyB, keyHeads, S, keyD] = k.shape as readonly [number, number, number, number];
  const [valueB, valueHeads, values, valueD] = v.shape as readonly [number, number, number, number];
  if (keyD !== D || values !== S || keyHeads !== valueHeads || keyB !== B || valueB !== B)
    fail("Q [B, H, L, D], K [B, Hkv, S, D] and V [B, Hkv, S, Dv] do not fit together");
  if (heads !== keyHeads && (keyHeads === 0 || heads % keyHeads !== 0))
    fail(`${heads} query heads do not share ${keyHeads} key heads equally`);
  const whole = [B, heads, L, S];
  if (mask) {
    const common = mask.shape.length <= 4 ? broadcastShapes([mask.shape, whole], "ScaledDotProductAttention") : [];
    if (common.length !== 4 || common.some((extent, axis) => extent !== whole[axis]))
      fail(`attn_mask does not broadcast to ${formatShape(whole)}`);
  }
  if (lengths && (lengths.shape.length !== 1 || lengths.shape[0] !== B)) fail(`lengths must be [${B}]`);
  const y = permuted([B, heads, L, valueD], attributes.y_perm);
  return {
    B,
    heads,
    keyHeads,
    L,
    S,
    D,
    valueD,
    q: q.strides,
    k: k.strides,
    v: v.strides,
    y: permuted(stridesOf(y), inverse(attributes.y_perm)) as unknown as AttentionStrides,
    mask: mask && (broadcastStrides(mask.shape, whole) as unknown as AttentionStrides),
  };
}

export function attentionScale({ scale }: ScaledDotProductAttributes, D: number): number {
  return scale === 0 ? 1 / Math.sqrt(Math.max(1, D)) : scale;
}

export const castTo = (build: Builder, x: Operand, to: DType): Operand =>
  x.dtype === to ? x : build.apply(cast, [x], { to });

export const transposed = (build: Builder, x: Operand, perm: readonly number[]): Operand =>
  perm.every((axis, i) => axis === i) ? x : build.apply(transpose, [x], { perm });

/** Scores [B, H, L, S] before the masks, and in which of them what may be seen was decided. */
export interface ComposedScores {
  /** scale · Q·Kᵀ. */
  readonly raw: Operand;
  /** After softcap. */
  readonly capped: Operand;
  /** With hidden keys at -∞ (or at mask_value). */
  readonly masked: Operand;
  /** The softmax of these. */
  readonly weights: Operand;
}

/** Operands as float32 [B, Hkv, H/Hkv · L, D], [B, Hkv, S, D], [B, Hkv, S, Dv]. */
export function groupedOperands(
  build: Builder,
  [Q, K, V]: readonly (Operand | undefined)[],
  { q_perm, k_perm, v_perm }: ScaledDotProductAttributes,
  { B, heads, keyHeads, L, D }: AttentionGeometry,
): readonly [q: Operand, k: Operand, v: Operand] {
  const ordered = (x: Operand, perm: readonly number[]): Operand =>
    castTo(build, transposed(build, x, perm), "float32");
  const q = reshapeTo(build, ordered(Q!, q_perm), [B, keyHeads, keyHeads && (heads / keyHeads) * L, D]);
  return [q, ordered(K!, k_perm), ordered(V!, v_perm)];
}

/** The scores and their softmax by way of other operators; `precision` is what the softmax is rounded to. */
export function composedScores(
  build: Builder,
  inputs: readonly (Operand | undefined)[],
  attributes: ScaledDotProductAttributes,
  precision: DType = "float32",
): ComposedScores {
  const [, , , mask, lengths] = inputs;
  const geometry = attentionGeometry(inputs, attributes);
  const { B, heads, L, S, D } = geometry;
  const { softcap, mask_value, causal, offset, unseen } = attributes;
  const [q, k] = groupedOperands(build, inputs, attributes, geometry);
  const whole = reshapeTo(build, build.apply(matMul, [q, k], { transB: 1 }), [B, heads, L, S]);
  const raw = build.apply(mul, [whole, build.constant(attentionScale(attributes, D))]);
  let capped = raw;
  if (softcap > 0) {
    const squeezed = build.apply(tanh, [build.apply(mul, [raw, build.constant(1 / softcap)])]);
    capped = build.apply(mul, [squeezed, build.constant(softcap)]);
  }
  let masked = capped;
  const keep = (seen: Operand, other = -Infinity): void => {
    masked = build.apply(where, [seen, masked, build.constant(other)]);
  };
  if (mask?.dtype === "bool") keep(mask, mask_value);
  else if (mask) masked = build.apply(add, [masked, castTo(build, mask, "float32")]);
  /** Keeps the elements whose `position` in a table lies before a bound that is only known in a run. */
  const before = (rows: number, position: (i: number, j: number) => number): void => {
    const data = dtypes[lengths!.dtype].create(rows * S);
    for (let i = 0; i < rows; i++) for (let j = 0; j < S; j++) data[i * S + j] = position(i, j);
    const table = build.constant({ dtype: lengths!.dtype, shape: [rows, S], data });
    keep(build.apply(less, [table, reshapeTo(build, lengths!, [B, 1, 1, 1])]));
  };
  if (lengths) before(1, (_, j) => j);
  if (causal === "end" && lengths) before(L, (i, j) => j - i + L - 1);
  else if (causal !== "none") {
    const last = causal === "end" ? S - L : offset;
    const seen = dtypes.bool.create(L * S);
    for (let i = 0; i < L; i++) for (let j = 0; j < S; j++) seen[i * S + j] = j <= i + last ? 1 : 0;
    keep(build.constant({ dtype: "bool", shape: [L, S], data: seen }));
  }
  const rounded = castTo(build, masked, precision);
  let weights = castTo(build, build.apply(softmax, [rounded], { axis: -1 }), "float32");
  const mayHideAll = mask !== undefined || lengths !== undefined || keyEnd(attributes, geometry, 0, S) === 0;
  if (unseen === "zero" && mayHideAll) {
    // Softmax of nothing but -∞ is NaN. Hidden keys of other rows are 0 already.
    const isHidden = build.apply(isInf, [rounded], { detect_positive: 0 });
    weights = build.apply(where, [isHidden, build.constant(0), weights]);
  }
  return { raw, capped, masked, weights };
}

/** The result for given weights [B, H, L, S], by way of other operators. */
export function composedResult(
  build: Builder,
  weights: Operand,
  inputs: readonly (Operand | undefined)[],
  attributes: ScaledDotProductAttributes,
): Operand {
  const geometry = attentionGeometry(inputs, attributes);
  const { B, heads, L, valueD } = geometry;
  const [q, , v] = groupedOperands(build, inputs, attributes, geometry);
  const rows = reshapeTo(build, weights, [...q.shape.slice(0, 3), geometry.S]);
  const sums = reshapeTo(build, build.apply(matMul, [rows, v]), [B, heads, L, valueD]);
  return castTo(build, transposed(build, sums, attributes.y_perm), inputs[0]!.dtype);
}

/** Keys that query i may see at most. */
export function keyEnd(
  { causal, offset }: ScaledDotProductAttributes,
  { L, S }: AttentionGeometry,
  i: number,
  length: number,
): number {
  const last = causal === "none" ? S : causal === "end" ? i + length - L + 1 : i + offset + 1;
  return Math.max(0, Math.min(last, length, S));
}
