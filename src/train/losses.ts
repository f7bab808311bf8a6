// Losses: functions of symbolic prediction and target that give one number to make small.

import { ShapeError } from "../core/errors.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { apply, type Tensor } from "../graph/tensor.ts";
import { softmaxCrossEntropyLoss } from "../ops/loss.ts";
import { accuracy, type Metrics } from "./metrics.ts";

/** What is minimised: prediction [N, …] and target [N, …] to a float32 scalar. Any function will do. */
export interface Loss {
  (prediction: Tensor, target: Tensor): Tensor;
  /** What a trainer also reports when it is not told otherwise. */
  readonly metrics?: Metrics;
}

export interface CrossEntropyOptions {
  /** Over the batch: the mean (default), or the sum. */
  readonly reduction?: "mean" | "sum";
  /** Labels that count for nothing. */
  readonly ignoreIndex?: number;
}

/**
 * Cross-entropy of class scores (logits, not probabilities): -log softmax(scores)[label]. scores [N, C, …] float32, labels
 * [N, …] int32 or uint32 in [0, C). ONNX SoftmaxCrossEntropyLoss; reports accuracy.
 *
 * @example
 * const trainer = new Trainer(engine, net, { loss: crossEntropy(), optimizer: adam() });
 */
export function crossEntropy({ reduction = "mean", ignoreIndex }: CrossEntropyOptions = {}): Loss {
  const loss = (scores: Tensor, labels: Tensor): Tensor =>
    apply(softmaxCrossEntropyLoss, [scores, labels], { reduction, ignore_index: ignoreIndex });
  return Object.assign(loss, { metrics: { accuracy } });
}

/**
 * Mean squared error: mean (or sum) of (prediction - target)² over all elements. Both float32 of one shape; otherwise
 * ShapeError, since a target that broadcasts is nearly always a mistake.
 */
export function mse({ reduction = "mean" }: Pick<CrossEntropyOptions, "reduction"> = {}): Loss {
  return (prediction, target) => {
    if (!sameShape(prediction.shape, target.shape))
      throw new ShapeError(
        `mse: prediction ${formatShape(prediction.shape)} and target ${formatShape(target.shape)} differ`,
      );
    const difference = prediction.sub(target);
    const squared = difference.mul(difference);
    return reduction === "mean" ? squared.mean() : squared.sum();
  };
}
