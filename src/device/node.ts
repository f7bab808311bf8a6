// An adapter in Node, through the npm package `webgpu` (Dawn): a real GPU if there is one, else the system's software
// driver, else the packaged one. Nothing global is set.
//
// Reached by dynamic import only. Packages are imported by a name that bundlers do not see, so that bundling for a page
// neither needs nor pulls in Dawn.

import { DeviceUnavailableError, messageOf } from "../core/errors.ts";
import { cpuAdvice } from "./advice.ts";
import type { DeviceOptions, FoundAdapter } from "./options.ts";
import { hasVulkanLoader, softwareDriverFits, withSoftwareDriver } from "./softwareDriver.ts";

/** Loads a package by name; tests put in their own. */
export type ImportModule = (name: string) => Promise<unknown>;

interface NodeOptions extends DeviceOptions {
  /** What to ask of an adapter where the system may have a GPU. */
  readonly request?: GPURequestAdapterOptions;
}

interface Dawn {
  create(options: string[]): GPU;
}

// Timestamps as the GPU gives them; rounding protects web pages, not programs.
const dawnOptions = ["disable-dawn-features=timestamp_quantization"];
// Software drivers unroll the zeroing of workgroup memory when they compile: a millisecond an element, seconds a kernel. No
// kernel here reads what it has not written (tests/kernels run without the zeros), so it is left out.
const softwareOptions = ["enable-dawn-features=disable_workgroup_init"];

let noGpuHere = false; // asked once a process: drivers do not come and go
let turn: Promise<unknown> = Promise.resolve(); // finding the software driver changes the environment: one at a time

/** Finds an adapter. Throws {@link DeviceUnavailableError} naming what to install. */
export async function findNodeAdapter(
  options: NodeOptions,
  importModule: ImportModule = (name) => import(/* @vite-ignore */ name) as Promise<unknown>,
): Promise<FoundAdapter> {
  const dawn = await importDawn(importModule);
  const found = turn.then(() => find(dawn, options));
  turn = found.catch(() => undefined);
  return found;
}

async function importDawn(importModule: ImportModule): Promise<Dawn> {
  try {
    return (await importModule("webgpu")) as Dawn;
  } catch (cause) {
    const missing = /cannot find (package|module)|failed to (load|resolve)/i.test(messageOf(cause));
    throw new DeviceUnavailableError(
      missing
        ? `Node has no WebGPU of its own: npm i webgpu (and, for Linux machines with no GPU, npm i @sparticuz/chromium), ${cpuAdvice}`
        : `the npm package webgpu is installed but does not load on ${process.platform} ${process.arch}: ${messageOf(cause)}; ` +
          `try another version (npm i webgpu@latest), ${cpuAdvice}`,
      { cause },
    );
  }
}

async function find(dawn: Dawn, options: NodeOptions): Promise<FoundAdapter> {
  const packaged = softwareDriverFits();
  const software = options.software ?? false;
  if (!(software && packaged) && !noGpuHere && hasVulkanLoader()) {
    const found = await request(dawn, options.request);
    if (found !== undefined) return found;
  }
  if (!software) noGpuHere = true;
  if (!packaged)
    throw new DeviceUnavailableError(
      `no GPU was found: install its driver. The packaged software driver is for Linux on x64 only, ` +
        `and this is ${process.platform} on ${process.arch}; ${cpuAdvice}`,
    );
  try {
    const found = await withSoftwareDriver(() => request(dawn, { forceFallbackAdapter: true }, softwareOptions));
    if (found !== undefined) return found;
  } catch (cause) {
    const why = software ? "" : "no GPU was found, and ";
    throw new DeviceUnavailableError(
      `${why}${messageOf(cause)}: install a GPU's driver, or npm i @sparticuz/chromium, ${cpuAdvice}`,
      { cause },
    );
  }
  throw new DeviceUnavailableError(
    `the packaged software driver was found, but Dawn gets no adapter from it; ${cpuAdvice}`,
  );
}

/** An adapter of a fresh Dawn instance; an instance that found none once never finds one. */
async function request(
  dawn: Dawn,
  wish: GPURequestAdapterOptions | undefined,
  extraOptions: readonly string[] = [],
): Promise<FoundAdapter | undefined> {
  const gpu = dawn.create([...dawnOptions, ...extraOptions]);
  const adapter = await gpu.requestAdapter(wish);
  return adapter === null ? undefined : { adapter, keepAlive: gpu };
}
