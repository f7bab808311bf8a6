// Tuning as a user meets it: measured choices are used, kept, exported and imported, and a kernel that is wrong on an
// adapter is found and left out.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FormatError, UnsupportedError, UsageError } from "../../src/core/errors.ts";
import { filled, tensorData } from "../../src/core/tensorData.ts";
import { acquireGpu } from "../../src/device/acquire.ts";
import type { Gpu } from "../../src/device/gpu.ts";
import { createEngine, type Engine } from "../../src/engine.ts";
import { Graph } from "../../src/graph/graph.ts";
import type { Tensor } from "../../src/graph/tensor.ts";
import { matMul } from "../../src/ops/matmul.ts";
import { GpuExecutor } from "../../src/runtime/gpu/executor.ts";
import { Tuner, type TuneProgress } from "../../src/runtime/gpu/tuner.ts";
import { forgetful, type TuningStore } from "../../src/runtime/gpu/tuningStore.ts";
import type { Model } from "../../src/runtime/model.ts";
import { SOFTWARE_TRAITS } from "../../src/scheduler/choose.ts";
import { toolbox } from "../../src/scheduler/schedule.ts";
import type { TuningData } from "../../src/scheduler/tuning.ts";
import { loadRewrites, loadStrategies } from "../../shaders/index.ts";
import { parameterSets, type AnyStrategy, type Parameters } from "../../shaders/strategy.ts";
import { modelBytes, node } from "../harness/onnxModels.ts";

const quiet = { log: (): void => undefined };
const product = (a: Tensor, b: Tensor): Tensor => a.matmul(b);
const shapes = { a: [24, 40], b: [40, 20] };
const strategyOf = ({ plan }: Model): string => {
  const [step] = plan.steps;
  return step?.kind === "dispatch" ? step.strategy : "copy";
};

/** A store in memory that tells what it was given. */
function memoryStore(): TuningStore & { readonly kept: Map<string, TuningData> } {
  const kept = new Map<string, TuningData>();
  return {
    kept,
    load: (adapter) => Promise.resolve(kept.get(adapter)),
    save: (adapter, data) => {
      kept.set(adapter, JSON.parse(JSON.stringify(data)) as TuningData);
      return Promise.resolve();
    },
  };
}

/** The data with another winner for its one entry. */
function withWinner(data: TuningData, change: { strategy?: string; params?: object; hash?: string }): TuningData {
  const copy = JSON.parse(JSON.stringify(data)) as TuningData;
  for (const { entries } of Object.values(copy.adapters))
    for (const entry of Object.values(entries)) Object.assign(entry, change);
  return copy;
}

