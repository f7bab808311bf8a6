// The optimisations of imported graphs: what they leave, and that the numbers stay what they were.

import { describe, expect, test } from "vitest";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import type { TensorData } from "../../src/core/tensorData.ts";
import { Random } from "../../src/core/random.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { optimize, type OptimizeOptions } from "../../src/graph/passes/optimize.ts";
import { add, div, mul, sub } from "../../src/ops/binary.ts";
import { argMax } from "../../src/ops/argMax.ts";
import { conv } from "../../src/ops/conv.ts";
import { convTranspose } from "../../src/ops/convBack.ts";
import { matMul } from "../../src/ops/matmul.ts";
import { reshape } from "../../src/ops/reshape.ts";
import { transpose } from "../../src/ops/transpose.ts";
import { scatterND } from "../../src/ops/tuples.ts";
import { pow } from "../../src/ops/pow.ts";
import { reduceMean } from "../../src/ops/reduce.ts";
import { relu, sqrt } from "../../src/ops/unary.ts";
import { evaluateGraph } from "../harness/randomGraph.ts";

function tensor(shape: Shape, seed: number): TensorData {
  const random = new Random(seed);
  return { dtype: "float32", shape, data: Float32Array.from({ length: sizeOf(shape) }, () => random.uniform() + 0.5) };
}

/** Builds a graph of one input and checks that optimising it keeps its result; returns the operators that are left. */
async function check(
  shape: Shape,
  build: (graph: Graph, x: Value) => Value,
  options?: OptimizeOptions,
): Promise<string[]> {
  const graph = new Graph();
  graph.output("y", build(graph, graph.input("x", { dtype: "float32", shape })));
  const optimized = await optimize(graph, options);
  const result = (each: Graph): Float64Array =>
    evaluateGraph(each, { x: tensor(shape, 1).data }).get(each.outputs.get("y")!)!;
  const before = result(graph);
  const after = result(optimized);
  expect(after.length).toBe(before.length);
  const largest = Math.max(...before.map(Math.abs));
  before.forEach((value, i) => {
    expect(Math.abs(after[i]! - value)).toBeLessThanOrEqual(1e-5 * largest);
  });
  return optimized.nodes.map(({ operator }) => operator.name);
}

