// The device kernel tests run on. Dawn is told not to zero workgroup memory: software drivers unroll that zeroing when they
// compile, a millisecond an element, which would make these tests take half an hour. What a kernel reads from workgroup
// memory without having written it is then garbage, so that relying on zeros shows.

import { acquireGpu } from "../../src/device/acquire.ts";
import type { Gpu } from "../../src/device/gpu.ts";
import { findNodeAdapter } from "../../src/device/node.ts";

interface Dawn {
  create(options: readonly string[]): GPU;
}

const instances: unknown[] = []; // a Dawn instance must outlive its devices

/** A device with the adapter's own limits, or with those every device grants. */
export async function acquireKernelGpu(options: { readonly minimumLimits?: boolean } = {}): Promise<Gpu> {
  const found = await findNodeAdapter({}, async (name) => {
    const dawn = (await import(/* @vite-ignore */ name)) as Dawn;
    const create = (given: readonly string[]): GPU =>
      dawn.create([...given, "enable-dawn-features=disable_workgroup_init"]);
    return { create };
  });
  instances.push(found.keepAlive);
  return acquireGpu({ ...options, adapter: found.adapter, log: () => undefined });
}

/** A device that compiles kernels and runs none, with every feature Dawn knows: its null backend. */
export async function acquireCompilingGpu(): Promise<Gpu> {
  const gpu = ((await import("webgpu")) as unknown as Dawn).create(["backend=null"]);
  instances.push(gpu);
  return acquireGpu({ adapter: (await gpu.requestAdapter())!, log: () => undefined });
}

/** Lets Node exit, once all devices are disposed. */
export function releaseKernelGpus(): void {
  instances.length = 0;
}
