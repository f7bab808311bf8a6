// A graph as text: two graphs with the same key compile to the same plan. Small constants count by their contents, weights,
// which are decoded once, by their identity.

import type { TensorData } from "../../core/tensorData.ts";
import type { Graph, Value } from "../../graph/graph.ts";
import { exactText } from "../../graph/passes/eliminate.ts";

const WRITTEN_OUT = 64;
const identities = new WeakMap<object, number>();
let nextIdentity = 0;

const keys = new WeakMap<Graph, string>();

/** The key of a graph that is finished: it is worked out once. */
export function graphKey(graph: Graph): string {
  let key = keys.get(graph);
  if (key === undefined) {
    key = textOf(graph);
    keys.set(graph, key);
  }
  return key;
}

function textOf(graph: Graph): string {
  const numbers = new Map<Value, number>();
  const parts: string[] = [];
  const numberOf = (value: Value): number => {
    let number = numbers.get(value);
    if (number === undefined) {
      number = numbers.size;
      numbers.set(value, number);
      const constant = graph.constants.get(value);
      if (constant) parts.push(`${number}=${value.dtype}[${value.shape.join()}]${contentsOf(constant)}`);
    }
    return number;
  };
  for (const [name, value] of graph.inputs)
    parts.push(`${name}:${value.dtype}[${value.shape.join()}]=${numberOf(value)}`);
  for (const { operator, attributes, inputs, outputs } of graph.nodes) {
    const args = inputs.map((input) => (input ? numberOf(input) : ""));
    const types = outputs.map((output) => `${numberOf(output)}:${output.dtype}[${output.shape.join()}]`);
    parts.push(`${operator.name}${exactText(attributes)}(${args.join()})→${types.join()}`);
  }
  for (const [name, value] of graph.outputs) parts.push(`${name}=${numberOf(value)}`);
  return parts.join("\n");
}

function contentsOf(constant: TensorData): string {
  if (constant.read) return `@${identityOf(constant)}`;
  const { data, immutable = false } = constant;
  const words = new Uint32Array(data.buffer, data.byteOffset, data.length);
  if (data.length <= WRITTEN_OUT) return `{${words.join()}}`;
  // What may be made anew in every walk (a table, a matrix of twiddle factors) is known by a hash of its contents.
  return immutable ? `@${identityOf(data)}` : `#${hashOf(words)}`;
}

function identityOf(object: object): number {
  let identity = identities.get(object);
  if (identity === undefined) {
    identity = nextIdentity++;
    identities.set(object, identity);
  }
  return identity;
}

/** Two FNV-1a hashes with different starts: 64 bits. */
function hashOf(words: Uint32Array): string {
  let [a, b] = [0x811c9dc5, 0x01000193];
  for (const word of words) {
    a = Math.imul(a ^ word, 0x01000193);
    b = Math.imul(b ^ (word + 0x9e3779b9), 0x01000193) ^ (a >>> 15);
  }
  return `${(a >>> 0).toString(36)}.${(b >>> 0).toString(36)}`;
}
