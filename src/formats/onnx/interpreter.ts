// Walks an ONNX model's nodes for inputs of known shapes and builds graphs of our operators from them.
//
// Most models become one graph, which is compiled once for each set of shapes. Where a node needs a value to know what to
// build (the shape of a Reshape, the condition of an If), the value is taken from what is known: constants, the run's own
// inputs, and anything small computed from these by the references. A plan made so depends on those inputs' values (they are
// its `guards`). When a value comes out of real work on the backend, the graph so far is cut: it is compiled and run as a
// segment, what later nodes need is read back, and the walk goes on with a new graph. So loops and data-dependent shapes
// are decided on the host while every segment runs where the engine runs.

import { FormatError, NeuriteError, UnsupportedError, throwIfAborted } from "../../core/errors.ts";
import { pacer } from "../../core/pause.ts";
import { sizeOf, type Shape, type TensorType } from "../../core/shape.ts";
import type { TensorData } from "../../core/tensorData.ts";
import { Graph, Value, type Node } from "../../graph/graph.ts";
import { evaluateReference } from "../../ops/evaluate.ts";
import type { Builder, Operand } from "../../ops/operator.ts";
import { NodeCall, nodeLabel, type CallContext } from "./call.ts";
import { isControlFlow, runControlFlow } from "./control.ts";
import { Handle, Scope, SequenceHandle } from "./handle.ts";
import type { Handlers, Sequence } from "./handler.ts";
import type { AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto } from "./model.ts";
import { NeedsContents, StreamedTensor } from "./streamed.ts";
import { fromReference, hostValueOf, toTensorData, type HostValue } from "./tensor.ts";

/** Work that is done by the references rather than cut into a segment of its own: elements and operations. */
const HOST_WORK = 1 << 18;

/** What a walk needs to know of its model; shared by all walks, so that weights are decoded once. */
export class ImportedModel {
  readonly functions: ReadonlyMap<string, FunctionProto>;
  private readonly decoded = new Map<TensorProto, HostValue>();
  private readonly narrowed = new WeakMap<HostValue, TensorData>();
  private readonly uses = new Map<GraphProto | FunctionProto, ReadonlyMap<string, number>>();

  constructor(
    readonly proto: ModelProto,
    readonly handlers: Handlers,
  ) {
    this.functions = new Map(proto.functions.map((fn) => [`${fn.domain}::${fn.name}`, fn]));
  }

  /** The value of a tensor in the file. */
  value(tensor: TensorProto): HostValue {
    let value = this.decoded.get(tensor);
    if (!value) {
      value = hostValueOf(tensor);
      this.decoded.set(tensor, value);
    }
    return value;
  }

  /** A host value as a graph's constant: the same object every time, so that equal graphs can be recognised. */
  constant(value: HostValue, who: string): TensorData {
    if (value instanceof StreamedTensor) return value;
    let narrow = this.narrowed.get(value);
    if (!narrow) {
      narrow = { ...toTensorData(value, who), immutable: true };
      this.narrowed.set(value, narrow);
    }
    return narrow;
  }

  /** For every name that the graph's nodes read, the last node that does; Infinity for outputs. */
  lastUses(graph: GraphProto | FunctionProto): ReadonlyMap<string, number> {
    let uses = this.uses.get(graph);
    if (!uses) {
      uses = lastUsesOf(graph);
      this.uses.set(graph, uses);
    }
    return uses;
  }
}

/** Carries a graph out and returns its outputs: compile, run, read back. */
export type RunSegment = (
  graph: Graph,
  feeds: ReadonlyMap<string, TensorData>,
  names: readonly string[],
) => Promise<ReadonlyMap<string, TensorData>>;

/** Thrown by a call whose node needs a value that must be computed first. */
class NeedsValue extends Error {
  constructor(readonly handle: Handle) {
    super(`the value of "${handle.name}" is needed`);
  }
}

/** Thrown when values of the model's inputs are needed and only their shapes are known. */
export class NeedsInputs extends Error {}

/** What a walk came to. */
export interface Walked {
  /** The last segment; not yet run. Empty of nodes and outputs when everything was known before. */
  readonly graph: Graph;
  /** What feeds the graph's inputs in this run. */
  readonly feeds: ReadonlyMap<string, Handle>;
  /** Where each output of the model comes from: an output of `graph` of the same name, or the host. */
  readonly outputs: ReadonlyMap<string, Handle>;
  /** The graph does not depend on this run, except by shapes and by the values of the inputs in `guards`. */
  readonly isReusable: boolean;
  readonly guards: ReadonlySet<string>;
  /** Nodes that were carried out on the host. */
  readonly hostNodes: readonly NodeProto[];
}

