// Damaged files: each gives a typed error or a model that runs, quickly and in bounded memory. Nothing crashes, hangs or
// allocates what a damaged length asks for; on a GPU nothing fails validation.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GpuError, NeuriteError } from "../../src/core/errors.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { createEngine, type Engine } from "../../src/engine.ts";
import { exportOnnx } from "../../src/formats/onnx/export.ts";
import type { OnnxInput, OnnxModel, OnnxSource } from "../../src/formats/onnx/load.ts";
import { decodeSafetensors, encodeSafetensors } from "../../src/formats/safetensors.ts";
import { Conv2d, Flatten, Linear, MaxPool2d, ReLU, sequential } from "../../src/nn/layers.ts";
import { initialize } from "../../src/nn/module.ts";
import { floats, int, integers, modelBytes, node, subgraph } from "../harness/onnxModels.ts";
import { mutated } from "../harness/mutate.ts";

const MODELS = 2000;
const MODELS_ON_GPU = 200;
const SAFETENSORS = 500;
const LIMIT_MS = 5000;
const LIMIT_BYTES = 2 ** 30;

/** Models of several kinds: layers, shape arithmetic, control flow. */
function originals(): Uint8Array[] {
  const net = sequential(
    new Conv2d(1, 3, 3, { padding: 1 }),
    new ReLU(),
    new MaxPool2d(2),
    new Flatten(),
    new Linear(3 * 4 * 4, 5),
  );
  initialize(net, 1);
  const shapes = modelBytes({
    nodes: [
      node("Shape", "x", "s"),
      node("Gather", "s zero", "n"),
      node("Unsqueeze", "n axes", "n1"),
      node("Concat", "n1 minus", "target", { axis: int(0) }),
      node("Reshape", "x target", "r"),
      node("Softmax", "r", "y", { axis: int(-1) }),
    ],
    inputs: { x: ["float32", "n", 2, 3] },
    outputs: { y: ["float32", "n", 6] },
    initializers: [integers("zero", [], [0]), integers("axes", [1], [0]), integers("minus", [1], [-1])],
  });
  const loop = modelBytes({
    nodes: [
      node("Loop", "trips - x", "last sums", {
        body: subgraph({
          nodes: [
            node("Add", "state state", "next"),
            node("ReduceSum", "next", "sum", { keepdims: int(0) }),
            node("Less", "sum limit", "again"),
          ],
          inputs: { i: ["int64"], c: ["bool"], state: ["float32", 2] },
          outputs: { again: ["bool"], next: ["float32", 2], sum: ["float32"] },
        }),
      }),
    ],
    inputs: { x: ["float32", 2] },
    outputs: { last: ["float32", 2], sums: ["float32", "k"] },
    initializers: [integers("trips", [], [3]), floats("limit", [], [50])],
  });
  return [exportOnnx(net, { image: [1, 1, 8, 8] }), shapes, loop];
}

/** Inputs of the declared shapes, or undefined where they would be too large for a test. */
function inputsFor(model: OnnxModel): Record<string, OnnxInput> | undefined {
  const inputs: Record<string, OnnxInput> = {};
  for (const { name, shape: declared } of model.inputs) {
    if (model.proto.graph.initializers.has(name)) continue;
    const shape = (declared ?? [2]).map((extent) => (typeof extent === "number" ? extent : 2));
    if (sizeOf(shape) > 1e5) return undefined;
    inputs[name] = { shape, data: new Array<number>(sizeOf(shape)).fill(1) };
  }
  return inputs;
}

async function loadAndRun(engine: Engine, source: OnnxSource): Promise<"ran" | "refused"> {
  try {
    using model = await engine.load(source, { stream: { fileBytes: 0, tensorBytes: 32 } });
    const inputs = inputsFor(model);
    if (inputs) await model.run(inputs);
    return "ran";
  } catch (error) {
    if (!(error instanceof NeuriteError) || error instanceof GpuError) throw error;
    return "refused";
  }
}

/** Bytes to be read in parts, as a large file's are. */
const inParts = (bytes: Uint8Array): OnnxSource => ({
  size: bytes.length,
  read: (offset, length) => Promise.resolve(bytes.slice(offset, offset + length)),
});

/** Tries each seed, half of them as files that are too large to be held; returns how often the file was still good. */
async function tryAll(engine: Engine, count: number, what: string): Promise<number> {
  const files = originals();
  let ran = 0;
  for (let seed = 0; seed < count; seed++) {
    const bytes = mutated(files[seed % files.length]!, seed);
    const startMs = performance.now();
    try {
      if ((await loadAndRun(engine, seed % 2 === 0 ? bytes : inParts(bytes))) === "ran") ran++;
    } catch (error) {
      throw new Error(`${what}, seed ${seed}: ${String(error)}`, { cause: error });
    }
    const tookMs = performance.now() - startMs;
    if (tookMs > LIMIT_MS) throw new Error(`${what}, seed ${seed}: took ${tookMs.toFixed(0)} ms`);
    const { rss } = process.memoryUsage();
    if (rss > LIMIT_BYTES + baseBytes)
      throw new Error(`${what}, seed ${seed}: ${rss - baseBytes} bytes more than before`);
  }
  return ran;
}

let baseBytes = 0;
beforeAll(() => {
  baseBytes = process.memoryUsage().rss;
});

describe("damaged models", () => {
  let cpu: Engine;
  let gpu: Engine;
  beforeAll(async () => {
    cpu = await createEngine({ backend: "cpu" });
    gpu = await createEngine({ log: () => undefined });
  });
  afterAll(() => {
    cpu.dispose();
    gpu.dispose();
  });

  it(`${MODELS} on the reference`, async () => {
    const ran = await tryAll(cpu, MODELS, "cpu");
    expect(ran).toBeGreaterThan(MODELS / 40); // some damage hits weights and names only
    expect(ran).toBeLessThan(MODELS);
  });

  it(`${MODELS_ON_GPU} on a GPU`, async () => {
    expect(await tryAll(gpu, MODELS_ON_GPU, "gpu")).toBeGreaterThan(0);
  });
});

it(`${SAFETENSORS} damaged safetensors`, () => {
  const file = encodeSafetensors([
    ["a.weight", { dtype: "float32", shape: [3, 4], data: Float32Array.from({ length: 12 }, (_, i) => i) }],
    ["a.bias", { dtype: "int32", shape: [2], data: Int32Array.of(1, 2) }],
    ["flags", { dtype: "bool", shape: [3], data: Uint32Array.of(1, 0, 1) }],
  ]);
  let refused = 0;
  for (let seed = 0; seed < SAFETENSORS; seed++) {
    try {
      for (const { shape, data } of decodeSafetensors(mutated(file, seed)).tensors.values())
        expect(data.length).toBe(sizeOf(shape));
    } catch (error) {
      if (!(error instanceof NeuriteError)) throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(SAFETENSORS / 4);
  expect(refused).toBeLessThan(SAFETENSORS);
});
