// The engine as a user meets it: compile, run, encode into one's own commands, verify, profile, and what happens when
// something is wrong.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DeviceLostError, DTypeError, ShapeError, UnsupportedError, UsageError } from "../../src/core/errors.ts";
import { createEngine, type Engine } from "../../src/engine.ts";
import { relu, softmax } from "../../src/graph/functional.ts";
import { Graph } from "../../src/graph/graph.ts";
import { gradients } from "../../src/autodiff/gradients.ts";
import { Tensor } from "../../src/graph/tensor.ts";
import { Variable } from "../../src/graph/variable.ts";
import { tensorData } from "../../src/core/tensorData.ts";
import { acquireGpu } from "../../src/device/acquire.ts";
import { findNodeAdapter } from "../../src/device/node.ts";
import { usagesOf } from "../../src/device/constants.ts";
import { GpuExecutor } from "../../src/runtime/gpu/executor.ts";
import { verify } from "../../src/runtime/verify.ts";
import { SOFTWARE_TRAITS } from "../../src/scheduler/choose.ts";
import { Plan, type PlanData } from "../../src/scheduler/plan.ts";
import { schedule } from "../../src/scheduler/schedule.ts";
import { loadStrategies } from "../../shaders/index.ts";
import { DEFAULT_LIMITS } from "../../shaders/strategy.ts";

const quiet = { log: (): void => undefined };

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine(quiet);
});
afterAll(() => {
  engine.dispose();
});

const affine = (x: Tensor, w: Tensor): Tensor => relu(x.matmul(w).add(1));
const specs = { x: [2, 3], w: [3, 2] };
const x = Float32Array.of(1, 2, 3, -4, -5, -6);
const w = Float32Array.of(1, 0, 0, 1, 1, 1);
const expected = [1 + 3 + 1, 2 + 3 + 1, 0, 0];

describe("a model", () => {
  it("computes, fused into one dispatch", async () => {
    using model = await engine.compile(affine, specs);
    const { y } = await model.run({ x, w });
    expect([...y!.data]).toEqual(expected);
    expect(y!.shape).toEqual([2, 2]);
    expect(model.plan.steps).toHaveLength(1);
    expect(String(model.plan)).toContain("MatMul+Add+Relu");
  });

  it("gives overlapping runs their own results, in order", async () => {
    using model = await engine.compile((a) => a.mul(2), { a: [1] });
    const results = await Promise.all([1, 2, 3, 4].map((value) => model.run({ a: [value] })));
    expect(results.map(({ y }) => y!.data[0])).toEqual([2, 4, 6, 8]);
  });

  it("refuses inputs that do not fit, saying which and why", async () => {
    using model = await engine.compile(affine, specs);
    await expect(model.run({ x })).rejects.toThrow(new UsageError('run: input "w" (float32 [3, 2]) is missing'));
    await expect(model.run({ x, w, z: w })).rejects.toThrow('there is no input "z"; this model takes x, w');
    await expect(model.run({ x: x.slice(1), w })).rejects.toThrow(ShapeError);
    await expect(model.run({ x: Int32Array.from(x), w })).rejects.toThrow(DTypeError);
    await expect(model.run({ x, w }, { outputs: ["z"] })).rejects.toThrow('there is no output "z"; this model has y');
    await expect(model.run({ x, w }, { signal: AbortSignal.abort() })).rejects.toThrow("abort");
  });

  it("says that it was disposed", async () => {
    const model = await engine.compile(affine, specs);
    model.dispose();
    await expect(model.run({ x, w })).rejects.toThrow("disposed");
  });

  it("frees all it made", async () => {
    const before = engine.counters!;
    for (let i = 0; i < 3; i++) {
      using model = await engine.compile(affine, specs);
      await model.run({ x, w });
    }
    const after = engine.counters!;
    expect(after.buffersLive - before.buffersLive).toBeLessThanOrEqual(1); // a pooled staging buffer
  });

  it("runs the plan it serialises to", async () => {
    const graph = new Graph();
    const input = new Tensor(graph, graph.input("x", { dtype: "float32", shape: [4, 6] }));
    graph.output("y", softmax(input.matmul(tensorData(Float32Array.from({ length: 30 }, Math.sin), [6, 5]))).value);
    using gpu = await acquireGpu(quiet);
    using executor = new GpuExecutor(gpu);
    const compiled = await schedule(graph, { limits: DEFAULT_LIMITS, traits: SOFTWARE_TRAITS, loadStrategies });
    const copy = new Plan(JSON.parse(JSON.stringify(compiled.plan)) as PlanData);
    const data = Float32Array.from({ length: 24 }, Math.cos);
    const [first, second] = await Promise.all(
      [compiled, { ...compiled, plan: copy }].map(async (each) => (await executor.prepare(each)).run({ x: data })),
    );
    expect(second!.y!.data).toEqual(first!.y!.data);
    expect(String(copy)).toBe(String(compiled.plan));
  });
});

