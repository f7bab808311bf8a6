// Einstein summation: products of operands summed over every index the result does not have. It has no kernel: diagonals are
// strided slices, sums over an index of one operand are ReduceSum, and operands are contracted pair by pair, from the left,
// each by one MatMul (or Mul, when no index is summed) between Transposes and Reshapes that name batch, row, sum and column.

import { ShapeError } from "../core/errors.ts";
import { formatShape, sizeOf, stridesOf, type Shape, type TensorType } from "../core/shape.ts";
import { mul } from "./binary.ts";
import { formatInputs, requireDType, requireSameDType } from "./check.ts";
import { reduceSum } from "./reduce.ts";
import { matMul } from "./matmul.ts";
import { defineOperator, summationBound, type Builder, type Operand, type Operator } from "./operator.ts";
import { reshapeTo } from "./reshape.ts";
import { slice } from "./slice.ts";
import { transpose } from "./transpose.ts";

export type EinsumAttributes = {
  /** `ij,jk->ik`; without an arrow the result has the indices that occur once, in alphabetical order. */
  readonly equation: string;
};

const MOST_OPERANDS = 16;

/** An equation applied to shapes. Axes of an ellipsis are indices "0", "1", …, counted from the right. */
interface Summation {
  readonly operands: readonly (readonly string[])[];
  readonly result: readonly string[];
  readonly extents: ReadonlyMap<string, number>;
}

/** Reads an equation. Throws ShapeError where it does not fit the operands. */
function summationOf(equation: string, types: readonly (TensorType | undefined)[]): Summation {
  const shapes = types.map((type) => type?.shape ?? []);
  const fail = (why: string): never => {
    throw new ShapeError(`Einsum: "${equation}" of ${formatInputs(types)}: ${why}`);
  };
  const [left = "", right, ...more] = equation.replaceAll(" ", "").split("->");
  const terms = left.split(",");
  if (more.length > 0) fail("more than one arrow");
  if (terms.length !== shapes.length) fail(`it names ${terms.length} operands`);

  /** Indices of a term whose ellipsis stands for `hidden` axes. */
  const indicesOf = (term: string, hidden: number): string[] => {
    const ellipsis = Array.from({ length: hidden }, (_, i) => String(hidden - 1 - i));
    const parts = term.split("...").map((part) => Array.from(part));
    if (parts.length > 2 || parts.flat().some((index) => !/[A-Za-z]/.test(index)))
      fail(`"${term}" is not a list of indices`);
    const [before = [], after] = parts;
    return after ? [...before, ...ellipsis, ...after] : before;
  };
  let widest = 0;
  const extents = new Map<string, number>();
  const operands = terms.map((term, i) => {
    const hidden = term.includes("...") ? shapes[i]!.length - (term.length - 3) : 0;
    widest = Math.max(widest, hidden);
    const indices = indicesOf(term, Math.max(0, hidden));
    if (indices.length !== shapes[i]!.length) fail(`"${term}" does not name the axes of ${formatShape(shapes[i]!)}`);
    indices.forEach((index, axis) => {
      const extent = shapes[i]![axis]!;
      const known = extents.get(index) ?? 1;
      if (known !== 1 && extent !== 1 && known !== extent) fail(`index ${index} is ${known} and ${extent}`);
      extents.set(index, known === 1 ? extent : known);
    });
    return indices;
  });
  const all = operands.flat();
  const once = [...new Set(all)].filter(
    (index) => /[A-Za-z]/.test(index) && all.indexOf(index) === all.lastIndexOf(index),
  );
  const result = right === undefined ? [...indicesOf("...", widest), ...once.sort()] : indicesOf(right, widest);
  if (result.some((index) => !extents.has(index))) fail("the result has an index that no operand has");
  if (new Set(result).size !== result.length) fail("the result has an index twice");
  return { operands, result, extents };
}

/** A tensor whose axes are named. */
interface Term {
  readonly tensor: Operand;
  readonly indices: readonly string[];
}

/** Axes in the order of `wanted`, which names each once. */
function ordered(build: Builder, { tensor, indices }: Term, wanted: readonly string[]): Operand {
  const perm = wanted.map((index) => indices.indexOf(index));
  return perm.every((from, to) => from === to) ? tensor : build.apply(transpose, [tensor], { perm });
}

