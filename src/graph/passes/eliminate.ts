// Drops nodes nothing needs, and computes equal things once: two nodes with the same operator, attributes and inputs
// are one (common subexpressions).

import { sameShape } from "../../core/shape.ts";
import type { Graph, Node, Value } from "../graph.ts";
import { rebuild } from "./rebuild.ts";

/** The graph without dead nodes and without repeated ones. */
export function eliminate(graph: Graph): Graph {
  const seen = new Map<string, readonly Value[]>();
  return rebuild(
    graph,
    (node, inputs, target) => {
      const input = inputs[0];
      if (isIdentity(node) && input) return [input];
      const key = `${node.operator.name} ${exactText(node.attributes)} ${inputs.map((value) => value?.id ?? "-").join(" ")}`;
      const known = seen.get(key);
      if (known) return known;
      const { outputs } = target.append(node.operator, inputs, node.attributes, node.outputs, node.name);
      seen.set(key, outputs);
      return outputs;
    },
    liveNodes(graph),
  );
}

/** JSON that is equal for equal values only; numbers it has no text for (NaN, ±∞, -0) keep their own. */
export function exactText(contents: unknown): string {
  return JSON.stringify(contents, (_, value: unknown) =>
    typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0))
      ? `number ${1 / value} ${value}`
      : value,
  );
}

/** An aliasing operator (Reshape) that changes nothing. */
function isIdentity(node: Node): boolean {
  return node.operator.alias === true && sameShape(node.inputs[0]!.shape, node.outputs[0]!.shape);
}

function liveNodes(graph: Graph): Set<Node> {
  const live = new Set<Node>();
  const visit = (value: Value | undefined): void => {
    const pending = [value];
    while (pending.length > 0) {
      const node = pending.pop()?.node;
      if (!node || live.has(node)) continue;
      live.add(node);
      pending.push(...node.inputs);
    }
  };
  for (const value of graph.outputs.values()) visit(value);
  for (const value of graph.updates.values()) visit(value);
  return live;
}
