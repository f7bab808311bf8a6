// What the kernels of the convolution family share: the geometry as WGSL, and a stretch of one row held in registers.
// Kernel extents, strides, dilations and pads are compiled in, because they decide what is unrolled; extents of
// tensors are uniforms.

import { sizeOf, type TensorType } from "../../src/core/shape.ts";
import type { ConvGeometry } from "../../src/ops/convGeometry.ts";
import type { BindingType, Uniform } from "../strategy.ts";
import { unrolledList } from "./unroll.ts";

/** WGSL constants of a geometry. Signed ones take part in positions, which start in the padding. */
export function convConstants(g: ConvGeometry): string {
  return `const KD = ${g.kD}u;
const STRIDE_D = ${g.strideD};
const DILATION_D = ${g.dilationD};
const PAD_FRONT = ${g.padFront};
${planarConstants(g)}`;
}

/** The same without depth. */
export function planarConstants(g: ConvGeometry): string {
  return `const KH = ${g.kH}u;
const KW = ${g.kW}u;
const STRIDE_H = ${g.strideH};
const STRIDE_W = ${g.strideW};
const DILATION_H = ${g.dilationH};
const DILATION_W = ${g.dilationW};
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

/** Enough weights for a matrix product to be worth writing out what it reads; three axes have no kernel of their own. */
export function hasManyWeights({ shape }: TensorType): boolean {
  return sizeOf(shape) >= 4096 || shape.length > 4;
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
  /** `let` declarations of the registers: vectors, or scalars where one element of a vector is read. */
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
  /** Name of the {@link rowFunction} that checks both; without one, each load is written out. */
  readonly through?: string;
}

/** Not &&: that is a branch, and dozens of them take minutes to compile. An index outside is harmless in WebGPU. */
const checked = (type: string, load: string, conditions: readonly string[]): string =>
  conditions.length === 0 ? load : `select(${type}(0.0), ${load}, ${conditions.join(" & ")})`;

/** `fn name(row, column, inside)`: the elements of `binding` there, zeros outside the row's `extent` columns and where not `inside`. */
export function rowFunction(
  name: string,
  binding: string,
  width: 1 | 2 | 4,
  { extent }: Pick<RowPlace, "extent">,
): string {
  const conditions = [...(extent ? [`(u32(column) < ${extent})`] : []), "inside"];
  const load = `${binding}[u32(row + column)${width === 1 ? "" : ` / ${width}u`}]`;
  return `fn ${name}(row: i32, column: i32, inside: bool) -> ${elementTypes[width]} {
  return ${checked(elementTypes[width], load, conditions)};
}`;
}

/** Loads the elements at `offsets` of a row of `binding`, `width` at a time. */
export function loadRow(
  name: string,
  binding: string,
  width: 1 | 2 | 4,
  { row, base, extent, guard, through }: RowPlace,
  offsets: Iterable<number>,
): RowRegisters {
  const used = new Map<number, Set<number>>(); // by vector, the elements that someone reads
  for (const offset of [...offsets].sort((a, b) => a - b)) {
    const vector = Math.floor(offset / width);
    used.set(vector, (used.get(vector) ?? new Set()).add(offset - vector * width));
  }
  const registers = new Map([...used.keys()].map((vector, i) => [vector, `${name}_${i}`]));
  const loads = [...registers].map(([vector, register]) => {
    const column = `${base} + (${vector * width})`;
    // Of a vector at the edge often a single element is read: that is a scalar load.
    const [single, ...others] = used.get(vector)!;
    const element = width > 1 && others.length === 0 ? `[${single}]` : "";
    if (through && element === "") return `let ${register} = ${through}(${row}, ${column}, ${guard ?? "true"});`;
    const load = `${binding}[u32(${row} + ${column})${width === 1 ? "" : ` / ${width}u`}]${element}`;
    const conditions = [...(guard ? [guard] : []), ...(extent ? [`(u32(${column}) < ${extent})`] : [])];
    return `let ${register} = ${checked(element === "" ? elementTypes[width] : "f32", load, conditions)};`;
  });
  return {
    loads: loads.join("\n"),
    element(offset) {
      const vector = Math.floor(offset / width);
      const register = registers.get(vector)!;
      return used.get(vector)!.size === 1 ? register : `${register}[${offset - vector * width}]`;
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

/** A tile of results in registers, and where its columns begin. */
interface ResultTile {
  readonly rows: number;
  readonly columns: number;
  /** WGSL expression of one result. */
  readonly result: (row: number, column: number) => string;
  /** The row's first column of the tile, and the columns of whole rows: u32 expressions. */
  readonly first: string;
  readonly extent: string;
}

/** 4 if rows of Y are whole vectors, in tiles that begin and end with vectors; else 1. */
export function storedLanes(extent: number, columns: number): 1 | 4 {
  return extent % 4 === 0 && columns % 4 === 0 ? 4 : 1;
}

/**
 * `array`, the declaration of all results, and `row`, a statement that stores row `i` of them behind `y_row`, with `bias`
 * added. Loops, not a copy of the epilogue for each output: compiling those would take longer than running.
 */
export function storeResults(
  { rows, columns, result, first, extent }: ResultTile,
  lanes: 1 | 4,
): Record<"array" | "row", string> {
  const at = (i: number): string => result(Math.floor(i / columns), i % columns);
  const group = (i: number): string => (lanes === 1 ? at(i) : `vec4<f32>(${unrolledList(4, (c) => at(4 * i + c))})`);
  const [width, suffix] = [columns / lanes, lanes === 4 ? "4" : ""];
  const count = rows * width;
  return {
    array: `var results = array<${lanes === 4 ? "vec4<f32>" : "f32"}, ${count}>(${unrolledList(count, group)});`,
    row: `for (var j = ${first}; j < min(${first} + ${columns}u, ${extent}); j += ${lanes}u) {
      let place = (y_row + j) / ${lanes}u;
      y[place] = epilogue${suffix}(results[i * ${width}u + (j - ${first}) / ${lanes}u] + bias, place);
    }`,
  };
}

/** True, or that a narrower tile of `candidates` already spans rows of `extent` columns, so that this one is the same. */
export function differsFromNarrower(columns: number, candidates: readonly number[], extent: number): true | string {
  const same = candidates.find((candidate) => candidate < columns && extent <= candidate);
  return same === undefined || `rows of ${extent} fit into ${same} columns already`;
}
