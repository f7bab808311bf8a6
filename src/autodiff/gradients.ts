// Reverse-mode differentiation, graph to graph: walks the nodes back from a scalar and lets each operator's own rule say
// what its inputs' gradients are, in terms of other operators. The result is ordinary graph, to be fused, planned and
// differentiated again like any other.

import { isFloat } from "../core/dtype.ts";
import { ShapeError, UnsupportedError, UsageError } from "../core/errors.ts";
import { formatShape, sizeOf } from "../core/shape.ts";
import { filled } from "../core/tensorData.ts";
import { add } from "../ops/binary.ts";
import { gradientOperators } from "../ops/gradientOperators.ts";
import type { Graph, Node, Value } from "../graph/graph.ts";

/**
 * Appends to `graph` the gradients of `loss` with respect to each of `wrt` and returns them in that order, each with
 * its value's shape; zeros where the loss does not depend on it.
 *
 * @throws ShapeError unless `loss` has one element; UnsupportedError naming an operator on the way that has no gradient.
 */
export function gradients(graph: Graph, loss: Value, wrt: readonly Value[]): Value[] {
  if (sizeOf(loss.shape) !== 1)
    throw new ShapeError(
      `gradients: the loss must be a scalar, got ${formatShape(loss.shape)}; reduce it by mean or sum`,
    );
  if (!isFloat(loss.dtype)) throw new UsageError(`gradients: the loss must be float32, got ${loss.dtype}`);

  const nodes = [...graph.nodes];
  const active = dependents(nodes, wrt);
  const gradientOf = new Map<Value, Value>();
  gradientOf.set(loss, graph.constant(filled(1, loss.shape)));

  graph.scope("gradient", () => {
    for (let i = nodes.length - 1; i >= 0; i--) {
      const node = nodes[i]!;
      const outputGradients = node.outputs.map((output) => gradientOf.get(output));
      const wanted = node.inputs.map((input) => input !== undefined && active.has(input) && isFloat(input.dtype));
      if (!outputGradients.some(Boolean) || !wanted.some(Boolean)) continue;
      if (!node.operator.gradient)
        throw new UnsupportedError(
          `gradients: ${node.operator.name} (${node.name}) has no gradient; stop at its inputs or replace it`,
        );
      const inputGradients = node.operator.gradient({
        build: graph,
        operators: gradientOperators,
        attributes: node.attributes,
        inputs: node.inputs,
        outputs: node.outputs,
        outputGradients,
        wanted,
      });
      node.inputs.forEach((input, j) => {
        const gradient = inputGradients[j] as Value | undefined;
        if (!input || !wanted[j] || !gradient) return;
        checkGradient(node, input, gradient);
        const sum = gradientOf.get(input);
        gradientOf.set(input, sum ? graph.apply(add, [sum, gradient]) : gradient);
      });
    }
  });
  return wrt.map((value) => gradientOf.get(value) ?? graph.constant(filled(0, value.shape)));
}

/** Every value that depends on one of `roots`, and the roots. */
function dependents(nodes: readonly Node[], roots: readonly Value[]): Set<Value> {
  const active = new Set(roots);
  for (const node of nodes)
    if (node.inputs.some((input) => input && active.has(input))) for (const output of node.outputs) active.add(output);
  return active;
}

function checkGradient(node: Node, input: Value, gradient: Value): void {
  if (formatShape(input.shape) !== formatShape(gradient.shape))
    throw new ShapeError(
      `gradients: the rule of ${node.operator.name} (${node.name}) gave ${formatShape(gradient.shape)} for an input of ${formatShape(input.shape)}`,
    );
}
