// What the attention kernels share: extents and strides as uniforms, reading four columns of an operand at once, and what
// becomes of a product of a query and a key: scaled, squeezed, masked, hidden. Kernels take the query heads that share a
// key head together: `row` counts the queries of all of them, head after head.
//
// Kernels keep the largest score so far, the sum of e^(score - largest), and that sum's mean of values; where a larger
// score comes, what they have is scaled down. The largest starts at the lowest float, so that hidden keys, whose score is -∞, get a
// weight of 0 from the start, and a query that saw nothing has a sum of 0.

import {
  attentionGeometry,
  attentionScale,
  type AttentionGeometry,
  type AttentionStrides,
  type ScaledDotProductAttributes,
} from "../../src/ops/attentionScores.ts";
import { tanh } from "../../src/ops/sigmoid.ts";
import { UNDEFINED_ROWS } from "../softmax/rows.ts";
import type { BindingType, KernelProblem, Uniform } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

export type AttentionProblem = KernelProblem<ScaledDotProductAttributes>;

export const geometryOf = ({ inputs, attributes }: AttentionProblem): AttentionGeometry =>
  attentionGeometry(inputs, attributes);

/** Rows of one key head: the queries of every query head that shares it. */
export const rowsOf = ({ heads, keyHeads, L }: AttentionGeometry): number => (keyHeads && heads / keyHeads) * L;

/** Extents, strides and numbers, for {@link attentionFunctions}. */
export function attentionUniforms(problem: AttentionProblem): Record<string, Uniform> {
  const g = geometryOf(problem);
  const { causal, offset, mask_value, softcap } = problem.attributes;
  const uniforms: Record<string, Uniform> = {};
  const extents = { heads: g.heads, key_heads: g.keyHeads, rows: rowsOf(g), queries: g.L, keys: g.S };
  for (const [name, value] of Object.entries(extents)) uniforms[name] = { type: "u32", value };
  const strides = (name: string, own: AttentionStrides): void => {
    ["batch", "head", "row", "column"].forEach((axis, i) => {
      uniforms[`${name}_${axis}`] = { type: "u32", value: own[i]! };
    });
  };
  strides("q", g.q);
  strides("k", g.k);
  strides("v", g.v);
  strides("y", g.y);
  if (g.mask) strides("mask", g.mask);
  const floats = { scale: attentionScale(problem.attributes, g.D), softcap, mask_value: mask_value ?? 0 };
  for (const [name, value] of Object.entries(floats)) uniforms[name] = { type: "f32", value };
  uniforms["last_seen"] = { type: "i32", value: causal === "offset" ? offset : -g.L };
  return uniforms;
}

/** WGSL functions about scores, masks and what a row sees. */
export function attentionFunctions(problem: AttentionProblem): string {
  const [, , , mask, lengths] = problem.inputs;
  const { causal, mask_value, softcap, unseen } = problem.attributes;
  return wgsl`
${UNDEFINED_ROWS}
#if ${softcap > 0}
${tanh.pointwise!.helpers!.join("\n")}
#endif
const LOWEST = -3.4028234663852886e38;

/** A row of a key head: the query head and the query. */
fn place_of(key_head: u32, row: u32) -> vec2<u32> {
  return vec2<u32>(key_head * (u.heads / u.key_heads) + row / u.queries, row % u.queries);
}

/** Keys that query \`i\` sees at most. */
fn key_end(batch: u32, i: u32) -> u32 {
#if ${lengths !== undefined}
  let count = clamp(i32(lengths[batch]), 0i, i32(u.keys));
#else
  let count = i32(u.keys);
#endif
#if ${causal === "none"}
  return u32(count);
#else
  return u32(clamp(i32(i) + 1i + u.last_seen${causal === "end" ? (lengths ? " + i32(lengths[batch])" : " + count") : ""}, 0i, count));
#endif
}

/** Keys that any of \`count\` rows from \`first\` on sees at most; among rows of several query heads one sees as far as any. */
fn block_end(batch: u32, first: u32, count: u32) -> u32 {
  let last = min(first + count, u.rows) - 1u;
  return key_end(batch, select(u.queries - 1u, last % u.queries, first / u.queries == last / u.queries));
}

/** The score of a key that is seen, or -∞. \`product\` is that of the query and the key. */
fn score_of(product: f32, batch: u32, head: u32, i: u32, j: u32) -> f32 {
  var score = product * u.scale;
#if ${softcap > 0}
  score = u.softcap * tanh_accurate(score / u.softcap);
#endif
#if ${mask !== undefined}
  let given = attn_mask[batch * u.mask_batch + head * u.mask_head + i * u.mask_row + j * u.mask_column];
#if ${mask?.dtype === "bool"}
  score = select(${mask_value === undefined ? "number_of(0xff800000u)" : "u.mask_value"}, score, given != 0u);
#else
  score += given;
#endif
#endif
  return score;
}

/** A result from the sum over the keys of weight times value. */
fn result_of(weighted: f32, sum: f32, peak: f32) -> f32 {
  let mean = weighted / max(sum, 1e-30);
  return defined(select(mean, ${unseen === "nan" ? "number_of(0x7fc00000u)" : "0.0"}, sum == 0.0), peak);
}`;
}