describe("factors and shifts become weights", () => {
  const perChannel = (graph: Graph, channels: number, seed: number): Value =>
    graph.constant(tensor([channels, 1, 1], seed));

  test("a normalisation behind a convolution is gone", async () => {
    const left = await check([2, 3, 5, 5], (graph, x) => {
      const y = graph.apply(conv, [x, graph.constant(tensor([4, 3, 3, 3], 2))], { pads: [1, 1, 1, 1] });
      const centred = graph.apply(sub, [y, perChannel(graph, 4, 3)]);
      const scaled = graph.apply(div, [centred, perChannel(graph, 4, 4)]);
      return graph.apply(add, [graph.apply(mul, [perChannel(graph, 4, 5), scaled]), perChannel(graph, 4, 6)]);
    });
    expect(left).toEqual(["Conv"]);
  });

  test("groups, transposed convolutions and products", async () => {
    expect(
      await check([1, 4, 5, 5], (graph, x) => {
        const bias = graph.constant(tensor([6], 3));
        const y = graph.apply(conv, [x, graph.constant(tensor([6, 2, 3, 3], 2)), bias], { group: 2 });
        return graph.apply(mul, [y, perChannel(graph, 6, 4)]);
      }),
    ).toEqual(["Conv"]);
    expect(
      await check([1, 4, 3, 3], (graph, x) => {
        const y = graph.apply(convTranspose, [x, graph.constant(tensor([4, 5, 2, 2], 2))], { strides: [2, 2] });
        return graph.apply(add, [graph.apply(mul, [y, perChannel(graph, 5, 4)]), graph.constant(tensor([1], 9))]);
      }),
    ).toEqual(["ConvTranspose"]);
    for (const transB of [0, 1])
      expect(
        await check([3, 4], (graph, x) => {
          const y = graph.apply(matMul, [x, graph.constant(tensor(transB ? [5, 4] : [4, 5], 2))], { transB });
          return graph.apply(mul, [y, graph.constant(tensor([5], 4))]);
        }),
      ).toEqual(["MatMul"]);
  });

  test("what is not per channel, or is read elsewhere too, stays", async () => {
    const along = (shape: Shape) => (graph: Graph, x: Value) => {
      const y = graph.apply(conv, [x, graph.constant(tensor([4, 3, 1, 1], 2))]);
      return graph.apply(mul, [y, graph.constant(tensor(shape, 3))]);
    };
    expect(await check([2, 3, 4, 4], along([4]))).toEqual(["Conv", "Mul"]); // the width, not the channels
    expect(await check([2, 3, 4, 4], along([2, 1, 1, 1]))).toEqual(["Conv", "Mul"]);
    expect(
      await check([2, 3, 4, 4], (graph, x) => {
        const y = graph.apply(conv, [x, graph.constant(tensor([4, 3, 1, 1], 2))]);
        return graph.apply(add, [graph.apply(mul, [y, perChannel(graph, 4, 3)]), y]);
      }),
    ).toEqual(["Conv", "Mul", "Add"]);
    expect(
      await check([2, 3, 4, 4], (graph, x) => {
        const y = graph.apply(conv, [x, graph.constant(tensor([4, 3, 1, 1], 2))]);
        return graph.apply(div, [graph.constant(tensor([4, 1, 1], 3)), y]); // a quotient by the result
      }),
    ).toEqual(["Conv", "Div"]);
  });

  test("switched off, they stay", async () => {
    const build = (graph: Graph, x: Value): Value =>
      graph.apply(mul, [graph.apply(conv, [x, graph.constant(tensor([4, 3, 1, 1], 2))]), perChannel(graph, 4, 3)]);
    expect(await check([1, 3, 4, 4], build, { foldScale: false })).toEqual(["Conv", "Mul"]);
  });
});

describe("transposes", () => {
  const toChannelsLast = [0, 2, 3, 1];
  const toChannelsFirst = [0, 3, 1, 2];

  test("pairs cancel, also around pointwise work and constants", async () => {
    const left = await check([1, 3, 4, 5], (graph, x) => {
      const last = graph.apply(transpose, [x], { perm: toChannelsLast });
      const scaled = graph.apply(mul, [last, graph.constant(tensor([3], 2))]); // per channel
      return graph.apply(transpose, [graph.apply(relu, [scaled])], { perm: toChannelsFirst });
    });
    expect(left).toEqual(["Mul", "Relu"]);
  });

  test("two operands transposed alike are added before", async () => {
    const left = await check([1, 3, 4, 5], (graph, x) => {
      const a = graph.apply(transpose, [x], { perm: toChannelsLast });
      const b = graph.apply(transpose, [graph.apply(relu, [x])], { perm: toChannelsLast });
      return graph.apply(transpose, [graph.apply(add, [a, b])], { perm: toChannelsFirst });
    });
    expect(left).toEqual(["Relu", "Add"]);
  });

  test("two in a row are one, and one that moves only ones is a reshape", async () => {
    const twice = await check([2, 3, 4], (graph, x) =>
      graph.apply(transpose, [graph.apply(transpose, [x], { perm: [1, 2, 0] })], { perm: [1, 2, 0] }),
    );
    expect(twice).toEqual(["Transpose"]);
    const ones = await check([2, 1, 4], (graph, x) =>
      graph.apply(relu, [graph.apply(transpose, [x], { perm: [1, 0, 2] })]),
    );
    expect(ones).not.toContain("Transpose");
  });

  test("a product reads a transposed operand in place", async () => {
    const left = await check([2, 3, 4], (graph, x) =>
      graph.apply(matMul, [x, graph.apply(transpose, [x], { perm: [0, 2, 1] })]),
    );
    expect(left).toEqual(["MatMul"]);
  });

  test("switched off, they stay", async () => {
    const build = (graph: Graph, x: Value): Value =>
      graph.apply(transpose, [graph.apply(transpose, [x], { perm: [1, 0] })], { perm: [1, 0] });
    expect(await check([2, 3], build)).toEqual([]);
    expect(await check([2, 3], build, { transposes: false })).toEqual(["Transpose", "Transpose"]);
  });
});

