// Metrics: sums over the examples of a batch, computed beside the loss in the same plan and divided by the number of
// examples on the host.

import { ShapeError } from "../core/errors.ts";
import { formatShape } from "../core/shape.ts";
import { tensorData } from "../core/tensorData.ts";
import { where } from "../graph/functional.ts";
import { apply, type Tensor } from "../graph/tensor.ts";
import { equal } from "../ops/binary.ts";
import { cast } from "../ops/cast.ts";

/** prediction [N, …], target [N, …] to a float32 scalar: the sum of the metric over the N examples. */
export type Metric = (prediction: Tensor, target: Tensor) => Tensor;

/** Metrics by name. */
export type Metrics = Readonly<Record<string, Metric>>;

/**
 * How many of the N labels are the class with the largest score; of equal scores the first counts, as in NumPy's argmax.
 * scores [N, C], labels [N] int32 or uint32. C is at most 2²⁴. NaN scores are wrong.
 */
export function accuracy(scores: Tensor, labels: Tensor): Tensor {
  const [count, classes] = scores.shape;
  if (scores.shape.length !== 2 || labels.shape.length !== 1 || labels.shape[0] !== count)
    throw new ShapeError(
      `accuracy: expected scores [N, C] and labels [N], got ${formatShape(scores.shape)} and ${formatShape(labels.shape)}`,
    );
  const largest = scores.max({ axes: 1, keepdims: true });
  // The first class at the maximum is the largest of the negated class numbers there.
  const negated = tensorData(
    Array.from({ length: classes! }, (_, i) => -i),
    [1, classes!],
  );
  const first = where(apply(equal, [scores, largest]), negated, -classes!).max({ axes: 1 });
  const isRight = apply(equal, [first.neg(), apply(cast, [labels], { to: "float32" })]);
  return where(isRight, 1, 0).sum();
}
