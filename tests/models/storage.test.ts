// Tensors in less than a word an element, from the graph to the results: what is packed and what is not, the bytes that a
// plan and the device count, and that nobody who reads a buffer on the host notices.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { storeValues, type DType } from "../../src/core/dtype.ts";
import { Random } from "../../src/core/random.ts";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import { pack, unpack } from "../../src/core/storage.ts";
import { tensorData, type TensorData } from "../../src/core/tensorData.ts";
import { acquireGpu } from "../../src/device/acquire.ts";
import { usagesOf } from "../../src/device/constants.ts";
import { createEngine, type Engine } from "../../src/engine.ts";
import { Graph } from "../../src/graph/graph.ts";
import { Variable } from "../../src/graph/variable.ts";
import { add, cast, conv, gather, matMul, relu, reshape, transpose } from "../../src/ops/index.ts";
import { CpuExecutor } from "../../src/runtime/cpu/executor.ts";
import { SOFTWARE_TRAITS } from "../../src/scheduler/choose.ts";
import type { Plan, PlanValue } from "../../src/scheduler/plan.ts";
import { schedule } from "../../src/scheduler/schedule.ts";
import type { TensorProto } from "../../src/formats/onnx/model.ts";
import { loadStrategies } from "../../shaders/index.ts";
import { DEFAULT_LIMITS } from "../../shaders/strategy.ts";
import { floats, int, ints, modelBytes, node } from "../harness/onnxModels.ts";

let gpu: Engine;
let cpu: Engine;
beforeAll(async () => {
  gpu = await createEngine({ log: () => undefined });
  cpu = await createEngine({ backend: "cpu" });
});
afterAll(() => {
  gpu.dispose();
  cpu.dispose();
});

function random(shape: Shape, dtype: DType, low: number, high: number, seed = 1): TensorData {
  const generator = new Random(seed);
  const values = Array.from({ length: sizeOf(shape) }, () => low + generator.uniform() * (high - low));
  return { dtype, shape, data: storeValues(dtype === "float16" ? values : values.map(Math.floor), dtype, "random") };
}

/** Bytes of a plan's buffers of one kind. */
const bytesOf = (plan: Plan, kind: string): number =>
  plan.buffers.filter((buffer) => buffer.kind === kind).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

const valueOf = (plan: Plan, name: string): PlanValue => plan.values[plan.inputs[name] ?? plan.outputs[name]!]!;

/** Convolution, bias, Relu and a product in float16, all weights constant. */
function halfNetwork(): Graph {
  const graph = new Graph();
  const x = graph.input("x", { dtype: "float16", shape: [1, 3, 9, 9] });
  const features = graph.apply(relu, [
    graph.apply(conv, [
      x,
      graph.constant(random([5, 3, 3, 3], "float16", -0.5, 0.5)),
      graph.constant(random([5], "float16", -1, 1)),
    ]),
  ]);
  const flat = graph.apply(reshape, [features], { shape: [7, 35] });
  graph.output("y", graph.apply(matMul, [flat, graph.constant(random([35, 11], "float16", -0.5, 0.5))]));
  return graph;
}

