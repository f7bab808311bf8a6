// Attention and what goes with it.

import { tensorData } from "../../../core/tensorData.ts";
import { attention as attentionOperator } from "../../../ops/attention.ts";
import { add, equal } from "../../../ops/binary.ts";
import { expandTo } from "../../../ops/expand.ts";
import { linearAttention } from "../../../ops/linearAttention.ts";
import type { Operand } from "../../../ops/operator.ts";
import { reshapeTo } from "../../../ops/reshape.ts";
import { rotaryEmbedding } from "../../../ops/rotary.ts";
import { scalar } from "../../../ops/scalar.ts";
import { sliceAxis } from "../../../ops/slice.ts";
import { where } from "../../../ops/where.ts";
import { direct, type Handler, type Handlers } from "../handler.ts";

/**
 * MultiHeadAttention of ONNX Runtime's contributed operators, with query, key and value as [B, length, heads · size]. Its key
 * padding mask [B, keys] adds a large negative number and does not hide completely.
 */
const multiHeadAttention: Handler = (call) => {
  const { build } = call;
  const heads = call.int("num_heads", 0);
  const [query, key, value, bias, padding, attentionBias, pastKey, pastValue] = call.operands();
  const inputs = [query, key, value];
  if (inputs.some((input) => input?.shape.length !== 3))
    throw call.unsupported("query, key and value must be separate and have 3 axes");
  if (call.has(8)) throw call.unsupported("past_sequence_length, a shared cache, is not known");
  let start = 0;
  const [q, k, v] = inputs.map((input) => {
    if (!bias) return input!;
    const size = input!.shape[2]!;
    start += size;
    return build.apply(add, [input, sliceAxis(build, bias, 0, start - size, size)]);
  });
  let mask = attentionBias;
  if (padding) {
    const [B, S] = padding.shape as readonly [number, number];
    if (padding.shape.length !== 2) throw call.unsupported("key_padding_mask must be [batch, keys]");
    const isPadding = build.apply(equal, [reshapeTo(build, padding, [B, 1, 1, S]), scalar(build, 0, padding)]);
    const penalty = scalar(build, call.float("mask_filter_value", -10000), query!);
    const penalties = build.apply(where, [isPadding, penalty, scalar(build, 0, query!)]);
    mask = mask ? build.apply(add, [mask, penalties]) : penalties;
  }
  return build.applyAll(attentionOperator, [q, k, v, mask, pastKey, pastValue], {
    q_num_heads: heads,
    kv_num_heads: heads,
    scale: call.float("scale", 0),
    is_causal: call.int("unidirectional", 0),
  });
};

/** RotaryEmbedding of the contributed operators: another order of inputs, and one position may stand for a whole sequence. */
const rotary: Handler = (call) => {
  const { build } = call;
  const [x, positions, cos, sin] = call.operands() as Operand[];
  const [rank, turned] = [x!.shape.length, 2 * cos!.shape[1]!];
  if (call.float("scale", 1) !== 1) throw call.unsupported("scale is not known");
  const dim = call.int("rotary_embedding_dim", 0);
  const heads = call.int("num_heads", 0);
  const [B, L] = [x!.shape[0]!, x!.shape[rank === 4 ? 2 : 1]!];
  let ids = positions!;
  if (ids.shape.length === 1) {
    const steps = tensorData(
      Array.from({ length: L }, (_, i) => i),
      [1, L],
      ids.dtype,
    );
    ids = expandTo(build, build.apply(add, [reshapeTo(build, ids, [1, 1]), build.constant(steps)]), [B, L]);
  }
  return build.apply(rotaryEmbedding, [x, cos, sin, ids], {
    interleaved: call.int("interleaved", 0),
    rotary_embedding_dim: dim,
    num_heads: rank === 4 ? 0 : heads > 0 ? heads : x!.shape[2]! / turned,
  });
};

export const attention: Handlers = {
  Attention: (call) => {
    const precision = call.dtype("softmax_precision", "float32");
    return call.build.applyAll(attentionOperator, call.operands(), {
      is_causal: call.int("is_causal", 0),
      q_num_heads: call.int("q_num_heads", 0),
      kv_num_heads: call.int("kv_num_heads", 0),
      scale: call.float("scale", 0),
      softcap: call.float("softcap", 0),
      qk_matmul_output_mode: call.int("qk_matmul_output_mode", 0),
      softmax_precision: precision === "float16" ? "float16" : "float32",
    });
  },
  LinearAttention: direct(linearAttention, { ignored: ["chunk_size"] }),
  RotaryEmbedding: direct(rotaryEmbedding),
  "com.microsoft::MultiHeadAttention": multiHeadAttention,
  "com.microsoft::RotaryEmbedding": rotary,
};
