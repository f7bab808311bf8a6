// Passes never mutate a graph: they write a new one, node by node, and may put something else in a node's place.

import { Graph, type Node, type Value } from "../graph.ts";

/**
 * Copies `graph`, asking `replace` for each node in order. `replace` gets the node's inputs in the new graph and
 * returns the values that stand for its outputs, or undefined to copy it. `map` finds any other value that was computed
 * before the node in the new graph. Nodes not in `keep` are left out.
 */
export function rebuild(
  graph: Graph,
  replace: (
    node: Node,
    inputs: readonly (Value | undefined)[],
    target: Graph,
    map: (value: Value) => Value,
  ) => readonly Value[] | undefined,
  keep?: ReadonlySet<Node>,
): Graph {
  const target = new Graph();
  const mapped = new Map<Value, Value>();
  for (const [name, value] of graph.inputs) mapped.set(value, target.input(name, value));
  const leaf = (value: Value): Value | undefined => {
    const constant = graph.constants.get(value);
    if (constant)
      return constant.shape.length === 0 && constant.dtype === "float32"
        ? target.constant(constant.data[0]!)
        : target.constant(constant);
    const variable = graph.variables.get(value);
    return variable && target.variable(variable);
  };
  const map = (value: Value): Value => {
    let copy = mapped.get(value);
    if (!copy) {
      copy = leaf(value)!;
      mapped.set(value, copy);
    }
    return copy;
  };
  for (const node of graph.nodes) {
    if (keep && !keep.has(node)) continue;
    const inputs = node.inputs.map((input) => input && map(input));
    const outputs =
      replace(node, inputs, target, map) ??
      target.append(node.operator, inputs, node.attributes, node.outputs, node.name).outputs;
    node.outputs.forEach((output, i) => mapped.set(output, outputs[i]!));
  }
  for (const [name, value] of graph.outputs) target.output(name, map(value));
  for (const [variableValue, value] of graph.updates) target.update(graph.variables.get(variableValue)!, map(value));
  return target;
}
