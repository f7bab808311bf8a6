// Kernels that measure an adapter instead of computing anything: each does one thing, as often as it is told, and ends in a
// store that the compiler can't foresee to be left out. src/runtime/gpu/ceilings.ts runs them.

import { wgsl } from "./wgsl.ts";

/** Invocations a workgroup of every probe but `dispatch`. */
export const PROBE_WORKGROUP = 64;
/** Loads a repetition of `load`, barriers one of `barrier`. */
export const PROBE_UNROLL = 8;
/** Multiply-adds a repetition of `multiplyAdd`: eight in a row for each of eight accumulators. */
export const PROBE_MULTIPLY_ADDS = 64;
/** vec4s that `load` reads again and again: 16 KiB, which the nearest cache holds. */
export const PROBE_TABLE = 1024;

const bindings = wgsl`
@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> result: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> repeats: array<u32>;`;
const main = wgsl`
@compute @workgroup_size(${PROBE_WORKGROUP})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32,
        @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.x + id.y * groups.x * ${PROBE_WORKGROUP}u;`;
const times = (line: (i: number) => string): string =>
  Array.from({ length: PROBE_UNROLL }, (_, i) => `    ${line(i)}`).join("\n");

/** Written as one expression, or drivers that keep variables in memory would measure that. */
const chain = (start: string): string =>
  Array.from({ length: PROBE_UNROLL }).reduce<string>((sum) => `(${sum} * x + y)`, start);

/** WGSL by what is measured. All bind a source, a result and the number of repetitions. */
export const probes = {
  /** Eight independent chains of scalar multiply-adds. */
  multiplyAdd: wgsl`${bindings}
${main}
  let x = source[0].x;
  let y = source[0].y;
${times((i) => `var a${i} = f32(lane + ${i}u);`)}
  let count = repeats[0];
  for (var i = 0u; i < count; i++) {
${times((i) => `a${i} = ${chain(`a${i}`)};`)}
  }
  let sum = a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7;
  if (sum == 12345.678) { result[0] = vec4<f32>(sum); }
}`,
  /** vec4 loads that a cache serves, each beside its neighbours'. */
  load: wgsl`${bindings}
${main}
  var sum = vec4<f32>(0.0);
  for (var i = 0u; i < repeats[0]; i++) {
    let first = lane + i * ${PROBE_UNROLL}u;
    sum += ${Array.from({ length: PROBE_UNROLL }, (_, i) => `source[(first + ${i * 67}u) & ${PROBE_TABLE - 1}u]`).join(" + ")};
  }
  if (sum.x == 12345.678) { result[0] = sum; }
}`,
  /** A vec4 an invocation. */
  copy: wgsl`${bindings}
${main}
  if (index < arrayLength(&result)) { result[index] = source[index]; }
}`,
  /** Barriers around a word of workgroup memory. */
  barrier: wgsl`${bindings}
var<workgroup> shared_word: u32;
${main}
  let count = repeats[0];
  for (var i = 0u; i < count; i++) {
${times((i) => `if (lane == ${i}u) { shared_word = i; } workgroupBarrier();`)}
  }
  if (shared_word == 4294967295u) { result[0] = vec4<f32>(1.0); }
}`,
  /** Invocations that end at once. */
  invocation: wgsl`${bindings}
${main}
  if (index == 4294967295u) { result[0] = source[repeats[0]]; }
}`,
} as const;
