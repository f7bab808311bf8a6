// ONNX export: every operator that has an exporter, on all of its cases, goes out as a file, comes back through the importer
// and must compute the same. What ONNX has no counterpart of is listed here by name, so that a new operator cannot be
// forgotten.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEngine, type Engine } from "../../src/engine.ts";
import { UnsupportedError, UsageError } from "../../src/core/errors.ts";
import { tensorData, type TensorData } from "../../src/core/tensorData.ts";
import { decodeModel, decodeTensor } from "../../src/formats/onnx/decode.ts";
import { encodeModel, encodeTensor } from "../../src/formats/onnx/encode.ts";
import { exportOnnx } from "../../src/formats/onnx/export.ts";
import { exporters } from "../../src/formats/onnx/exporters.ts";
import type { OnnxTensor } from "../../src/formats/onnx/tensor.ts";
import type { AttributeProto, GraphProto, ModelProto, TensorProto } from "../../src/formats/onnx/model.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { relu } from "../../src/graph/functional.ts";
import { Conv2d, Flatten, Linear, MaxPool2d, ReLU, sequential } from "../../src/nn/layers.ts";
import { initialize, Module } from "../../src/nn/module.ts";
import { Tensor } from "../../src/graph/tensor.ts";
import * as ops from "../../src/ops/index.ts";
import type { Operator } from "../../src/ops/operator.ts";
import { caseData, type CaseData } from "../harness/values.ts";

const operators = Object.values(ops) as unknown as readonly Operator[];

/** Operators without a counterpart: gradients, parts of other operators, and what only a schedule holds. */
const INTERNAL: ReadonlySet<string> = new Set([
  "AveragePoolGradient",
  "ConvWeightGradient",
  "GatherGradient",
  "Im2Col",
  "MatMulNBits",
  "MaxPoolGradient",
  "PhiloxUniform",
  "Pointwise",
  "RecurrentSequence",
  "RecurrentStep",
  "ResampleGradient",
  "WinogradInput",
  "WinogradOutput",
  "WinogradWeights",
]);

/** Operators that are taken apart into some that ONNX has. */
const APART: ReadonlySet<string> = new Set(["ScaledDotProductAttention"]);

/** Said in several operators, which round in between: a common offset costs digits. */
const COMPOSED: ReadonlySet<string> = new Set(["ScaledDotProductAttention", "Standardization"]);

/** Both went through float64 references, which may take sums in another order. */
function expectSame(actual: OnnxTensor, { dtype, shape, data }: TensorData, title: string, unit: number): void {
  expect({ dtype: actual.dtype, shape: actual.shape }, title).toEqual({ dtype, shape });
  const numbers = Array.from(actual.data as ArrayLike<number | bigint>, Number);
  const values = Array.from(data);
  const largest = Math.max(0, ...values.filter(Number.isFinite).map(Math.abs));
  values.forEach((value, i) => {
    if (!Number.isFinite(value)) expect(numbers[i], `${title} [${i}]`).toBe(value);
    else
      expect(Math.abs(numbers[i]! - value), `${title} [${i}]`).toBeLessThanOrEqual(
        (dtype === "float16" ? 2 ** -10 : unit) * largest,
      );
  });
}

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ backend: "cpu" });
});
afterAll(() => engine.dispose());

/** Inputs that are part of the operator: a Resample's tables. */
const isTable = (name: string, i: number): boolean => name === "Resample" && i > 0;

/** One application of an operator to inputs `x0`, `x1` …, with outputs `y0`, `y1` …, traced by exportOnnx or by us. */
function application(operator: Operator, { inputs, problem }: CaseData) {
  const given = inputs.map((input, i) => ({
    input,
    name: `x${i}`,
    isFed: input !== undefined && !isTable(operator.name, i),
  }));
  const fed = given.filter(({ isFed }) => isFed);
  const trace = (graph: Graph, values: readonly Value[]): Record<string, Tensor> => {
    let next = 0;
    const operands = given.map(({ input, isFed }) => (isFed ? values[next++] : input && graph.constant(input)));
    const results = graph.applyAll(operator, operands, problem.attributes);
    return Object.fromEntries(results.map((value, i) => [`y${i}`, new Tensor(graph, value)]));
  };
  const graph = new Graph();
  const values = fed.map(({ name, input }) => graph.input(name, input!));
  for (const [name, tensor] of Object.entries(trace(graph, values))) graph.output(name, tensor.value);
  const types = Object.fromEntries(fed.map(({ name, input }) => [name, input!]));
  const build = (...tensors: Tensor[]): Record<string, Tensor> =>
    trace(
      tensors[0]!.graph,
      tensors.map(({ value }) => value),
    );
  return { graph, feeds: types, whole: () => exportOnnx(build, types) };
}

