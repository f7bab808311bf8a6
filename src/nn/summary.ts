// What a network is made of, as a table: traced once on symbolic input, nothing is computed.

import { formatShape, sizeOf, type Shape } from "../core/shape.ts";
import { Graph } from "../graph/graph.ts";
import { Tensor } from "../graph/tensor.ts";
import type { Variable } from "../graph/variable.ts";
import { formatCount, formatTable } from "../scheduler/plan.ts";
import { observing, type Call, type Module } from "./module.ts";

/** One layer of a {@link Summary}. */
export interface LayerSummary {
  /** `features.0`; empty for the network itself. */
  readonly path: string;
  /** Its class. */
  readonly type: string;
  readonly outputShape: Shape;
  /** Elements of its own parameters; those of layers below it, and shared ones after their first use, are not counted. */
  readonly parameters: number;
  /** Floating-point operations of one forward pass, without those of layers below it. */
  readonly flops: number;
}

/** Prints as a table. */
export class Summary {
  constructor(readonly layers: readonly LayerSummary[]) {}

  /** Elements of all parameters. */
  get parameters(): number {
    return this.layers.reduce((sum, layer) => sum + layer.parameters, 0);
  }

  /** Floating-point operations of one forward pass. */
  get flops(): number {
    return this.layers.reduce((sum, layer) => sum + layer.flops, 0);
  }

  toString(): string {
    const rows = this.layers.map(({ path, type, outputShape, parameters, flops }) => [
      path,
      type,
      formatShape(outputShape),
      parameters.toLocaleString("en"),
      formatCount(flops),
    ]);
    const total = ["", "total", "", this.parameters.toLocaleString("en"), formatCount(this.flops)];
    return formatTable(["layer", "type", "output", "parameters", "flops"], [...rows, total]);
  }
}

/**
 * Layers, output shapes, parameters and flops of `module` on a float32 input of `inputShape`, the batch included. Throws
 * what tracing throws when the shape does not fit.
 *
 * @example
 * console.log(String(summary(net, [1, 1, 28, 28])));
 */
export function summary(module: Module, inputShape: Shape): Summary {
  const graph = new Graph();
  const calls: Call[] = [];
  const input = new Tensor(graph, graph.input("x", { dtype: "float32", shape: inputShape }));
  observing(
    (call) => calls.push(call),
    () => module.forward(input),
  );

  const flops = (first: number, end: number): number =>
    graph.nodes.slice(first, end).reduce((sum, node) => sum + node.operator.flops(node), 0);
  const counted = new Set<Variable>();
  const rows = calls.map((call) => {
    const { inner } = call;
    const own = ownParameters(call.module).filter((variable) => !counted.has(variable));
    own.forEach((variable) => counted.add(variable));
    const layer: LayerSummary = {
      path: call.path,
      type: call.module.constructor.name,
      outputShape: call.result.shape,
      parameters: own.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
      flops: inner.reduce(
        (sum, { firstNode, endNode }) => sum - flops(firstNode, endNode),
        flops(call.firstNode, call.endNode),
      ),
    };
    return { layer, isContainer: inner.length > 0 };
  });
  return new Summary(
    rows
      .filter(({ layer, isContainer }) => !isContainer || layer.parameters > 0 || layer.flops > 0)
      .map(({ layer }) => layer),
  );
}

function ownParameters(module: Module): Variable[] {
  const below = new Set(
    module
      .namedModules()
      .slice(1)
      .flatMap(([, child]) => child.parameters()),
  );
  return module.parameters().filter((parameter) => !below.has(parameter));
}