/** An operand read four columns at a time. */
interface VectorOperand {
  /** True where whole, aligned vectors lie in memory; else four scalars are read, zeros past the last column. */
  readonly isVector: boolean;
  /** WGSL `fn load_q(base: u32, c: u32) -> vec4<f32>`: columns 4c … 4c + 3 of the row at element \`base\`. */
  readonly function: string;
}

/** Reading operand `name` (q, k or v), whose rows have `columns` columns. */
function vectorOperand(name: "q" | "k" | "v", strides: AttentionStrides, columns: number): VectorOperand {
  const [batch, head, row, column] = strides;
  const isVector = column === 1 && [columns, batch, head, row].every((stride) => stride % 4 === 0);
  const element = (e: number): string => {
    const at = `${name}[base + (4u * c + ${e}u) * u.${name}_column]`;
    return columns % 4 === 0
      ? at
      : `select(0.0, ${name}[base + min(4u * c + ${e}u, ${columns - 1}u) * u.${name}_column], 4u * c + ${e}u < ${columns}u)`;
  };
  const body = isVector ? `${name}[(base >> 2u) + c]` : `vec4<f32>(${[0, 1, 2, 3].map(element).join(", ")})`;
  return { isVector, function: `fn load_${name}(base: u32, c: u32) -> vec4<f32> { return ${body}; }` };
}

/** All three operands read so. */
export function vectorOperands(problem: AttentionProblem): {
  readonly bindings: Record<string, BindingType>;
  readonly functions: string;
} {
  const g = geometryOf(problem);
  const operands = {
    q: vectorOperand("q", g.q, g.D),
    k: vectorOperand("k", g.k, g.D),
    v: vectorOperand("v", g.v, g.valueD),
  };
  const bindings: Record<string, BindingType> = {};
  for (const [name, { isVector }] of Object.entries(operands)) if (isVector) bindings[name] = "vec4<f32>";
  return {
    bindings,
    functions: Object.values(operands)
      .map((operand) => operand.function)
      .join("\n"),
  };
}

/** Loads that a vector of each operand takes. */
export function loadsOf(problem: AttentionProblem): { readonly q: number; readonly k: number; readonly v: number } {
  const { bindings } = vectorOperands(problem);
  return { q: bindings["q"] ? 1 : 4, k: bindings["k"] ? 1 : 4, v: bindings["v"] ? 1 : 4 };
}

/** Every row reads all keys and values it shares with `shared - 1` others. */
export function attentionTraffic(problem: AttentionProblem, shared: number): number {
  const { B, heads, keyHeads, L, S, D, valueD } = geometryOf(problem);
  const blocks = B * keyHeads * Math.ceil(rowsOf(geometryOf(problem)) / shared);
  return 4 * (B * heads * L * (D + valueD) + blocks * S * (D + valueD));
}
