// ONNX export against ONNX Runtime. Every layer and every function of tensors goes out as a file, alone and in networks
// trained for a few steps, and means to ONNX Runtime what it means here. Whole models come in, go out again, and are still
// the same, to us and to ONNX Runtime.

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dataSets, findTests, modelFile, type TestFolder } from "../../src/cli/conformance/folders.ts";
import { judge } from "../../src/cli/conformance/judge.ts";
import { computedDType, isStoredDType, naturalElements } from "../../src/formats/elements.ts";
import { decodeModel, decodeTensor } from "../../src/formats/onnx/decode.ts";
import { encodeModel } from "../../src/formats/onnx/encode.ts";
import type { OnnxTensor } from "../../src/formats/onnx/tensor.ts";
import * as functional from "../../src/graph/functional.ts";
import * as neurite from "../../src/index.ts";
import {
  adam,
  arrayDataset,
  AvgPool2d,
  Conv2d,
  createEngine,
  Dropout,
  exportOnnx,
  Flatten,
  Graph,
  initialize,
  Linear,
  MaxPool2d,
  Module,
  mse,
  ones,
  Parameter,
  Random,
  ReLU,
  sequential,
  Sigmoid,
  Tanh,
  Tensor,
  Trainer,
  UnsupportedError,
  type DType,
  type Engine,
  type InputSpec,
  type Outputs,
  type Shape,
  type TensorData,
  type TypedArray,
} from "../../src/index.ts";
import { importedGraph } from "../harness/importedGraph.ts";
import { modelBytes, node } from "../harness/onnxModels.ts";
import { hasOracle, oracleNote, runOracle } from "../harness/oracle.ts";

const { absolute, avgPool2d, conv2d, flatten, logSoftmax, maximum, maxPool2d, minimum, relu, sigmoid, softmax, tanh } =
  functional;

/** Largest difference allowed, as a share of the largest element of the output. */
const TOLERANCE = 1e-5;

let gpu: Engine;
let cpu: Engine;
beforeAll(async () => {
  [gpu, cpu] = await Promise.all([createEngine(), createEngine({ backend: "cpu" })]);
});
afterAll(() => {
  gpu.dispose();
  cpu.dispose();
});

/** The largest difference between two tensors of one shape, as a share of the largest element of `expected`. */
function difference(actual: OnnxTensor, expected: OnnxTensor, title: string): number {
  expect({ dtype: actual.dtype, shape: actual.shape }, title).toEqual({ dtype: expected.dtype, shape: expected.shape });
  const [a, e] = [actual, expected].map(({ data }) => Float64Array.from(data as ArrayLike<number | bigint>, Number));
  const largest = e!.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const most = e!.reduce((found, value, i) => (a![i] === value ? found : Math.max(found, Math.abs(a![i]! - value))), 0);
  expect(most, `${title}: finite`).toBeLessThan(Infinity);
  return most === 0 ? 0 : most / largest;
}

/** Elements as ONNX Runtime takes them: truth values as bytes, 64-bit integers as big integers. */
function forOracle({ dtype, shape, data }: TensorData): OnnxTensor {
  if (dtype === "bool") return { dtype, shape, data: Uint8Array.from(data) };
  return { dtype, shape, data: dtype === "int64" ? BigInt64Array.from(Array.from(data, BigInt)) : data };
}

/** Host tensors come back as ONNX Runtime's do. */
function expectAgreement(actual: Outputs, expected: Readonly<Record<string, OnnxTensor>>, title: string): void {
  expect(Object.keys(actual), title).toEqual(Object.keys(expected));
  for (const [name, tensor] of Object.entries(actual)) {
    const found = difference(forOracle(tensor), expected[name]!, `${title}, output ${name}`);
    expect(found, `${title}, output ${name}`).toBeLessThanOrEqual(TOLERANCE);
  }
}

function elements(random: Random, count: number): Float32Array {
  return Float32Array.from({ length: count }, () => random.normal());
}

const sizeOf = (shape: Shape): number => shape.reduce((product, extent) => product * extent, 1);

/** A network and the shape of its input. */
type NetworkCase = readonly [title: string, make: () => Module, shape: Shape];