/** An operand with each index once, without axes that broadcast, and without indices that nobody else needs. */
function simplified(
  build: Builder,
  term: Term,
  extents: ReadonlyMap<string, number>,
  needed: ReadonlySet<string>,
): Term {
  let { tensor } = term;
  let indices = [...term.indices];
  // A diagonal of [.., n, n] is every (n + 1)-th element of [.., n·n].
  for (let first = 0; first < indices.length; first++) {
    for (let second; (second = indices.indexOf(indices[first]!, first + 1)) >= 0; ) {
      const others = indices.flatMap((_, axis) => (axis === first || axis === second ? [] : [axis]));
      const extent = tensor.shape[first]!;
      const rest = others.map((axis) => tensor.shape[axis]!);
      const paired = build.apply(transpose, [tensor], { perm: [...others, first, second] });
      const flat = reshapeTo(build, paired, [...rest, extent * extent]);
      const along = { starts: [0], ends: [extent * extent], axes: [rest.length], steps: [extent + 1] };
      tensor = build.apply(slice, [flat], along);
      indices = [...others.map((axis) => indices[axis]!), indices[first]!];
      first = -1; // the axes have moved: look again from the beginning
      break;
    }
  }
  const stays = (index: string, axis: number): boolean => tensor.shape[axis] !== 1 || extents.get(index) === 1;
  const shape = tensor.shape.filter((_, axis) => stays(indices[axis]!, axis));
  indices = indices.filter(stays);
  tensor = reshapeTo(build, tensor, shape);

  const axes = indices.flatMap((index, axis) => (needed.has(index) ? [] : [axis]));
  if (axes.length === 0) return { tensor, indices };
  return {
    tensor: build.apply(reduceSum, [tensor], { axes, keepdims: 0 }),
    indices: indices.filter((index) => needed.has(index)),
  };
}

/** Σ over the indices that both have and nobody `needed`; the result has batch, then left's own, then right's own. */
function contracted(build: Builder, left: Term, right: Term, needed: ReadonlySet<string>): Term {
  const shared = left.indices.filter((index) => right.indices.includes(index));
  const batch = shared.filter((index) => needed.has(index));
  const summed = shared.filter((index) => !needed.has(index));
  const own = ({ indices }: Term): string[] => indices.filter((index) => !shared.includes(index));
  const [rows, columns] = [own(left), own(right)];
  const extentsOf = ({ tensor, indices }: Term, names: readonly string[]): number[] =>
    names.map((index) => tensor.shape[indices.indexOf(index)]!);
  const indices = [...batch, ...rows, ...columns];
  const shape = [...extentsOf(left, batch), ...extentsOf(left, rows), ...extentsOf(right, columns)];
  if (summed.length === 0) {
    const a = ordered(build, left, [...batch, ...rows]);
    const b = ordered(build, right, [...batch, ...columns]);
    const column = reshapeTo(build, a, [...a.shape, ...columns.map(() => 1)]);
    const row = reshapeTo(build, b, [...extentsOf(right, batch), ...rows.map(() => 1), ...extentsOf(right, columns)]);
    return { tensor: build.apply(mul, [column, row]), indices };
  }
  const size = (term: Term, names: readonly string[]): number => sizeOf(extentsOf(term, names));
  /** [batch…, first, second] of a term whose axes may already lie as [batch…, second, first]. */
  const matrix = (term: Term, first: readonly string[], second: readonly string[]): [Operand, number] => {
    const isSwapped = [...batch, ...second, ...first].every((index, axis) => index === term.indices[axis]);
    const [p, q] = isSwapped ? [second, first] : [first, second];
    const axes = ordered(build, term, [...batch, ...p, ...q]);
    return [reshapeTo(build, axes, [...extentsOf(term, batch), size(term, p), size(term, q)]), isSwapped ? 1 : 0];
  };
  const [a, transA] = matrix(left, rows, summed);
  const [b, transB] = matrix(right, summed, columns);
  return { tensor: reshapeTo(build, build.apply(matMul, [a, b], { transA, transB }), shape), indices };
}