export class Interpreter implements CallContext {
  private feeds = new Map<string, Handle>();
  private segment = 0;
  private readonly handles = new Map<Value, Handle>();
  private readonly evaluated = new Map<Value, HostValue>();
  /** Values known to come from constants alone. */
  private readonly fixed = new Set<Value>();
  private readonly guards = new Set<string>();
  private readonly hostNodes: NodeProto[] = [];
  private isReusable = true;
  private readonly pause: () => Promise<void>;

  constructor(
    readonly model: ImportedModel,
    private readonly runSegment: RunSegment,
    private readonly signal: AbortSignal | undefined,
    private graph = new Graph(),
  ) {
    this.pause = pacer(signal);
  }

  get build(): Builder {
    return this.graph;
  }

  /** Walks the whole model. `inputs` without contents stand for shapes alone; then values of inputs cannot be asked for. */
  async walkModel(inputs: ReadonlyMap<string, Handle>): Promise<Walked> {
    const { graph } = this.model.proto;
    const scope = new Scope(undefined, this.model.lastUses(graph));
    for (const [name, handle] of inputs) scope.set(name, handle);
    await this.walk(graph, scope, this.model.proto.opsets);
    const outputs = new Map<string, Handle>();
    for (const { name } of graph.outputs) {
      const handle = scope.get(name);
      if (!(handle instanceof Handle))
        throw handle
          ? new UnsupportedError(`ONNX: output "${name}" is a sequence; only tensors can be returned`)
          : new FormatError(`ONNX: no node computes the output "${name}"`);
      outputs.set(name, handle);
      if (!handle.host) this.graph.output(name, this.operand(handle));
    }
    const { guards, isReusable, hostNodes, feeds } = this;
    return { graph: this.graph, feeds, outputs, isReusable, guards, hostNodes };
  }

  /** Carries out a graph's nodes in order. Its inputs are in `scope` already. */
  async walk(graph: GraphProto, scope: Scope, opsets: Readonly<Record<string, number>>): Promise<void> {
    for (const [name, tensor] of graph.initializers)
      if (!scope.get(name) || !graph.inputs.some((input) => input.name === name))
        scope.set(name, this.fileTensor(tensor));
    await this.walkNodes(graph.nodes, scope, opsets);
  }

  private async walkNodes(
    nodes: readonly NodeProto[],
    scope: Scope,
    opsets: Readonly<Record<string, number>>,
  ): Promise<void> {
    for (const [position, node] of nodes.entries()) {
      scope.position = position;
      await this.pause();
      const inputs = node.inputs.map((name) => (name === "" ? undefined : this.lookUp(name, node, scope)));
      const outputs = await this.carryOut(node, inputs, scope, opsets);
      node.outputs.forEach((name, i) => {
        if (name === "") return;
        const output = outputs[i];
        if (!output) throw new FormatError(`${nodeLabel(node)}: it has no output ${i}`);
        scope.set(name, output);
      });
    }
  }

  private async carryOut(
    node: NodeProto,
    inputs: readonly (Handle | SequenceHandle | undefined)[],
    scope: Scope,
    opsets: Readonly<Record<string, number>>,
  ): Promise<readonly (Handle | SequenceHandle | undefined)[]> {
    const key = node.domain === "" ? node.operator : `${node.domain}::${node.operator}`;
    const handler = Object.hasOwn(this.model.handlers, key) ? this.model.handlers[key] : undefined;
    const fn = handler ? undefined : this.model.functions.get(`${node.domain}::${node.operator}`);
    const opset = opsets[node.domain] ?? (node.domain === "" ? undefined : 1);
    if (opset === undefined)
      throw new FormatError(`${nodeLabel(node)}: the model imports no operator set of the domain "${node.domain}"`);
    try {
      if (node.domain === "" && node.operator === "Constant") {
        const value = node.attributes.get("value");
        if (value?.kind === "tensor") return [this.fileTensor(value.value)]; // as it is: shared, and not narrowed
      }
      if (node.domain === "" && node.operator === "Identity" && inputs[0] instanceof SequenceHandle) return [inputs[0]];
      if (isControlFlow(node)) return await runControlFlow({ interpreter: this, node, inputs, scope, opsets });
      if (fn) return await this.inline(fn, node, inputs, scope);
      if (!handler) throw new UnsupportedError(`the operator ${key} (opset ${opset}) is not supported`);
      for (;;) {
        try {
          const first = this.graph.nodes.length;
          const result = this.graph.scope(node.name || (node.outputs[0] ?? node.operator), () =>
            handler(new NodeCall(node, opset, inputs, this, (name) => this.lookUp(name, node, scope))),
          );
          const outputs = (
            Array.isArray(result) ? (result as readonly (Operand | Sequence | undefined)[]) : [result]
          ).map((output) => output && this.handleOf(output as Operand | Sequence));
          const isWide = inputs.some((input) => input instanceof Handle && this.isPlaceHolder(input));
          if (isWide || this.graph.nodes.slice(first).some(mayOverflow)) this.evaluateExactly(outputs, node, inputs);
          return outputs;
        } catch (error) {
          await this.supply(error, scope);
        }
      }
    } catch (error) {
      const label = nodeLabel(node);
      if (error instanceof NeuriteError && !error.message.startsWith(label))
        error.message = `${label}: ${error.message}`;
      throw error;
    }
  }

