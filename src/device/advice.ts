// What is said where there is no device, with what to install or to switch on. Pages that get one do not load it.

import { DeviceUnavailableError, messageOf } from "../core/errors.ts";

/** The way out that every environment has; the end of each message about a missing device. */
export const cpuAdvice = 'or run on the CPU reference with backend: "cpu"';

const browserAdvice =
  "Chrome and Edge have WebGPU from 113, Firefox from 141 (Windows) and 145 (macOS), Safari from 26; Chrome on Linux may " +
  "need chrome://flags/#enable-unsafe-webgpu, and chrome://gpu says what is blocked";

/** For an environment without `navigator.gpu` that is not Node. */
export function noWebGpu(): DeviceUnavailableError {
  if ("isSecureContext" in globalThis && !isSecureContext)
    return new DeviceUnavailableError(
      `WebGPU needs a secure context: serve the page over https, or from http://localhost (here: ${location.origin}), ${cpuAdvice}`,
    );
  return new DeviceUnavailableError(
    `this environment has no WebGPU (no navigator.gpu). ${browserAdvice}; ${cpuAdvice}`,
  );
}

/** For a `navigator.gpu` that finds nothing. */
export function noAdapter(): DeviceUnavailableError {
  return new DeviceUnavailableError(
    `WebGPU is here but offers no adapter. ${browserAdvice}. Without a GPU, Chrome emulates one when started with ` +
      `--enable-unsafe-webgpu --use-webgpu-adapter=swiftshader; ${cpuAdvice}`,
  );
}

/** For the adapter called `name`, whose device request failed by `cause`. */
export function noDevice(name: string, cause: unknown): DeviceUnavailableError {
  return new DeviceUnavailableError(`${name} gives no device: ${messageOf(cause)}; try again, ${cpuAdvice}`, { cause });
}
