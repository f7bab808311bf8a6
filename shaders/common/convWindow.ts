// What the kernels of the convolution family share: the geometry as WGSL, and a stretch of one row held in registers.
// Kernel extents, strides, dilations and pads are compiled in, because they decide what is unrolled; extents of
// tensors are uniforms.

import type { ConvGeometry } from "../../src/ops/convGeometry.ts";
import type { BindingType, Uniform } from "../strategy.ts";

/** WGSL constants of a geometry. Signed ones take part in positions, which start in the padding. */
export function convConstants(g: ConvGeometry): string {
  return `const KD = ${g.kD}u;
const KH = ${g.kH}u;
const KW = ${g.kW}u;
const STRIDE_D = ${g.strideD};
const STRIDE_H = ${g.strideH};
const STRIDE_W = ${g.strideW};
const DILATION_D = ${g.dilationD};
const DILATION_H = ${g.dilationH};
const DILATION_W = ${g.dilationW};
const PAD_FRONT = ${g.padFront};
const PAD_TOP = ${g.padTop};
const PAD_LEFT = ${g.padLeft};`;
}

/** Extents of X [N, C, D, H, W] and Y [N, M, out_d, out_h, out_w] of the forward convolution, and the channels of one group. */
export function convUniforms(g: ConvGeometry): Record<string, Uniform> {
  const u32 = (value: number): Uniform => ({ type: "u32", value });
  return {
    N: u32(g.N),
    C: u32(g.C),
    D: u32(g.D),
    H: u32(g.H),
    W: u32(g.W),
    M: u32(g.M),
    out_d: u32(g.outD),
    out_h: u32(g.outH),
    out_w: u32(g.outW),
    groups: u32(g.group),
    group_c: u32(g.C / g.group),
    group_m: u32(g.M / g.group),
  };
}

/** True where a convolution has no depth, so that its planes are whole channels; or that it has. */
export function isPlanar(g: ConvGeometry): true | string {
  return (g.D === 1 && g.kD === 1 && g.outD === 1) || "three spatial axes";
}

/** Whether some window reaches into the padding at the left or right. */
export function reachesOutside(g: ConvGeometry): boolean {
  return g.padLeft > 0 || (g.outW - 1) * g.strideW + (g.kW - 1) * g.dilationW >= g.W;
}

/** A tap of a kernel row and the column of x, relative to a tile's first, that it multiplies. */
export interface Term {
  readonly kw: number;
  readonly offset: number;
}

/**
 * The terms of each of a tile's columns, for `taps` taps of a kernel row. Of a tile as wide as Y, entered at column 0, those
 * in the padding are left out.
 */
export function columnTerms(g: ConvGeometry, columns: number, taps: number, isWholeRow: boolean): Term[][] {
  return Array.from({ length: columns }, (_, column) =>
    Array.from({ length: taps }, (_, kw) => ({ kw, offset: column * g.strideW + kw * g.dilationW - g.padLeft })).filter(
      ({ offset }) => !isWholeRow || (offset >= 0 && offset < g.W),
    ),
  );
}

/** Elements read at once: rows of `extent` elements, entered at multiples of `step`, hold whole aligned vectors of them. */
export function rowWidth(extent: number, step: number): 1 | 2 | 4 {
  if (extent % 4 === 0 && step % 4 === 0) return 4;
  return extent % 2 === 0 && step % 2 === 0 ? 2 : 1;
}

const elementTypes = { 1: "f32", 2: "vec2<f32>", 4: "vec4<f32>" } as const satisfies Record<number, BindingType>;

/** Type of a binding that is read `width` elements at a time. */
export function rowBinding(width: 1 | 2 | 4): BindingType {
  return elementTypes[width];
}

/** Part of a row in registers. */
export interface RowRegisters {
  /** `let` declarations of the registers. */
  readonly loads: string;
  /** WGSL expression of the element `offset` columns after the base; zero outside the row. */
  element(offset: number): string;
}

/** Where {@link loadRow} reads. */
export interface RowPlace {
  /** First element of the row: an i32 name. */
  readonly row: string;
  /** Column from which offsets count: an i32 name, a multiple of the width. */
  readonly base: string;
  /** Columns of the row: a u32 expression. Absent if all offsets are known to lie inside. */
  readonly extent?: string;
  /** Whether the row is there at all: a bool name. Absent if it is known to be. */
  readonly guard?: string;
}

/** Loads the elements at `offsets` of a row of `binding`, `width` at a time. */
export function loadRow(
  name: string,
  binding: string,
  width: 1 | 2 | 4,
  { row, base, extent, guard }: RowPlace,
  offsets: Iterable<number>,
): RowRegisters {
  const vectors = [...new Set([...offsets].map((offset) => Math.floor(offset / width)))].sort((a, b) => a - b);
  const registers = new Map(vectors.map((vector, i) => [vector, `${name}_${i}`]));
  const type = elementTypes[width];
  // An index outside is harmless in WebGPU, and what it reads is not used.
  const loads = [...registers].map(([vector, register]) => {
    const column = `${base} + (${vector * width})`;
    const load = `${binding}[u32(${row} + ${column})${width === 1 ? "" : ` / ${width}u`}]`;
    // Not &&: that is a branch, and dozens of them take minutes to compile.
    const conditions = [...(guard ? [guard] : []), ...(extent ? [`(u32(${column}) < ${extent})`] : [])];
    if (conditions.length === 0) return `let ${register} = ${load};`;
    return `let ${register} = select(${type}(0.0), ${load}, ${conditions.join(" & ")});`;
  });
  return {
    loads: loads.join("\n"),
    element(offset) {
      const vector = Math.floor(offset / width);
      const register = registers.get(vector)!;
      return width === 1 ? register : `${register}[${offset - vector * width}]`;
    },
  };
}

/** `size` in as few equal parts of at most `most` as possible: 6 with at most 4 gives 3. */
export function evenPart(size: number, most: number): number {
  return size <= most ? Math.max(1, size) : Math.ceil(size / Math.ceil(size / most));
}

/** `value` rounded up to a multiple of `step`. */
export function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}

/** True, or that a narrower tile of `candidates` already spans rows of `extent` columns, so that this one is the same. */
export function differsFromNarrower(columns: number, candidates: readonly number[], extent: number): true | string {
  const same = candidates.find((candidate) => candidate < columns && extent <= candidate);
  return same === undefined || `rows of ${extent} fit into ${same} columns already`;
}