  /** A function of the model's own: its nodes, with the call's inputs. */
  private async inline(
    fn: FunctionProto,
    call: NodeProto,
    inputs: readonly (Handle | SequenceHandle | undefined)[],
    around: Scope,
  ): Promise<readonly (Handle | SequenceHandle | undefined)[]> {
    const scope = new Scope(around, this.model.lastUses(fn), false);
    fn.inputs.forEach((name, i) => {
      const input = inputs[i];
      if (input) scope.set(name, input);
    });
    const attributes = new Map([...fn.attributes, ...call.attributes]);
    await this.walkNodes(withAttributes(fn.nodes, attributes), scope, { ...this.model.proto.opsets, ...fn.opsets });
    return fn.outputs.map((name) => (name === "" ? undefined : scope.get(name)));
  }

  private lookUp(name: string, node: NodeProto, scope: Scope): Handle | SequenceHandle {
    const handle = scope.get(name);
    if (!handle) throw new FormatError(`${nodeLabel(node)}: input "${name}" is computed by no earlier node`);
    return handle;
  }

  /** A tensor of the file. */
  fileTensor(tensor: TensorProto): Handle {
    const host = this.model.value(tensor);
    return new Handle(host.dtype, host.shape, tensor.name, "constant", host);
  }

  /** A tensor that is known on the host in this run: a loop's counter. */
  known(host: HostValue, isConstant: boolean): Handle {
    return new Handle(host.dtype, host.shape, "", isConstant ? "constant" : "run", host);
  }

  operand(handle: Handle): Value {
    if (handle.value && handle.segment === this.segment) return handle.value;
    const { host, origin, dtype, shape } = handle;
    let value: Value;
    if (handle.exceedsWords) value = this.graph.constant(placeHolder({ dtype, shape }));
    else if (origin === "constant" && host) value = this.constantOf(host, handle.name);
    else if (host || origin === "input") {
      const name = origin === "input" ? handle.name : `#${this.feeds.size}`;
      value = this.graph.input(name, { dtype, shape });
      this.feeds.set(name, handle);
      if (origin === "run") this.isReusable = false;
    } else throw new NeuriteError(`ONNX: "${handle.name}" was not kept for a later segment`);
    handle.value = value;
    handle.segment = this.segment;
    this.handles.set(value, handle);
    return value;
  }

  /** A node that only asked for the contents, as Slice does for an `ends` of 2⁶³ - 1, reads no place holder. */
  private isPlaceHolder(handle: Handle): boolean {
    return handle.exceedsWords && handle.value !== undefined && handle.segment === this.segment;
  }

  /**
   * 64-bit integers that do not fit a graph's words, and sums and products that may not: what is computed from them is
   * computed at once, by the references, which are exact up to 2⁵³. In the graph they are place holders that nothing
   * which is run may read. Real work before the node is run as a segment first.
   */
  private evaluateExactly(
    outputs: readonly (Handle | SequenceHandle | undefined)[],
    node: NodeProto,
    inputs: readonly (Handle | SequenceHandle | undefined)[],
  ): void {
    for (const output of outputs)
      if (output instanceof Handle && !output.host && output.value) {
        const isFixed = this.isFixed(output.value);
        let host = this.evaluate(output.value);
        if (!host) {
          const computed = inputs.find((input): input is Handle => input instanceof Handle && !input.host);
          if (computed) throw new NeedsValue(computed);
          host = this.evaluate(output.value, Infinity);
        }
        output.host = host;
        output.origin = isFixed ? "constant" : "run";
        output.value = undefined;
        if (!isFixed) this.ranOnHost(node);
      }
  }

