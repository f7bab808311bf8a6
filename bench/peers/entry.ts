// What the comparison's page loads as Neurite, for all rows but W13, which has cold.ts.

import { Tensor } from "../../src/graph/tensor.ts";
import type { Attributes, Operator } from "../../src/ops/operator.ts";

export { createEngine } from "../../src/engine.ts";
export { absolute, conv2d, flatten, maxPool2d, relu, softmax } from "../../src/graph/functional.ts";
export { filled, tensorData } from "../../src/core/tensorData.ts";
export { Graph } from "../../src/graph/graph.ts";
export { Variable } from "../../src/graph/variable.ts";
export { gradients } from "../../src/autodiff/gradients.ts";
export { layerNormalization } from "../../src/ops/normalize.ts";
export { gru, lstm } from "../../src/ops/recurrent.ts";
export { crossEntropy } from "../../src/train/losses.ts";
export { adam } from "../../src/train/optimizers.ts";
export { Tensor };

/** All outputs of an operator. */
export function applyAll(operator: Operator, inputs: readonly Tensor[], attributes: Attributes): Tensor[] {
  const { graph } = inputs[0]!;
  const values = inputs.map(({ value }) => value);
  return graph.applyAll(operator, values, attributes).map((value) => new Tensor(graph, value));
}
