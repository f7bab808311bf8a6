// One step of one unit in WGSL, the same for every kernel: activations with their clipping, and how an RNN, LSTM or GRU turns
// gate inputs into its next state. Kernels differ in where the state lives and who multiplies it by R.

import { activationsOf, type Activation, type RecurrentGeometry } from "../../src/ops/recurrence.ts";
import type { CellAttributes } from "../../src/ops/recurrent.ts";
import { wgsl } from "../wgsl.ts";

/** `fn activate0(x, direction)` …: ONNX's f, g, h. */
function activations(geometry: RecurrentGeometry, attributes: CellAttributes): string {
  const sets = activationsOf(geometry.cell, attributes);
  const helpers = new Set(sets.flat().flatMap((activation) => activation.helpers));
  const clip = attributes.clip > 0 ? Math.fround(attributes.clip) : 0;
  const functions = sets[0]!.map((first, which) => {
    const last = sets.at(-1)![which]!;
    const same = first.wgsl("x") === last.wgsl("x");
    const result = (f: Activation): string => `return ${f.wgsl("x")};`;
    return wgsl`
fn activate${which}(input: f32, direction: u32) -> f32 {
#if ${clip > 0 && which < 2}
  let x = clamp(input, f32(${-clip}), f32(${clip}));
#else
  let x = input;
#endif
#if ${!same}
  if (direction == 1u) { ${result(last)} }
#endif
  ${result(first)}
}`;
  });
  return [...helpers, ...functions].join("\n");
}

/**
 * `CELL`-specific functions, on a unit's K gate inputs in ONNX's order:
 * RNN `next_state(pre, direction)`, LSTM `next_state(pre, c, p, direction)` → (h, c),
 * GRU `next_state(z, candidate, h, direction)` with z activated already.
 */
export function cellFunctions(geometry: RecurrentGeometry, attributes: CellAttributes): string {
  const shared = activations(geometry, attributes);
  switch (geometry.cell) {
    case "RNN":
      return `${shared}
fn next_state(pre: f32, direction: u32) -> f32 { return activate0(pre, direction); }`;
    case "GRU":
      return `${shared}
fn next_state(z: f32, candidate: f32, h: f32, direction: u32) -> f32 {
  return (1.0 - z) * activate1(candidate, direction) + z * h;
}`;
    case "LSTM":
      return wgsl`${shared}
// pre: i, o, f, c; p: peepholes of i, o, f
fn next_state(pre: vec4<f32>, c: f32, p: vec3<f32>, direction: u32) -> vec2<f32> {
  let i = activate0(pre.x + p.x * c, direction);
#if ${attributes.input_forget !== 0}
  let f = 1.0 - i;
#else
  let f = activate0(pre.z + p.z * c, direction);
#endif
  let now = f * c + i * activate1(pre.w, direction);
  let o = activate0(pre.y + p.y * now, direction);
  return vec2<f32>(o * activate2(now, direction), now);
}`;
  }
}

/** WGSL of unit j's peepholes, which lie behind the recurrent weights. `read` reads one element of R. */
export function peepholes(
  { D, gates, H }: RecurrentGeometry,
  attributes: CellAttributes,
  read: (at: string) => string,
): string {
  if (!attributes.peephole) return "vec3<f32>(0.0)";
  const at = (which: number): string => read(`${D * gates * H * H + which * H}u + direction * ${3 * H}u + j`);
  return `vec3<f32>(${at(0)}, ${at(1)}, ${at(2)})`;
}