describe("a float16 network", () => {
  const x = random([1, 3, 9, 9], "float16", -1, 1, 7);

  it("has constants and inputs of half the size, and the same results to the bit", async () => {
    using narrow = await gpu.compileGraph(halfNetwork());
    using words = await gpu.compileGraph(halfNetwork(), { narrowStorage: false });
    const padded = (count: number, bytes: number): number => Math.ceil((count * bytes) / 16) * 16;
    const counts = [135, 5, 385];
    const total = (bytes: number): number => counts.reduce((sum, count) => sum + padded(count, bytes), 0);
    expect([bytesOf(narrow.plan, "constant"), bytesOf(words.plan, "constant")]).toEqual([total(2), total(4)]);
    expect([bytesOf(narrow.plan, "input"), bytesOf(words.plan, "input")]).toEqual([padded(243, 2), padded(243, 4)]);
    expect(valueOf(narrow.plan, "y").storage).toBeUndefined();
    const [a, b] = [await narrow.run({ x }), await words.run({ x })];
    expect(a.y!.data).toEqual(b.y!.data);
    expect((await narrow.verify({ x })).passed).toBe(true);
    const moved = ({ steps }: Plan): number =>
      steps.reduce((sum, step) => sum + (step.kind === "copy" ? 0 : step.bytes), 0);
    expect(moved(narrow.plan)).toBeLessThan(moved(words.plan));
  });

  it("counts true bytes on the device", async () => {
    const before = gpu.counters!.bytesLive;
    using model = await gpu.compileGraph(halfNetwork());
    const planned = model.plan.buffers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const uniforms = gpu.counters!.bytesLive - before - planned;
    expect(uniforms).toBeGreaterThan(0);
    expect(uniforms).toBeLessThan(2048);
  });

  it("takes a caller's buffer of halves", async () => {
    using own = await acquireGpu({ log: () => undefined });
    const { device } = own;
    using engine = await createEngine({ device });
    using model = await engine.compileGraph(halfNetwork());
    const { y } = await model.run({ x });
    const mine = device.createBuffer({ size: 496, usage: usagesOf.storage });
    device.queue.writeBuffer(mine, 0, pack(x.data, "float16"));
    const other = random([1, 3, 9, 9], "float16", -1, 1, 8);
    await model.run({ x: other }); // the model's own input buffer has something else now
    const out = device.createBuffer({ size: 77 * 4 + 12, usage: usagesOf.storage });
    const encoder = device.createCommandEncoder();
    model.encode(encoder, { x: mine }, { y: out });
    const [bytes] = await own.read([{ buffer: out, sizeBytes: 77 * 4 }], encoder);
    expect(new Float32Array(bytes!)).toEqual(y!.data);
    const short = device.createBuffer({ size: 480, usage: usagesOf.storage });
    expect(() => {
      model.encode(device.createCommandEncoder(), { x: short });
    }).toThrow('the buffer for input "x" has 480 bytes, 488 are needed');
  });

  it("runs on the CPU by the same plan, which serialises", async () => {
    using reference = await cpu.compileGraph(halfNetwork());
    using model = await gpu.compileGraph(halfNetwork());
    expect(reference.plan.values).toEqual(model.plan.values);
    const [a, b] = [await reference.run({ x }), await model.run({ x })];
    a.y!.data.forEach((value, i) => {
      expect(Math.abs(value - b.y!.data[i]!)).toBeLessThan(4e-3);
    });
    expect(JSON.parse(JSON.stringify(model.plan))).toMatchObject({ values: model.plan.values });
  });
});

describe("bytes", () => {
  it.each(["int8", "uint8", "int16", "uint16", "bool"] as const)(
    "%s tables and indices take their own size",
    async (dtype) => {
      const graph = new Graph();
      const rows = dtype === "bool" ? 2 : 100;
      const table = random([rows, 13], dtype, dtype.startsWith("int") ? -120 : 0, dtype === "bool" ? 2 : 120);
      const x = graph.input("x", { dtype, shape: [5] });
      const index = graph.apply(cast, [x], { to: "int32" });
      graph.output("y", graph.apply(gather, [graph.constant(table), index]));
      using model = await gpu.compileGraph(graph);
      const perWord = dtype.endsWith("16") ? 2 : 4;
      expect(bytesOf(model.plan, "constant")).toBe(Math.ceil((rows * 13) / perWord / 4) * 16);
      expect(bytesOf(model.plan, "input")).toBe(16);
      const picked = dtype === "bool" ? [1, 0, 1, 1, 0] : [99, 0, 1, 50, 7];
      const { y } = await model.run({ x: picked });
      expect([...y!.data]).toEqual(picked.flatMap((row) => [...table.data.slice(13 * row, 13 * row + 13)]));
    },
  );

  it("whole numbers and halves in large float32 constants are found", async () => {
    const bytes = async (values: TensorData, narrowStorage = true): Promise<number> => {
      const graph = new Graph();
      const x = graph.input("x", { dtype: "float32", shape: [3, 128] });
      const constant: TensorData = { dtype: "float32", shape: values.shape, data: values.data };
      graph.output("y", graph.apply(matMul, [x, graph.constant(constant)]));
      using model = await gpu.compileGraph(graph, { narrowStorage });
      const x0 = random([3, 128], "float16", -1, 1).data;
      expect((await model.verify({ x: x0 })).passed).toBe(true);
      return bytesOf(model.plan, "constant");
    };
    const count = 128 * 128;
    const whole = (low: number, high: number): TensorData => {
      const { data, shape } = random([128, 128], "int32", low, high);
      return { dtype: "float32", shape, data: Float32Array.from(data) };
    };
    expect(await bytes(whole(-128, 128))).toBe(count);
    expect(await bytes(whole(0, 256))).toBe(count);
    expect(await bytes(whole(-255, 256))).toBe(count * 2);
    expect(await bytes(random([128, 128], "float16", -1, 1))).toBe(count * 2);
    const fractions = random([128, 128], "float16", -1, 1);
    fractions.data[count - 1] = 0.1; // no half, and the last to be looked at
    expect(await bytes(fractions)).toBe(count * 4);
    expect(await bytes(whole(-128, 128), false)).toBe(count * 4);
  });
});

