// A Builder that computes at once, in float64, with the operators' own references, and remembers what it did. With it a
// gradient rule, or the rules of everything a composition is made of, can be run and compared with finite differences
// without a graph, a scheduler or a GPU.

import { isFloat } from "../../src/core/dtype.ts";
import { sizeOf } from "../../src/core/shape.ts";
import type { TensorData } from "../../src/core/tensorData.ts";
import { add } from "../../src/ops/binary.ts";
import { evaluateReference } from "../../src/ops/evaluate.ts";
import { gradientOperators } from "../../src/ops/gradientOperators.ts";
import type { Attributes, Builder, Operand, Operator, ReferenceInput } from "../../src/ops/operator.ts";

/** A tensor with its values, in float64 (integers as they are). */
export interface EagerTensor extends ReferenceInput {
  readonly data: Float64Array;
}

interface TapeEntry {
  readonly operator: Operator;
  readonly attributes: Attributes;
  readonly inputs: readonly (EagerTensor | undefined)[];
  readonly outputs: readonly EagerTensor[];
}

/** Evaluates operators as they are applied; compositions through their parts. */
export class EagerBuilder implements Builder {
  readonly tape: TapeEntry[] = [];

  apply<A extends Attributes>(
    operator: Operator<A>,
    inputs: readonly (Operand | undefined)[],
    attributes?: Partial<A>,
  ): EagerTensor {
    return this.applyAll(operator, inputs, attributes)[0]!;
  }

  applyAll<A extends Attributes>(
    operator: Operator<A>,
    inputs: readonly (Operand | undefined)[],
    attributes: Partial<A> = {},
  ): readonly EagerTensor[] {
    const all: A = { ...operator.attributes, ...attributes };
    const types = operator.infer(inputs, all);
    if (operator.decompose) return operator.decompose(this, inputs, all) as readonly EagerTensor[];
    const operands = inputs as readonly (EagerTensor | undefined)[];
    const results = evaluateReference(operator, operands, { inputs, outputs: types, attributes: all });
    const outputs = types.map(({ dtype, shape }, i) => ({ dtype, shape, data: results[i]!.values }));
    this.tape.push({ operator: operator, attributes: all, inputs: operands, outputs });
    return outputs;
  }

  constant(value: number | TensorData): EagerTensor {
    if (typeof value === "number") return { dtype: "float32", shape: [], data: Float64Array.of(value) };
    return eagerTensor(value);
  }
}

/** A copy of host data in float64. */
export function eagerTensor({ dtype, shape, data }: ReferenceInput): EagerTensor {
  return { dtype, shape, data: Float64Array.from(data) };
}

/**
 * Gradients of Σᵢ ⟨outputs[i], outputGradients[i]⟩ with respect to `inputs`, by a sweep back over everything `build` has
 * recorded. Undefined where nothing flows back. Throws where an operator on the way has no gradient rule.
 */
export function sweep(
  build: EagerBuilder,
  outputs: readonly EagerTensor[],
  outputGradients: readonly (EagerTensor | undefined)[],
  inputs: readonly (EagerTensor | undefined)[],
): (EagerTensor | undefined)[] {
  const backward = new EagerBuilder();
  const gradients = new Map<EagerTensor, EagerTensor>();
  const accumulate = (tensor: EagerTensor, gradient: EagerTensor | undefined): void => {
    if (!gradient) return;
    const sum = gradients.get(tensor);
    gradients.set(tensor, sum ? backward.apply(add, [sum, gradient]) : gradient);
  };
  outputs.forEach((output, i) => accumulate(output, outputGradients[i]));

  const active = new Set(inputs.filter((input) => input !== undefined));
  for (const { inputs: used, outputs: made } of build.tape)
    if (used.some((input) => input && active.has(input))) made.forEach((output) => active.add(output));

  for (const entry of build.tape.toReversed()) {
    const arriving = entry.outputs.map((output) => gradients.get(output));
    const wanted = entry.inputs.map((input) => input !== undefined && active.has(input) && isFloat(input.dtype));
    if (!arriving.some(Boolean) || !wanted.some(Boolean)) continue;
    if (!entry.operator.gradient) throw new Error(`${entry.operator.name} has no gradient rule`);
    const leaving = entry.operator.gradient({
      build: backward,
      operators: gradientOperators,
      attributes: entry.attributes,
      inputs: entry.inputs,
      outputs: entry.outputs,
      outputGradients: arriving,
      wanted,
    }) as readonly (EagerTensor | undefined)[];
    entry.inputs.forEach((input, i) => {
      const gradient = leaving[i];
      if (!input || !wanted[i] || !gradient) return;
      if (sizeOf(gradient.shape) !== sizeOf(input.shape) || gradient.shape.join() !== input.shape.join())
        throw new Error(
          `${entry.operator.name}: gradient of input ${i} is [${gradient.shape.join(", ")}], the input [${input.shape.join(", ")}]`,
        );
      accumulate(input, gradient);
    });
  }
  return inputs.map((input) => input && gradients.get(input));
}
