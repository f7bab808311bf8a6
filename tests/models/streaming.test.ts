// Models too large to be held: their structure is read, and weights go from the file to the GPU in chunks. Thresholds that
// leave even small weights in the file send small models, and some of the given ones, the same way.

import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEngine, type Engine, type LoadProgress, type RandomAccess } from "../../src/index.ts";
import { findTests } from "../../src/cli/conformance/folders.ts";
import { runTest } from "../../src/cli/conformance/runner.ts";
import { decodeModel } from "../../src/formats/onnx/decode.ts";
import { readStructure } from "../../src/formats/onnx/structure.ts";
import { floats, integers, modelBytes, node } from "../harness/onnxModels.ts";

/** Everything is left in the file. */
const ALL = { fileBytes: 0, tensorBytes: 1 };

let gpu: Engine;
let cpu: Engine;
let folder: string;
beforeAll(async () => {
  gpu = await createEngine();
  cpu = await createEngine({ backend: "cpu" });
  folder = await mkdtemp(join(tmpdir(), "neurite-stream-"));
});
afterAll(async () => {
  gpu.dispose();
  cpu.dispose();
  await rm(folder, { recursive: true });
});

/** Bytes in memory that are read in parts, and which parts were. */
function access(bytes: Uint8Array): RandomAccess & { readonly reads: [offset: number, length: number][] } {
  const reads: [number, number][] = [];
  return {
    reads,
    size: bytes.length,
    read: (offset, length) => {
      reads.push([offset, length]);
      return Promise.resolve(bytes.slice(offset, offset + length));
    },
  };
}

const W = Array.from({ length: 12 }, (_, i) => i - 5);
/** y = x · W + b, then a Reshape whose shape is a tensor of the file. */
const linear = modelBytes({
  nodes: [node("MatMul", "x w", "p"), node("Add", "p b", "s"), node("Reshape", "s shape", "y")],
  inputs: { x: ["float32", 2, 3] },
  outputs: { y: ["float32", 4, 2] },
  initializers: [floats("w", [3, 4], W), floats("b", [4], [1, 2, 3, 4]), integers("shape", [2], [4, 2])],
});
const X = [1, 2, 3, 4, 5, 6];

test("the structure is the file without large weights, which are where it says", async () => {
  const kept = await readStructure(access(linear), 20, () => undefined, undefined);
  const { graph } = decodeModel(kept);
  expect(graph.nodes).toEqual(decodeModel(linear).graph.nodes);
  expect(graph.initializers.get("b")!.bytes.length).toBe(16);
  const { external } = graph.initializers.get("w")!;
  expect(external!["length"]).toBe("48");
  const offset = Number(external!["offset"]);
  expect(new Float32Array(linear.slice(offset, offset + 48).buffer)).toEqual(Float32Array.from(W));
  expect(await readStructure(access(linear), 1 << 20, () => undefined, undefined)).toEqual(linear);
});

test("damaged files are refused as they are when read whole", async () => {
  for (let length = 1; length < linear.length - 1; length += 5)
    await expect(cpu.load(access(linear.subarray(0, length)), { stream: ALL })).rejects.toThrow(/ONNX/);
  const lying = Uint8Array.from(linear);
  const changing: RandomAccess = {
    size: lying.length,
    read: (offset, length) => Promise.resolve(lying.slice(offset, offset + length - (length === 48 ? 1 : 0))),
  };
  await expect(cpu.load(changing, { stream: ALL })).rejects.toThrow(/48 bytes were asked for and 47 came/);
});