describe("tune", () => {
  const store = memoryStore();
  let engine: Engine;
  let data: TuningData;
  beforeAll(async () => {
    engine = await createEngine({ ...quiet, tuning: store });
    using model = await engine.compile(product, shapes);
    const progress: TuneProgress[] = [];
    const report = await engine.tune(model, { budgetMs: 20_000, onProgress: (one) => progress.push(one) });
    expect(report.problems).toHaveLength(1);
    const [{ problem, best, untuned, measured }] = report.problems as [(typeof report.problems)[0]];
    expect(problem).toBe("MatMul [24, 40] [40, 20]");
    expect(measured).toBeGreaterThan(1);
    expect(best.ms).toBeLessThanOrEqual(untuned.ms);
    expect(best.strategy).toContain(strategyOf(model)); // it was compiled again
    expect(report.bans).toEqual([]);
    expect(String(report)).toContain("1 problems tuned");
    expect(progress.at(0)).toMatchObject({ done: 0, total: 1 });
    expect(progress.at(-1)).toMatchObject({ done: 1, total: 1 });
    expect(new Set(progress.map(({ what }) => what)).size).toBeGreaterThan(2);
    data = await engine.exportTuning();
  });
  afterAll(() => {
    engine.dispose();
  });

  it("keeps a table an adapter, with the ceilings that were measured", () => {
    expect([...store.kept.keys()]).toEqual([engine.name]);
    const { entries, ceilings, bans } = data.adapters[engine.name]!;
    expect(Object.keys(entries)).toHaveLength(1);
    expect(bans).toEqual([]);
    for (const value of Object.values(ceilings!)) expect(value).toBeGreaterThanOrEqual(0);
    expect(ceilings!.gflops).toBeGreaterThan(0);
  });

  it("measures nothing twice, unless asked", async () => {
    using model = await engine.compile(product, { a: [20, 40], b: [40, 20] }); // the same, rounded
    expect(await engine.tune(model)).toMatchObject({ problems: [], known: 1, skipped: 0 });
    const again = await engine.tune(model, { again: true, budgetMs: 1 });
    expect(again.problems.length + again.skipped).toBe(1);
  });

  it("decides in later sessions, forced names before it", async () => {
    for (const [strategy, another] of [
      ["naive", "registerTile"],
      ["registerTile", "naive"],
    ] as const) {
      using tuned = await createEngine({ ...quiet, tuning: false });
      const table = withWinner(data, await winnerOf(tuned, strategy));
      await tuned.importTuning(JSON.stringify(table));
      using model = await tuned.compile(product, shapes);
      expect(strategyOf(model)).toBe(strategy);
      using forced = await tuned.compile(product, shapes, { strategies: { MatMul: another } });
      expect(strategyOf(forced)).toBe(another);
    }
    using reopened = await createEngine({ ...quiet, tuning: store });
    expect((await reopened.exportTuning()).adapters).toEqual(store.kept.get(engine.name)!.adapters);
  });

  it("ignores what was measured of another text", async () => {
    const choiceWith = async (table: TuningData): Promise<string> => {
      using tuned = await createEngine({ ...quiet, tuning: false });
      await tuned.importTuning(table);
      using model = await tuned.compile(product, shapes);
      return strategyOf(model);
    };
    const ceilingsAlone = JSON.parse(JSON.stringify(data)) as TuningData;
    for (const adapter of Object.values(ceilingsAlone.adapters)) Object.assign(adapter, { entries: {} });
    const untuned = await choiceWith(ceilingsAlone);
    for (const strategy of ["naive", "registerTile"])
      expect(await choiceWith(withWinner(data, { strategy, hash: "of an older kernel" }))).toBe(untuned);
  });

  it("brings rewrites, too", async () => {
    using tuned = await createEngine({ ...quiet, tuning: false });
    const wide = { a: [2, 1024], b: [1024, 4] };
    using model = await tuned.compile(product, wide);
    await tuned.tune(model, { budgetMs: 20_000 });
    const { table } = await tuned.loadTuner();
    const splitK = (await loadRewrites("MatMul")).find(({ name }) => name === "splitK")!;
    const params = { parts: 16 };
    const { graph } = model;
    const [multiply] = graph.nodes;
    const hash = table.rewriteHash(splitK, multiply!, params);
    table.record(matMul, [false, false], { problem: multiply!, strategy: "splitK", params, ms: 1, hash });
    await model.recompile();
    expect(model.plan.steps[0]).toMatchObject({ rewrite: "splitK parts=16" });
    const a = Float32Array.from({ length: 2048 }, (_, i) => Math.sin(i));
    const b = Float32Array.from({ length: 4096 }, (_, i) => Math.cos(i));
    expect((await model.verify({ a, b })).passed).toBe(true);
  });

  it("tunes ONNX models that have been compiled, and compiles them again", async () => {
    using tuned = await createEngine({ ...quiet, tuning: false });
    const file = modelBytes({
      nodes: [node("MatMul", "a b", "y")],
      inputs: { a: ["float32", "n", 40], b: ["float32", 40, 20] },
      outputs: { y: ["float32", "n", 20] },
    });
    using model = await tuned.load(file);
    await expect(tuned.tune(model)).rejects.toThrow(UsageError);
    const inputs = { a: new Float32Array(960).fill(1), b: new Float32Array(800).fill(2) };
    await model.run(inputs);
    await tuned.importTuning(withWinner(data, await winnerOf(tuned, "naive")));
    expect(await tuned.tune(model)).toMatchObject({ known: 1 });
    expect(String(model.plans[0])).toContain("naive");
    expect([...(await model.run(inputs)).y!.data].every((value) => value === 80)).toBe(true);
  });

  it("stops at a signal and says what a budget must be", async () => {
    using model = await engine.compile(product, { a: [60, 41], b: [41, 50] });
    const aborting = new AbortController();
    const tuning = engine.tune(model, {
      signal: aborting.signal,
      onProgress: () => {
        aborting.abort();
      },
    });
    await expect(tuning).rejects.toThrow(/abort/i);
    await expect(engine.tune(model, { budgetMs: 0 })).rejects.toThrow(UsageError);
    expect((await model.run({ a: new Float32Array(2460), b: new Float32Array(2050) })).y!.data).toHaveLength(3000);
  });

  it("refuses files that are none, and the CPU backend", async () => {
    for (const bad of ["{", "null", "{}", '{"format":"neurite-tuning","version":2,"adapters":{}}'])
      await expect(engine.importTuning(bad)).rejects.toThrow(FormatError);
    const half = { format: "neurite-tuning", version: 1, adapters: { x: { entries: { y: {} }, bans: [] } } } as const;
    await expect(engine.importTuning(half as unknown as TuningData)).rejects.toThrow(FormatError);
    using cpu = await createEngine({ backend: "cpu" });
    await expect(cpu.measure()).rejects.toThrow(UnsupportedError);
  });
});

