// Transposes that need not be carried out. Models converted from channels-last frameworks change the layout before and
// after every convolution: pairs that cancel go away, those with pointwise work in between move behind it until they meet
// their counterpart, those that move only extents of 1 are reshapes, and a matrix product reads a transposed operand in
// place.

import { sizeOf, type Shape } from "../../core/shape.ts";
import { matMul } from "../../ops/matmul.ts";
import { reshape } from "../../ops/reshape.ts";
import { permutationOf, transpose } from "../../ops/transpose.ts";
import { consumersOf, type Graph, type Node, type Value } from "../graph.ts";
import { rebuild } from "./rebuild.ts";

/** The graph with as few transposes as these rules leave. */
export function removeTransposes(graph: Graph): Graph {
  const consumers = consumersOf(graph);
  const isSole = (value: Value): boolean => consumers.get(value)?.length === 1;
  return rebuild(graph, (node, inputs, target) => {
    if (node.operator.name === transpose.name) return [shortened(target, node, inputs[0]!)];
    if (node.operator.name === matMul.name) return readThrough(target, node, inputs);
    if (node.operator.pointwise) return sunk(target, node, inputs, isSole);
    return undefined;
  });
}

/** A transpose of `x` in the target graph, by the cheapest means. */
function shortened(target: Graph, node: Node, x: Value): Value {
  const perm = permutationOf(x.shape, node.attributes["perm"] as readonly number[]);
  const before = transposeBehind(x);
  const source = before ? before.source : x;
  const whole = before ? perm.map((axis) => before.perm[axis]!) : perm;
  if (whole.every((axis, i) => axis === i)) return source;
  const { shape } = node.outputs[0]!;
  const moved = whole.filter((axis) => source.shape[axis] !== 1);
  if (moved.every((axis, i) => i === 0 || axis > moved[i - 1]!)) return target.apply(reshape, [source], { shape });
  return target.append(transpose, [source], { perm: whole }, node.outputs, node.name).outputs[0]!;
}

/** The transpose that computes `value`. */
function transposeBehind(value: Value): { readonly source: Value; readonly perm: readonly number[] } | undefined {
  const { node } = value;
  if (node?.operator.name !== transpose.name) return undefined;
  const source = node.inputs[0]!;
  return { source, perm: permutationOf(source.shape, node.attributes["perm"] as readonly number[]) };
}

/** A product of transposed operands, where the last two axes are what changes places. */
function readThrough(target: Graph, node: Node, inputs: readonly (Value | undefined)[]): readonly Value[] | undefined {
  const flags = { transA: node.attributes["transA"] as number, transB: node.attributes["transB"] as number };
  const operands = inputs.map((input, i) => {
    const behind = input && transposeBehind(input);
    if (!behind || !swapsLastTwo(behind.perm)) return input;
    const name = i === 0 ? "transA" : "transB";
    flags[name] = 1 - flags[name];
    return behind.source;
  });
  if (operands.every((operand, i) => operand === inputs[i])) return undefined;
  return target.append(node.operator, operands, flags, node.outputs, node.name).outputs;
}

function swapsLastTwo(perm: readonly number[]): boolean {
  const last = perm.length - 1;
  return last >= 1 && perm.every((axis, i) => axis === (i < last - 1 ? i : i === last ? last - 1 : last));
}

/** A pointwise operator of tensors that were all transposed alike, applied before the transpose. */
function sunk(
  target: Graph,
  node: Node,
  inputs: readonly (Value | undefined)[],
  isSole: (value: Value) => boolean,
): readonly Value[] | undefined {
  const output = node.outputs[0]!;
  const rank = output.shape.length;
  let perm: readonly number[] | undefined;
  const operands: (Value | (() => Value))[] = [];
  for (const [i, input] of inputs.entries()) {
    if (!input) return undefined;
    const behind = transposeBehind(input);
    if (behind && behind.perm.length === rank && isSole(node.inputs[i]!)) {
      if (perm && !sameList(perm, behind.perm)) return undefined;
      perm = behind.perm;
      operands.push(behind.source);
    } else if (sizeOf(input.shape) === 1 && input.shape.length <= rank) operands.push(input);
    else if (target.constants.has(input) && input.shape.length <= rank)
      operands.push(() => unpermuted(target, input, perm!));
    else return undefined;
  }
  if (!perm) return undefined;
  const values = operands.map((operand) => (typeof operand === "function" ? operand() : operand));
  const shape = inverse(perm).map((axis) => output.shape[axis]!);
  const type = { dtype: output.dtype, shape };
  const result = target.append(node.operator, values, node.attributes, [type], node.name).outputs[0]!;
  return [target.append(transpose, [result], { perm }, [output], `${node.name}/Transpose`).outputs[0]!];
}

/** A constant as it must be for its transpose to be what it was. */
function unpermuted(target: Graph, constant: Value, perm: readonly number[]): Value {
  const full: Shape = [...new Array<number>(perm.length - constant.shape.length).fill(1), ...constant.shape];
  return target.apply(transpose, [target.apply(reshape, [constant], { shape: full })], { perm: inverse(perm) });
}

function inverse(perm: readonly number[]): number[] {
  return perm.map((_, i) => perm.indexOf(i));
}

function sameList(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