/** A convolution beside which its input passes. */
class Residual extends Module {
  readonly conv = new Conv2d(4, 4, 3, { padding: 1 });
  readonly gain = new Parameter([4, 1, 1], ones);

  override forward(x: Tensor): Tensor {
    return relu(this.conv.forward(x).mul(this.gain.tensor(x.graph)).add(x));
  }
}

/** A network that is no chain: a stem, two residual blocks of one weight each, and a head on two pooled halves. */
class ResidualNetwork extends Module {
  readonly stem = new Conv2d(3, 4, 3, { padding: 1, stride: 2 });
  readonly blocks = [new Residual(), new Residual()];
  readonly head = new Linear(8, 5);

  override forward(x: Tensor): Tensor {
    let y = sigmoid(this.stem.forward(x));
    for (const block of this.blocks) y = block.forward(y);
    const [left, right] = [avgPool2d(y, [8, 4]), maxPool2d(y, [8, 4])];
    return logSoftmax(this.head.forward(flatten(left.sub(right))));
  }
}

/** One layer applied twice. */
class Tied extends Module {
  readonly layer = new Linear(6, 6);

  override forward(x: Tensor): Tensor {
    return this.layer.forward(tanh(this.layer.forward(x)));
  }
}

const LAYERS: readonly NetworkCase[] = [
  ["Linear", () => new Linear(7, 5), [4, 7]],
  ["Linear without bias", () => new Linear(7, 5, { bias: false }), [4, 7]],
  ["Linear over 3 axes", () => new Linear(7, 5), [4, 3, 7]],
  ["Conv2d", () => new Conv2d(3, 5, 3), [2, 3, 8, 7]],
  [
    "Conv2d with every option",
    () => new Conv2d(4, 6, [3, 2], { stride: [2, 1], padding: [1, 0, 2, 1], dilation: [1, 2], groups: 2, bias: false }),
    [2, 4, 9, 8],
  ],
  ["Conv2d, depthwise", () => new Conv2d(4, 4, 3, { padding: 1, groups: 4 }), [1, 4, 6, 6]],
  ["MaxPool2d", () => new MaxPool2d(2), [2, 3, 8, 6]],
  [
    "MaxPool2d with every option",
    () => new MaxPool2d([3, 2], { stride: 2, padding: [1, 0], dilation: [1, 2], ceilMode: true }),
    [2, 3, 9, 8],
  ],
  ["AvgPool2d", () => new AvgPool2d(2), [2, 3, 8, 6]],
  [
    "AvgPool2d with every option",
    () => new AvgPool2d(3, { stride: 2, padding: [1, 1, 0, 1], ceilMode: true }),
    [2, 3, 8, 7],
  ],
  ["ReLU", () => new ReLU(), [3, 5]],
  ["Sigmoid", () => new Sigmoid(), [3, 50]],
  ["Tanh", () => new Tanh(), [3, 50]],
  ["Dropout", () => new Dropout(0.5), [3, 5]],
  ["Flatten", () => new Flatten(), [2, 3, 4]],
  ["Flatten of all axes", () => new Flatten(0), [2, 3, 4]],
  ["Flatten of the last axes", () => new Flatten(2), [2, 3, 4, 5]],
  ["Sequential", () => sequential(sequential(new Linear(4, 6), new Tanh()), new Linear(6, 2)), [3, 4]],
];

const NETWORKS: readonly NetworkCase[] = [
  [
    "LeNet",
    () =>
      sequential(
        new Conv2d(1, 6, 5, { padding: 2 }),
        new ReLU(),
        new MaxPool2d(2),
        new Conv2d(6, 8, 5),
        new Sigmoid(),
        new AvgPool2d(2),
        new Flatten(),
        new Dropout(0.3),
        new Linear(72, 20),
        new Tanh(),
        new Linear(20, 10),
      ),
    [4, 1, 20, 20],
  ],
  ["residual blocks", () => new ResidualNetwork(), [4, 3, 16, 16]],
  ["a layer used twice", () => new Tied(), [4, 6]],
];

const STEPS = 3;

