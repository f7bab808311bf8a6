// The adapter's ceilings: those that the cost model goes by, and two more for people, the rate of vec4 multiply-adds and
// that of copyBufferToBuffer.

import type { Gpu } from "../../src/device/gpu.ts";
import { Stopwatch } from "../../src/runtime/gpu/stopwatch.ts";
import type { Ceilings } from "../../src/scheduler/traits.ts";
import { wgsl } from "../../shaders/wgsl.ts";
import type { BenchCeilings } from "./results.ts";

const ACCUMULATORS = 8;
const WORKGROUP = 64;
const RUNS = 5;
const LONG_ENOUGH_NS = 1e7;

const each = (line: (i: number) => string): string => Array.from({ length: ACCUMULATORS }, (_, i) => line(i)).join(" ");

const vectorMultiplyAdd = wgsl`
@group(0) @binding(0) var<storage, read_write> result: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> repeats: array<u32>;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(local_invocation_index) lane: u32) {
  let x = vec4<f32>(0.999, 0.998, 0.997, 0.996);
  let y = vec4<f32>(f32(lane & 7u));
  ${each((i) => `var a${i} = y + ${i}.0;`)}
  for (var k = 0u; k < repeats[0]; k++) {
    ${each((i) => `a${i} = a${i} * x + y;`)}
  }
  let sum = ${each((i) => (i === 0 ? "a0" : `+ a${i}`))};
  if (sum.x == 12345.678) { result[0] = sum; }
}`;

/** Adds to `known` what only people ask for. */
export async function measureBenchCeilings(gpu: Gpu, known: Ceilings): Promise<BenchCeilings> {
  return {
    ...known,
    vectorGflops: await vectorGflops(gpu),
    bufferCopyGigabytesPerSecond: await bufferCopyGigabytesPerSecond(gpu),
  };
}

async function vectorGflops(gpu: Gpu): Promise<number> {
  using stopwatch = await Stopwatch.on(gpu);
  const result = gpu.createBuffer(16, "storage", "ceiling");
  const repeats = gpu.createBuffer(16, "storage", "ceiling");
  try {
    const layout = { storage: ["read_write", "read"], uniform: false } as const;
    const pipeline = await gpu.pipeline(vectorMultiplyAdd, "ceiling: vec4 multiply-adds", layout);
    const entries = [result, repeats].map((buffer, binding) => ({ binding, buffer }));
    const group = gpu.bindGroup(pipeline, 0, entries, "ceiling");
    const workgroups = gpu.adapter.isSoftware ? 64 : 8192;
    const run = (count: number): Promise<number> => {
      gpu.write(repeats, Uint32Array.of(count, 0, 0, 0));
      return stopwatch.time((pass) => {
        pass.setPipeline(pipeline.pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(workgroups);
      });
    };
    let count = 64;
    while ((await run(count)) < LONG_ENOUGH_NS && count < 2 ** 20) count *= 4;
    let best = Infinity;
    for (let i = 0; i < RUNS; i++) best = Math.min(best, await run(count));
    return (2 * 4 * ACCUMULATORS * count * workgroups * WORKGROUP) / best;
  } finally {
    for (const buffer of [result, repeats]) gpu.destroyBuffer(buffer);
  }
}

/** By the clock: a copy belongs to no pass, and so to no timestamp. */
async function bufferCopyGigabytesPerSecond(gpu: Gpu): Promise<number> {
  const bytes = Math.min(gpu.adapter.isSoftware ? 2 ** 26 : 2 ** 28, gpu.limits.maxBufferSize);
  const copies = gpu.adapter.isSoftware ? 1 : 32;
  const [from, to] = ["from", "to"].map((name) => gpu.createBuffer(bytes, "storage", `ceiling: copy ${name}`));
  try {
    let bestMs = Infinity;
    for (let i = 0; i <= RUNS; i++) {
      await gpu.idle();
      const began = performance.now();
      gpu.submit("ceiling: copies", (encoder) => {
        for (let copy = 0; copy < copies; copy++) encoder.copyBufferToBuffer(from!, 0, to!, 0, bytes);
      });
      await gpu.idle();
      if (i > 0) bestMs = Math.min(bestMs, performance.now() - began); // the first touches the pages
    }
    return (2 * bytes * copies) / bestMs / 1e6;
  } finally {
    for (const buffer of [from, to]) gpu.destroyBuffer(buffer!);
  }
}