describe("every operator", () => {
  test("has an exporter, a decomposition, or a reason to have neither", () => {
    const without = operators.filter((operator) => !("decompose" in operator) && !exporters.has(operator.name));
    expect(without.map(({ name }) => name).sort()).toEqual([...INTERNAL, ...APART].sort());
  });

  const exported = operators.filter(({ name }) => exporters.has(name) || APART.has(name));
  test.each(exported.map((operator) => [operator.name, operator] as const))("%s", async (_, operator) => {
    for (const index of operator.cases.keys()) {
      const data = caseData(operator, index);
      const { graph, feeds, whole } = application(operator, data);
      using direct = await engine.compileGraph(graph);
      const expected = await direct.run(feeds);
      const files = { whole: whole(), ...(!operator.decompose && { expanded: exportOnnx(graph) }) };
      for (const [form, bytes] of Object.entries(files)) {
        const title = `${data.title}, ${form}`;
        using loaded = await engine.load(bytes);
        const actual = await loaded.run(feeds);
        for (const [name, tensor] of Object.entries(expected))
          expectSame(actual[name]!, tensor, title, COMPOSED.has(operator.name) ? 1e-4 : 1e-6);
      }
    }
  });

  test.each([...INTERNAL].filter((name) => name !== "Pointwise"))("%s is refused by name", (name) => {
    const operator = operators.find((item) => item.name === name)!;
    const { graph } = application(operator, caseData(operator, 0));
    expect(() => exportOnnx(graph)).toThrow(UnsupportedError);
    expect(() => exportOnnx(graph)).toThrow(name);
  });
});

describe("modules and functions", () => {
  test("a network keeps the names of its inputs, outputs and parameters", async () => {
    const net = sequential(
      new Conv2d(1, 4, 3, { padding: 1 }),
      new ReLU(),
      new MaxPool2d(2),
      new Flatten(),
      new Linear(64, 5),
    );
    initialize(net, 7);
    const bytes = exportOnnx(
      net,
      { image: [2, 1, 8, 8] },
      { output: "scores", name: "digits", metadata: { trained: "no" } },
    );
    const { graph, opsets, metadata } = decodeModel(bytes);
    expect(graph.inputs).toEqual([{ name: "image", dtype: "float32", shape: [2, 1, 8, 8], kind: "tensor" }]);
    expect(graph.outputs).toEqual([{ name: "scores", dtype: "float32", shape: [2, 5], kind: "tensor" }]);
    expect([...graph.initializers.keys()]).toEqual(expect.arrayContaining([...net.stateDict().keys()]));
    expect([graph.name, opsets, metadata]).toEqual(["digits", { "": 21 }, { trained: "no" }]);
    expect(new Set(graph.nodes.map(({ name }) => name)).size).toBe(graph.nodes.length);

    const image = tensorData(
      Float32Array.from({ length: 128 }, (_, i) => Math.sin(i)),
      [2, 1, 8, 8],
    );
    using direct = await engine.compile((x) => net.forward(x), { image: [2, 1, 8, 8] });
    using loaded = await engine.load(bytes);
    const { y } = await direct.run({ image });
    const { scores } = await loaded.run({ image });
    expect(scores!.data).toEqual(y!.data);
  });

  test("several inputs and outputs, an output that is an input, an output twice, names that meet", async () => {
    const bytes = exportOnnx(
      (a, b) => {
        const sum = a.add(b);
        return { sum, same: sum, echo: a, positive: relu(sum), Add: sum.mul(2) };
      },
      { a: [3], b: { shape: [2, 1], dtype: "float32" } },
    );
    using loaded = await engine.load(bytes);
    const result = await loaded.run({ a: [1, -2, 3], b: [10, -20] });
    expect(Object.keys(result)).toEqual(["sum", "same", "echo", "positive", "Add"]);
    expect([...result["sum"]!.data]).toEqual([11, 8, 13, -19, -22, -17]);
    expect(result["same"]).toEqual(result["sum"]);
    expect([...result["echo"]!.data]).toEqual([1, -2, 3]);
    expect([...result["positive"]!.data]).toEqual([11, 8, 13, 0, 0, 0]);
    expect([...result["Add"]!.data]).toEqual([22, 16, 26, -38, -44, -34]);
  });

  test("a parameter used twice is stored once", () => {
    class Tied extends Module {
      linear = new Linear(2, 2, { bias: false });
      forward(x: Tensor): Tensor {
        return this.linear.forward(this.linear.forward(x));
      }
    }
    const bytes = exportOnnx(new Tied(), { x: [1, 2] });
    expect([...decodeModel(bytes).graph.initializers.keys()].filter((name) => name.includes("weight"))).toHaveLength(1);
  });

  test("a Slice to the end, as files say it: 2⁶³ - 1 is 2⁶³ here, which would wrap around", async () => {
    const bytes = exportOnnx(
      (x) => new Tensor(x.graph, x.graph.apply(ops.slice, [x.value], { starts: [1], ends: [2 ** 63] })),
      { x: [4] },
    );
    const ends = [...decodeModel(bytes).graph.initializers.values()].map((tensor) => tensor.bytes);
    expect(ends).toContainEqual(new Uint8Array(BigInt64Array.of(2n ** 63n - 1n).buffer));
    using loaded = await engine.load(bytes);
    expect((await loaded.run({ x: [1, 2, 3, 4] }))["output"]!.data).toEqual(Float32Array.of(2, 3, 4));
  });

  test("recurrent networks say their hidden_size, given or not", () => {
    for (const hidden_size of [0, 3]) {
      const bytes = exportOnnx(
        (x, w, r) => {
          const [Y] = x.graph.applyAll(ops.lstm, [x.value, w.value, r.value], { hidden_size });
          return new Tensor(x.graph, Y!);
        },
        { x: [2, 1, 4], w: [1, 12, 4], r: [1, 12, 3] },
      );
      const [node] = decodeModel(bytes).graph.nodes;
      expect(node!.attributes.get("hidden_size")).toEqual({ kind: "int", value: 3 });
    }
  });

  test("wrong calls", () => {
    expect(() => exportOnnx(new Graph())).toThrow(UsageError);
    expect(() => exportOnnx((x) => x, { y: [1] }, { output: "y" })).toThrow(/both be named "y"/);
  });
});

