// src/device in Node, on whatever adapter the machine has (a software one will do): buffers, pipelines, readback, timers,
// typed errors, loss, and leaving nothing behind.

import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import {
  DeviceLostError,
  DeviceUnavailableError,
  GpuError,
  GpuValidationError,
  OutOfMemoryError,
  UnsupportedError,
  UsageError,
} from "../../src/core/errors.ts";
import { acquireGpu } from "../../src/device/acquire.ts";
import { isSoftwareAdapter } from "../../src/device/adapter.ts";
import { formatCompilation } from "../../src/device/compileError.ts";
import type { Gpu } from "../../src/device/gpu.ts";
import { gpuError } from "../../src/device/gpuErrors.ts";
import { findNodeAdapter } from "../../src/device/node.ts";
import { Readback } from "../../src/device/readback.ts";
import { findChromiumPackage, softwareDriverFits, unpackSoftwareDriver } from "../../src/device/softwareDriver.ts";
import { readTar, unpackOnce, type UnpackedFile } from "../../src/device/unpack.ts";

const quiet = { log: () => undefined };

const scaleWgsl = `
  struct Uniforms { factor: f32 }
  @group(0) @binding(0) var<storage, read> x: array<f32>; // x [64]
  @group(0) @binding(1) var<storage, read_write> y: array<f32>; // y [64]
  @group(1) @binding(0) var<uniform> uniforms: Uniforms;
  override BIAS: f32 = 0;
  @compute @workgroup_size(64)
  fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = uniforms.factor * x[id.x] + BIAS; }`;
const scaleLayout = { storage: ["read", "read_write"], uniform: true } as const;

const numbers = (bytes: ArrayBuffer | undefined): number[] => [...new Float32Array(bytes!)];
const copyOntoItself = (buffer: GPUBuffer) => (encoder: GPUCommandEncoder) =>
  encoder.copyBufferToBuffer(buffer, 0, buffer, 0, 16); // invalid: source and destination are one buffer

let gpu: Gpu;
beforeAll(async () => {
  gpu = await acquireGpu(quiet);
  return () => gpu.dispose();
}, 30_000);