describe("strategies", () => {
  it("are forced by operator and by node name", async () => {
    for (const name of ["naive", "tiled", "registerTile", "tiledRegister"]) {
      using model = await engine.compile(affine, specs, { strategies: { MatMul: name } });
      expect(model.plan.steps[0]).toMatchObject({ strategy: name });
      expect([...(await model.run({ x, w })).y!.data]).toEqual(expected);
    }
  });

  it("that do not exist are refused with the names of those that do", async () => {
    await expect(engine.compile(affine, specs, { strategies: { MatMul: "warp" } })).rejects.toThrow(
      /MatMul has no strategy "warp"; it has .*naive/,
    );
  });
});

describe("encode", () => {
  it("runs between the caller's own buffers in the caller's own command encoder", async () => {
    const device = engine.device!;
    using model = await engine.compile(affine, specs);
    const make = (data: Float32Array<ArrayBuffer>): GPUBuffer => {
      const buffer = device.createBuffer({ size: data.byteLength, usage: usagesOf.storage });
      device.queue.writeBuffer(buffer, 0, data);
      return buffer;
    };
    const mine = { x: make(x), w: make(w) };
    const result = make(new Float32Array(4));
    const before = engine.counters!;
    const submit = (): void => {
      const encoder = device.createCommandEncoder();
      model.encode(encoder, mine, { y: result });
      device.queue.submit([encoder.finish()]);
    };
    submit();
    const once = engine.counters!;
    submit();
    expect(engine.counters!.bindGroupsCreated).toBe(once.bindGroupsCreated);
    expect(once.buffersCreated).toBe(before.buffersCreated);
    const staging = device.createBuffer({ size: 16, usage: usagesOf.readback });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(result, 0, staging, 0, 16);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(1);
    expect([...new Float32Array(staging.getMappedRange())]).toEqual(expected);
    for (const buffer of [mine.x, mine.w, result, staging]) buffer.destroy();
  });

  it("refuses unknown names, small buffers and the CPU backend", async () => {
    const device = engine.device!;
    using model = await engine.compile(affine, specs);
    const small = device.createBuffer({ size: 4, usage: usagesOf.storage });
    const encoder = device.createCommandEncoder();
    expect(() => model.encode(encoder, { q: small })).toThrow('there is no input "q"');
    expect(() => model.encode(encoder, { x: small })).toThrow("4 bytes, 24 are needed");
    small.destroy();
    using cpu = await createEngine({ backend: "cpu" });
    using reference = await cpu.compile(affine, specs);
    expect(() => reference.encode(encoder)).toThrow(UnsupportedError);
  });
});

