// Evaluates what is known before the first run: a node whose inputs are all constants becomes a constant, unless its
// result would be much larger than its inputs (an Expand of a scalar is cheaper to compute than to upload).

import { storeValues } from "../../core/dtype.ts";
import { sizeOf } from "../../core/shape.ts";
import type { TensorData } from "../../core/tensorData.ts";
import { evaluateReference } from "../../ops/evaluate.ts";
import type { Graph, Node } from "../graph.ts";
import { rebuild } from "./rebuild.ts";

const LARGEST_GROWTH = 4;

/** The graph with constant subexpressions evaluated (by the operators' references, rounded to the stored type). */
export function fold(graph: Graph): Graph {
  return rebuild(graph, (node, inputs, target) => {
    const constants = inputs.map((input) => input && target.constants.get(input));
    const known = constants.every((constant, i) => (constant ? !constant.read : inputs[i] === undefined));
    if (!known || constants.length === 0 || grows(node)) return undefined;
    const results = evaluateReference(node.operator, constants, {
      inputs,
      outputs: node.outputs,
      attributes: node.attributes,
    });
    return results.map(({ values }, i) => {
      const { dtype, shape } = node.outputs[i]!;
      const data = storeValues(values, dtype, node.name);
      const constant: TensorData = { dtype, shape, data };
      return shape.length === 0 && dtype === "float32" ? target.constant(data[0]!) : target.constant(constant);
    });
  });
}

/** The result is so much larger than its operands that it is better computed in every run than kept. */
export function grows(node: Node): boolean {
  const size = (values: Node["inputs"]): number =>
    values.reduce((sum, value) => sum + (value ? sizeOf(value.shape) : 0), 0);
  return size(node.outputs) > LARGEST_GROWTH * Math.max(1, size(node.inputs)) && size(node.outputs) > 64;
}
