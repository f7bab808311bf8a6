// WebGPU reports errors as objects of its own, later and elsewhere; here they become Neurite's typed errors.

import { GpuError, GpuValidationError, OutOfMemoryError } from "../core/errors.ts";

/** Every error scope's filter, in the order in which scopes are pushed. */
export const errorFilters = ["internal", "out-of-memory", "validation"] as const satisfies readonly GPUErrorFilter[];

/** The typed error for what an error scope with `filter` caught while `step` was at work. */
export function gpuError(filter: GPUErrorFilter, message: string, step: string | undefined): GpuError {
  switch (filter) {
    case "validation":
      return new GpuValidationError(`WebGPU validation: ${message.trim()}`, step);
    case "out-of-memory":
      return new OutOfMemoryError(`the GPU is out of memory: ${message.trim()}`, step);
    case "internal":
      return new GpuError(`internal WebGPU error: ${message.trim()}`, step);
  }
}

/** The typed error for an uncaptured one. Classes are told apart by name: in Node they are no globals. */
export function uncapturedError(error: GPUError, step: string | undefined): GpuError {
  const kind = error.constructor.name;
  const filter =
    kind === "GPUOutOfMemoryError" ? "out-of-memory" : kind === "GPUInternalError" ? "internal" : "validation";
  return gpuError(filter, error.message, step);
}