describe("verify", () => {
  it("names the first step whose kernel is wrong, not those after it", async () => {
    const graph = new Graph();
    const input = new Tensor(graph, graph.input("x", { dtype: "float32", shape: [3, 4] }));
    graph.output("y", softmax(input.exp().sum({ axes: 1, keepdims: true }).mul(input)).value);
    using gpu = await acquireGpu(quiet);
    using executor = new GpuExecutor(gpu);
    const compiled = await schedule(graph, { limits: DEFAULT_LIMITS, traits: SOFTWARE_TRAITS, loadStrategies });
    const broken = compiled.plan.kernels.map((kernel) => ({
      ...kernel,
      wgsl: kernel.wgsl.replaceAll("exp(", "sqrt("),
    }));
    const data = { x: Float32Array.from({ length: 12 }, (_, i) => i / 10) };
    const right = await verify(await executor.prepare(compiled), data, "this adapter");
    expect(right.passed, String(right)).toBe(true);
    const copied = JSON.parse(JSON.stringify(compiled.plan)) as PlanData;
    const wrong = await executor.prepare({ ...compiled, plan: new Plan({ ...copied, kernels: broken }) });
    const report = await verify(wrong, data, "this adapter");
    expect(report.passed).toBe(false);
    expect(report.firstFailure!.name).toBe("#0 Exp+ReduceSum (Exp)");
    expect(String(report)).toContain("first wrong step on this adapter: #0 Exp+ReduceSum (Exp)");
    expect(report.steps.slice(1, -1).every((step) => step.passed)).toBe(true);
  });

  it("leaves variables as they were", async () => {
    const weight = new Variable("weight", tensorData([1, 2], [2]));
    const graph = new Graph();
    const value = new Tensor(graph, graph.variable(weight));
    const loss = value.mul(value).sum();
    const [gradient] = gradients(graph, loss.value, [value.value]);
    graph.update(weight, value.sub(new Tensor(graph, gradient!).mul(0.25)).value);
    graph.output("loss", loss.value);
    using model = await engine.compileGraph(graph);
    expect((await engine.verify(model, {})).passed).toBe(true);
    await model.profile({}, { repeats: 2 });
    expect((await model.run({})).loss!.data[0]).toBe(5);
    expect((await model.run({})).loss!.data[0]).toBe(1.25);
    await engine.pull([weight]);
    expect([...weight.data.data]).toEqual([0.25, 0.5]);
  });
});

describe("large constants", () => {
  it("are there before the first run, also when plans that share them are made at once and one is given up", async () => {
    const count = 3 << 20; // two chunks
    const weights = {
      dtype: "float32",
      shape: [count],
      data: new Float32Array(count).fill(1),
      immutable: true,
    } as const;
    const sumOf = (factor: number): Graph => {
      const graph = new Graph();
      const value = new Tensor(graph, graph.input("x", { dtype: "float32", shape: [] }));
      graph.output("y", new Tensor(graph, graph.constant(weights)).mul(value).mul(factor).sum().value);
      return graph;
    };
    const controller = new AbortController();
    const givenUp = engine.compileGraph(sumOf(3), { signal: controller.signal }).catch((error: unknown) => error);
    const results = [1, 2].map(async (factor) => {
      using model = await engine.compileGraph(sumOf(factor));
      return (await model.run({ x: [1] })).y!.data[0];
    });
    controller.abort();
    expect(await Promise.all(results)).toEqual([count, 2 * count]);
    expect(await givenUp).toBeInstanceOf(Error);
  });
});

describe("profile", () => {
  it("times every step, or says that it can't", async () => {
    using model = await engine.compile(affine, specs);
    const report = await engine.profile(model, { x, w }, { repeats: 2 });
    if (engine.adapter!.features.includes("timestamp-query")) expect(report.steps).toHaveLength(1);
    using plain = await createEngine({ ...quiet, device: await deviceWithoutFeatures() });
    using untimed = await plain.compile(affine, specs);
    const none = await untimed.profile({ x, w });
    expect(none.steps).toBeUndefined();
    expect(String(none)).toContain("no timestamp-query");
  });
});

describe("a device", () => {
  it("of the caller's is used and left alone", async () => {
    const device = await deviceWithoutFeatures();
    const own = await createEngine({ ...quiet, device });
    expect(own.device).toBe(device);
    const model = await own.compile(affine, specs);
    expect([...(await model.run({ x, w })).y!.data]).toEqual(expected);
    own.dispose();
    const buffer = device.createBuffer({ size: 16, usage: usagesOf.storage });
    device.queue.writeBuffer(buffer, 0, x.slice(0, 4));
    await device.queue.onSubmittedWorkDone();
    device.destroy();
  });

  it("that is lost makes every run fail with a typed error that names the work at hand", async () => {
    using doomed = await createEngine(quiet);
    const model = await doomed.compile(affine, specs);
    await model.run({ x, w });
    doomed.device!.destroy();
    await doomed.lost;
    const failure = await model.run({ x, w }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DeviceLostError);
    expect(String(failure)).toContain("MatMul+Add+Relu");
  });
});

/** A device as a caller who knows nothing of Neurite would request it. */
async function deviceWithoutFeatures(): Promise<GPUDevice> {
  const { adapter } = await findNodeAdapter({});
  return adapter.requestDevice();
}
