// Finding a device, from the most specific wish to the last resort: the caller's device, the caller's adapter, the page's
// or worker's or Deno's navigator.gpu, and in Node the `webgpu` package (Dawn) on a real GPU or on a software driver.
// Everything that is Node's alone sits behind a dynamic import, so that a page's bundle never loads it.

import { limitsRecord, summarizeAdapter, wantedFeatures } from "./adapter.ts";
import { Gpu } from "./gpu.ts";
import { adapterRequest, type DeviceOptions, type FoundAdapter } from "./options.ts";

export type { DeviceOptions } from "./options.ts";

const advice = (): Promise<typeof import("./advice.ts")> => import("./advice.ts");

/**
 * Finds an adapter and requests a device with all of its compute limits and, where present, `shader-f16`, `subgroups` and
 * `timestamp-query`. Throws {@link DeviceUnavailableError} naming what to install or to switch on.
 *
 * @example
 * using gpu = await acquireGpu({ powerPreference: "low-power" });
 * console.log(gpu.adapter.name);
 */
export async function acquireGpu(options: DeviceOptions = {}): Promise<Gpu> {
  if (options.device !== undefined) {
    const { device } = options;
    const summary = summarizeAdapter(device.adapterInfo, device.features, device.limits);
    return new Gpu({ device, adapter: summary, owned: false });
  }
  const { adapter, keepAlive } = await findAdapter(options);
  const summary = summarizeAdapter(adapter.info, adapter.features, adapter.limits);
  if (summary.isSoftware) tellOfSoftware(summary.name, options.log);
  const device = await requestDevice(adapter, options.minimumLimits ?? false, summary.name);
  return new Gpu({ device, adapter: summary, owned: true, keepAlive });
}

async function findAdapter(options: DeviceOptions): Promise<FoundAdapter> {
  if (options.adapter !== undefined) return { adapter: options.adapter };
  const { navigator } = globalThis as { navigator?: { gpu?: GPU } }; // Node 20 has no navigator, Node 22 one without gpu
  const gpu = navigator?.gpu;
  if (gpu !== undefined) return { adapter: await adapterOfPage(gpu, options) };
  if (isNode()) {
    const { findNodeAdapter } = await import("./node.ts");
    return findNodeAdapter({ ...options, request: adapterRequest(options) });
  }
  throw (await advice()).noWebGpu();
}

async function adapterOfPage(gpu: GPU, options: DeviceOptions): Promise<GPUAdapter> {
  const adapter = await gpu.requestAdapter(adapterRequest(options));
  if (adapter !== null) return adapter;
  const fallback = await gpu.requestAdapter({ forceFallbackAdapter: true });
  if (fallback !== null) return fallback;
  throw (await advice()).noAdapter();
}

async function requestDevice(adapter: GPUAdapter, minimumLimits: boolean, name: string): Promise<GPUDevice> {
  try {
    return await adapter.requestDevice({
      label: "neurite",
      requiredFeatures: wantedFeatures.filter((feature) => adapter.features.has(feature)),
      requiredLimits: minimumLimits ? {} : limitsRecord(adapter.limits),
    });
  } catch (cause) {
    throw (await advice()).noDevice(name, cause);
  }
}

function isNode(): boolean {
  const { process } = globalThis as { process?: { versions?: { node?: string } } }; // bundlers' stand-ins lack versions
  return process?.versions?.node !== undefined;
}

let softwareWasTold = false;

function tellOfSoftware(name: string, log: ((line: string) => void) | undefined): void {
  if (log === undefined && softwareWasTold) return;
  if (log === undefined) softwareWasTold = true;
  (log ?? console.warn)(`neurite: using ${name}: a software driver that runs on the CPU, right but slow`);
}
