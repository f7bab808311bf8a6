// Reverse-mode differentiation of whole graphs: gradients of random graphs, and their gradients, against float64 central
// differences of the graph evaluated node by node.

import { describe, expect, it } from "vitest";
import { UnsupportedError, ShapeError } from "../../src/core/errors.ts";
import { gradients } from "../../src/autodiff/gradients.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { add, greater, mul } from "../../src/ops/binary.ts";
import { defineOperator } from "../../src/ops/operator.ts";
import { reduceSum } from "../../src/ops/reduce.ts";
import { where } from "../../src/ops/where.ts";
import { evaluateGraph, randomGraph, type RandomGraph } from "../harness/randomGraph.ts";

const GRAPHS = 120;
const STEP = 1e-5;
const TOLERANCE = 2e-7;

/** Sum of all outputs: a scalar loss. */
function lossOf(graph: Graph): Value {
  const sums = [...graph.outputs.values()].map((value) => graph.apply(reduceSum, [value]));
  return sums.reduce((sum, value) => graph.apply(add, [sum, value]));
}

/** Largest |rule − central difference| over all elements of all inputs, relative to the largest gradient. */
function gradientError({ graph, inputs }: RandomGraph, loss: Value): number {
  const names = [...graph.inputs.keys()];
  const found = gradients(
    graph,
    loss,
    names.map((name) => graph.inputs.get(name)!),
  );
  const exact = evaluateGraph(graph, inputs);
  let worst = 0;
  let scale = 1;
  names.forEach((name, i) => {
    const gradient = exact.get(found[i]!)!;
    gradient.forEach((value, element) => {
      const lossAt = (offset: number): number => {
        const moved = Float64Array.from(inputs[name]!);
        moved[element]! += offset;
        return evaluateGraph(graph, { ...inputs, [name]: moved }).get(loss)![0]!;
      };
      const difference = (lossAt(STEP) - lossAt(-STEP)) / (2 * STEP);
      worst = Math.max(worst, Math.abs(value - difference));
      scale = Math.max(scale, Math.abs(difference));
    });
  });
  return worst / scale;
}

describe("gradients of whole graphs", () => {
  it(`match central differences on ${GRAPHS} random graphs`, () => {
    for (let seed = 1; seed <= GRAPHS; seed++) {
      const random = randomGraph(seed, 4 + (seed % 12), { smooth: true });
      expect(gradientError(random, lossOf(random.graph)), `seed ${seed}`).toBeLessThan(TOLERANCE);
    }
  });

  it("can be differentiated again", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = randomGraph(seed, 4 + (seed % 6), { smooth: true });
      const { graph } = random;
      const [first] = gradients(graph, lossOf(graph), [graph.inputs.get("x0")!]);
      const squared = graph.apply(reduceSum, [graph.apply(mul, [first!, first!])]);
      expect(gradientError(random, squared), `seed ${seed}`).toBeLessThan(1e-6);
    }
  });

  it("are zero where the loss does not depend on the value", () => {
    const graph = new Graph();
    const x = graph.input("x", { dtype: "float32", shape: [2] });
    const unused = graph.input("unused", { dtype: "float32", shape: [3] });
    const [gradient] = gradients(graph, graph.apply(reduceSum, [x]), [unused]);
    expect([...evaluateGraph(graph, { x: [1, 2], unused: [1, 2, 3] }).get(gradient!)!]).toEqual([0, 0, 0]);
  });

  it("pass through the chosen side of a selection only", () => {
    const graph = new Graph();
    const x = graph.input("x", { dtype: "float32", shape: [3] });
    const chosen = graph.apply(where, [graph.apply(greater, [x, graph.constant(0)]), x, graph.apply(mul, [x, x])]);
    const [gradient] = gradients(graph, graph.apply(reduceSum, [chosen]), [x]);
    expect([...evaluateGraph(graph, { x: [2, -3, 5] }).get(gradient!)!]).toEqual([1, -6, 1]);
  });

  it("refuse a loss that is not a scalar, naming its shape", () => {
    const graph = new Graph();
    const x = graph.input("x", { dtype: "float32", shape: [2, 3] });
    expect(() => gradients(graph, x, [x])).toThrow(ShapeError);
    expect(() => gradients(graph, x, [x])).toThrow("[2, 3]");
  });

  it("name the operator that has no gradient", () => {
    const opaque = defineOperator({
      ...(reduceSum as object),
      name: "Opaque",
      gradient: undefined,
    } as unknown as typeof reduceSum);
    const graph = new Graph();
    const x = graph.input("x", { dtype: "float32", shape: [2] });
    const loss = graph.apply(opaque, [x]);
    expect(() => gradients(graph, loss, [x])).toThrow(UnsupportedError);
    expect(() => gradients(graph, loss, [x])).toThrow("Opaque");
  });
});