describe("the file format", () => {
  const tensor = (
    name: string,
    dtype: TensorProto["dtype"],
    shape: number[],
    bytes: ArrayLike<number>,
  ): TensorProto => ({
    name,
    dtype,
    shape,
    bytes: Uint8Array.from(bytes),
  });

  test("a tensor of every kind survives", () => {
    const tensors = [
      tensor("f", "float32", [1], [0, 0, 128, 63]),
      tensor("", "int64", [], [1, 0, 0, 0, 0, 0, 0, 128]),
      tensor("empty", "float16", [0, 3], []),
      tensor("b", "bfloat16", [1], [0x80, 0x3f]),
      { ...tensor("s", "string", [2], []), strings: ["a", "naïve ✓"] },
    ];
    for (const given of tensors) expect(decodeTensor(encodeTensor(given))).toEqual(given);
    const external = { ...tensor("e", "float32", [3], []), external: { location: "weights.bin", offset: "8" } };
    expect(decodeTensor(encodeTensor(external))).toEqual(external);
  });

  test("a model with everything the plain data can say", () => {
    const inner: GraphProto = {
      name: "then",
      nodes: [{ name: "", operator: "Identity", domain: "", inputs: ["x"], outputs: ["z"], attributes: new Map() }],
      initializers: new Map(),
      inputs: [],
      outputs: [{ name: "z", dtype: "undefined", shape: undefined, kind: "tensor" }],
    };
    const attributes = new Map<string, AttributeProto>([
      ["f", { kind: "float", value: -0.5 }],
      ["zero", { kind: "int", value: 0 }],
      ["i", { kind: "int", value: -7 }],
      ["far", { kind: "int", value: 2 ** 62 }],
      ["end", { kind: "int", value: 2 ** 63 }], // what 2⁶³ - 1 is read as
      ["s", { kind: "string", value: "ünï" }],
      ["t", { kind: "tensor", value: tensor("t", "uint8", [2], [1, 255]) }],
      ["g", { kind: "graph", value: inner }],
      ["fs", { kind: "floats", value: [1.5, -2] }],
      ["is", { kind: "ints", value: [-1, 0, 2 ** 40] }],
      ["none", { kind: "ints", value: [] }],
      ["ss", { kind: "strings", value: ["", "b"] }],
    ]);
    const model: ModelProto = {
      irVersion: 10,
      producer: "test",
      opsets: { "": 21, "com.microsoft": 1 },
      graph: {
        name: "g",
        nodes: [
          {
            name: "n",
            operator: "Op",
            domain: "com.microsoft",
            inputs: ["x", "", "w"],
            outputs: ["y", ""],
            attributes,
          },
        ],
        initializers: new Map([["w", tensor("w", "float32", [1], [0, 0, 128, 63])]]),
        inputs: [
          { name: "x", dtype: "float32", shape: ["batch", 3, ""], kind: "tensor" },
          { name: "scalar", dtype: "int64", shape: [], kind: "tensor" },
        ],
        outputs: [{ name: "y", dtype: "float32", shape: undefined, kind: "tensor" }],
      },
      functions: [
        {
          name: "Op",
          domain: "mine",
          inputs: ["a"],
          outputs: ["b"],
          nodes: inner.nodes,
          attributes: new Map([["alpha", { kind: "float", value: 1 }]]),
          opsets: { "": 21 },
        },
      ],
      metadata: { author: "nobody", note: "" },
    };
    expect(decodeModel(encodeModel(model))).toEqual(model);
  });

  test("what was not kept is not written", () => {
    const info = { name: "x", dtype: "undefined" as const, shape: undefined, kind: "sequence" };
    const graph: GraphProto = { name: "", nodes: [], initializers: new Map(), inputs: [info], outputs: [] };
    const model: ModelProto = { irVersion: 10, producer: "", opsets: {}, graph, functions: [], metadata: {} };
    expect(() => encodeModel(model)).toThrow(UnsupportedError);
  });
});
