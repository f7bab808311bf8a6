// Tracing, simplification and fusion, looked at from outside: which nodes there are and which become one dispatch.

import { describe, expect, it } from "vitest";
import { ShapeError, UsageError } from "../../src/core/errors.ts";
import { tensorData } from "../../src/core/tensorData.ts";
import { maxPool2d, relu, softmax } from "../../src/graph/functional.ts";
import { Graph } from "../../src/graph/graph.ts";
import { eliminate } from "../../src/graph/passes/eliminate.ts";
import { fold } from "../../src/graph/passes/fold.ts";
import { fuse, type FuseOptions } from "../../src/graph/passes/fuse.ts";
import { Tensor } from "../../src/graph/tensor.ts";
import { Variable } from "../../src/graph/variable.ts";

function input(graph: Graph, name: string, shape: number[]): Tensor {
  return new Tensor(graph, graph.input(name, { dtype: "float32", shape }));
}

/** `[["MatMul", "Add"], ["Exp"]]`: the operators of each group, heavy one first, in graph order. */
function groupsOf(graph: Graph, options: Partial<FuseOptions> = {}): string[][] {
  return fuse(graph, { maxBindings: 8, ...options })
    .sort((a, b) => a.nodes[0]!.id - b.nodes[0]!.id)
    .map(({ nodes }) => nodes.map(({ operator }) => operator.name));
}

describe("tracing", () => {
  it("reports shapes that do not fit where they meet, naming both", () => {
    const graph = new Graph();
    const x = input(graph, "x", [2, 3]);
    expect(() => x.matmul(input(graph, "w", [4, 5]))).toThrow(ShapeError);
    expect(() => x.add(input(graph, "b", [2]))).toThrow(/Add.*\[2, 3\].*\[2\]/);
  });

  it("refuses tensors of another graph and names given twice", () => {
    const graph = new Graph();
    const other = input(new Graph(), "x", [2]);
    const x = input(graph, "x", [2]);
    expect(() => x.add(other)).toThrow("Add: Tensor(float32 [2]) belongs to another graph");
    graph.output("y", x.value);
    expect(() => graph.output("y", x.value)).toThrow(UsageError);
    expect(() => input(graph, "x", [3])).toThrow('input "x" is declared twice');
  });

  it("refuses an update of another shape", () => {
    const graph = new Graph();
    const weight = new Variable("weight", tensorData([1, 2], [2]));
    expect(() => graph.update(weight, input(graph, "x", [3]).value)).toThrow(
      "update of weight: expected float32 [2], got float32 [3]",
    );
  });
});

describe("simplification", () => {
  it("computes equal things once and drops what nothing needs", () => {
    const graph = new Graph();
    const x = input(graph, "x", [4]);
    x.neg();
    graph.output("y", x.exp().add(x.exp()).value);
    expect(eliminate(graph).nodes.map(({ operator }) => operator.name)).toEqual(["Exp", "Add"]);
  });

  it("keeps constants and attributes apart that only look alike", () => {
    const graph = new Graph();
    expect(graph.constant(0)).not.toBe(graph.constant(-0));
    expect(graph.constant(NaN)).not.toBe(graph.constant(-0));
    expect(graph.constant(NaN)).toBe(graph.constant(NaN));
  });

  it("evaluates constants, but does not blow them up", () => {
    const graph = new Graph();
    const x = input(graph, "x", [3]);
    const constant = new Tensor(graph, graph.constant(tensorData([1, 2, 3], [3])));
    graph.output("y", x.add(constant.mul(2).exp()).value);
    const folded = eliminate(fold(graph));
    expect(folded.nodes.map(({ operator }) => operator.name)).toEqual(["Add"]);
    const operand = folded.constants.get(folded.nodes[0]!.inputs[1]!)!;
    [2, 4, 6].forEach((exponent, i) => expect(operand.data[i]).toBe(Math.fround(Math.exp(exponent))));
  });
});

