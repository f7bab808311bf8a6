// The gradient of MaxPool goes to each window's first maximum. It is computed as a gather: an element asks the windows that
// hold it, so that results do not depend on the order of threads.

import { isFloat } from "../core/dtype.ts";
import { DTypeError } from "../core/errors.ts";
import { formatType } from "../core/shape.ts";
import { requireInputs, requireSameDType } from "./check.ts";
import { argMaxima, defaults, type MaxPoolAttributes } from "./maxPool.ts";
import { defineOperator, summationBound, type Operator } from "./operator.ts";
import { poolCases } from "./poolCases.ts";
import { checkPooled, coveringWindows, pooledShape, poolFlops, poolGeometry } from "./poolGeometry.ts";

/** Gradient of MaxPool: from X [N, C, …] and dY, which is shaped as its output, dX. ONNX has no such operator. */
export const maxPoolGradient: Operator<MaxPoolAttributes> = defineOperator<MaxPoolAttributes>({
  name: "MaxPoolGradient",
  inputs: ["X", "dY"],
  outputs: ["dX"],
  attributes: defaults,

  infer(inputs, attributes) {
    const [x, dy] = requireInputs("MaxPoolGradient", ["X", "dY"], inputs);
    requireSameDType("MaxPoolGradient", [x!, dy!]);
    if (!isFloat(x!.dtype)) throw new DTypeError(`MaxPoolGradient: X must be float, got ${formatType(x!)}`);
    checkPooled(dy!.shape, x!.shape, attributes, "MaxPoolGradient");
    return [x!];
  },

  reference([X, dY], problem) {
    const values = new Float64Array(X!.data.length);
    const terms = new Float64Array(values.length);
    argMaxima(poolGeometry(problem), X!.data).forEach((place, window) => {
      if (place < 0) return;
      values[place]! += dY!.data[window]!;
      terms[place]! += Math.abs(dY!.data[window]!);
    });
    return [{ values, terms }];
  },

  errorBound: (problem) => summationBound(coveringWindows(poolGeometry(problem))),
  flops: (problem) => poolFlops(poolGeometry(problem)),
  cases: poolCases.map(({ x, window, ...why }) => ({
    inputs: [x, pooledShape(x, { ...defaults, ...window }, "case")],
    attributes: window,
    ...why,
  })),
});
