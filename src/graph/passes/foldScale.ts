// A convolution or matrix product is linear, so a constant factor per output channel behind it is a factor on its constant
// weights, and a constant shift behind a convolution is part of its bias. This is how BatchNormalization disappears. The new
// weights are computed here, in plain loops: a model has millions of them, and a page waits.

import { dtypes, isFloat, LARGE_CONSTANT, storeValues } from "../../core/dtype.ts";
import { sizeOf, type Shape } from "../../core/shape.ts";
import { NarrowestStorage } from "../../core/storage.ts";
import type { TensorData } from "../../core/tensorData.ts";
import { add, div, mul, sub } from "../../ops/binary.ts";
import { conv } from "../../ops/conv.ts";
import { convTranspose } from "../../ops/convBack.ts";
import { matMul } from "../../ops/matmul.ts";
import { consumersOf, type Graph, type Node, type Value } from "../graph.ts";
import { rebuild } from "./rebuild.ts";

/** The graph with constant factors and shifts moved into the weights before them. */
export function foldScale(graph: Graph): Graph {
  const consumers = consumersOf(graph);
  const escaping = new Set([...graph.outputs.values(), ...graph.updates.values()]);
  const isSole = (value: Value | undefined): boolean =>
    value !== undefined && consumers.get(value)?.length === 1 && !escaping.has(value);

  return rebuild(graph, (node, inputs, target) => {
    const kind = KINDS.get(node.operator.name);
    if (kind === undefined || !isFloat(node.outputs[0]!.dtype)) return undefined;
    const [a, b] = inputs;
    const constantB = b && target.constants.get(b);
    const constantA = a && target.constants.get(a);
    const side = constantB ? 0 : constantA && kind.commutes ? 1 : -1;
    if (side < 0 || !isSole(node.inputs[side])) return undefined;
    const computed = inputs[side]!;
    const constant = (constantB ?? constantA)!;
    const producer = computed.node;
    if (!producer || !sameExtents(computed.shape, node.outputs[0]!.shape)) return undefined;
    const [, weights, bias] = producer.inputs.map((input) => input && target.constants.get(input));
    if (!weights || weights.read || constant.read || (producer.inputs[2] && !bias)) return undefined;
    if (isNarrow(weights)) return undefined;
    const layout = weightLayout(producer);
    if (!layout || !isPerChannel(constant.shape, computed.shape, layout.channelAxis)) return undefined;
    const { channels } = layout;
    const given = constant.data.length === 1 ? new Float64Array(channels).fill(constant.data[0]!) : constant.data;
    const perChannel = Float64Array.from(given, kind.prepare);
    // Nothing may become infinite, or NaN beside a weight of 0, that was not.
    if ((!kind.isFactor && !layout.hasBias) || !perChannel.every(Number.isFinite)) return undefined;
    const zeros = (): TensorData => ({ ...weights, shape: [channels], data: new Float32Array(channels) });
    const [newWeights, newBias] = kind.isFactor
      ? [scaled(weights, layout.weightAxis, perChannel), bias && scaled(bias, 0, perChannel)]
      : [weights, shifted(bias ?? zeros(), perChannel)];
    const operands = [
      producer.inputs[0],
      newWeights === weights ? producer.inputs[1] : target.constant(newWeights),
      ...(newBias ? [target.constant(newBias)] : []),
    ];
    return target.append(producer.operator, operands, producer.attributes, producer.outputs, producer.name).outputs;
  });
}

interface Kind {
  readonly isFactor: boolean;
  readonly commutes: boolean;
  /** Turns an element of the constant into a factor or a shift. */
  readonly prepare: (value: number) => number;
}

const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  [mul.name, { isFactor: true, commutes: true, prepare: (value) => value }],
  [div.name, { isFactor: true, commutes: false, prepare: (value) => 1 / value }],
  [add.name, { isFactor: false, commutes: true, prepare: (value) => value }],
  [sub.name, { isFactor: false, commutes: false, prepare: (value) => -value }],
]);

interface WeightLayout {
  /** Axis of the result that the weights' output channels are. */
  readonly channelAxis: number;
  readonly channels: number;
  /** Axis of the weights that output channels are counted along. */
  readonly weightAxis: number;
  readonly hasBias: boolean;
}

/** How the weights of a convolution or product lie; undefined for other nodes. */
export function weightLayout({ operator, inputs, outputs, attributes }: Node): WeightLayout | undefined {
  const weights = inputs[1]!.shape;
  const rank = outputs[0]!.shape.length;
  if (operator.name === conv.name) return { channelAxis: 1, channels: weights[0]!, weightAxis: 0, hasBias: true };
  if (operator.name === convTranspose.name && attributes["group"] === 1)
    return { channelAxis: 1, channels: weights[1]!, weightAxis: 1, hasBias: true };
  if (operator.name === matMul.name && weights.length === 2 && inputs[0]!.shape.length >= 2)
    return {
      channelAxis: rank - 1,
      channels: outputs[0]!.shape[rank - 1]!,
      weightAxis: attributes["transB"] ? 0 : 1,
      hasBias: false,
    };
  return undefined;
}

/** `tensor` with every slice along `axis` times its factor. */
function scaled(tensor: TensorData, axis: number, factors: Float64Array): TensorData {
  const { dtype, shape, data } = tensor;
  const inner = sizeOf(shape.slice(axis + 1));
  const count = factors.length;
  const result = dtypes[dtype].create(data.length);
  for (let from = 0, channel = 0; from < data.length; from += inner, channel = (channel + 1) % count) {
    const factor = factors[channel]!;
    for (let i = from; i < from + inner; i++) result[i] = data[i]! * factor;
  }
  return { dtype, shape, data: dtype === "float32" ? result : storeValues(result, dtype, "foldScale") };
}

function shifted({ dtype, shape, data }: TensorData, shifts: Float64Array): TensorData {
  const sums = Float64Array.from(data, (value, i) => value + shifts[i]!);
  return { dtype, shape, data: storeValues(sums, dtype, "foldScale") };
}

/** `shape` broadcasts to a result of shape `out` and differs from one along `axis` only. */
export function isPerChannel(shape: Shape, out: Shape, axis: number): boolean {
  const offset = out.length - shape.length;
  return offset >= 0 && shape.every((extent, i) => extent === 1 || i + offset === axis);
}

/** Large weights that are whole numbers or halves: they take a byte or two each as they are, and a word once scaled. */
function isNarrow({ data, dtype }: TensorData): boolean {
  if (dtype !== "float32" || data.length < LARGE_CONSTANT) return false;
  const narrowest = new NarrowestStorage(dtype);
  return narrowest.add(data) && narrowest.storage !== undefined;
}

function sameExtents(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((extent, axis) => extent === b[axis]);
}
