// Operators of ours carried out on the host, by their references: for 64-bit integers, whose results a GPU would wrap to
// 32 bits without a word. On the host they are exact up to 2⁵³, and checked when they enter a graph.

import { DTypeError } from "../../../core/errors.ts";
import { evaluateReference } from "../../../ops/evaluate.ts";
import type { Attributes, Operator } from "../../../ops/operator.ts";
import { fromReference, type HostValue } from "../tensor.ts";

/** The outputs of `operator` for given values. */
export function evaluateOnHost<A extends Attributes>(
  operator: Operator<A>,
  inputs: readonly (HostValue | undefined)[],
  given: Partial<A>,
): HostValue[] {
  const attributes = { ...operator.attributes, ...given };
  const outputs = operator.infer(inputs, attributes);
  const results = evaluateReference(operator, inputs, { inputs, outputs, attributes });
  return outputs.map(({ dtype, shape }, i) => {
    const { values } = results[i]!;
    if (dtype === "uint64" && values.some((value) => value < 0))
      throw new DTypeError(`${operator.name}: a uint64 result below 0 would wrap to more than float64 holds exactly`);
    return fromReference(values, dtype, shape);
  });
}