describe.each(["gpu", "cpu"] as const)("on the %s", (backend) => {
  const engine = (): Engine => (backend === "gpu" ? gpu : cpu);

  test("a Blob, a path, a server with Range requests and the caller's own source give the same results", async () => {
    using whole = await engine().load(linear);
    const expected = (await whole.run({ x: X }))["y"]!;
    const path = join(folder, "linear.onnx");
    await writeFile(path, linear);
    const ranges: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      const { range } = request.headers;
      ranges.push(range);
      const [, first, last] = /bytes=(\d+)-(\d+)/.exec(range ?? "") ?? [];
      const part = range ? linear.subarray(Number(first), Number(last) + 1) : linear;
      response.writeHead(range ? 206 : 200, { "content-length": part.length, "accept-ranges": "bytes" });
      response.end(part);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/linear.onnx`);
      for (const source of [new Blob([Uint8Array.from(linear)]), path, url, access(linear)]) {
        using model = await engine().load(source, { stream: ALL });
        expect((await model.run({ x: X }))["y"]).toEqual(expected);
      }
      expect(ranges.filter((range) => range !== undefined).length).toBeGreaterThan(1);
    } finally {
      server.close();
    }
  });

  test("external data of a large file stays there, too", async () => {
    const bytes = new Uint8Array(Float32Array.from([7, ...W]).buffer);
    await writeFile(join(folder, "w.bin"), bytes);
    const external = { location: "w.bin", offset: "4", length: "48" };
    const path = join(folder, "outside.onnx");
    await writeFile(
      path,
      modelBytes({
        nodes: [node("MatMul", "x w", "y")],
        inputs: { x: ["float32", 2, 3] },
        outputs: { y: ["float32", 2, 4] },
        initializers: [{ name: "w", dtype: "float32", shape: [3, 4], bytes: new Uint8Array(), external }],
      }),
    );
    using model = await engine().load(path, { stream: ALL });
    expect([...(await model.run({ x: [1, 0, 0, 0, 0, 1] }))["y"]!.data]).toEqual([...W.slice(0, 4), ...W.slice(8)]);
    await writeFile(join(folder, "w.bin"), bytes.subarray(0, 40));
    await expect(engine().load(path, { stream: ALL })).rejects.toThrow(/36 bytes from 4, 48 are needed/);
  });

  test("weights that the host computes with are read when it does", async () => {
    const source = access(
      modelBytes({
        nodes: [node("Gather", "table index", "row"), node("Mul", "x row", "y"), node("Identity", "table", "z")],
        inputs: { x: ["float32", 3] },
        outputs: { y: ["float32", 3], z: ["float32", 2, 3] },
        initializers: [floats("table", [2, 3], [1, 2, 3, 4, 5, 6]), integers("index", [], [1])],
      }),
    );
    using model = await engine().load(source, { stream: ALL });
    const { y, z } = await model.run({ x: [1, 10, 100] });
    expect([...y!.data]).toEqual([4, 50, 600]);
    expect([...z!.data]).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

/** A file of given bytes and of weights that are made when they are read: element i of each is i mod 1021. */
class Synthetic implements RandomAccess {
  readonly size: number;
  largestRead = 0;
  constructor(private readonly parts: readonly (Uint8Array | { readonly weightBytes: number })[]) {
    this.size = parts.reduce((sum, part) => sum + lengthOf(part), 0);
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    this.largestRead = Math.max(this.largestRead, length);
    const bytes = new Uint8Array(length);
    let start = 0;
    for (const part of this.parts) {
      const [first, end] = [Math.max(start, offset), Math.min(start + lengthOf(part), offset + length)];
      if (first < end && part instanceof Uint8Array)
        bytes.set(part.subarray(first - start, end - start), first - offset);
      else if (first < end) {
        const elements = Float32Array.from(
          { length: (end - first) >> 2 },
          (_, i) => (((first - start) >> 2) + i) % 1021,
        );
        bytes.set(new Uint8Array(elements.buffer), first - offset);
      }
      start += lengthOf(part);
    }
    return Promise.resolve(bytes);
  }
}
const lengthOf = (part: Uint8Array | { readonly weightBytes: number }): number =>
  part instanceof Uint8Array ? part.length : part.weightBytes;

/** A protobuf field's number and the length of what follows. */
function header(field: number, length: number): number[] {
  const bytes = [(field << 3) | 2];
  for (; length >= 128; length = Math.floor(length / 128)) bytes.push(length % 128 | 128);
  return [...bytes, length];
}

test("a file of more than 2 GB is loaded, a chunk at a time", async () => {
  const [rows, columns, count] = [25_000, 1024, 22];
  const weightBytes = rows * columns * 4;
  // The graph of a small model, and 22 weights of 98 MiB behind its nodes. One of them is used, and it alone is sent.
  const small = modelBytes({
    nodes: [node("Gather", "w17 index", "y")],
    inputs: { index: ["int64", 2] },
    outputs: { y: ["float32", 2, columns] },
  });
  const at = small.findIndex(
    (byte, i) => byte === 0x3a && small[i + 1]! < 128 && i + 2 + small[i + 1]! <= small.length,
  );
  const graph = small.subarray(at + 2, at + 2 + small[at + 1]!);
  const weights = Array.from({ length: count }, (_, i) => {
    const name = [...Buffer.from(`w${i}`)];
    const dims = [1, rows, columns].flatMap((extent, k) => (k === 0 ? [] : [1 << 3, ...header(0, extent).slice(1)]));
    const start = [...dims, 2 << 3, 1, ...header(8, name.length), ...name, ...header(9, weightBytes)];
    return [Uint8Array.from([...header(5, start.length + weightBytes), ...start]), { weightBytes }] as const;
  }).flat();
  const graphBytes = graph.length + weights.reduce((sum, part) => sum + lengthOf(part), 0);
  const before = Uint8Array.from([...small.subarray(0, at), ...header(7, graphBytes)]);
  const source = new Synthetic([before, graph, ...weights, small.subarray(at + 2 + graph.length)]);
  expect(source.size).toBeGreaterThan(2 ** 31);

  const progress: LoadProgress[] = [];
  using model = await gpu.load(source, { onProgress: (each) => progress.push(each) });
  const { y } = await model.run({ index: [3, rows - 1] });
  const row = (r: number): number[] => Array.from({ length: columns }, (_, i) => (r * columns + i) % 1021);
  expect([...(y!.data as Float32Array)]).toEqual([...row(3), ...row(rows - 1)]);
  expect(source.largestRead).toBeLessThanOrEqual(2 ** 23);
  expect(new Set(progress.map(({ stage }) => stage))).toEqual(new Set(["read", "plan", "compile", "upload"]));
  const sent = progress.filter(({ stage }) => stage === "upload");
  expect(sent.length).toBeGreaterThan(5);
  expect(sent.at(-1)).toEqual({ stage: "upload", done: weightBytes, total: weightBytes });
}, 120_000);

/** The folder with the models: $NEURITE_CONFORMANCE, or beside the project. */
const models = join(
  process.env["NEURITE_CONFORMANCE"] ?? join(import.meta.dirname, "../../../shared/conformance"),
  "models",
);
const note = existsSync(models) ? "" : ` (skipped: there is no ${models}; set NEURITE_CONFORMANCE)`;

describe.skipIf(!existsSync(models))(`the given models, whose weights stay in the file${note}`, () => {
  test.each(["dtln_1", "gtcrn_simple", "silero_vad_16k_op15", "vespa_transformer"])(
    "%s",
    async (name) => {
      const folder = findTests(models).find((test) => test.name === name);
      expect((await runTest(gpu, folder!, { stream: { fileBytes: 0, tensorBytes: 256 } })).why).toBeUndefined();
    },
    120_000,
  );
});
