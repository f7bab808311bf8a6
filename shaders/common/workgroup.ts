// What a workgroup may be on a device: the two checks nearly every strategy's `supports` makes.

import type { KernelLimits, KernelProblem } from "../strategy.ts";

/** True if the device runs `x × y × z` invocations with `storageBytes` of workgroup memory, or why not. */
export function fitsWorkgroup(
  limits: KernelLimits,
  [x, y = 1, z = 1]: readonly [number, number?, number?],
  storageBytes = 0,
): true | string {
  if (x * y * z > limits.maxComputeInvocationsPerWorkgroup)
    return `a workgroup of ${x * y * z}, and the device allows ${limits.maxComputeInvocationsPerWorkgroup} invocations`;
  if (x > limits.maxComputeWorkgroupSizeX || y > limits.maxComputeWorkgroupSizeY || z > limits.maxComputeWorkgroupSizeZ)
    return `a workgroup of ${x} × ${y} × ${z} is larger than the device allows along one axis`;
  if (storageBytes > limits.maxComputeWorkgroupStorageSize)
    return `${storageBytes} bytes of workgroup memory, and the device allows ${limits.maxComputeWorkgroupStorageSize}`;
  return true;
}

/** True if the operator's own operands and the epilogue's extra inputs fit into one shader stage, or why not. */
export function fitsBindings(limits: KernelLimits, problem: KernelProblem): true | string {
  const present = problem.inputs.filter((type) => type !== undefined).length;
  const extra = Math.max(0, (problem.program?.inputs.length ?? 0) - 1);
  const made = problem.prologue ? problem.prologue.program.inputs.length - 1 : 0; // they stand for the first input
  const count = present + made + extra + problem.outputs.length;
  if (count <= limits.maxStorageBuffersPerShaderStage) return true;
  return `${count} storage buffers, and the device allows ${limits.maxStorageBuffersPerShaderStage} a stage`;
}

/** The first reason among several checks, or true. */
export function firstReason(...checks: readonly (true | string)[]): true | string {
  return checks.find((check) => check !== true) ?? true;
}
