// A subgroup a row: its lanes stride over the row together and exchange what they have without workgroup memory or a
// barrier. How many lanes a subgroup has is known only while it runs, so the rows are dealt out in a loop. Subgroups are
// taken to consist of neighbouring invocations, as they do in workgroups along one axis.

import type { KernelLimits, Uniform } from "../strategy.ts";
import { linearDispatch } from "./linear.ts";

/** No subgroup has more lanes. */
const MOST_LANES = 128;

/** True if the device has subgroups, or why not. */
export const hasSubgroups = (limits: KernelLimits): true | string =>
  limits.features?.has("subgroups") === true || "the device has no subgroups";

/** Workgroups for `count` rows, if each does about `rowsEach`. */
export const subgroupDispatch = (count: number, rowsEach: number): [number, number, number] =>
  linearDispatch(Math.ceil(count / rowsEach), 1);

/** Steps after which a lane puts a partial sum away: √steps of a row of `count`, in whole rounds of any subgroup. */
export const chunkOfLanes = (count: number): Uniform => ({
  type: "u32",
  value: MOST_LANES * Math.max(1, Math.ceil(Math.sqrt(count / MOST_LANES))),
});

/** `main` up to the loop over rows: `index` is the row, `lane` one of `lanes`. Close two braces. */
export const subgroupMain = (workgroup: number, count: string): string => `
@compute @workgroup_size(${workgroup}) @diagnostic(off, subgroup_uniformity)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) lane: u32,
  @builtin(subgroup_size) size: u32,
) {
  let lanes = min(size, ${workgroup}u);
  let teams = ${workgroup}u / lanes;
  let first = (group.y * groups.x + group.x) * teams + local / lanes;
  for (var index = first; index < ${count}; index += groups.x * groups.y * teams) {`;

/** WGSL that combines `name`, a variable, over all lanes, in a fixed order. `combine` makes one of two names. */
export const overLanes = (name: string, combine: (a: string, b: string) => string): string => `
    for (var distance = 1u; distance < lanes; distance *= 2u) {
      let other = subgroupShuffleXor(${name}, distance);
      ${name} = ${combine(name, "other")};
    }`;
