// One node being imported: what a handler sees of it. See handler.ts for the contract.

import type { DType } from "../../core/dtype.ts";
import { FormatError, UnsupportedError } from "../../core/errors.ts";
import type { TensorData } from "../../core/tensorData.ts";
import type { Builder, Operand } from "../../ops/operator.ts";
import type { Call, Sequence } from "./handler.ts";
import { Handle, SequenceHandle } from "./handle.ts";
import { DATA_TYPES, type AttributeProto, type NodeProto, type TensorProto } from "./model.ts";
import { hostValueOf, isDType, toTensorData, type HostValue } from "./tensor.ts";

/** What a call needs of the importer. */
export interface CallContext {
  readonly build: Builder;
  operand(handle: Handle): Operand;
  /** The contents of a tensor; throws to have it computed first. `baked`: the plan will depend on them. */
  demand(handle: Handle, baked: boolean): HostValue;
  isConstant(handle: Handle): boolean;
  /** Puts tensors known on the host into the graph. */
  present(value: HostValue, isConstant: boolean): Operand;
  /** Tells the plan that a node ran on the host. */
  ranOnHost(node: NodeProto): void;
}

export class NodeCall implements Call {
  readonly build: Builder;

  constructor(
    readonly node: NodeProto,
    readonly opset: number,
    private readonly inputs: readonly (Handle | SequenceHandle | undefined)[],
    private readonly context: CallContext,
    private readonly lookUp: (name: string) => Handle | SequenceHandle,
  ) {
    this.build = context.build;
  }

  has(i: number): boolean {
    return this.inputs[i] !== undefined;
  }

  operand(i: number): Operand {
    return this.context.operand(this.handle(i));
  }

  optional(i: number): Operand | undefined {
    return this.has(i) ? this.operand(i) : undefined;
  }

  operands(): (Operand | undefined)[] {
    let count = this.inputs.length;
    while (count > 0 && this.inputs[count - 1] === undefined) count--;
    return Array.from({ length: count }, (_, i) => this.optional(i));
  }

  constant(i: number): TensorData | undefined {
    const known = this.has(i) ? this.context.demand(this.handle(i), true) : undefined;
    return known && toTensorData(known, this.where);
  }

  numbers(i: number): readonly number[] | undefined {
    return this.has(i) ? Array.from(this.context.demand(this.handle(i), true).data) : undefined;
  }

  onHost(compute: (inputs: readonly (HostValue | undefined)[]) => readonly HostValue[]): readonly Operand[] {
    const handles = this.inputs.map((input, i) => input && this.handle(i));
    const isConstant = handles.every((handle) => !handle || this.context.isConstant(handle));
    const values = handles.map((handle) => handle && this.context.demand(handle, false));
    const results = compute(values);
    if (!isConstant) this.context.ranOnHost(this.node);
    return results.map((result) => this.context.present(result, isConstant));
  }

  named(name: string): Operand {
    const handle = this.lookUp(name);
    if (handle instanceof Handle) return this.context.operand(handle);
    throw this.malformed(`"${name}" is a sequence`);
  }

  sequence(i: number): Sequence {
    const input = this.inputs[i];
    if (!(input instanceof SequenceHandle)) throw this.malformed(`input ${i} must be a sequence`);
    const sequence = input.items.map((item) => this.context.operand(item));
    return { sequence, ...(input.dtype && { dtype: input.dtype }) };
  }

  int(name: string, otherwise: number): number {
    return this.value(name, "int") ?? otherwise;
  }

  float(name: string, otherwise: number): number {
    return this.value(name, "float") ?? otherwise;
  }

  string(name: string, otherwise: string): string {
    return this.value(name, "string") ?? otherwise;
  }

  ints(name: string, otherwise?: readonly number[]): readonly number[] | undefined {
    return this.value(name, "ints") ?? otherwise;
  }

  floats(name: string, otherwise?: readonly number[]): readonly number[] | undefined {
    return this.value(name, "floats") ?? otherwise;
  }

  strings(name: string, otherwise?: readonly string[]): readonly string[] | undefined {
    return this.value(name, "strings") ?? otherwise;
  }

  tensor(name: string): TensorData | undefined {
    const tensor = this.value(name, "tensor");
    return tensor && toTensorData(hostValueOf(tensor), this.where);
  }

  attribute(name: string): AttributeProto | undefined {
    return this.node.attributes.get(name);
  }

  dtype(name: string, otherwise: DType): DType {
    const number = this.value(name, "int");
    if (number === undefined) return otherwise;
    const dtype = DATA_TYPES[number] ?? "undefined";
    if (!isDType(dtype)) throw this.unsupported(`${name} is ${dtype}, which cannot be computed with`);
    return dtype;
  }

  get outputs(): number {
    return this.node.outputs.length;
  }

  wants(i: number): boolean {
    return (this.node.outputs[i] ?? "") !== "";
  }

  unsupported(why: string): Error {
    return new UnsupportedError(`${this.where}: ${why}`);
  }

  malformed(why: string): Error {
    return new FormatError(`${this.where}: ${why}`);
  }

  private get where(): string {
    return nodeLabel(this.node);
  }

  private handle(i: number): Handle {
    const input = this.inputs[i];
    if (input instanceof Handle) return input;
    throw this.malformed(input ? `input ${i} is a sequence` : `input ${i} is missing`);
  }

  private value<K extends keyof Kinds>(name: string, kind: K): Kinds[K] | undefined {
    const attribute = this.node.attributes.get(name);
    if (!attribute) return undefined;
    if (FAMILIES[attribute.kind] !== FAMILIES[kind])
      throw this.malformed(`attribute ${name} must be ${kind}, the file has ${attribute.kind}`);
    return attribute.value as Kinds[K];
  }
}

interface Kinds {
  float: number;
  int: number;
  string: string;
  floats: readonly number[];
  ints: readonly number[];
  strings: readonly string[];
  tensor: TensorProto;
}

/** Kinds that stand for one another: some exporters write 1 where 1.0 is meant. */
const FAMILIES: Readonly<Record<AttributeProto["kind"], string>> = {
  float: "number",
  int: "number",
  floats: "numbers",
  ints: "numbers",
  string: "string",
  strings: "strings",
  tensor: "tensor",
  graph: "graph",
  reference: "reference",
  other: "other",
};

/** `Conv "conv1"`: how messages name a node. */
export function nodeLabel({ operator, domain, name, outputs }: NodeProto): string {
  return `${domain === "" ? "" : `${domain}::`}${operator} "${name || (outputs[0] ?? "")}"`;
}
