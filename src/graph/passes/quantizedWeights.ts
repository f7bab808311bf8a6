// Quantized models keep weights as small whole numbers beside a scale, and multiply the two before every convolution or
// product. Products are linear, so a scale per tensor or per output channel may as well follow them, as part of their
// epilogue: what is folded then are the whole numbers, which take a byte each in memory instead of four.

import { dtypes, LARGE_CONSTANT } from "../../core/dtype.ts";
import { sizeOf } from "../../core/shape.ts";
import { add, mul } from "../../ops/binary.ts";
import { cast } from "../../ops/cast.ts";
import type { Operand } from "../../ops/operator.ts";
import { reshapeTo } from "../../ops/reshape.ts";
import type { Graph, Value } from "../graph.ts";
import { isPerChannel, weightLayout } from "./foldScale.ts";
import { rebuild } from "./rebuild.ts";

/** The graph with the scales of large constant weights behind the products that read them. */
export function scaleProducts(graph: Graph): Graph {
  return rebuild(graph, (node, inputs, target, map) => {
    const weights = node.inputs[1];
    const layout = weights && weightLayout(node);
    if (!layout || weights.dtype !== "float32" || sizeOf(weights.shape) < LARGE_CONSTANT) return undefined;
    if (weights.node?.operator.name !== mul.name || !isConstant(graph, weights)) return undefined;
    const [a, b] = weights.node.inputs as readonly [Value, Value];
    const [numbers, scale] = isWhole(a) ? [a, b] : [b, a];
    if (!isWhole(numbers) || !isPerChannel(scale.shape, weights.shape, layout.weightAxis)) return undefined;
    const [type] = node.outputs;
    const behind = type!.shape.slice(layout.channelAxis + 1).map(() => 1);
    const spread = (parameter: Value): Operand =>
      reshapeTo(target, parameter, sizeOf(parameter.shape) === 1 ? [] : [layout.channels, ...behind]);
    const operands = [inputs[0], map(numbers)];
    const [product] = target.append(node.operator, operands, node.attributes, node.outputs, node.name).outputs;
    const result = target.apply(mul, [product, spread(map(scale))]);
    return [inputs[2] ? target.apply(add, [result, spread(inputs[2])]) : result];
  });
}

/** Integers that were made floats. */
function isWhole({ node, shape }: Value): boolean {
  const [from] = node?.operator.name === cast.name ? node.inputs : [];
  return from !== undefined && dtypes[from.dtype].kind === "int" && sizeOf(shape) >= LARGE_CONSTANT;
}

function isConstant(graph: Graph, value: Value): boolean {
  return (
    graph.constants.has(value) || (value.node?.inputs.every((input) => !input || isConstant(graph, input)) ?? false)
  );
}
