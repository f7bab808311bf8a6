// What an adapter can do at best, measured in a moment: arithmetic, loads, copying, barriers, and what it costs to start
// an invocation, a dispatch and a submit. Each probe runs longer and longer until its time is well above a clock's steps;
// the best of a few runs counts. The cost model and the bench hold kernels against these numbers.

import { throwIfAborted } from "../../core/errors.ts";
import type { Gpu } from "../../device/gpu.ts";
import type { Ceilings } from "../../scheduler/traits.ts";
import { probes, PROBE_MULTIPLY_ADDS, PROBE_TABLE, PROBE_UNROLL, PROBE_WORKGROUP } from "../../../shaders/probes.ts";
import { Stopwatch } from "./stopwatch.ts";

/** A probe's run is long enough at this many ns, by timestamps … */
const LONG_ENOUGH_NS = 2e6;
/** … and by the clock, or on a CPU, which does other things as well. */
const LONG_ENOUGH_SHAKY_NS = 8e6;
const RUNS = 3;
const VEC4_BYTES = 16;
const DISPATCHES = 128;

/** Measures an adapter: some 100 ms on a GPU, about a second on a software driver. */
export async function measureCeilings(gpu: Gpu, signal?: AbortSignal): Promise<Ceilings> {
  const { isSoftware } = gpu.adapter;
  using stopwatch = await Stopwatch.on(gpu);
  const enoughNs = stopwatch.hasTimestamps && !isSoftware ? LONG_ENOUGH_NS : LONG_ENOUGH_SHAKY_NS;
  // More than any cache of a GPU holds, and not more than a software driver copies in a moment.
  const copyBytes = Math.min(isSoftware ? 16 * 2 ** 20 : 128 * 2 ** 20, gpu.limits.maxStorageBufferBindingSize);
  const buffers = [copyBytes, copyBytes, VEC4_BYTES].map((bytes) => gpu.createBuffer(bytes, "storage", "probe"));
  const [source, result, repeats] = buffers;
  try {
    // x · 0.5 + 1 stays in range however often it is repeated.
    gpu.write(source!, new Float32Array(4 * PROBE_TABLE).fill(0.5));
    gpu.write(source!, Float32Array.of(0.5, 1, 0, 0));
    const names = Object.keys(probes) as (keyof typeof probes)[];
    const layout = { storage: ["read", "read_write", "read"], uniform: false } as const;
    const pipelines = new Map(
      await Promise.all(
        names.map(async (name) => [name, await gpu.pipeline(probes[name], `probe ${name}`, layout)] as const),
      ),
    );
    const sizes = { source: copyBytes, result: copyBytes };
    const group = gpu.bindGroup(
      pipelines.get("copy")!,
      0,
      [source!, result!, repeats!].map((buffer, binding) => ({ binding, buffer })),
      "probe",
    );

    const time = (name: keyof typeof probes, workgroups: number, dispatches = 1): Promise<number> =>
      stopwatch.time((pass) => {
        pass.setPipeline(pipelines.get(name)!.pipeline);
        pass.setBindGroup(0, group);
        const y = Math.ceil(workgroups / 65535);
        for (let i = 0; i < dispatches; i++) pass.dispatchWorkgroups(Math.ceil(workgroups / y), y);
      });
    /** The least ns for one unit of `work`, which grows until a run takes long enough. */
    const perUnit = async (first: number, most: number, run: (work: number) => Promise<number>): Promise<number> => {
      let work = first;
      await run(work); // warms up
      let best: number;
      for (;;) {
        throwIfAborted(signal);
        best = await run(work);
        if (best >= enoughNs || work >= most) break;
        work = Math.min(most, Math.ceil(work * Math.min(64, Math.max(2, (1.5 * enoughNs) / Math.max(1, best)))));
      }
      for (let i = 1; i < RUNS; i++) best = Math.min(best, await run(work));
      return best / work;
    };
    const repeated = async (name: keyof typeof probes, workgroups: number, most: number): Promise<number> => {
      const ns = await perUnit(16, most, (count) => {
        gpu.write(repeats!, Uint32Array.of(count, 0, 0, 0));
        return time(name, workgroups);
      });
      return ns / (workgroups * PROBE_WORKGROUP);
    };

    const workgroups = isSoftware ? 64 : 8192;
    const multiplyAddNs = (await repeated("multiplyAdd", workgroups, 2 ** 20)) / PROBE_MULTIPLY_ADDS;
    const loadNs = (await repeated("load", workgroups, 2 ** 20)) / PROBE_UNROLL;
    const barrierNs = (await repeated("barrier", workgroups, 2 ** 16)) / PROBE_UNROLL;
    const vec4s = sizes.result / VEC4_BYTES;
    const copyNs = await perUnit(1, 64, (count) => time("copy", Math.ceil(vec4s / PROBE_WORKGROUP), count));
    const invocationNs = await perUnit(1024, 2 ** 18, (count) => time("invocation", count));
    const [submitNs, manyNs] = await stopwatch.bestByClock([1, DISPATCHES], RUNS, (pass, dispatches) => {
      pass.setPipeline(pipelines.get("invocation")!.pipeline);
      pass.setBindGroup(0, group);
      for (let i = 0; i < dispatches; i++) pass.dispatchWorkgroups(1);
    });
    return {
      gflops: 2 / multiplyAddNs,
      loadsPerNs: 1 / loadNs,
      gigabytesPerSecond: (2 * copyBytes) / copyNs,
      barrierNs,
      invocationNs: invocationNs / PROBE_WORKGROUP,
      dispatchNs: Math.max(0, (manyNs! - submitNs!) / (DISPATCHES - 1)),
      submitNs: submitNs!,
    };
  } finally {
    for (const buffer of buffers) gpu.destroyBuffer(buffer);
  }
}