/** Einsum (ONNX) of up to 16 operands of one number type. Throws ShapeError where `equation` does not fit them. */
export const einsum: Operator<EinsumAttributes> = defineOperator<EinsumAttributes>({
  name: "Einsum",
  inputs: Array.from({ length: MOST_OPERANDS }, (_, i) => `input${i}`),
  required: 1,
  outputs: ["Output"],
  attributes: { equation: "" },

  infer(inputs, { equation }) {
    const { result, extents } = summationOf(equation, inputs);
    const types = inputs.filter((type) => type !== undefined);
    types.forEach((type, i) => requireDType("Einsum", `input ${i}`, type, "number"));
    requireSameDType("Einsum", types);
    return [{ dtype: types[0]!.dtype, shape: result.map((index) => extents.get(index)!) }];
  },

  reference(inputs, { attributes }) {
    const { operands, result, extents } = summationOf(attributes.equation, inputs);
    const indices = [...new Set([...result, ...extents.keys()])];
    const shape = indices.map((index) => extents.get(index)!);
    /** How far a tensor's element moves when an index goes one step; a repeated index adds up. */
    const strides = (names: readonly string[], own: Shape): number[] => {
      const steps = stridesOf(own);
      return indices.map((index) =>
        names.reduce((sum, name, axis) => sum + (name === index && own[axis] !== 1 ? steps[axis]! : 0), 0),
      );
    };
    const resultShape = result.map((index) => extents.get(index)!);
    const toResult = strides(result, resultShape);
    const toOperands = operands.map((names, i) => strides(names, inputs[i]!.shape));
    const values = new Float64Array(sizeOf(resultShape));
    const terms = new Float64Array(values.length);
    const place = new Array<number>(indices.length).fill(0);
    const at = (steps: readonly number[]): number => steps.reduce((sum, step, i) => sum + step * place[i]!, 0);
    for (let count = sizeOf(shape); count > 0; count--) {
      const product = inputs.reduce((value, input, i) => value * input!.data[at(toOperands[i]!)]!, 1);
      values[at(toResult)]! += product;
      terms[at(toResult)]! += Math.abs(product);
      for (let i = indices.length - 1; i >= 0 && ++place[i]! === shape[i]; i--) place[i] = 0;
    }
    return [{ values, terms }];
  },

  errorBound({ inputs, outputs, attributes }) {
    const { extents } = summationOf(attributes.equation, inputs);
    const terms = sizeOf([...extents.values()]) / Math.max(1, sizeOf(outputs[0]!.shape));
    return inputs.length + summationBound(terms);
  },

  flops: ({ inputs, attributes }) =>
    inputs.length * sizeOf([...summationOf(attributes.equation, inputs).extents.values()]),

  decompose(build, inputs, { equation }) {
    const { operands, result, extents } = summationOf(equation, inputs);
    /** Indices that the result or an operand from `from` on has. */
    const needed = (from: number, but?: number): Set<string> =>
      new Set([...result, ...operands.flatMap((indices, i) => (i >= from && i !== but ? indices : []))]);
    const terms = operands.map((indices, i) =>
      simplified(build, { tensor: inputs[i]!, indices }, extents, needed(0, i)),
    );
    let total = terms[0]!;
    for (let i = 1; i < terms.length; i++) total = contracted(build, total, terms[i]!, needed(i + 1));
    // What is left over here was shared by operands that broadcast along it.
    const axes = total.indices.flatMap((index, axis) => (result.includes(index) ? [] : [axis]));
    if (axes.length > 0)
      total = {
        tensor: build.apply(reduceSum, [total.tensor], { axes, keepdims: 0 }),
        indices: total.indices.filter((index) => result.includes(index)),
      };
    return [ordered(build, total, result)];
  },

  cases: [
    {
      inputs: [
        [3, 5],
        [5, 7],
      ],
      attributes: { equation: "ij,jk->ik" },
    },
    {
      inputs: [
        [3, 5],
        [7, 5],
      ],
      attributes: { equation: "ij, kj" },
      why: "implicit result",
    },
    { inputs: [[3, 5]], attributes: { equation: "ij->ji" } },
    { inputs: [[3, 5]], attributes: { equation: "ij->" }, why: "the sum of all" },
    { inputs: [[3, 5]], attributes: { equation: "ij->j" } },
    { inputs: [[5, 5]], attributes: { equation: "ii->i" }, why: "diagonal" },
    { inputs: [[5, 5]], attributes: { equation: "ii" }, why: "trace" },
    { inputs: [[3, 4, 3, 4]], attributes: { equation: "ijij->ji" } },
    { inputs: [[3, 3, 3]], attributes: { equation: "iii->i" } },
    { inputs: [[2, 3, 3]], attributes: { equation: "...ii->...i" } },
    { inputs: [[5], [7]], attributes: { equation: "i,j->ij" }, why: "outer product" },
    { inputs: [[5], [5]], attributes: { equation: "i,i" }, why: "inner product" },
    {
      inputs: [
        [3, 5],
        [3, 5],
      ],
      attributes: { equation: "ij,ij->i" },
    },
    {
      inputs: [
        [2, 3, 4],
        [2, 4, 5],
      ],
      attributes: { equation: "bij,bjk->bik" },
    },
    {
      inputs: [
        [2, 3, 4, 6],
        [2, 3, 5, 6],
      ],
      attributes: { equation: "bhqd,bhkd->bhqk" },
      why: "attention scores",
    },
    {
      inputs: [
        [2, 5, 3, 4],
        [2, 6, 3, 4],
      ],
      attributes: { equation: "bqhd,bkhd->bhqk" },
    },
    {
      inputs: [
        [2, 1, 3, 4],
        [5, 4, 3],
      ],
      attributes: { equation: "...ij,...jk->...ik" },
      why: "the ellipses broadcast",
    },
    {
      inputs: [
        [2, 3],
        [3, 4],
        [4, 5],
      ],
      attributes: { equation: "ij,jk,kl->il" },
    },
    {
      inputs: [
        [2, 3],
        [5, 3, 4],
        [2, 4],
      ],
      attributes: { equation: "bn,anm,bm->ba" },
      why: "bilinear",
    },
    { inputs: [[3, 4], [2]], attributes: { equation: "ij,k->i" }, why: "a sum over each alone" },
    { inputs: [[], [3]], attributes: { equation: ",i->i" } },
    {
      inputs: [
        [2, 0],
        [0, 3],
      ],
      attributes: { equation: "ij,jk->ik" },
      why: "empty sums are 0",
    },
  ],
});
