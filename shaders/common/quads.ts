// Four neighbouring invocations that work on the same channels load a quarter of what all of them need each, and hand it
// around: a broadcast within a quad costs a fraction of a load, on hardware a shuffle, on an adapter emulated on a CPU a
// few instructions where a load is four checked ones. Quads are the four invocations whose indices in a one-dimensional
// workgroup differ in the last two bits, whatever the size of a subgroup.

import type { KernelLimits } from "../strategy.ts";

/** Invocations of a quad. */
export const QUAD = 4;

/** True if `lanes` invocations can share loads on this device, or why not. */
export function sharesLoads(limits: KernelLimits, lanes: number): true | string {
  if (lanes === 1) return true;
  if (!limits.features?.has("subgroups")) return "the device has no subgroups";
  return (limits.subgroupMinSize ?? 0) >= QUAD || "subgroups may be smaller than a quad";
}

/** WGSL extensions that sharing among `lanes` needs. */
export function sharingExtensions(lanes: number): readonly "subgroups"[] {
  return lanes === 1 ? [] : ["subgroups"];
}