describe("scatters", () => {
  const scatter = (indices: readonly number[], shape: Shape, updates: Shape) => (graph: Graph, x: Value) =>
    graph.apply(scatterND, [
      x,
      graph.constant({ dtype: "int64", shape, data: Int32Array.from(indices) }),
      graph.constant(tensor(updates, 2)),
    ]);

  test("constant indices leave a gather: slices, single elements, negative ones, the last of two", async () => {
    expect(await check([5, 3], scatter([3, 0], [2, 1], [2, 3]))).toContain("Gather");
    expect(await check([2, 3, 2], scatter([0, 1, -1, 2, 0, 1], [3, 2], [3, 2]))).not.toContain("ScatterND");
    expect(await check([2, 2], scatter([1, 1, 0, 0], [2, 2], [2]))).not.toContain("ScatterND");
    expect(await check([5, 3], scatter([3, 0], [2, 1], [2, 3]), { scatters: false })).toContain("ScatterND");
  });

  test("a chain of scatters is one gather", async () => {
    const left = await check([5, 3], (graph, x) => {
      const first = scatter([3, 0], [2, 1], [2, 3])(graph, x);
      const second = scatter([1], [1, 1], [1, 3])(graph, graph.apply(relu, [first]));
      return scatter([1, 3], [2, 1], [2, 3])(graph, second);
    });
    expect(left.filter((name) => name === "Gather")).toHaveLength(2); // the relu parts them
    expect(left.filter((name) => name === "Concat")).toHaveLength(2);
  });

  test("indices that are computed stay", async () => {
    const left = await check([4], (graph, x) => {
      const place = graph.apply(argMax, [x], { axis: 0, keepdims: 1 });
      const indices = graph.apply(reshape, [place], { shape: [1, 1] });
      return graph.apply(scatterND, [x, indices, graph.constant(tensor([1], 2))]);
    });
    expect(left).toContain("ScatterND");
  });
});

describe("normalisations", () => {
  const written = (squared: "pow" | "mul", centered: boolean) => (graph: Graph, x: Value) => {
    const mean = (value: Value): Value => graph.apply(reduceMean, [value], { axes: [-1], keepdims: 1 });
    const d = centered ? graph.apply(sub, [x, mean(x)]) : x;
    const square = squared === "pow" ? graph.apply(pow, [d, graph.constant(2)]) : graph.apply(mul, [d, d]);
    const root = graph.apply(sqrt, [graph.apply(add, [mean(square), graph.constant(1e-3)])]);
    const normal = graph.apply(div, [d, root]);
    return graph.apply(add, [
      graph.apply(mul, [normal, graph.constant(tensor([7], 2))]),
      graph.constant(tensor([7], 3)),
    ]);
  };

  test("layer and root-mean-square normalisation, written out, become one operator", async () => {
    expect(await check([3, 5, 7], written("pow", true))).toEqual(["Standardization", "Mul", "Add"]);
    expect(await check([3, 5, 7], written("mul", true))).toEqual(["Standardization", "Mul", "Add"]);
    expect(await check([3, 5, 7], written("mul", false))).toEqual(["Standardization", "Mul", "Add"]);
    expect(await check([3, 5, 7], written("pow", true), { normalizations: false })).not.toContain("Standardization");
  });

  test("what only looks like one stays", async () => {
    const other = (graph: Graph, x: Value): Value => {
      const mean = graph.apply(reduceMean, [x], { axes: [0], keepdims: 1 }); // another axis than the variance's
      const d = graph.apply(sub, [x, mean]);
      const variance = graph.apply(reduceMean, [graph.apply(mul, [x, x])], { axes: [1], keepdims: 1 });
      return graph.apply(div, [d, graph.apply(sqrt, [graph.apply(add, [variance, graph.constant(1e-3)])])]);
    };
    expect(await check([4, 6], other)).not.toContain("Standardization");
  });
});