describe("acquiring", () => {
  test("the summary and the one line agree on whether the driver is software", async () => {
    const lines: string[] = [];
    using found = await acquireGpu({ log: (line) => lines.push(line) });
    expect(found.adapter.name).not.toBe("");
    expect(found.adapter.limits["maxBufferSize"]).toBeGreaterThanOrEqual(2 ** 28);
    expect(lines.length).toBe(found.adapter.isSoftware ? 1 : 0);
    if (found.adapter.isSoftware) expect(lines[0]).toMatch(/software driver.*slow/);
  });

  test.runIf(softwareDriverFits())(
    "software: true takes the packaged driver, and leaves the environment as it was",
    async () => {
      const before = process.env["VK_DRIVER_FILES"];
      using found = await acquireGpu({ ...quiet, software: true });
      expect(found.adapter).toMatchObject({ vendor: "google", architecture: "swiftshader", isSoftware: true });
      expect(process.env["VK_DRIVER_FILES"]).toBe(before);
    },
  );

  test("minimumLimits grants WebGPU's defaults; otherwise all the adapter has is granted", async () => {
    using least = await acquireGpu({ ...quiet, minimumLimits: true });
    expect(least.limits.maxStorageBuffersPerShaderStage).toBe(8);
    expect(least.limits.maxBufferSize).toBe(2 ** 28);
    expect(gpu.limits.maxBufferSize).toBe(gpu.adapter.limits["maxBufferSize"]);
    for (const feature of ["shader-f16", "subgroups", "timestamp-query"])
      expect(gpu.features.has(feature)).toBe(gpu.adapter.features.includes(feature));
  });

  test("several at once", async () => {
    const all = await Promise.all([1, 2, 3].map(() => acquireGpu(quiet)));
    expect(new Set(all.map((each) => each.device)).size).toBe(3);
    for (const each of all) each.dispose();
  });

  test("a caller's device stays the caller's: not destroyed, and its errors not thrown at us", async () => {
    const borrowed = await acquireGpu({ device: gpu.device });
    const buffer = borrowed.createBuffer(16, "storage", "borrowed");
    const forget = gpu.onUncapturedError(() => undefined);
    gpu.device.createBuffer({ size: 16, usage: 3, label: "the caller's mistake" });
    await borrowed.idle();
    await gpu.idle();
    forget();
    // but ours are
    borrowed.submit("our mistake", copyOntoItself(buffer));
    await expect(borrowed.idle()).rejects.toThrow(/our mistake/);
    borrowed.dispose();
    await gpu.idle();
    gpu.throwIfLost();
  });

  test("without the packages the error names them, and the CPU", async () => {
    const missing = () => Promise.reject(new Error("Cannot find package 'webgpu' imported from somewhere"));
    const error = await findNodeAdapter({}, missing).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DeviceUnavailableError);
    expect(String(error)).toMatch(/npm i webgpu.*@sparticuz\/chromium.*backend: "cpu"/);
    const broken = () => Promise.reject(new Error("GLIBC_2.38 not found"));
    await expect(findNodeAdapter({}, broken)).rejects.toThrow(/webgpu is installed but does not load.*GLIBC_2.38/);
    expect(() => findChromiumPackage([path.join(path.parse(tmpdir()).root, "x.js")])).toThrow(/@sparticuz\/chromium/);
  });

  test.each([
    [{ vendor: "nvidia", description: "NVIDIA H100" }, false],
    [{ isFallbackAdapter: true }, true],
    [{ vendor: "mesa", device: "llvmpipe (LLVM 15.0.7, 256 bits)" }, true],
    [{ description: "Microsoft Basic Render Driver" }, true],
    [{ vendor: "apple", architecture: "metal-3" }, false],
  ])("software or not: %o", (info, software) => expect(isSoftwareAdapter(info)).toBe(software));
});