  private constantOf(host: HostValue, who: string): Value {
    const constant = this.model.constant(host, who);
    return constant.shape.length === 0 && constant.dtype === "float32"
      ? this.graph.constant(constant.data[0]!)
      : this.graph.constant(constant);
  }

  demand(handle: Handle, baked: boolean): HostValue {
    const known = handle.host ?? (handle.value && handle.segment === this.segment && this.evaluate(handle.value));
    if (known) {
      if (handle.origin === "input") this.use(handle, baked);
      return known;
    }
    if (handle.origin === "input") throw new NeedsInputs();
    throw new NeedsValue(handle);
  }

  /** A value of a model's input was used to decide something. */
  private use(handle: Handle, baked: boolean): void {
    if (baked) this.guards.add(handle.name);
    else this.isReusable = false;
  }

  /** A value by the references, if all it comes from is known and small; undefined when it must be computed by a segment. */
  private evaluate(wanted: Value, mostWork = HOST_WORK): HostValue | undefined {
    const done = this.evaluated.get(wanted);
    if (done) return done;
    const nodes = this.ancestors(wanted, mostWork);
    if (!nodes) return undefined;
    for (const node of nodes) {
      const inputs = node.inputs.map((input) => input && this.leaf(input));
      const problem = { inputs, outputs: node.outputs, attributes: node.attributes };
      evaluateReference(node.operator, inputs, problem).forEach(({ values }, i) => {
        const output = node.outputs[i]!;
        this.evaluated.set(output, fromReference(values, output.dtype, output.shape));
      });
    }
    return this.leaf(wanted);
  }

  /** The nodes `wanted` depends on, in order; undefined when there is too much work in them. */
  private ancestors(wanted: Value, mostWork: number): Node[] | undefined {
    const found = new Set<Node>();
    const inputs = new Set<Handle>();
    const pending = [wanted];
    let work = 0;
    for (let value = pending.pop(); value; value = pending.pop()) {
      if (this.evaluated.has(value)) continue;
      const { node } = value;
      if (!node) {
        if (this.graph.variables.has(value)) return undefined; // only a run knows its contents
        const handle = this.handles.get(value);
        if (handle?.origin === "input") {
          if (!handle.host) throw new NeedsInputs();
          inputs.add(handle);
        }
        continue;
      }
      if (found.has(node)) continue;
      found.add(node);
      work += node.operator.flops(node) + node.outputs.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
      if (work > mostWork) return undefined;
      for (const input of node.inputs) if (input) pending.push(input);
    }
    for (const handle of inputs) this.use(handle, true);
    return [...found].sort((a, b) => a.id - b.id);
  }

  private leaf(value: Value): HostValue {
    const known = this.evaluated.get(value) ?? this.handles.get(value)?.host ?? this.graph.constants.get(value);
    if (!known) throw new NeuriteError(`ONNX: ${value.name} should be known by now`);
    return known;
  }

  present(value: HostValue, isConstant: boolean): Operand {
    const handle = this.known(value, isConstant);
    return this.operand(handle);
  }

  ranOnHost(node: NodeProto): void {
    this.isReusable = false;
    if (!this.hostNodes.includes(node)) this.hostNodes.push(node);
  }

  private handleOf(output: Operand | Sequence): Handle | SequenceHandle {
    if ("sequence" in output)
      return new SequenceHandle(
        output.sequence.map((item) => this.tensorHandle(item)),
        output.dtype ?? output.sequence[0]?.dtype,
      );
    return this.tensorHandle(output);
  }

  /** The handle of an operand that was appended to the graph. */
  result(output: Operand): Handle {
    return this.tensorHandle(output);
  }

  private tensorHandle(output: Operand): Handle {
    if (!(output instanceof Value)) throw new NeuriteError("ONNX: a handler returned something that is no operand");
    const existing = this.handles.get(output);
    if (existing) return existing;
    const constant = this.graph.constants.get(output);
    const origin = constant ? "constant" : "computed";
    const handle = new Handle(output.dtype, output.shape, output.name, origin, constant);
    handle.value = output;
    handle.segment = this.segment;
    this.handles.set(output, handle);
    return handle;
  }

  /** The contents of a tensor, whatever that takes. Control flow is decided by it. */
  async need(handle: Handle, scope: Scope): Promise<HostValue> {
    for (;;) {
      try {
        return this.demand(handle, true);
      } catch (error) {
        await this.supply(error, scope);
      }
    }
  }

