// Normalisation as exporters write it out, mean, difference, mean of squares, root, quotient, becomes one operator with one
// kernel. The scale and shift behind it stay and fuse into that kernel.

import { sizeOf } from "../../core/shape.ts";
import { div, mul, sub } from "../../ops/binary.ts";
import { pow } from "../../ops/pow.ts";
import { reduceMean } from "../../ops/reduce.ts";
import { reducedAxes, type ReduceAttributes } from "../../ops/reduction.ts";
import { standardization } from "../../ops/standardization.ts";
import { reciprocal, sqrt } from "../../ops/unary.ts";
import type { Graph, Value } from "../graph.ts";
import { any, applyRules, constant, either, named, node, sum, type Pattern, type Rule } from "./pattern.ts";

/** The mean of `of` over axes that are kept. */
const mean = (name: string, of: Pattern): Pattern =>
  named(
    name,
    node(reduceMean, [of], ({ keepdims }) => keepdims !== 0),
  );

/** `centred` / √(mean(centred²) + ε), also written as a product with 1 / the root. */
function standardized(centred: Pattern, again: Pattern): Pattern {
  const square = either(node(pow, [again, constant(2)]), node(mul, [again, again]));
  const deviation = node(sqrt, [sum("epsilon", mean("variance", square))]);
  const inverse = either(node(reciprocal, [deviation]), node(div, [constant(1), deviation]));
  return either(node(div, [centred, deviation]), node(mul, [centred, inverse]), node(mul, [inverse, centred]));
}

/** The axes that the mean under a name is taken over. */
function axesOf(value: Value): readonly number[] {
  const { attributes, inputs } = value.node!;
  return reducedAxes(attributes as ReduceAttributes, inputs[0]!.shape.length);
}

function rule(pattern: Pattern, centered: 0 | 1): Rule {
  return {
    pattern,
    build(target, value, number, root, old) {
      const axes = axesOf(old("variance"));
      const epsilon = number("epsilon");
      const isWhole = sizeOf(value("x").shape) === sizeOf(root.outputs[0]!.shape);
      if (!isWhole || epsilon < 0 || (centered && axesOf(old("mean")).join() !== axes.join())) return undefined;
      return target.apply(standardization, [value("x")], { axes, epsilon, centered });
    },
  };
}

const x = any("x");
const rules: readonly Rule[] = [
  rule(standardized(named("centred", node(sub, [x, mean("mean", x)])), any("centred")), 1),
  rule(standardized(x, x), 0),
];

/** The graph with (x − mean) / √(variance + ε) and x / √(mean of squares + ε) as Standardization. */
export function recognizeNormalizations(graph: Graph): Graph {
  return applyRules(graph, rules);
}
