// Properties of the whole middle of Neurite on random graphs: whatever is fused, ordered and placed, the numbers are
// those of the graph, and the plan keeps the rules WebGPU sets.

import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dtypes } from "../../src/core/dtype.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { storageBytes } from "../../src/core/storage.ts";
import type { TensorData } from "../../src/core/tensorData.ts";
import { createEngine, type Engine } from "../../src/engine.ts";
import type { CompileOptions } from "../../src/runtime/compiler.ts";
import type { Plan } from "../../src/scheduler/plan.ts";
import { evaluateGraph, randomGraph } from "../harness/randomGraph.ts";

const SEED = 20240611;
const graphs = fc.record({ seed: fc.integer({ min: 0, max: 2 ** 31 }), size: fc.integer({ min: 1, max: 40 }) });

let cpu: Engine;
let gpu: Engine;
beforeAll(async () => {
  cpu = await createEngine({ backend: "cpu" });
  gpu = await createEngine({ log: () => undefined, minimumLimits: true });
});
afterAll(() => {
  cpu.dispose();
  gpu.dispose();
});

async function run(
  engine: Engine,
  seed: number,
  size: number,
  options: CompileOptions,
): Promise<{ plan: Plan; outputs: Record<string, TensorData>; variables: Record<string, TensorData> }> {
  const { graph, inputs } = randomGraph(seed, size);
  using model = await engine.compileGraph(graph, options);
  const outputs = await model.run(inputs);
  const variables = [...graph.variables.values()];
  await engine.pull(variables);
  return { plan: model.plan, outputs, variables: Object.fromEntries(variables.map(({ name, data }) => [name, data])) };
}

function expectClose(actual: TensorData, expected: ArrayLike<number>, what: string): void {
  const scale = Math.max(1, ...Array.from(expected, Math.abs));
  for (let i = 0; i < actual.data.length; i++)
    if (!(Math.abs(actual.data[i]! - expected[i]!) <= 1e-4 * scale))
      throw new Error(`${what}[${i}] is ${actual.data[i]}, expected ${expected[i]}`);
}

interface Range {
  readonly buffer: number;
  readonly first: number;
  readonly end: number;
}

/** Bytes a value occupies. */
function rangeOf(plan: Plan, id: number): Range {
  const { buffer, offsetBytes = 0, dtype, shape, storage } = plan.values[id]!;
  const count = sizeOf(shape);
  const sizeBytes = storage ? storageBytes(count, storage) : count * dtypes[dtype].sizeBytes;
  return { buffer: buffer!, first: offsetBytes, end: offsetBytes + sizeBytes };
}

/** Replays the plan's bookkeeping: every value read must still be where it was written, and no buffer is bound twice where it is written. */
function checkPlan(plan: Plan): void {
  const rootOf = (id: number): number => plan.values[id]!.alias ?? id;
  const present = new Map<number, Range>();
  const write = (id: number): void => {
    const range = rangeOf(plan, id);
    expect(range.end).toBeLessThanOrEqual(plan.buffers[range.buffer]!.sizeBytes);
    for (const [other, { buffer, first, end }] of present)
      if (buffer === range.buffer && first < range.end && range.first < end) present.delete(other);
    present.set(id, range);
  };
  const computed = new Set(plan.steps.flatMap((step) => (step.kind === "dispatch" ? step.outputs : [])));
  plan.values.forEach(({ buffer, alias }, id) => {
    const isLeaf = buffer !== undefined && ["input", "constant", "variable"].includes(plan.buffers[buffer]!.kind);
    if (isLeaf && alias === undefined && !computed.has(id)) write(id);
  });
  for (const [index, step] of plan.steps.entries()) {
    for (const id of step.inputs)
      expect(present.has(rootOf(id)), `${plan.stepName(index)} reads ${plan.values[id]!.name}`).toBe(true);
    for (const id of step.outputs) write(id);
    if (step.kind === "copy") continue;
    expect(step.bindings.length).toBeLessThanOrEqual(8);
    const { storage } = plan.kernels[step.kernel]!;
    step.bindings.forEach(({ buffer, offsetBytes }, i) => {
      expect(offsetBytes % 256).toBe(0);
      if (storage[i] === "read_write")
        expect(
          step.bindings.filter((other) => other.buffer === buffer),
          plan.stepName(index),
        ).toHaveLength(1);
    });
  }
}

describe("random graphs", () => {
  it("fused, unfused and float64 node by node agree, and variables are updated as the graph says", async () => {
    await fc.assert(
      fc.asyncProperty(graphs, async ({ seed, size }) => {
        const { graph, inputs } = randomGraph(seed, size);
        const expected = evaluateGraph(graph, inputs);
        for (const options of [
          {},
          { fusion: { pointwise: false, epilogue: false, prologue: false }, simplify: false },
          { reuseBuffers: false },
        ]) {
          const { outputs, variables } = await run(cpu, seed, size, options);
          for (const [name, value] of graph.outputs) expectClose(outputs[name]!, expected.get(value)!, name);
          for (const [value, variable] of graph.variables)
            expectClose(variables[variable.name]!, expected.get(graph.updates.get(value) ?? value)!, variable.name);
        }
      }),
      { seed: SEED, numRuns: 150 },
    );
  });

  it("plans read only what is still there, bind no written buffer twice, and keep to 8 bindings", async () => {
    await fc.assert(
      fc.asyncProperty(graphs, async ({ seed, size }) => {
        const { graph } = randomGraph(seed, size);
        using model = await cpu.compileGraph(graph);
        checkPlan(model.plan);
      }),
      { seed: SEED, numRuns: 150 },
    );
  });

  it("the GPU agrees with the CPU reference at every step, at WebGPU's default limits", async () => {
    await fc.assert(
      fc.asyncProperty(graphs, async ({ seed, size }) => {
        const { graph, inputs } = randomGraph(seed, size);
        using model = await gpu.compileGraph(graph);
        const report = await model.verify(inputs);
        expect(report.passed, String(report)).toBe(true);
        const expected = evaluateGraph(graph, inputs);
        const outputs = await model.run(inputs);
        for (const [name, value] of graph.outputs) expectClose(outputs[name]!, expected.get(value)!, name);
      }),
      { seed: SEED, numRuns: 30 },
    );
  });
});
