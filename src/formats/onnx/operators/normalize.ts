// Normalisations. Most are Standardization with a scale and a shift; where a file wants the statistics as well, they come
// from reductions of their own.

import { dtypes } from "../../../core/dtype.ts";
import { asType } from "../../../ops/asType.ts";
import { add } from "../../../ops/binary.ts";
import {
  batchNormalization,
  groupNormalization,
  instanceNormalization,
  layerNormalization,
  lpNormalization,
  lrn,
  normalizedBy,
  rmsNormalization,
} from "../../../ops/normalize.ts";
import type { Operand } from "../../../ops/operator.ts";
import { composedMoments, standardize } from "../../../ops/standardization.ts";
import { DATA_TYPES } from "../model.ts";
import { direct, type Call, type Handler, type Handlers } from "../handler.ts";

/**
 * BatchNormalization. Training was asked for by further outputs before opset 14, by training_mode since; `spatial` 0, up to
 * opset 8, has parameters for every element of an example instead of every channel.
 */
const batch: Handler = (call) => {
  const { build } = call;
  const epsilon = call.float("epsilon", 1e-5);
  const momentum = call.float("momentum", 0.9);
  const inputs = [0, 1, 2, 3, 4].map((i) => call.operand(i));
  const isTraining = call.opset >= 14 ? call.int("training_mode", 0) : call.wants(1) || call.wants(2) ? 1 : 0;
  if (call.int("spatial", 1) === 0) {
    if (isTraining) throw call.unsupported("training with spatial = 0");
    const [x, ...parameters] = inputs as [Operand, Operand, Operand, Operand, Operand];
    return normalizedBy(build, x, (parameter) => parameter, parameters, epsilon);
  }
  const outputs = build.applyAll(batchNormalization, inputs, { epsilon, momentum, training_mode: isTraining });
  if (call.opset >= 14 || isTraining === 0) return outputs;
  // saved_mean and saved_var, outputs 3 and 4, are those of the batch.
  const own = build.applyAll(batchNormalization, inputs, { epsilon, momentum: 0, training_mode: 1 });
  return [...outputs, own[1], own[2]];
};

/** Y, and the mean and inverse deviation in the type that `stash_type` names. */
const layer: Handler = (call) => {
  const inputs = call.operands();
  const [y, ...statistics] = call.build.applyAll(layerNormalization, inputs, {
    axis: call.int("axis", -1),
    epsilon: call.float("epsilon", 1e-5),
  });
  const stash = DATA_TYPES[call.int("stash_type", 1)];
  if (stash === undefined || !(stash in dtypes)) throw call.unsupported(`stash_type ${stash}`);
  return [y, ...statistics.map((value) => asType(call.build, value, stash as keyof typeof dtypes))];
};

const rms: Handler = (call) =>
  call.build.apply(rmsNormalization, [call.operand(0), call.operand(1)], {
    axis: call.int("axis", -1),
    epsilon: call.float("epsilon", 1e-5),
  });

/** SimplifiedLayerNormalization, of onnxruntime: RMSNormalization that also gives 1 / root mean square. */
const simplified: Handler = (call) => [rms(call) as Operand, inverseOf(call, call.operand(0), 0)];

/** 1 / √(mean square, or variance, + ε) over the last axes, as the contributed operators give it. */
function inverseOf(call: Call, x: Operand, centered: number): Operand {
  const axis = call.int("axis", -1);
  const rank = x.shape.length;
  const first = axis < 0 ? axis + rank : axis;
  const axes = Array.from({ length: rank - first }, (_, i) => first + i);
  const float = asType(call.build, x, "float32");
  return composedMoments(call.build, float, { axes, epsilon: call.float("epsilon", 1e-5), centered }).inverse;
}

/** input + skip + bias, normalised over the last axis; outputs: result, mean, inverse deviation, and that sum. */
const skip =
  (isSimplified: boolean): Handler =>
  (call) => {
    const { build } = call;
    const [beta, bias] = isSimplified ? [undefined, call.optional(3)] : [call.optional(3), call.optional(4)];
    const epsilon = call.float("epsilon", 1e-12);
    const pair = build.apply(add, [call.operand(0), call.operand(1)]);
    const sum = bias ? build.apply(add, [pair, bias]) : pair;
    const gamma = call.operand(2);
    if (isSimplified) {
      const y = build.apply(rmsNormalization, [sum, gamma], { axis: -1, epsilon });
      const inverse = composedMoments(build, asType(build, sum, "float32"), {
        axes: [-1],
        epsilon,
        centered: 0,
      }).inverse;
      return [y, undefined, inverse, sum];
    }
    const inputs = beta ? [sum, gamma, beta] : [sum, gamma];
    return [...build.applyAll(layerNormalization, inputs, { axis: -1, epsilon }), sum];
  };

/** (X - mean) / deviation over `axes`. ONNX adds 1e-9 to the deviation, so about 1e-18 to the variance. */
const meanVariance: Handler = (call) =>
  standardize(call.build, call.operand(0), {
    axes: call.ints("axes", [0, 2, 3]) ?? [],
    epsilon: 1e-18,
    centered: 1,
  });

/** Opset 18 has a scale for each group, 21 for each channel: the operator takes both. */
const group = direct(groupNormalization, { ignored: ["stash_type"] });

export const normalize: Handlers = {
  BatchNormalization: batch,
  GroupNormalization: group,
  InstanceNormalization: direct(instanceNormalization, { ignored: ["consumed_inputs"] }),
  LayerNormalization: layer,
  LpNormalization: direct(lpNormalization),
  LRN: direct(lrn),
  MeanVarianceNormalization: meanVariance,
  RMSNormalization: rms,
  SimplifiedLayerNormalization: simplified,
  "com.microsoft::LayerNormalization": layer,
  "com.microsoft::SimplifiedLayerNormalization": simplified,
  "com.microsoft::SkipLayerNormalization": skip(false),
  "com.microsoft::SkipSimplifiedLayerNormalization": skip(true),
};
