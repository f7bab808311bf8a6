// Loading an ONNX model on a GPU: how far it is, ending it early, and a loaded model inside the caller's own commands.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEngine, UnsupportedError, UsageError, type Engine, type LoadProgress } from "../../src/index.ts";
import { usagesOf } from "../../src/device/constants.ts";
import { floats, integers, modelBytes, node } from "../harness/onnxModels.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ log: () => undefined });
});
afterAll(() => {
  engine.dispose();
});

const [ROWS, COLUMNS] = [4096, 1536];
/** y = relu(x · W): a weight of 24 MiB, so that it takes several chunks. */
const large = modelBytes({
  nodes: [node("MatMul", "x w", "p"), node("Relu", "p", "y"), node("Softmax", "p", "z")],
  inputs: { x: ["float32", 1, ROWS] },
  outputs: { y: ["float32", 1, COLUMNS], z: ["float32", 1, COLUMNS] },
  initializers: [
    {
      name: "w",
      dtype: "float32",
      shape: [ROWS, COLUMNS],
      bytes: new Uint8Array(new Float32Array(ROWS * COLUMNS).fill(0.37).buffer),
    },
  ],
});

test("every stage tells how far it is", async () => {
  const progress: LoadProgress[] = [];
  using _model = await engine.load(new Blob([Uint8Array.from(large)]), { onProgress: (each) => progress.push(each) });
  for (const stage of ["read", "plan", "compile", "upload"]) {
    const own = progress.filter((each) => each.stage === stage);
    expect(own.length, stage).toBeGreaterThan(0);
    const done = own.map((each) => each.done);
    expect(done, stage).toEqual(done.toSorted((a, b) => a - b));
    expect(own.at(-1)!.done, stage).toBe(own.at(-1)!.total);
  }
  expect(progress.filter(({ stage }) => stage === "upload").length).toBeGreaterThan(3);
});

describe.each(["read", "plan", "compile", "upload"] as const)("a signal that comes with stage %s", (stage) => {
  test("ends loading, and everything is freed", async () => {
    await engine.idle();
    const before = engine.counters!;
    const controller = new AbortController();
    const late: LoadProgress[] = [];
    const loading = engine.load(new Blob([Uint8Array.from(large)]), {
      signal: controller.signal,
      onProgress: (each) => {
        if (controller.signal.aborted) late.push(each);
        if (each.stage === stage) controller.abort(new Error(`enough of ${stage}`));
      },
    });
    await expect(loading).rejects.toThrow(`enough of ${stage}`);
    await engine.idle();
    expect(late).toEqual([]);
    const { buffersLive, bytesLive } = engine.counters!;
    expect({ buffersLive, bytesLive }).toEqual({ buffersLive: before.buffersLive, bytesLive: before.bytesLive });
  });
});

test("a signal does not wait for a source that does not answer", async () => {
  await engine.idle();
  const before = engine.counters!;
  const controller = new AbortController();
  const asked = withResolvers();
  const source = {
    size: large.length,
    read: (offset: number, length: number): Promise<Uint8Array> => {
      if (length < 2 ** 22) return Promise.resolve(large.slice(offset, offset + length));
      asked.resolve(undefined);
      return new Promise(() => undefined); // a chunk of the weight that never comes
    },
  };
  const loading = engine.load(source, { signal: controller.signal, stream: { fileBytes: 0 } });
  loading.catch(() => undefined);
  await asked.promise;
  controller.abort(new Error("enough"));
  await expect(loading).rejects.toThrow("enough");
  await engine.idle();
  expect(engine.counters!.bytesLive).toBe(before.bytesLive);
});

function withResolvers(): { promise: Promise<undefined>; resolve: (value: undefined) => void } {
  let resolve!: (value: undefined) => void;
  const promise = new Promise<undefined>((settle) => (resolve = settle));
  return { promise, resolve };
}

describe("encode", () => {
  const scaled = modelBytes({
    nodes: [node("MatMul", "x w", "p"), node("Relu", "p", "y"), node("Shape", "x", "extents")],
    inputs: { x: ["float32", "rows", 3] },
    outputs: { y: ["float32", "rows", 2], extents: ["int64", 2] },
    initializers: [floats("w", [3, 2], [1, 0, 0, 1, 1, 1])],
  });
  const buffer = (data: Float32Array<ArrayBuffer>): GPUBuffer => {
    const made = engine.device!.createBuffer({ size: data.byteLength, usage: usagesOf.storage });
    engine.device!.queue.writeBuffer(made, 0, data);
    return made;
  };

  test("runs the model between the caller's buffers, with nothing created for those it has seen", async () => {
    const device = engine.device!;
    using model = await engine.load(scaled, { dims: { rows: 2 } });
    const [x, y] = [buffer(Float32Array.of(1, 2, 3, -4, -5, -6)), buffer(new Float32Array(4))];
    const submit = (): void => {
      const encoder = device.createCommandEncoder();
      model.encode(encoder, { x }, { y });
      device.queue.submit([encoder.finish()]);
    };
    submit();
    const once = engine.counters!;
    submit();
    expect(engine.counters).toEqual(once);
    const staging = device.createBuffer({ size: 16, usage: usagesOf.readback });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(y, 0, staging, 0, 16);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(1);
    expect([...new Float32Array(staging.getMappedRange())]).toEqual([4, 5, 0, 0]);
    for (const each of [x, y, staging]) each.destroy();
  });

  test("says what is missing, and what is not to be had", async () => {
    const encoder = engine.device!.createCommandEncoder();
    const small = buffer(new Float32Array(4));
    using model = await engine.load(scaled);
    expect(() => {
      model.encode(encoder, { x: small });
    }).toThrow(/no plan is ready.*prepare/);
    await model.prepare({ rows: 2 });
    for (const [inputs, outputs, kind, why] of [
      [{ q: small }, {}, UsageError, /no input "q"/],
      [{ x: small }, {}, UsageError, /16 bytes, 24 are needed/],
      [{}, { z: small }, UsageError, /no output "z"/],
      [{}, { extents: small }, UnsupportedError, /"extents" is not computed but known/],
    ] as const) {
      const encode = (): void => {
        model.encode(encoder, inputs, outputs);
      };
      expect(encode).toThrow(kind);
      expect(encode).toThrow(why);
    }
    const texture = engine.device!.createTexture({ size: [1, 1], format: "rgba8unorm", usage: 4 });
    expect(() => {
      model.encode(encoder, { x: texture as unknown as GPUBuffer });
    }).toThrow(/"x" is a texture.*docs\/onnx\.md/);
    texture.destroy();

    using guarded = await engine.load(
      modelBytes({
        nodes: [node("Reshape", "x shape", "y")],
        inputs: { x: ["float32", 4], shape: ["int64", 2] },
        outputs: { y: ["float32", "a", "b"] },
      }),
    );
    await guarded.run({ x: [1, 2, 3, 4], shape: [2, 2] });
    expect(() => {
      guarded.encode(encoder, { x: small });
    }).toThrow(/depends on the values of shape/);

    using hosted = await engine.load(
      modelBytes({
        nodes: [node("Add", "x one", "s"), node("NonZero", "s", "y")],
        inputs: { x: ["float32", 4] },
        outputs: { y: ["int64", 1, "n"] },
        initializers: [floats("one", [], [1]), integers("unused", [1], [0])],
      }),
    );
    await hosted.run({ x: [1, -1, 3, 4] });
    expect(() => {
      hosted.encode(encoder, { x: small });
    }).toThrow(/NonZero.*ran on the host; use run/);
    small.destroy();
  });
});
