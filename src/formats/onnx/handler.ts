// How one ONNX node becomes operators of a graph. A handler sees the node as a Call: its attributes, the types and, where
// the meaning depends on them, the values of its inputs. It appends operators and returns what stands for the outputs.
// Handlers live in operators/<family>.ts and are listed in operators/index.ts.

import type { DType } from "../../core/dtype.ts";
import type { TensorData } from "../../core/tensorData.ts";
import type { Attributes, AttributeValue, Builder, Operand, Operator } from "../../ops/operator.ts";
import type { AttributeProto, NodeProto } from "./model.ts";
import type { HostValue } from "./tensor.ts";

/** A list of tensors: what ONNX's sequence operators pass around. It never leaves the importer. */
export interface Sequence {
  readonly sequence: readonly Operand[];
  /** Element type of an empty sequence. */
  readonly dtype?: DType;
}

export interface Call {
  readonly node: NodeProto;
  /** Version of the operator set the node's domain is at. */
  readonly opset: number;
  readonly build: Builder;

  /** Input i is there. */
  has(i: number): boolean;
  /** Input i as an operand of the graph, with its type and shape. Throws FormatError when it is absent. */
  operand(i: number): Operand;
  optional(i: number): Operand | undefined;
  /** All inputs as operands, up to the last that is there. */
  operands(): (Operand | undefined)[];
  /**
   * The value of input i, for what a plan must know: shapes, axes, scales of a Resize. It becomes part of the plan. When it
   * is not known yet, everything it depends on is computed first, so ask for operands and types before values where
   * that makes a difference. Absent: undefined.
   */
  constant(i: number): TensorData | undefined;
  /** The same as plain numbers. */
  numbers(i: number): readonly number[] | undefined;
  /**
   * Computes the outputs on the host from the inputs' values, for operators whose output shapes depend on values
   * (NonZero), for rare index-heavy ones and for 64-bit integers, which come as float64. The model tells which nodes ran
   * so. `compute` must not depend on anything else.
   */
  onHost(compute: (inputs: readonly (HostValue | undefined)[]) => readonly HostValue[]): readonly Operand[];
  /** The tensor of that name, which is in sight here without being an input of the node (Gradient's `y`). */
  named(name: string): Operand;
  /** Input i as a list of tensors. Throws FormatError when it is a tensor. */
  sequence(i: number): Sequence;

  /** Attributes; the second argument is the default. Throw FormatError when the file has another kind. */
  int(name: string, otherwise: number): number;
  float(name: string, otherwise: number): number;
  string(name: string, otherwise: string): string;
  ints(name: string, otherwise?: readonly number[]): readonly number[] | undefined;
  floats(name: string, otherwise?: readonly number[]): readonly number[] | undefined;
  strings(name: string, otherwise?: readonly string[]): readonly string[] | undefined;
  tensor(name: string): TensorData | undefined;
  attribute(name: string): AttributeProto | undefined;
  /** Element type given by number in attribute `name` (Cast's `to`). */
  dtype(name: string, otherwise: DType): DType;

  /** How many outputs the node lists, and whether output i has a name, so that somebody may read it. */
  readonly outputs: number;
  wants(i: number): boolean;
  /** An UnsupportedError or FormatError that names the node. */
  unsupported(why: string): Error;
  malformed(why: string): Error;
}

/** What stands for the outputs, in order. Outputs nobody wants may be left undefined. */
type HandlerResult = Operand | Sequence | readonly (Operand | Sequence | undefined)[];

export type Handler = (call: Call) => HandlerResult;

/** Handlers by operator name: `Add`, or `com.microsoft::Gelu` outside the default domain. */
export type Handlers = Readonly<Record<string, Handler>>;

interface DirectOptions {
  /** Inputs that are attributes of ours, by their place: `{ 1: "axes" }`. Absent inputs leave the attribute's default. */
  readonly constants?: Readonly<Record<number, string>>;
  /** Attributes that change nothing here. */
  readonly ignored?: readonly string[];
}

/**
 * The handler of an operator that means what ONNX's newest version means: attributes go over by name, in the kind of their
 * default. Throws UnsupportedError for an attribute the operator does not have.
 */
export function direct<A extends Attributes>(operator: Operator<A>, options: DirectOptions = {}): Handler {
  const { constants = {}, ignored = [] } = options;
  return (call) => {
    const inputs = call.operands().filter((_, i) => !(i in constants));
    const attributes: Record<string, AttributeValue> = {};
    for (const [name, { kind, value }] of call.node.attributes) {
      if (ignored.includes(name)) continue;
      if (!(name in operator.attributes) || kind === "tensor" || kind === "graph" || kind === "strings")
        throw call.unsupported(`attribute ${name} is not known`);
      attributes[name] = value;
    }
    for (const [place, name] of Object.entries(constants)) {
      const given = call.numbers(Number(place));
      if (given) attributes[name] = Array.isArray(operator.attributes[name]) ? given : given[0];
    }
    return call.build.applyAll(operator, inputs, attributes as Partial<A>);
  };
}

/** Output shapes depend on values, or the work is rare and index-heavy: carried out by `compute` on the host. */
export function hosted(
  compute: (inputs: readonly (HostValue | undefined)[], call: Call) => readonly HostValue[],
): Handler {
  return (call) => call.onHost((inputs) => compute(inputs, call));
}