describe("quantized models", () => {
  /** Small whole numbers as a file has them. */
  const numbers = (name: string, dtype: "int8" | "uint8", shape: Shape, low: number, high: number): TensorProto => {
    const { data } = random(shape, dtype, low, high, shape.length);
    return { name, dtype, shape, bytes: new Uint8Array((dtype === "int8" ? Int8Array : Uint8Array).from(data).buffer) };
  };
  const scales = (name: string, count: number): TensorProto =>
    floats(
      name,
      [count],
      Array.from({ length: count }, (_, i) => 0.01 + 0.001 * (i % 17)),
    );

  /** Constant bytes with a pass and without it; the results must agree. */
  async function bothWays(bytes: Uint8Array, inputs: Record<string, TensorData>): Promise<number[]> {
    using kept = await gpu.load(bytes);
    using folded = await gpu.load(bytes, { optimize: { quantizedWeights: false } });
    const [a, b] = [await kept.run(inputs), await folded.run(inputs)];
    const [actual, expected] = [a, b].map(({ y }) => Array.from(y!.data, Number)) as [number[], number[]];
    const largest = Math.max(...expected.map(Math.abs));
    actual.forEach((value, i) => {
      expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-5 * largest);
    });
    return [kept, folded].map(({ plans }) => plans.reduce((sum, plan) => sum + bytesOf(plan, "constant"), 0));
  }

  it("keep the weights of convolutions and products in bytes", async () => {
    const bytes = modelBytes({
      nodes: [
        node("DequantizeLinear", "q s z", "w", { axis: int(0) }),
        node("Conv", "x w b", "c", { group: int(2), pads: ints(1, 1, 1, 1) }),
        node("BatchNormalization", "c g b m v", "n"),
        node("Flatten", "n", "f"),
        node("DequantizeLinear", "q2 s2", "w2", { axis: int(1) }),
        node("MatMul", "f w2", "y"),
      ],
      inputs: { x: ["float32", 1, 64, 4, 4] },
      outputs: { y: ["float32", 1, 40] },
      initializers: [
        numbers("q", "uint8", [64, 32, 3, 3], 0, 256),
        scales("s", 64),
        { name: "z", dtype: "uint8", shape: [64], bytes: new Uint8Array(64).fill(128) },
        ...["b", "g", "m", "v"].map((name) => scales(name, 64)),
        numbers("q2", "int8", [1024, 40], -128, 128),
        scales("s2", 40),
      ],
    });
    const [narrow, folded] = await bothWays(bytes, {
      x: { ...random([1, 64, 4, 4], "float16", -1, 1), dtype: "float32" },
    });
    const weights = 64 * 32 * 9 + 1024 * 40;
    expect(folded).toBeGreaterThan(4 * weights);
    expect(narrow).toBeGreaterThan(weights);
    expect(narrow).toBeLessThan(1.05 * weights);
  });

  it("have integer products over bytes, or two where a zero point widens them", async () => {
    const model = (zero: number): Uint8Array =>
      modelBytes({
        nodes: [node("MatMulInteger", "x w zx zw", "y")],
        inputs: { x: ["uint8", 3, 128] },
        outputs: { y: ["int32", 3, 130] },
        initializers: [
          numbers("w", "uint8", [128, 130], 0, 256),
          { name: "zx", dtype: "uint8", shape: [], bytes: Uint8Array.of(7) },
          { name: "zw", dtype: "uint8", shape: [], bytes: Uint8Array.of(zero) },
        ],
      });
    const x = random([3, 128], "uint8", 0, 256);
    expect(await bothWays(model(128), { x })).toEqual([16640, 16640]);
    expect(await bothWays(model(100), { x })).toEqual([33280, 33280]);
  });
});

