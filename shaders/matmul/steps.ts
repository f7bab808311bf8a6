// Four steps of k at a time, for kernels whose tiles are groups of four outputs: a group's part of an operand is a 4 × 4 matrix,
// the other operand's row (or column) is a vector, and their product adds sixteen multiply-adds to four sums. Which way
// round the matrix is follows from the axis along which the operand is contiguous. Where K is not divisible by four, what
// lies behind its end is read as zero, in both operands.
//
// Places are counted in the binding's elements (scalars or vec4s), and everything that does not change with k is named
// before the loop: to some drivers a uniform's value is one more load, each time.

import { unroll, unrolledList } from "../common/unroll.ts";
import { wgsl } from "../wgsl.ts";
import type { OperandLayout } from "./layout.ts";

/** An operand as a kernel's text sees it. */
export interface Operand {
  readonly name: "a" | "b";
  readonly layout: OperandLayout;
  /** K is not divisible by four. */
  readonly hasTail: boolean;
}

/** True if an element of the binding is four steps of k. */
const readsSteps = ({ layout }: Operand): boolean => layout.isVector && layout.along === "sum";

/** True if an element of the binding is one step of four neighbouring rows (or columns). */
export const readsNeighbours = ({ layout }: Operand): boolean => layout.isVector && layout.along === "own";

/** A place in the binding, from one in elements of the tensor. */
export const placeOf = ({ layout }: Operand, elements: string): string =>
  layout.isVector ? `(${elements}) >> 2u` : elements;

/** Before the loop: what a step of k is in the binding. */
export function declareSteps(operand: Operand): string {
  if (readsSteps(operand)) return "";
  const { name } = operand;
  const stride = placeOf(operand, name === "a" ? "u.a_col_stride" : "u.b_row_stride");
  const multiples = unroll(2, (i) => `  let ${name}_steps${i + 2} = ${i + 2}u * ${name}_steps1;`);
  return `  let ${name}_steps1 = ${stride};\n${operand.hasTail ? "" : multiples}`;
}

/** At the head of the loop's body: where step k is in the binding. */
export function declarePlace(operand: Operand): string {
  const { name } = operand;
  return `let ${name}_k = ${readsSteps(operand) ? "k >> 2u" : `k * ${name}_steps1`};`;
}

/** The element of the binding at step k + `step`. */
function read(operand: Operand, first: string, step: number | string): string {
  const { name, layout, hasTail } = operand;
  const at = `${first} + ${name}_k`;
  if (step === 0) return `${name}[${at}]`;
  if (!hasTail)
    return `${name}[${at} + ${typeof step === "string" ? `${step} * ${name}_steps1` : `${name}_steps${step}`}]`;
  const k = `k + ${typeof step === "string" ? step : `${step}u`}`;
  const zero = layout.isVector ? "vec4<f32>(0.0)" : "0.0";
  return `select(${zero}, ${name}[${first} + min(${k}, u.K - 1u) * ${name}_steps1], ${k} < u.K)`;
}

/** Steps k … k + 3 of the row (or column) that begins at the place `first`: a vec4. Not where {@link readsNeighbours}. */
export const stepsOf = (operand: Operand, first: string): string =>
  readsSteps(operand) ? read(operand, first, 0) : `vec4<f32>(${unrolledList(4, (q) => read(operand, first, q))})`;

/** One step of four neighbours, the first of which begins at the place `first`: a vec4. Only where {@link readsNeighbours}. */
export const neighboursAt = (operand: Operand, first: string, step: number | string): string =>
  read(operand, first, step);

/** Four outputs' part of an operand, whose rows or columns begin at the places `first(0)` … `first(3)`: see {@link product}. */
export function matrixOf(operand: Operand, first: (j: number) => string): string {
  const column = (q: number): string => {
    if (operand.layout.along === "sum") return stepsOf(operand, first(q));
    if (operand.layout.isVector) return neighboursAt(operand, first(0), q);
    return `vec4<f32>(${unrolledList(4, (j) => read(operand, first(j), q))})`;
  };
  return `mat4x4<f32>(${unrolledList(4, column)})`;
}

/** What four steps add to the four outputs of {@link matrixOf}. */
export const product = ({ layout }: Operand, matrix: string, steps: string): string =>
  layout.along === "sum" ? `${steps} * ${matrix}` : `${matrix} * ${steps}`;

/** `let s0 …`: the steps of `count` rows (or columns), of which number i begins at the place `first(i)`. */
export function loadSteps(operand: Operand, count: number, first: (i: number) => string): string {
  if (!readsNeighbours(operand)) return unroll(count, (i) => `let s${i} = ${stepsOf(operand, first(i))};`);
  return wgsl`
${unroll(Math.ceil(count / 4), (g) => unroll(4, (q) => `let t${g}_${q} = ${neighboursAt(operand, first(4 * g), q)};`))}
${unroll(count, (i) => `let s${i} = ${transposed(i)};`)}`;
}

/** Number i's four steps, of t<g>_0 … t<g>_3: the single steps of four neighbours. */
export const transposed = (i: number): string => `vec4<f32>(${unrolledList(4, (q) => `t${i >> 2}_${q}[${i & 3}]`)})`;

/** Stores `count` groups of four outputs, sums(0) …: `place` declares, for group i, `own` (its first output), `extent` and `index`. */
export function storeGroups(
  count: number,
  sums: (i: number) => string,
  { place, step, isVector }: { readonly place: string; readonly step: string; readonly isVector: boolean },
): string {
  return wgsl`
  // A loop, not a copy of the epilogue for each group: compiling those would take longer than running.
  var tile = array<vec4<f32>, ${count}>(${unrolledList(count, sums)});
  for (var i = 0u; i < ${count}u; i++) {
    ${place}
    if (own >= extent) { continue; }
#if ${isVector}
    y[index >> 2u] = epilogue4(tile[i], index >> 2u);
#else
    for (var c = 0u; c < min(4u, extent - own); c++) { y[index + c * ${step}] = epilogue(tile[i][c], index + c * ${step}); }
#endif
  }`;
}
