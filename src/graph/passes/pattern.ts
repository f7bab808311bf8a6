// Finding written-out formulas in a graph. A pattern says what a value must be computed from; matching it yields every way to
// read the value so. Sums and products are compared as such: x · 0.5 · (1 + e), 0.5 · (x · (e + 1)) and (x / 2) · (1 + e)
// are one product of three factors, so a formula is written down once for all the orders that exporters know.
//
// What is found may be replaced only if nothing else reads what lies inside; leaves may be read by anyone.

import { sizeOf } from "../../core/shape.ts";
import { add, div, mul, sub } from "../../ops/binary.ts";
import type { Attributes, Operator } from "../../ops/operator.ts";
import { pow } from "../../ops/pow.ts";
import { neg } from "../../ops/unary.ts";
import { consumersOf, type Graph, type Node, type Value } from "../graph.ts";
import { rebuild } from "./rebuild.ts";

/** A graph as patterns see it. */
export class Reader {
  private readonly consumers: ReadonlyMap<Value, readonly Node[]>;
  private readonly escaping: ReadonlySet<Value>;

  constructor(readonly graph: Graph) {
    this.consumers = consumersOf(graph);
    this.escaping = new Set([...graph.outputs.values(), ...graph.updates.values()]);
  }

  /** The node that computes `value`, if it is one of `operator`. */
  by({ name }: Pick<Operator, "name">, value: Value | undefined): Node | undefined {
    return value?.node?.operator.name === name ? value.node : undefined;
  }

  /** The one element of a constant. */
  scalar(value: Value | undefined): number | undefined {
    const constant = value && this.graph.constants.get(value);
    return constant && sizeOf(constant.shape) === 1 ? constant.data[0] : undefined;
  }

  /** Exactly one node reads the value, and no one outside. */
  isSole(value: Value): boolean {
    return this.consumers.get(value)?.length === 1 && !this.escaping.has(value);
  }

  /** Nothing but `inner` and `root` reads what `inner` computes. */
  isClosed(inner: ReadonlySet<Node>, root: Node): boolean {
    const isInside = (node: Node): boolean => node === root || inner.has(node);
    return [...inner].every((node) =>
      node.outputs.every((value) => !this.escaping.has(value) && (this.consumers.get(value) ?? []).every(isInside)),
    );
  }
}

/** What a pattern has bound so far, and the nodes it went through. */
interface Found {
  readonly values: ReadonlyMap<string, Value>;
  readonly numbers: ReadonlyMap<string, number>;
  readonly nodes: ReadonlySet<Node>;
}

const NOTHING: Found = { values: new Map(), numbers: new Map(), nodes: new Set() };

/** All ways in which `value` fits, each with what was found before it. */
export type Pattern = (value: Value, found: Found, reader: Reader) => readonly Found[];

const through = (found: Found, ...nodes: readonly Node[]): Found => ({
  ...found,
  nodes: new Set([...found.nodes, ...nodes]),
});

/** Any value; wherever the name comes up again it must be the same one. */
export function any(name: string): Pattern {
  return (value, found) => {
    const bound = found.values.get(name);
    if (bound) return bound === value ? [found] : [];
    return [{ ...found, values: new Map([...found.values, [name, value]]) }];
  };
}

/** The pattern's value under a name. */
export function named(name: string, pattern: Pattern): Pattern {
  return (value, found, reader) => any(name)(value, found, reader).flatMap((next) => pattern(value, next, reader));
}

/** A result of `operator` on operands that fit. */
export function node<A extends Attributes>(
  { name }: Operator<A>,
  operands: readonly Pattern[],
  accepts: (attributes: A) => boolean = () => true,
): Pattern {
  return (value, found, reader) => {
    const by = reader.by({ name }, value);
    if (!by || by.inputs.length < operands.length || !accepts(by.attributes as A)) return [];
    return operands.reduce<readonly Found[]>(
      (ways, operand, i) => ways.flatMap((way) => (by.inputs[i] ? operand(by.inputs[i], way, reader) : [])),
      [through(found, by)],
    );
  };
}

export function either(...patterns: readonly Pattern[]): Pattern {
  return (value, found, reader) => patterns.flatMap((pattern) => pattern(value, found, reader));
}

/** A number that must be there: this one, or any, under a name. */
export type Expected = number | string;

/** `actual` is `expected` as far as its type can tell. */
function bindNumber(expected: Expected, actual: number, { dtype }: Value, found: Found): readonly Found[] {
  if (typeof expected === "string") return [{ ...found, numbers: new Map([...found.numbers, [expected, actual]]) }];
  const tolerance = dtype === "float16" ? 2 ** -10 : 1e-6;
  return Math.abs(actual - expected) <= tolerance * Math.abs(expected) ? [found] : [];
}

/** A constant of one element. */
export function constant(expected: Expected): Pattern {
  return (value, found, reader) => {
    const actual = reader.scalar(value);
    return actual === undefined ? [] : bindNumber(expected, actual, value, found);
  };
}

/** A product or sum taken apart: its constants as one number, everything else as a list. */
interface Parts {
  number: number;
  readonly values: Value[];
  readonly nodes: Node[];
}