describe("buffers and readback", () => {
  test("what is written is read, with offsets, odd sizes and empty ranges, from one staging buffer", async () => {
    const a = gpu.createBuffer(20, "storage", "a");
    const b = gpu.createBuffer(64, "storage", "b");
    expect([a.size, b.size]).toEqual([32, 64]); // rounded up to 16
    gpu.write(a, Float32Array.of(1, 2, 3));
    gpu.write(a, Float32Array.of(9, 4, 9).subarray(1, 2), 12);
    gpu.write(b, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 8);
    const before = gpu.counters.buffersCreated;
    const [first, second, empty] = await gpu.read([
      { buffer: a, sizeBytes: 16 },
      { buffer: b, sizeBytes: 5, offsetBytes: 8 },
      { buffer: b, sizeBytes: 0 },
    ]);
    expect(numbers(first)).toEqual([1, 2, 3, 4]);
    expect([...new Uint8Array(second!)]).toEqual([1, 2, 3, 4, 5]);
    expect(empty!.byteLength).toBe(0);
    expect(gpu.counters.buffersCreated - before).toBeLessThanOrEqual(1);
    gpu.destroyBuffer(a);
    gpu.destroyBuffer(b);
  });

  test("repeated and overlapping reads settle: nothing more is created", async () => {
    const buffer = gpu.createBuffer(10_000, "storage", "steady");
    const round = () => Promise.all([1, 2].map(() => gpu.read([{ buffer, sizeBytes: 10_000 }])));
    await round();
    const before = { ...gpu.counters };
    for (let i = 0; i < 5; i++) await round();
    expect(gpu.counters).toEqual({ ...before, submits: before.submits + 10 });
    gpu.destroyBuffer(buffer);
  });

  test("reading with an encoder is one submit", async () => {
    const a = gpu.createBuffer(16, "storage", "a");
    const b = gpu.createBuffer(16, "storage", "b");
    gpu.write(a, Float32Array.of(5, 6, 7, 8));
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(a, 0, b, 0, 16);
    const before = gpu.counters.submits;
    expect(numbers((await gpu.read([{ buffer: b, sizeBytes: 16 }], encoder))[0])).toEqual([5, 6, 7, 8]);
    expect(gpu.counters.submits - before).toBe(1);
  });

  test("reads whose sum passes the largest buffer are split", async () => {
    const buffer = gpu.createBuffer(8192, "storage", "large");
    gpu.write(
      buffer,
      Uint32Array.from({ length: 2048 }, (_, i) => i),
    );
    const created: number[] = [];
    const small = new Readback({
      create: (sizeBytes) => (created.push(sizeBytes), gpu.createBuffer(sizeBytes, "readback", "small")),
      destroy: (staging) => gpu.destroyBuffer(staging),
      maxBufferBytes: 8192,
    });
    const reading = small.begin([0, 1, 2].map(() => ({ buffer, sizeBytes: 8000 })));
    gpu.submit("split", (encoder) => reading.encode(encoder));
    for (const bytes of await reading.finish()) expect(new Uint32Array(bytes).at(-1)).toBe(1999);
    reading.end(false);
    expect(created).toEqual([8192, 8192, 8192]);
  });

  test("counters follow creation and destruction", () => {
    const before = { ...gpu.counters };
    const buffer = gpu.createBuffer(100, "uniform", "counted");
    expect(gpu.counters.bytesLive - before.bytesLive).toBe(112);
    gpu.destroyBuffer(buffer);
    gpu.destroyBuffer(buffer);
    expect(gpu.counters).toEqual({ ...before, buffersCreated: before.buffersCreated + 1 });
  });

  test("impossible sizes and ranges are refused at once, in words", async () => {
    const buffer = gpu.createBuffer(16, "storage", "sixteen");
    expect(() => gpu.createBuffer(gpu.limits.maxBufferSize + 1, "storage", "huge")).toThrow(UnsupportedError);
    expect(() => gpu.createBuffer(NaN, "storage", "nan")).toThrow(UsageError);
    expect(() => gpu.write(buffer, new Uint8Array(3))).toThrow(/multiples of 4/);
    expect(() => gpu.write(buffer, new Float32Array(5))).toThrow(
      /20 bytes at offset 0 do not fit sixteen, which has 16/,
    );
    await expect(gpu.read([{ buffer, sizeBytes: 16, offsetBytes: 4 }])).rejects.toThrow(/pass the end of sixteen/);
    await expect(gpu.read([{ buffer, sizeBytes: 4, offsetBytes: 2 }])).rejects.toThrow(UsageError);
  });
});

