// Activations as exporters write them out, x · 0.5 · (1 + erf(x / √2)) and the like, become one operator each: fewer steps in
// a fused kernel, and digits where the formula would cancel.

import { sameShape } from "../../core/shape.ts";
import { hardSigmoid, hardSwish, mish, softplus, swish } from "../../ops/activations.ts";
import { div } from "../../ops/binary.ts";
import { erf, gelu } from "../../ops/erf.ts";
import { max, min } from "../../ops/extrema.ts";
import { sigmoid, tanh } from "../../ops/sigmoid.ts";
import { exp, log } from "../../ops/unary.ts";
import type { Attributes, Operator } from "../../ops/operator.ts";
import type { Graph } from "../graph.ts";
import { any, applyRules, constant, either, node, product, sum, type Pattern, type Rule } from "./pattern.ts";

const x = any("x");
const CUBIC = 0.044715;
const STEEP = Math.sqrt(2 / Math.PI);

/** √(2/π) · (x + 0.044715 x³) times `factor`, with x taken out or not, and the number outside or not. */
const cubic = (factor: number): Pattern => {
  const inner = product(CUBIC, x, x, x);
  return either(
    product(factor * STEEP, sum(0, x, inner)),
    product(factor * STEEP, x, sum(1, product(CUBIC, x, x))),
    product(1, x, sum(factor * STEEP, product(factor * STEEP * CUBIC, x, x))),
    sum(0, product(factor * STEEP, x), product(factor * STEEP * CUBIC, x, x, x)),
  );
};

/** min(max(x + 3, 0), 6), the limits in either order. */
const clipped = ((): Pattern => {
  const shifted = sum(3, x);
  const above = either(node(max, [shifted, constant(0)]), node(max, [constant(0), shifted]));
  const below = either(node(min, [shifted, constant(6)]), node(min, [constant(6), shifted]));
  return either(
    node(min, [above, constant(6)]),
    node(min, [constant(6), above]),
    node(max, [below, constant(0)]),
    node(max, [constant(0), below]),
  );
})();

/** `operator` of x, where the formula's shape is x's: a constant may have more axes. */
function unary<A extends Attributes>(pattern: Pattern, operator: Operator<A>, attributes: Partial<A> = {}): Rule {
  return {
    pattern,
    build: (target, value, _, root) =>
      sameShape(value("x").shape, root.outputs[0]!.shape)
        ? target.apply(operator, [value("x")], attributes)
        : undefined,
  };
}

const logistic = node(sigmoid, [x]);

const rules: readonly Rule[] = [
  unary(product(0.5, x, sum(1, node(erf, [product(Math.SQRT1_2, x)]))), gelu),
  unary(product(0.5, x, sum(1, node(tanh, [cubic(1)]))), gelu, { approximate: "tanh" }),
  unary(product(1, x, node(sigmoid, [cubic(2)])), gelu, { approximate: "tanh" }),
  {
    pattern: product(1, x, node(sigmoid, [product("alpha", x)])),
    build: (target, value, number, root) =>
      sameShape(value("x").shape, root.outputs[0]!.shape)
        ? target.apply(swish, [value("x")], { alpha: number("alpha") })
        : undefined,
  },
  unary(product(1, x, logistic), swish),
  unary(node(div, [x, sum(1, node(exp, [product(-1, x)]))]), swish),
  unary(node(div, [constant(1), sum(1, node(exp, [product(-1, x)]))]), sigmoid),
  unary(product(1, x, node(tanh, [node(softplus, [x])])), mish),
  unary(product(1, x, node(tanh, [node(log, [sum(1, node(exp, [x]))])])), mish),
  unary(product(1 / 6, x, clipped), hardSwish),
  unary(
    product(
      1,
      x,
      node(hardSigmoid, [x], ({ alpha, beta }) => Math.abs(alpha - 1 / 6) < 1e-6 && Math.abs(beta - 0.5) < 1e-6),
    ),
    hardSwish,
  ),
];

/** The graph with written-out Gelu, Swish, Sigmoid, Mish and HardSwish as operators. */
export function recognizeActivations(graph: Graph): Graph {
  return applyRules(graph, rules);
}