/** Trains for a few steps towards random targets. */
async function train(net: Module, shape: Shape): Promise<void> {
  const random = new Random(5);
  const graph = new Graph();
  const output = net.forward(new Tensor(graph, graph.input("x", { dtype: "float32", shape })));
  const dataset = arrayDataset({
    x: elements(random, STEPS * sizeOf(shape)),
    xShape: shape.slice(1),
    y: elements(random, STEPS * sizeOf(output.shape)),
    yShape: output.shape.slice(1),
  });
  using trainer = new Trainer(gpu, net, { loss: mse(), optimizer: adam({ lr: 0.01 }) });
  for await (const event of trainer.fit(dataset, { epochs: 1, batchSize: shape[0]! }))
    if (event.type === "step") expect(event.loss).toBeGreaterThan(0);
  expect(trainer.steps).toBe(STEPS);
  await trainer.sync();
}

describe(`layers and networks mean the same to ONNX Runtime${oracleNote}`, () => {
  test.skipIf(!hasOracle).each([...LAYERS, ...NETWORKS])("%s", async (title, make, shape) => {
    const net = make();
    initialize(net, 7);
    const before = new Map([...net.stateDict()].map(([name, { data }]) => [name, data.slice()]));
    if (before.size > 0) await train(net, shape);

    const bytes = exportOnnx(net, { picture: shape }, { output: "scores", name: title });
    const { graph } = decodeModel(bytes);
    expect(graph.name).toBe(title);
    for (const [name, { shape: extents, data }] of net.stateDict()) {
      const stored = graph.initializers.get(name);
      expect(stored, name).toMatchObject({ name, dtype: "float32", shape: extents });
      const values = new Float32Array(stored!.bytes.slice().buffer);
      expect(values, `${name}: as trained`).toEqual(data);
      expect(values, `${name}: trained`).not.toEqual(before.get(name));
    }

    const picture: TensorData = { dtype: "float32", shape, data: elements(new Random(11), sizeOf(shape)) };
    const expected = await runOracle(bytes, { picture: forOracle(picture) });
    for (const engine of [gpu, cpu]) {
      using model = await engine.compile((x) => ({ scores: net.forward(x) }), { picture: shape });
      expectAgreement(await model.run({ picture }), expected, `${title} on the ${engine.backend}`);
    }
  });

  test("every layer is among them", () => {
    const classes = Object.entries<unknown>(neurite).filter(
      ([, value]) => typeof value === "function" && value.prototype instanceof Module,
    );
    const used = new Set<unknown>(LAYERS.map(([, make]) => make().constructor));
    expect(classes.length).toBeGreaterThan(0);
    expect(classes.filter(([, value]) => !used.has(value)).map(([name]) => name)).toEqual([]);
  });
});

/** A function of tensors, and what it takes. */
interface FunctionCase {
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly compute: (...inputs: [Tensor, ...Tensor[]]) => Tensor | Readonly<Record<string, Tensor>>;
}