describe("pipelines", () => {
  test("a kernel with dynamic uniforms and a constant runs", async () => {
    const scale = await gpu.pipeline(scaleWgsl, "scale", scaleLayout, { BIAS: 1 });
    const [x, y, uniforms] = [
      gpu.createBuffer(256, "storage", "x"),
      gpu.createBuffer(256, "storage", "y"),
      gpu.createBuffer(272, "uniform", "uniforms"),
    ];
    gpu.write(
      x,
      Float32Array.from({ length: 64 }, (_, i) => i),
    );
    gpu.write(uniforms, Float32Array.of(3), 256);
    const data = gpu.bindGroup(scale, 0, [{ binding: 0, buffer: x }, { binding: 1, buffer: y }], "data"); // prettier-ignore
    const settings = gpu.bindGroup(scale, 1, [{ binding: 0, buffer: uniforms, size: 16 }], "settings");
    gpu.submit("scale", (encoder) => {
      const pass = encoder.beginComputePass();
      pass.setPipeline(scale.pipeline);
      pass.setBindGroup(0, data);
      pass.setBindGroup(1, settings, [256]);
      pass.dispatchWorkgroups(1);
      pass.end();
    });
    expect(numbers((await gpu.read([{ buffer: y, sizeBytes: 256 }]))[0])).toEqual(
      Array.from({ length: 64 }, (_, i) => 3 * i + 1),
    );
    expect(() => gpu.bindGroup(scale, 2, [], "none")).toThrow(UsageError);
  });

  test("equal text, layout and constants are compiled once, asked for at once or later", async () => {
    const before = gpu.counters.pipelinesCreated;
    const text = `${scaleWgsl} // cache`;
    const [a, b] = await Promise.all([gpu.pipeline(text, "a", scaleLayout), gpu.pipeline(text, "b", scaleLayout)]);
    expect(await gpu.pipeline(text, "c", scaleLayout)).toBe(a);
    expect(b).toBe(a);
    const other = await gpu.pipeline(text, "d", scaleLayout, { BIAS: 2 });
    expect(other).not.toBe(a);
    expect(other.bindGroupLayouts).toEqual(a.bindGroupLayouts);
    expect(gpu.counters.pipelinesCreated - before).toBe(2);
  });

  test("a compile error shows its line, every time, and does not spoil later work", async () => {
    const wgsl = ["@compute @workgroup_size(1)", "fn main() {", "  let a = 1;", "  let b = frobnicate(a);", "}"].join(
      "\n",
    );
    for (let i = 0; i < 2; i++) {
      const error = await gpu.pipeline(wgsl, "broken", { storage: [], uniform: false }).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(GpuValidationError);
      const { message } = error as Error;
      expect(message).toMatch(/WGSL of broken does not compile\nerror at line 4, column 11: .*frobnicate/);
      expect(message).toContain(">    4 |   let b = frobnicate(a);\n       |           ^^^^^^^^^^");
    }
    await gpu.idle();
  });

  test("a kernel that does not fit its layout, or has too many buffers, is refused", async () => {
    const wrong = gpu.pipeline(scaleWgsl, "misfit", { storage: ["read"], uniform: true });
    await expect(wrong).rejects.toThrow(GpuValidationError);
    await expect(wrong).rejects.toThrow(/misfit cannot be made.*[bB]inding/s);
    const storage = new Array<"read">(gpu.limits.maxStorageBuffersPerShaderStage + 1).fill("read");
    await expect(gpu.pipeline(scaleWgsl, "wide", { storage, uniform: true })).rejects.toThrow(UnsupportedError);
  });

  test("compile messages about no line, or past the end, are shown too", () => {
    expect(formatCompilation("a", [{ type: "error", message: "bad", lineNum: 0, linePos: 0, length: 0 }])).toBe(
      "error: bad",
    );
    expect(formatCompilation("a", [{ type: "error", message: "end", lineNum: 2, linePos: 1, length: 0 }])).toContain(
      "line 2",
    );
  });
});