  /** Makes known what `error` says is needed, or throws it. */
  private async supply(error: unknown, scope: Scope): Promise<void> {
    if (error instanceof NeedsContents) await error.tensor.load();
    else if (error instanceof NeedsValue) await this.cut(error.handle, scope);
    else throw error;
  }

  /** Whether a tensor's contents are the same in every run: the file's, or computed from nothing else. */
  isConstant(handle: Handle): boolean {
    if (handle.origin !== "computed" || handle.host || !handle.value || handle.segment !== this.segment)
      return handle.origin === "constant";
    return this.isFixed(handle.value);
  }

  private isFixed(wanted: Value): boolean {
    const pending = [wanted];
    for (let value = pending.pop(); value; value = pending.pop()) {
      if (this.fixed.has(value)) continue;
      if (!value.node) {
        if (!this.graph.constants.has(value)) return false;
      } else for (const input of value.node.inputs) if (input) pending.push(input);
    }
    this.fixed.add(wanted);
    return true;
  }

  /** Runs the graph so far, keeps what is still needed, and starts a new one. */
  private async cut(wanted: Handle, scope: Scope): Promise<void> {
    const kept = new Map<Value, Handle[]>();
    for (const handle of [wanted, ...scope.live()]) {
      if (handle.host || !handle.value || handle.segment !== this.segment) continue;
      if (handle.origin === "input") continue;
      kept.set(handle.value, [...(kept.get(handle.value) ?? []), handle]);
    }
    const names = [...kept.keys()].map((value, i) => {
      const name = `#${i}`;
      this.graph.output(name, value);
      return name;
    });
    const feeds = new Map<string, TensorData>();
    for (const [name, handle] of this.feeds) {
      if (!handle.host) throw new NeedsInputs();
      feeds.set(name, this.model.constant(handle.host, `input "${handle.name}"`));
    }
    const results = await this.runSegment(this.graph, feeds, names);
    throwIfAborted(this.signal);
    [...kept.values()].forEach((handles, i) => {
      const result = results.get(names[i]!)!;
      for (const handle of handles) handle.host = result;
    });
    this.isReusable = false;
    this.graph = new Graph();
    this.feeds = new Map();
    this.segment++;
    this.handles.clear();
    this.evaluated.clear();
    this.fixed.clear();
  }
}

/** A node whose 64-bit results may not fit 32 bits: a GPU would wrap them without a word. */
function mayOverflow({ operator, outputs }: Node): boolean {
  return operator.accumulates === true && outputs.some(({ dtype }) => dtype === "int64" || dtype === "uint64");
}

/** Stands in a graph for values that it cannot hold. */
function placeHolder({ dtype, shape }: TensorType): TensorData {
  return { dtype, shape, data: new Int32Array(sizeOf(shape)) };
}

/** A function's nodes with the attributes of its call where they refer to them; those it was not given are left out. */
function withAttributes(nodes: readonly NodeProto[], given: ReadonlyMap<string, AttributeProto>): readonly NodeProto[] {
  return nodes.map((node) => ({
    ...node,
    attributes: new Map(
      [...node.attributes].flatMap(([name, attribute]): [string, AttributeProto][] => {
        if (attribute.kind === "graph")
          return [
            [
              name,
              { ...attribute, value: { ...attribute.value, nodes: withAttributes(attribute.value.nodes, given) } },
            ],
          ];
        const known = attribute.kind === "reference" ? given.get(attribute.value) : attribute;
        return known ? [[name, known]] : [];
      }),
    ),
  }));
}

function lastUsesOf(graph: GraphProto | FunctionProto): Map<string, number> {
  const uses = new Map<string, number>();
  const note = (nodes: readonly NodeProto[], position: (index: number) => number): void => {
    nodes.forEach((node, index) => {
      for (const name of node.inputs) if (name !== "") uses.set(name, position(index));
      for (const { kind, value } of node.attributes.values())
        if (kind === "graph") {
          note(value.nodes, () => position(index));
          for (const output of value.outputs) uses.set(output.name, position(index));
        }
    });
  };
  note(graph.nodes, (index) => index);
  for (const output of graph.outputs) uses.set(typeof output === "string" ? output : output.name, Infinity);
  return uses;
}

/** Whether two host values hold the same elements. */
export function sameContents(a: HostValue, b: HostValue): boolean {
  return a.data.length === b.data.length && a.data.every((value, i) => Object.is(value, b.data[i]));
}

/** Extents as a key. */
export function shapeKey(shapes: Iterable<Shape>): string {
  return [...shapes].map((shape) => shape.join("x")).join(";");
}