const FUNCTIONS: Readonly<Record<keyof typeof functional | `Tensor.${string}`, FunctionCase>> = {
  absolute: { inputs: { x: [4, 5] }, compute: (x) => absolute(x) },
  avgPool2d: { inputs: { x: [2, 3, 7, 6] }, compute: (x) => avgPool2d(x, 3, { padding: 1, stride: 2 }) },
  conv2d: {
    inputs: { x: [2, 3, 7, 6], weight: [4, 3, 2, 3], bias: [4] },
    compute: (x, weight, bias) => conv2d(x, weight, bias, { padding: [0, 1] }),
  },
  flatten: { inputs: { x: [2, 3, 4] }, compute: (x) => flatten(x) },
  logSoftmax: {
    inputs: { x: [4, 17] },
    compute: (x) => ({ last: logSoftmax(x), first: logSoftmax(x, 0), far: logSoftmax(x.mul(100)) }),
  },
  maxPool2d: { inputs: { x: [2, 3, 7, 6] }, compute: (x) => maxPool2d(x, 2) },
  maximum: {
    inputs: { x: [4, 5], y: [5] },
    compute: (x, y) => ({ tensor: maximum(x, y), number: maximum(x, 0.25) }),
  },
  minimum: {
    inputs: { x: [4, 5], y: [4, 1] },
    compute: (x, y) => ({ tensor: minimum(x, y), number: minimum(x, 0.25) }),
  },
  relu: { inputs: { x: [4, 5] }, compute: (x) => relu(x) },
  sigmoid: { inputs: { x: [4, 5] }, compute: (x) => sigmoid(x.mul(4)) },
  softmax: {
    inputs: { x: [2, 5, 17] },
    compute: (x) => ({ last: softmax(x), middle: softmax(x, 1), far: softmax(x.mul(100)) }),
  },
  tanh: { inputs: { x: [4, 5] }, compute: (x) => tanh(x.mul(4)) },
  where: {
    inputs: { condition: { shape: [4, 1], dtype: "bool" }, x: [4, 5], y: [5] },
    compute: (condition, x, y) => ({
      tensor: functional.where(condition, x, y),
      number: functional.where(condition, x, 0.5),
    }),
  },
  "Tensor.arithmetic": {
    inputs: { x: [4, 5], y: [5] },
    compute: (x, y) => ({ sum: x.add(y), rest: x.sub(1.5).mul(y).neg(), ratio: x.div(absolute(y).add(1)) }),
  },
  "Tensor.exp, log, sqrt": {
    inputs: { x: [4, 5] },
    compute: (x) => ({ power: x.exp(), logarithm: absolute(x).add(0.1).log(), root: absolute(x).sqrt() }),
  },
  "Tensor.matmul": {
    inputs: { x: [2, 3, 4, 5], y: [3, 5, 6], v: [5] },
    compute: (x, y, v) => ({ stack: x.matmul(y), vector: x.matmul(v), dot: v.matmul(v) }),
  },
  "Tensor.reshape, transpose": {
    inputs: { x: [2, 3, 4] },
    compute: (x) => ({
      merged: x.reshape([-1, 4]),
      kept: x.reshape([0, 2, -1]),
      swapped: x.transpose([1, 0, 2]),
      back: x.transpose(),
    }),
  },
  "Tensor.reductions": {
    inputs: { x: [2, 3, 4] },
    compute: (x) => ({
      all: x.sum(),
      sum: x.sum({ axes: -1 }),
      mean: x.mean({ axes: [0, 2], keepdims: true }),
      max: x.max({ axes: 1 }),
    }),
  },
  "Tensor.mul and add, with constants": {
    inputs: { x: [2, 3] },
    compute: (x) => x.mul({ dtype: "float32", shape: [2, 1], data: Float32Array.of(2, -3) }).add(1e-7),
  },
};

/** Elements for an input: numbers around 0, or truth values. */
function valuesOf(spec: InputSpec, random: Random): TensorData {
  const { shape, dtype = "float32" } = "shape" in spec ? spec : { shape: spec };
  const make: Partial<Record<DType, () => TypedArray>> = {
    float32: () => elements(random, sizeOf(shape)),
    bool: () => Uint32Array.from({ length: sizeOf(shape) }, () => random.integer(2)),
  };
  return { dtype, shape, data: make[dtype]!() };
}

describe(`functions mean the same to ONNX Runtime${oracleNote}`, () => {
  test.skipIf(!hasOracle).each(Object.entries(FUNCTIONS))("%s", async (title, { inputs, compute }) => {
    const build = (...tensors: Tensor[]): Readonly<Record<string, Tensor>> => {
      const result = compute(...(tensors as [Tensor, ...Tensor[]]));
      return result instanceof Tensor ? { result } : result;
    };
    const random = new Random(3);
    const feeds = Object.fromEntries(Object.entries(inputs).map(([name, spec]) => [name, valuesOf(spec, random)]));
    const given = Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, forOracle(tensor)]));
    const expected = await runOracle(exportOnnx(build, inputs), given);
    for (const engine of [gpu, cpu]) {
      using model = await engine.compile(build, inputs);
      expectAgreement(await model.run(feeds), expected, `${title} on the ${engine.backend}`);
    }
  });

  test("every function is among them", () => {
    expect(Object.keys(functional).filter((name) => !(name in FUNCTIONS))).toEqual([]);
  });
});

