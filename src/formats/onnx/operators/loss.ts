// Losses against labels, and Dropout. Outside training Dropout passes its input on, with a mask of ones. In training its noise
// is that of a fixed key, made from the node's seed: a model gives the same result every time it runs.

import { filled, tensorData } from "../../../core/tensorData.ts";
import { asType } from "../../../ops/asType.ts";
import { div, less } from "../../../ops/binary.ts";
import { philoxUniform } from "../../../ops/dropout.ts";
import { expandTo } from "../../../ops/expand.ts";
import { negativeLogLikelihoodLoss, softmaxCrossEntropyLoss } from "../../../ops/loss.ts";
import { scalar } from "../../../ops/scalar.ts";
import { not } from "../../../ops/logic.ts";
import { where } from "../../../ops/where.ts";
import { direct, type Handler, type Handlers } from "../handler.ts";

const dropout: Handler = (call) => {
  const { build } = call;
  const data = call.operand(0);
  // The mask had the data's type up to opset 9.
  const maskType = call.opset < 10 ? data.dtype : "bool";
  const isTraining = (call.numbers(2)?.[0] ?? 0) !== 0;
  const ratio = isTraining ? (call.numbers(1)?.[0] ?? 0.5) : 0;
  if (ratio === 0) return [data, call.wants(1) ? expandTo(build, build.constant(filled(1, [], maskType)), data.shape) : undefined]; // prettier-ignore
  if (!(ratio > 0 && ratio < 1)) throw call.malformed(`ratio must be in [0, 1), got ${ratio}`);
  const key = build.constant(tensorData([call.int("seed", 0) >>> 0, 0], [2], "uint32"));
  const noise = build.apply(philoxUniform, [key], { shape: data.shape, stream: streamOf(call.node.outputs[0] ?? "") });
  const kept = build.apply(not, [build.apply(less, [noise, build.constant(ratio)])]);
  const scaled = build.apply(div, [data, scalar(build, 1 - ratio, data)]);
  return [build.apply(where, [kept, scaled, scalar(build, 0, data)]), asType(build, kept, maskType)];
};

/** A number of its own for each node, so that masks are independent: FNV-1a of the name of its output. */
function streamOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  return hash >>> 0;
}

export const loss: Handlers = {
  Dropout: dropout,
  NegativeLogLikelihoodLoss: direct(negativeLogLikelihoodLoss),
  SoftmaxCrossEntropyLoss: direct(softmaxCrossEntropyLoss),
};
