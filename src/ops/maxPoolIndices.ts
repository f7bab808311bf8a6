// Where the maxima that MaxPool takes lie: its second output.

import { defineOperator, type Operator } from "./operator.ts";
import { poolCases } from "./poolCases.ts";
import { planeSize, poolFlops, poolGeometry } from "./poolGeometry.ts";
import { argMaxima, defaults, inferInput, type MaxPoolAttributes } from "./maxPool.ts";

/**
 * Places in X [N, C, …] of the maxima that {@link maxPool} finds, each window's first, counted over the whole tensor. It is
 * the second output of ONNX's MaxPool, which few networks ask for; they pay for a second search.
 */
export const maxPoolIndices: Operator<MaxPoolAttributes> = defineOperator<MaxPoolAttributes>({
  name: "MaxPoolIndices",
  inputs: ["X"],
  outputs: ["Indices"],
  attributes: defaults,
  infer: (inputs, attributes) => [{ ...inferInput(inputs, attributes, "MaxPoolIndices"), dtype: "int64" }],

  reference([X], problem) {
    const g = poolGeometry(problem);
    const values = argMaxima(g, X!.data);
    const [D, H, W] = [g.depth.extent, g.height.extent, g.width.extent];
    if (problem.attributes.storage_order === 1)
      values.forEach((place, window) => {
        const [d, h, w] = [Math.floor(place / (W * H)) % D, Math.floor(place / W) % H, place % W];
        if (place >= 0) values[window] = Math.floor(place / planeSize(g)) * planeSize(g) + (w * H + h) * D + d;
      });
    return [{ values, terms: new Float64Array(values.length) }];
  },

  errorBound: () => 0,
  flops: (problem) => poolFlops(poolGeometry(problem)),
  cases: poolCases.flatMap(({ x, window, ...why }) => [
    { inputs: [x], attributes: window, ...why },
    { inputs: [x], attributes: { ...window, storage_order: 1 }, ...why },
  ]),
});
