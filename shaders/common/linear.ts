// One-dimensional kernels: one invocation an element (or a small run of them), folded into a second dimension when a
// dispatch would pass 65,535 workgroups.

const MAX_WORKGROUPS = 65535;

/** Workgroups for `count` invocations in workgroups of `workgroupSize`; x and y, z is 1. */
export function linearDispatch(count: number, workgroupSize: number): [number, number, number] {
  const groups = Math.max(1, Math.ceil(count / workgroupSize));
  if (groups <= MAX_WORKGROUPS) return [groups, 1, 1];
  const y = Math.ceil(groups / MAX_WORKGROUPS);
  return [Math.ceil(groups / y), y, 1];
}

/** Signature and first line of a 1-D `main`: declares `index`, the invocation's number across the whole dispatch. */
export function linearMain(workgroupSize: number): string {
  return `@compute @workgroup_size(${workgroupSize})
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = gid.y * (groups.x * ${workgroupSize}u) + gid.x;`;
}