/** The factors of `value`: through products, quotients by constants, signs and whole powers that nothing else reads. */
function factorsOf(value: Value, reader: Reader): Parts {
  const parts: Parts = { number: 1, values: [], nodes: [] };
  const visit = (part: Value, isRoot: boolean): void => {
    const scalar = reader.scalar(part);
    if (scalar !== undefined) {
      parts.number *= scalar;
      return;
    }
    const by = isRoot || reader.isSole(part) ? part.node : undefined;
    const [a, b] = by?.inputs ?? [];
    const power = by?.operator.name === pow.name ? reader.scalar(b) : undefined;
    const divisor = by?.operator.name === div.name ? reader.scalar(b) : undefined;
    if (by?.operator.name === mul.name) {
      parts.nodes.push(by);
      visit(a!, false);
      visit(b!, false);
    } else if (divisor !== undefined) {
      parts.nodes.push(by!);
      parts.number /= divisor;
      visit(a!, false);
    } else if (by?.operator.name === neg.name) {
      parts.nodes.push(by);
      parts.number *= -1;
      visit(a!, false);
    } else if (power === 2 || power === 3) {
      parts.nodes.push(by!);
      for (let i = 0; i < power; i++) parts.values.push(a!);
    } else parts.values.push(part);
  };
  visit(value, true);
  return parts;
}

/** The terms of `value`: through sums, and differences from constants, that nothing else reads. */
function termsOf(value: Value, reader: Reader): Parts {
  const parts: Parts = { number: 0, values: [], nodes: [] };
  const visit = (part: Value, isRoot: boolean): void => {
    const scalar = reader.scalar(part);
    if (scalar !== undefined) {
      parts.number += scalar;
      return;
    }
    const by = isRoot || reader.isSole(part) ? part.node : undefined;
    const [a, b] = by?.inputs ?? [];
    const subtracted = by?.operator.name === sub.name ? reader.scalar(b) : undefined;
    if (by?.operator.name === add.name) {
      parts.nodes.push(by);
      visit(a!, false);
      visit(b!, false);
    } else if (subtracted !== undefined) {
      parts.nodes.push(by!);
      parts.number -= subtracted;
      visit(a!, false);
    } else parts.values.push(part);
  };
  visit(value, true);
  return parts;
}

function partsPattern(
  take: (value: Value, reader: Reader) => Parts,
  expected: Expected,
  patterns: readonly Pattern[],
): Pattern {
  return (value, found, reader) => {
    const { number, values, nodes } = take(value, reader);
    if (values.length !== patterns.length) return [];
    const assign = (way: Found, left: readonly Value[], [first, ...rest]: readonly Pattern[]): readonly Found[] =>
      first === undefined
        ? [way]
        : left.flatMap((part, i) =>
            first(part, way, reader).flatMap((next) => assign(next, [...left.slice(0, i), ...left.slice(i + 1)], rest)),
          );
    return bindNumber(expected, number, value, through(found, ...nodes)).flatMap((way) =>
      assign(way, values, patterns),
    );
  };
}

/** A product of a number and these factors, in any order. */
export const product = (expected: Expected, ...factors: readonly Pattern[]): Pattern =>
  partsPattern(factorsOf, expected, factors);

/** A sum of a number and these terms, in any order. */
export const sum = (expected: Expected, ...terms: readonly Pattern[]): Pattern =>
  partsPattern(termsOf, expected, terms);

/** What takes a node's place. */
export interface Replacement {
  /** Nodes that become superfluous with it: nothing else may read what they compute. */
  readonly inner: ReadonlySet<Node>;
  /** The values for the node's outputs; `map` gives a value of the old graph in the new one. Undefined: it stays after all. */
  build(target: Graph, map: (value: Value) => Value): readonly Value[] | undefined;
}

/** The graph with everything `find` recognises replaced. Superfluous nodes are left for `eliminate`. */
export function replaceFound(graph: Graph, find: (node: Node, reader: Reader) => Replacement | undefined): Graph {
  const reader = new Reader(graph);
  return rebuild(graph, (root, _, target, map) => {
    const replacement = find(root, reader);
    return replacement && reader.isClosed(replacement.inner, root) ? replacement.build(target, map) : undefined;
  });
}

/** A formula and the operator that stands for it. */
export interface Rule {
  readonly pattern: Pattern;
  /**
   * The result in the new graph, from what the pattern bound: values there, numbers, and, by `old`, values in the graph
   * that is read. Undefined: it is something else after all.
   */
  build(
    target: Graph,
    value: (name: string) => Value,
    number: (name: string) => number,
    root: Node,
    old: (name: string) => Value,
  ): Value | undefined;
}

/** The graph with every value that fits a rule computed the rule's way; the first rule that fits counts. */
export function applyRules(graph: Graph, rules: readonly Rule[]): Graph {
  return replaceFound(graph, (root, reader) => {
    const [result, ...others] = root.outputs;
    if (!result || others.length > 0) return undefined;
    for (const rule of rules)
      for (const { values, numbers, nodes } of rule.pattern(result, NOTHING, reader)) {
        const inner = new Set(nodes);
        inner.delete(root);
        if (!reader.isClosed(inner, root)) continue;
        return {
          inner,
          build: (target, map) => {
            const built = rule.build(
              target,
              (name) => map(values.get(name)!),
              (name) => numbers.get(name)!,
              root,
              (name) => values.get(name)!,
            );
            return built && [built];
          },
        };
      }
    return undefined;
  });
}