describe("errors", () => {
  test("a scope throws the typed error with its step", async () => {
    const buffer = gpu.createBuffer(16, "storage", "self");
    const error = await gpu
      .scope("#3 Copy (self)", () => gpu.submit("copy", copyOntoItself(buffer)))
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(GpuValidationError);
    expect((error as GpuError).step).toBe("#3 Copy (self)");
    expect(String(error)).toMatch(/while running #3 Copy \(self\)/);
    expect(gpu.currentStep).toBeUndefined();
    await gpu.idle();
  });

  test("scopes that overlap in time keep their errors apart", async () => {
    const buffer = gpu.createBuffer(16, "storage", "self");
    const bad = gpu.scope("bad", async () => {
      gpu.submit("bad", copyOntoItself(buffer));
      await new Promise((resolve) => setTimeout(resolve, 20));
    });
    const good = gpu.scope("good", async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return 7;
    });
    expect(await good).toBe(7);
    await expect(bad).rejects.toMatchObject({ step: "bad" });
  });

  test("a scope passes on what its work throws and returns", async () => {
    expect(await gpu.scope(undefined, () => 5)).toBe(5);
    await expect(gpu.scope("x", () => Promise.reject(new RangeError("own")))).rejects.toThrow(RangeError);
    const thrower = (): number => {
      throw new RangeError("own");
    };
    await expect(gpu.scope("x", thrower)).rejects.toThrow(RangeError);
    await gpu.idle();
  });

  test("without a scope an error waits for the next read or idle, once", async () => {
    const buffer = gpu.createBuffer(16, "storage", "self");
    gpu.submit("first", copyOntoItself(buffer));
    gpu.submit("second", copyOntoItself(buffer));
    await expect(gpu.read([{ buffer, sizeBytes: 16 }])).rejects.toThrow(/running first.*\n.*1 more/);
    expect((await gpu.read([{ buffer, sizeBytes: 16 }])).length).toBe(1);
    gpu.device.createBuffer({ size: 16, usage: 3 }); // MAP_READ | MAP_WRITE, past all of our scopes
    await expect(gpu.idle()).rejects.toThrow(GpuValidationError);
    await gpu.idle();
  });

  test("a read from a buffer that is gone fails, and the next works", async () => {
    const gone = gpu.createBuffer(16, "storage", "gone");
    const here = gpu.createBuffer(16, "storage", "here");
    gpu.destroyBuffer(gone);
    await expect(gpu.read([{ buffer: gone, sizeBytes: 16 }])).rejects.toThrow(/gone/);
    expect((await gpu.read([{ buffer: here, sizeBytes: 16 }])).length).toBe(1);
  });

  test("a listener gets errors instead", async () => {
    const buffer = gpu.createBuffer(16, "storage", "self");
    const heard: GpuError[] = [];
    const stop = gpu.onUncapturedError((error) => heard.push(error));
    gpu.submit("heard", copyOntoItself(buffer));
    await gpu.idle();
    stop();
    expect(heard.map((error) => error.step)).toEqual(["heard"]);
  });

  test("each filter has its type", () => {
    expect(gpuError("out-of-memory", "x", "#1")).toBeInstanceOf(OutOfMemoryError);
    expect(gpuError("validation", "x", "#1")).toBeInstanceOf(GpuValidationError);
    expect(gpuError("internal", "x", "#1")).toBeInstanceOf(GpuError);
  });

  test("a lost device is told by every call, with the step it was lost in", async () => {
    const doomed = await acquireGpu(quiet);
    const buffer = doomed.createBuffer(16, "storage", "x");
    doomed.currentStep = "#7 Conv (conv1)";
    const reading = doomed.read([{ buffer, sizeBytes: 16 }]);
    reading.catch(() => undefined);
    doomed.device.destroy();
    const lost = await doomed.lost;
    expect(lost).toBeInstanceOf(DeviceLostError);
    expect(lost.step).toBe("#7 Conv (conv1)");
    await expect(reading).rejects.toThrow(DeviceLostError);
    doomed.currentStep = undefined;
    const calls: (() => unknown)[] = [
      () => doomed.throwIfLost(),
      () => doomed.createBuffer(16, "storage", "y"),
      () => doomed.write(buffer, new Float32Array(4)),
      () => doomed.submit("s", () => undefined),
      () => doomed.read([{ buffer, sizeBytes: 16 }]),
      () => doomed.pipeline(scaleWgsl, "scale", scaleLayout),
      () => doomed.scope("later", () => 1),
      () => doomed.idle(),
    ];
    for (const call of calls)
      await expect(Promise.resolve().then(call)).rejects.toMatchObject({
        name: "DeviceLostError",
        step: "#7 Conv (conv1)",
      });
    doomed.dispose();
  });

  test("a device lost in the middle of a scope is a loss, not a success", async () => {
    const doomed = await acquireGpu(quiet);
    const work = doomed.scope("#2 MatMul", () => doomed.device.destroy());
    await expect(work).rejects.toBeInstanceOf(DeviceLostError);
    await expect(work).rejects.toMatchObject({ step: "#2 MatMul" });
    doomed.dispose();
  });
});