describe("fusion", () => {
  it("puts the pointwise chain behind a heavy node into its epilogue, with what it needs", () => {
    const graph = new Graph();
    const [x, w, b, r] = [
      input(graph, "x", [4, 3]),
      input(graph, "w", [3, 5]),
      input(graph, "b", [5]),
      input(graph, "r", [4, 5]),
    ];
    graph.output("y", relu(x.matmul(w).add(b)).add(r.exp()).value);
    expect(groupsOf(graph)).toEqual([["MatMul", "Add", "Relu", "Exp", "Add"]]);
    expect(groupsOf(graph, { epilogue: false })).toEqual([["MatMul"], ["Add", "Relu", "Exp", "Add"]]);
    expect(groupsOf(graph, { epilogue: false, pointwise: false })).toHaveLength(5);
  });

  it("puts the pointwise nodes before a reduction or softmax into its prologue, if nothing else reads them", () => {
    const graph = new Graph();
    const [x, m] = [input(graph, "x", [4, 6]), input(graph, "m", [6])];
    graph.output("y", softmax(x.mul(0.5).add(m)).mul(2).value);
    const d = x.sub(m);
    graph.output("loss", d.mul(d).mean().value);
    expect(groupsOf(graph)).toEqual([
      ["Mul", "Add", "Softmax", "Mul"],
      ["Sub", "Mul", "ReduceMean"],
    ]);
    expect(fuse(graph, { maxBindings: 8 }).map(({ prologue }) => prologue.length)).toEqual([2, 2]);
    expect(groupsOf(graph, { prologue: false })).toEqual([
      ["Mul", "Add"],
      ["Softmax", "Mul"],
      ["Sub", "Mul"],
      ["ReduceMean"],
    ]);
    graph.output("d", d.value);
    expect(groupsOf(graph)).toEqual([["Mul", "Add", "Softmax", "Mul"], ["Sub"], ["Mul", "ReduceMean"]]);
    expect(groupsOf(graph, { maxBindings: 2 })[0]).toEqual(["Mul"]);
  });

  it("keeps a value that is used twice in memory", () => {
    const graph = new Graph();
    const product = input(graph, "x", [4, 3]).matmul(input(graph, "w", [3, 5]));
    graph.output("y", relu(product).value);
    graph.output("z", product.value);
    expect(groupsOf(graph)).toEqual([["MatMul"], ["Relu"]]);
  });

  it("never makes two groups need each other", () => {
    const graph = new Graph();
    const x = input(graph, "x", [4, 4]);
    const a = x.exp();
    const through = softmax(a); // heavy, between a and the sum
    graph.output("y", a.add(through.mul(2)).value);
    expect(groupsOf(graph)).toEqual([["Exp"], ["Softmax", "Mul", "Add"]]);
  });

  it("splits where bindings run out", () => {
    const graph = new Graph();
    const terms = Array.from({ length: 12 }, (_, i) => input(graph, `x${i}`, [6]));
    graph.output("y", terms.reduce((sum, term) => sum.add(term)).value);
    for (const group of fuse(graph, { maxBindings: 8 }))
      expect(group.inputs.length + group.outputs.length).toBeLessThanOrEqual(8);
    expect(groupsOf(graph).length).toBe(2);
  });

  it("gives several results one dispatch when they share a domain", () => {
    const graph = new Graph();
    const [p, g] = [input(graph, "p", [8]), input(graph, "g", [8])];
    const m = p.mul(0.9).add(g.mul(0.1));
    graph.output("m", m.value);
    graph.output("p2", p.sub(m.mul(0.01)).value);
    expect(fuse(graph, { maxBindings: 8 })).toHaveLength(1);
  });

  it("does not fuse across a reduction's domain", () => {
    const graph = new Graph();
    const x = input(graph, "x", [1, 1, 4, 4]);
    graph.output("y", maxPool2d(x.exp(), 2).add(1).value);
    expect(groupsOf(graph)).toEqual([["Exp"], ["MaxPool", "Add"]]);
  });
});
