// Normalisation as exporters write it out, mean, difference, mean of squares, root, quotient, becomes one operator with one
// kernel. The scale and shift behind it stay and fuse into that kernel.

import { sizeOf } from "../../core/shape.ts";
import { add, div, mul, sub } from "../../ops/binary.ts";
import { pow } from "../../ops/pow.ts";
import { reduceMean } from "../../ops/reduce.ts";
import { reducedAxes, type ReduceAttributes } from "../../ops/reduction.ts";
import { standardization } from "../../ops/standardization.ts";
import { reciprocal, sqrt } from "../../ops/unary.ts";
import type { Operator } from "../../ops/operator.ts";
import type { Graph, Node, Value } from "../graph.ts";
import { rebuild } from "./rebuild.ts";

/** The graph with (x − mean) / √(variance + ε) and x / √(mean of squares + ε) as Standardization. */
export function recognizeNormalizations(graph: Graph): Graph {
  return rebuild(graph, (node, inputs, target) => {
    const found = quotient(target, node, inputs);
    if (!found) return undefined;
    const { centred, deviation } = found;
    const moments = rootOfMeanSquare(target, deviation, centred);
    if (!moments) return undefined;
    const { axes, epsilon } = moments;
    const x = differenceFromMean(centred, axes);
    return [target.apply(standardization, [x ?? centred], { axes, epsilon, centered: x ? 1 : 0 })];
  });
}

/** `centred / deviation`, also written as a product with 1 / deviation. */
function quotient(
  target: Graph,
  { operator, outputs }: Node,
  [a, b]: readonly (Value | undefined)[],
): { readonly centred: Value; readonly deviation: Value } | undefined {
  const isWhole = (value: Value): boolean => sizeOf(value.shape) === sizeOf(outputs[0]!.shape);
  if (!a || !b) return undefined;
  if (operator.name === div.name && isWhole(a)) return { centred: a, deviation: b };
  if (operator.name !== mul.name) return undefined;
  for (const [centred, factor] of [
    [a, b],
    [b, a],
  ] as const) {
    if (!isWhole(centred)) continue;
    const deviation = by(reciprocal, factor)?.inputs[0] ?? dividesOne(target, factor);
    if (deviation) return { centred, deviation };
  }
  return undefined;
}

/** d where `value` is 1 / d. */
function dividesOne(target: Graph, value: Value): Value | undefined {
  const [one, divisor] = by(div, value)?.inputs ?? [];
  return one && scalarOf(target, one) === 1 ? divisor : undefined;
}

/** Axes and ε where `deviation` is √(mean(centred²) + ε) with the axes kept. */
function rootOfMeanSquare(
  target: Graph,
  deviation: Value,
  centred: Value,
): { readonly axes: readonly number[]; readonly epsilon: number } | undefined {
  const variance = by(sqrt, deviation)?.inputs[0];
  const [p, q] = (variance && by(add, variance)?.inputs) ?? [];
  if (!p || !q) return undefined;
  const [mean, constant] = by(reduceMean, p) ? [p, q] : [q, p];
  const epsilon = scalarOf(target, constant);
  const node = by(reduceMean, mean);
  const square = node?.inputs[0];
  if (!node || !square || epsilon === undefined || epsilon < 0 || node.attributes["keepdims"] === 0) return undefined;
  if (!isSquareOf(target, square, centred)) return undefined;
  return { axes: axesOf(node), epsilon };
}

function isSquareOf(target: Graph, square: Value, base: Value): boolean {
  const power = by(pow, square);
  if (power) return power.inputs[0] === base && scalarOf(target, power.inputs[1]!) === 2;
  const product = by(mul, square);
  return product?.inputs[0] === base && product.inputs[1] === base;
}

/** x where `value` is x − mean(x) over `axes`. */
function differenceFromMean(value: Value, axes: readonly number[]): Value | undefined {
  const [x, m] = by(sub, value)?.inputs ?? [];
  const mean = m && by(reduceMean, m);
  if (!x || mean?.inputs[0] !== x || mean.attributes["keepdims"] === 0) return undefined;
  return axesOf(mean).join() === axes.join() ? x : undefined;
}

/** The axes a mean is taken over, sorted and counted from the front. */
function axesOf({ attributes, inputs }: Node): readonly number[] {
  return reducedAxes(attributes as ReduceAttributes, inputs[0]!.shape.length);
}

/** The node that computes `value`, if it is one of `operator`. */
function by({ name }: Pick<Operator, "name">, value: Value): Node | undefined {
  return value.node?.operator.name === name ? value.node : undefined;
}

function scalarOf(graph: Graph, value: Value): number | undefined {
  const constant = graph.constants.get(value);
  return constant && constant.data.length === 1 ? constant.data[0] : undefined;
}