describe("timers", () => {
  test("compute passes take some nanoseconds each", async ({ skip }) => {
    const timer = await gpu.createTimer(3);
    if (timer === undefined) return skip("no timestamp-query");
    const wgsl = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        var sum = x[id.x];
        for (var i = 0; i < 1000; i++) { sum = sum * 1.001 + 1; }
        x[id.x] = sum; }`;
    const busy = await gpu.pipeline(wgsl, "busy", { storage: ["read_write"], uniform: false });
    const buffer = gpu.createBuffer(65536, "storage", "x");
    const group = gpu.bindGroup(busy, 0, [{ binding: 0, buffer }], "busy");
    gpu.submit("timed", (encoder) => {
      for (let i = 0; i < 3; i++) {
        const pass = encoder.beginComputePass({ timestampWrites: timer.passWrites(i) });
        pass.setPipeline(busy.pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(256);
        pass.end();
      }
      timer.resolve(encoder);
    });
    const times = await timer.read();
    expect(times.length).toBe(3);
    for (const time of times) expect(time).toBeGreaterThan(1000);
    expect(() => timer.passWrites(3)).toThrow(UsageError);
    timer.destroy();
  });

  test("more passes than one query set holds", async ({ skip }) => {
    const timer = await gpu.createTimer(3000);
    if (timer === undefined) return skip("no timestamp-query");
    gpu.submit("timed", (encoder) => {
      for (const i of [0, 2047, 2048, 2999]) encoder.beginComputePass({ timestampWrites: timer.passWrites(i) }).end();
      timer.resolve(encoder);
    });
    expect((await timer.read()).length).toBe(3000);
    timer.destroy();
  });

  test("a device without timestamp-query has no timer", async () => {
    const device = await (await findNodeAdapter(quiet)).adapter.requestDevice();
    using plain = await acquireGpu({ device });
    expect(await plain.createTimer(1)).toBeUndefined();
    device.destroy();
  });
});

describe("leaving", () => {
  test("dispose frees all, twice does nothing, and later calls say so", async () => {
    const short = await acquireGpu(quiet);
    await short.createTimer(4);
    const buffer = short.createBuffer(1024, "storage", "x");
    await short.read([{ buffer, sizeBytes: 1024 }]);
    short.dispose();
    short[Symbol.dispose]();
    expect(short.counters).toMatchObject({ buffersLive: 0, bytesLive: 0 });
    expect(() => short.createBuffer(16, "storage", "y")).toThrow(/disposed/);
    await expect(short.idle()).rejects.toThrow(UsageError);
  });

  // In a process of its own, through Vite's runner, since Node 20 cannot load TypeScript.
  const acquirePath = path.resolve(import.meta.dirname, "../../src/device/acquire.ts");
  const viteUrl = pathToFileURL(path.resolve(import.meta.dirname, "../../node_modules/vite/dist/node/index.js")).href;
  const program = (options: string): string => `
    import { acquireGpu } from ${JSON.stringify(acquirePath)};
    const gpu = await acquireGpu({ log: () => {}, ${options} });
    const buffer = gpu.createBuffer(16, "storage", "x");
    gpu.write(buffer, Float32Array.of(1, 2, 3, 4));
    console.log(new Float32Array((await gpu.read([{ buffer, sizeBytes: 16 }]))[0]).join());
    globalThis.stillHeld = gpu;
    gpu.dispose();`;
  const run = async (folder: string, options = "", env: NodeJS.ProcessEnv = process.env) => {
    const file = path.join(folder, "program.js");
    await writeFile(file, program(options));
    const code = `import { runnerImport } from ${JSON.stringify(viteUrl)};
      await runnerImport(${JSON.stringify(file)}, { configFile: false, logLevel: "error" });`;
    return new Promise<{ code: number | null; output: string }>((resolve) => {
      const child = spawn(process.execPath, ["--input-type=module", "-e", code], { env, timeout: 20_000 });
      let output = "";
      child.stdout.on("data", (data) => (output += String(data)));
      child.stderr.on("data", (data) => (output += String(data)));
      child.on("close", (status) => resolve({ code: status, output }));
    });
  };

  test("Node exits by itself after dispose, even if the Gpu is still held", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "neurite-test-"));
    expect(await run(folder)).toEqual({ code: 0, output: "1,2,3,4\n" });
    await rm(folder, { recursive: true });
  }, 30_000);

  test.runIf(softwareDriverFits())(
    "processes that unpack the driver at the same time all get it",
    async () => {
      const folder = await mkdtemp(path.join(tmpdir(), "neurite-test-"));
      const env = { ...process.env, XDG_CACHE_HOME: folder };
      const results = await Promise.all([1, 2, 3].map(() => run(folder, "software: true", env)));
      for (const result of results) expect(result).toEqual({ code: 0, output: "1,2,3,4\n" });
      expect(await readdir(path.join(folder, "neurite"))).toEqual([`swiftshader-${findChromiumPackage().version}`]);
      await rm(folder, { recursive: true });
    },
    60_000,
  );
});

describe("unpacking", () => {
  test("once for many at once, again when a file is damaged, and never outside the folder", async () => {
    const cache = await mkdtemp(path.join(tmpdir(), "neurite-test-"));
    let unpacked = 0;
    const unpack = async (): Promise<UnpackedFile[]> => {
      unpacked++;
      await new Promise((resolve) => setTimeout(resolve, 5));
      return [{ name: "sub/data", data: new Uint8Array(1000), mode: 0o755 }];
    };
    const folders = await Promise.all([1, 2, 3, 4].map(() => unpackOnce("thing", unpack, cache)));
    expect(new Set(folders)).toEqual(new Set([path.join(cache, "thing")]));
    await unpackOnce("thing", unpack, cache);
    expect(unpacked).toBe(4);
    const file = path.join(cache, "thing", "sub", "data");
    await truncate(file, 10);
    await Promise.all([1, 2].map(() => unpackOnce("thing", unpack, cache)));
    expect((await stat(file)).size).toBe(1000);
    const outside = () => Promise.resolve([{ name: "../outside", data: new Uint8Array(1), mode: 0o644 }]);
    await expect(unpackOnce("bad", outside, cache)).rejects.toThrow(/outside/);
    expect(await readdir(cache)).toEqual(["thing"]);
    await rm(cache, { recursive: true });
  });

  test.runIf(softwareDriverFits())(
    "the driver's files, with a manifest that names the library by its final path",
    async () => {
      const cache = await mkdtemp(path.join(tmpdir(), "neurite-test-"));
      const folder = await unpackSoftwareDriver(findChromiumPackage(), cache);
      expect((await readdir(folder)).sort()).toEqual(
        ["libvk_swiftshader.so", "libvulkan.so.1", "swiftshader.json", "unpacked.json"].sort(),
      );
      await rm(cache, { recursive: true });
    },
  );

  test("a tar archive that is cut off is refused", () => {
    const block = Buffer.alloc(512);
    block.write("name", 0);
    block.write("0000644\0", 100);
    block.write("00000002000\0", 124); // 1,024 bytes
    block.write("0", 156);
    expect(() => readTar(block)).toThrow(/cut off in name/);
    const [file] = readTar(Buffer.concat([block, Buffer.alloc(1024, 7), Buffer.alloc(1024)]));
    expect(file).toMatchObject({ name: "name", mode: 0o644 });
    expect(file!.data.byteLength).toBe(1024);
  });
});