describe("what stays in words", () => {
  it("outputs that are inputs or constants, and whatever updates a variable", async () => {
    const graph = new Graph();
    const x = graph.input("x", { dtype: "int8", shape: [6] });
    const table = graph.constant(random([4], "int8", -9, 9));
    const counter = new Variable("counter", random([6], "int8", 0, 1));
    graph.update(counter, x);
    graph.output("same", graph.apply(reshape, [x], { shape: [2, 3] }));
    graph.output("table", table);
    using model = await gpu.compileGraph(graph);
    expect(model.plan.values.filter(({ storage }) => storage)).toEqual([]);
    const values = [1, -2, 3, -4, 5, -6];
    const { same } = await model.run({ x: values });
    expect([...same!.data]).toEqual(values);
    await gpu.pull([counter]);
    expect([...counter.data.data]).toEqual(values);
  });
});

describe("arrays of halves", () => {
  it("are planned for what kernels write, and the CPU follows the plan", async () => {
    const graph = new Graph();
    const x = graph.input("x", { dtype: "float16", shape: [33, 5] });
    const product = graph.apply(matMul, [x, graph.constant(random([5, 33], "float16", -1, 1))]);
    const turned = graph.apply(transpose, [product], { perm: [1, 0] });
    const wide = graph.apply(cast, [turned], { to: "float32" });
    graph.output("y", graph.apply(add, [graph.apply(matMul, [wide, wide]), wide]));
    const options = { traits: SOFTWARE_TRAITS, loadStrategies };
    const limits = { ...DEFAULT_LIMITS, features: new Set(["shader-f16"]) };
    const halves = await schedule(graph, { ...options, limits });
    const words = await schedule(graph, { ...options, limits: DEFAULT_LIMITS });
    expect(halves.plan.values.filter(({ storage }) => storage === "half").map(({ name }) => name)).toEqual([
      "MatMul",
      "Transpose",
    ]);
    expect(halves.plan.kernels.filter(({ wgsl }) => wgsl.startsWith("enable f16;"))).toHaveLength(3);
    expect(halves.plan.memory.liveBytes).toBeLessThan(words.plan.memory.liveBytes);
    const input = random([33, 5], "float16", -1, 1, 3);
    const executor = new CpuExecutor();
    const results = await Promise.all(
      [halves, words].map(async (compiled) => (await executor.prepare(compiled)).run({ x: input })),
    );
    expect(results[0]!["y"]!.data).toEqual(results[1]!["y"]!.data);
  });
});

it("packs and unpacks every element of every storage", () => {
  const halves = Float32Array.from(
    { length: 65536 },
    (_, bits) => unpack(Uint16Array.of(bits).buffer, "half", "float16", 1)[0]!,
  );
  const bits = new Uint16Array(pack(halves, "float16").buffer);
  const isNan = (half: number): boolean => (half & 0x7fff) > 0x7c00;
  expect([...bits.keys()].filter((i) => (isNan(i) ? !isNan(bits[i]!) : bits[i] !== i))).toEqual([]);
  for (const [storage, low, high] of [
    ["int8", -128, 127],
    ["uint8", 0, 255],
    ["int16", -32768, 32767],
    ["uint16", 0, 65535],
  ] as const) {
    const { data } = tensorData([low, high, 0, 1, -low % 2, high - 1, low + 1], [7], "int32");
    const packed = pack(data, storage);
    expect(packed.length).toBe(storage.endsWith("16") ? 16 : 8);
    expect(unpack(packed.buffer, storage, "int32", 7)).toEqual(data);
  }
});