/** A MatMul kernel as the winner for {@link shapes}. */
async function winnerOf(engine: Engine, strategy: string): Promise<{ strategy: string; params: object; hash: string }> {
  const { table } = await engine.loadTuner();
  const kernel = (await loadStrategies("MatMul")).find(({ name }) => name === strategy)!;
  const [params] = parameterSets(kernel) as [Parameters];
  const problem = {
    inputs: Object.values(shapes).map((shape) => ({ dtype: "float32", shape }) as const),
    outputs: [{ dtype: "float32", shape: [24, 20] } as const],
    attributes: matMul.attributes,
  };
  return { strategy, params, hash: table.kernelHash(matMul, kernel, problem, params) };
}

describe("a kernel that is wrong on the adapter", () => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await acquireGpu(quiet);
  });
  afterAll(() => {
    gpu.dispose();
  });

  /** The naive kernel with a text that a faulty driver might make of it, and a promise of great speed. */
  const miscompiled = (family: readonly AnyStrategy[], from: string, to: string): AnyStrategy => {
    const naive = family.find(({ name }) => name === "naive")!;
    const source: AnyStrategy["source"] = (problem, params) => {
      const original = naive.source(problem, params);
      const code = original.code.replaceAll(from, to);
      expect(code).not.toBe(original.code);
      return { ...original, code };
    };
    return { ...naive, name: "faulty", source, intensity: () => 1000 };
  };

  it.each([
    { what: "on problems the reference computes", size: 24, from: "k < u.K", to: "k + 1u < u.K" },
    { what: "on problems that only kernels can", size: 220, from: "k < u.K", to: "k + 1u < u.K" },
    { what: "or does not compile", size: 24, from: "var sum =", to: "var sum = nothing +" },
  ])("is banned: $what", async ({ size, from, to }) => {
    const executor = new GpuExecutor(gpu);
    const warnings: unknown[] = [];
    const { warn } = console;
    console.warn = (line: unknown) => warnings.push(line);
    try {
      const tuner = new Tuner({
        gpu,
        executor,
        limits: gpu.kernelLimits,
        traits: SOFTWARE_TRAITS,
        loadStrategies: async (name) => {
          const family = await loadStrategies(name);
          const few = family.filter(({ name: kernel }) => ["naive", "registerTile"].includes(kernel));
          return name === "MatMul" ? [miscompiled(family, from, to), ...few] : family;
        },
        loadRewrites: () => Promise.resolve([]),
        tools: toolbox,
        store: forgetful,
      });
      const graph = new Graph();
      const x = graph.input("x", { dtype: "float32", shape: [size, size] });
      const weights = graph.constant(tensorData(filled(0.5, [size, size]).data, [size, size]));
      graph.output("y", graph.apply(matMul, [x, weights]));
      const report = await tuner.tune(graph, { budgetMs: 60_000 });
      expect(report.bans).toMatchObject([{ operator: "MatMul", strategy: "faulty" }]);
      expect(report.problems[0]!.best.strategy).not.toContain("faulty");
      expect(warnings).toHaveLength(1);
      expect(String(warnings[0])).toContain("MatMul/faulty is not used on");
      expect(tuner.table.toJSON().adapters[gpu.adapter.name]!.bans).toHaveLength(1);
      const left = tuner.table.kernels(
        matMul,
        graph.nodes[0]!,
        [false, true],
        [miscompiled(await loadStrategies("MatMul"), from, to), ...(await loadStrategies("MatMul"))],
      );
      expect(left.map(({ name }) => name)).not.toContain("faulty");
    } finally {
      console.warn = warn;
      executor.dispose();
    }
  });
});