/** The folder with the models: $NEURITE_CONFORMANCE, or beside the project. */
const models = join(
  process.env["NEURITE_CONFORMANCE"] ?? join(import.meta.dirname, "../../../shared/conformance"),
  "models",
);
const hasModels = existsSync(models);
const modelsNote = hasModels ? "" : ` (skipped: there is no ${models}; set NEURITE_CONFORMANCE)`;
const folders = (hasModels ? findTests(models) : []).map((folder) => [folder.name, folder] as const);

/** Models of which a run on the CPU reference takes seconds: ONNX Runtime alone judges what is exported. */
const LONG: ReadonlySet<string> = new Set(["basic_pitch_nmp", "magika_v3_3", "ppocr_v4_rec"]);

/** A model and its first data set, by the names of its inputs and outputs. */
async function readModel(folder: TestFolder) {
  const bytes = await readFile(modelFile(folder));
  const proto = decodeModel(bytes);
  const { inputs, outputs, initializers } = proto.graph;
  const fed = inputs.filter(({ name }) => !initializers.has(name));
  const [set] = dataSets(folder);
  const read = async (files: ReadonlyMap<number, string>, names: readonly { readonly name: string }[]) => {
    const tensors: Record<string, OnnxTensor> = {};
    for (const [i, file] of files) {
      const { dtype, shape, bytes: data } = decodeTensor(await readFile(file));
      if (!isStoredDType(dtype)) throw new UnsupportedError(`${file} is ${dtype}`);
      tensors[names[i]!.name] = { dtype: computedDType(dtype), shape, data: naturalElements(data, dtype) };
    }
    return tensors;
  };
  return { bytes, proto, inputs: await read(set!.inputs, fed), expected: await read(set!.outputs, outputs) };
}

/** The model as a file written from the graph that was made of it, and what that file takes. */
async function exportedAgain({ proto, inputs }: Awaited<ReturnType<typeof readModel>>) {
  const graph = await importedGraph(proto, inputs);
  const taken = Object.entries(inputs).filter(([name]) => graph.inputs.has(name));
  return { bytes: exportOnnx(graph), inputs: Object.fromEntries(taken) };
}

describe.skipIf(!hasModels)(`models that come in and go out again${modelsNote}`, () => {
  test.each(folders)("%s: the file's data, as `neurite export` writes it, is what it was", async (_, folder) => {
    const proto = decodeModel(new Uint8Array(await readFile(modelFile(folder))));
    expect(isDeepStrictEqual(decodeModel(encodeModel(proto)), proto)).toBe(true);
  });

  const quick = folders.filter(([name]) => !LONG.has(name));
  test.each(quick)("%s: its graph, exported and loaded again, computes the same bits", async (_, folder) => {
    const model = await readModel(folder);
    const again = await exportedAgain(model);
    using before = await cpu.load(model.bytes);
    using after = await cpu.load(again.bytes);
    expect(await after.run(again.inputs)).toEqual(await before.run(model.inputs));
  });

  test.skipIf(!hasOracle).each(folders)(`%s: the same to ONNX Runtime${oracleNote}`, async (_, folder) => {
    const model = await readModel(folder);
    const again = await exportedAgain(model);
    const outputs = await runOracle(again.bytes, again.inputs);
    expect(Object.keys(outputs).sort()).toEqual(model.proto.graph.outputs.map(({ name }) => name).sort());
    for (const [name, tensor] of Object.entries(model.expected))
      expect(judge(outputs[name]!, tensor, folder.tolerance), name).toBeUndefined();
  });
});

test("a model that runs in several segments is no graph to export", async () => {
  const x = { dtype: "float32", shape: [128, 128], data: new Float32Array(128 * 128).fill(1) } as const;
  const bytes = modelBytes({
    nodes: [node("MatMul", "x x", "product"), node("NonZero", "product", "places")],
    inputs: { x: ["float32", 128, 128] },
    outputs: { places: ["int64", 2, "n"] },
  });
  await expect(importedGraph(decodeModel(bytes), { x })).rejects.toThrow(UnsupportedError);
});
