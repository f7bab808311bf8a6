// Export: a graph, a module or a function as an ONNX file. Nodes go over one by one (exporters.ts says how), values keep
// their names, parameters become initializers by the paths they have in their module.

import { FormatError, UnsupportedError, UsageError } from "../../core/errors.ts";
import type { DType } from "../../core/dtype.ts";
import { formatShape, type Shape, type TensorType } from "../../core/shape.ts";
import type { TensorData } from "../../core/tensorData.ts";
import { Graph, type Node, type Value } from "../../graph/graph.ts";
import { rebuild } from "../../graph/passes/rebuild.ts";
import { Tensor } from "../../graph/tensor.ts";
import { Module } from "../../nn/module.ts";
import type { Attributes, AttributeValue, Operand, Operator } from "../../ops/operator.ts";
import composedAttention from "../../../shaders/attention/composed.ts";
import type { AnyRewrite } from "../../../shaders/strategy.ts";
import { encodeElements } from "../elements.ts";
import { encodeModel } from "./encode.ts";
import { exporters, type ExportCall, type OnnxAttributes } from "./exporters.ts";
import type { GraphProto, ModelProto, NodeProto, TensorProto, ValueInfo } from "./model.ts";

/** What can be exported: a graph, a module, or a function of symbolic tensors. */
export type Exportable = Graph | Module | ((...inputs: Tensor[]) => Tensor | Readonly<Record<string, Tensor>>);

/** Inputs of a module or function by name, in the order it takes them. A shape means float32. */
export type ExportInputs = Readonly<Record<string, Shape | { readonly shape: Shape; readonly dtype?: DType }>>;

/** What a file says beside the graph. */
export interface ExportOptions {
  /** Name of a single output of a module or function. Default `output`. */
  readonly output?: string;
  /** Name of the graph in the file. */
  readonly name?: string;
  /** Free text pairs. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The opset of a file, unless an operator needs a later one. */
const OPSET = 21;
const IR_VERSION = 10;

/**
 * The bytes of an ONNX file (opset 21, later if an operator needs it) that computes what `source` computes, for the shapes
 * it was traced with. Modules are traced as in evaluation; parameters go in with the values the host knows (after training:
 * `await trainer.sync()`).
 *
 * @throws UnsupportedError naming the operator that ONNX has no counterpart of (gradients, random numbers …).
 * @example
 * await writeFile("net.onnx", exportOnnx(net, { image: [1, 1, 28, 28] }, { output: "scores" }));
 */
export function exportOnnx(source: Graph, inputs?: undefined, options?: ExportOptions): Uint8Array<ArrayBuffer>;
export function exportOnnx(
  source: Exclude<Exportable, Graph>,
  inputs: ExportInputs,
  options?: ExportOptions,
): Uint8Array<ArrayBuffer>;
export function exportOnnx(
  source: Exportable,
  inputs?: ExportInputs,
  options: ExportOptions = {},
): Uint8Array<ArrayBuffer> {
  if (source instanceof Graph) return encodeModel(modelOf(source, options));
  if (inputs === undefined) throw new UsageError("exportOnnx: a module or function needs its inputs' shapes");
  return encodeModel(modelOf(trace(source, inputs, options.output ?? "output"), options));
}

function trace(source: Exclude<Exportable, Graph>, inputs: ExportInputs, outputName: string): Graph {
  const graph = new WholeGraph();
  const tensors = Object.entries(inputs).map(([name, spec]) => new Tensor(graph, graph.input(name, typeOf(spec))));
  const [first, ...more] = tensors;
  if (source instanceof Module && !first) throw new UsageError("exportOnnx: a module needs at least one input");
  const result = source instanceof Module ? source.forward(first!, ...more) : source(...tensors);
  const outputs = result instanceof Tensor ? { [outputName]: result } : result;
  for (const [name, tensor] of Object.entries(outputs)) graph.output(name, tensor.value);
  return graph;
}

function typeOf(spec: ExportInputs[string]): TensorType {
  return "shape" in spec ? { dtype: spec.dtype ?? "float32", shape: spec.shape } : { dtype: "float32", shape: spec };
}

/**
 * A graph in which compositions that ONNX knows (Gemm, LSTM, LayerNormalization …) stay whole, so that the file says what
 * the module says. Those only a later opset knows, and those with an input of their own (Dropout's key), are expanded.
 */
export class WholeGraph extends Graph {
  override applyAll<A extends Attributes>(
    operator: Operator<A>,
    inputs: readonly (Operand | undefined)[],
    attributes?: Partial<A>,
  ): readonly Value[] {
    if (!operator.decompose || !exporters.has(operator.name)) return super.applyAll(operator, inputs, attributes);
    const whole: { -readonly [K in keyof Operator<A>]: Operator<A>[K] } = { ...operator };
    delete whole.decompose;
    return super.applyAll(whole, inputs, attributes);
  }
}

/** The graph as the plain data of a file. */
function modelOf(graph: Graph, { name = "neurite", metadata = {} }: ExportOptions): ModelProto {
  if (graph.updates.size > 0)
    throw new UnsupportedError("exportOnnx: this graph changes variables (a training step); ONNX has no such thing");
  if (graph.outputs.size === 0) throw new UsageError("exportOnnx: the graph has no outputs");
  const exported = new GraphExport(takenApart(graph));
  return {
    irVersion: IR_VERSION,
    producer: "neurite",
    graph: exported.export(name),
    opsets: { "": exported.opset },
    functions: [],
    metadata,
  };
}

/** Operators that ONNX lacks, by what says them in operators that it has. */
const APART: ReadonlyMap<string, AnyRewrite> = new Map([[composedAttention.operator, composedAttention]]);

function takenApart(graph: Graph): Graph {
  if (!graph.nodes.some(({ operator }) => APART.has(operator.name))) return graph;
  return rebuild(graph, (node, inputs, target) => {
    const parts = APART.get(node.operator.name)?.rewrite(target, inputs, node, {});
    return parts as readonly Value[] | undefined; // what a graph builds are its values
  });
}

/** One graph on its way out: names, nodes and stored tensors so far. */
class GraphExport {
  opset = OPSET;
  private readonly used = new Set<string>();
  private readonly usedForNodes = new Set<string>();
  private readonly names = new Map<Value, string>();
  private readonly nodes: NodeProto[] = [];
  private readonly initializers = new Map<string, TensorProto>();
  private readonly integerLists = new Map<string, string>();

  constructor(private readonly graph: Graph) {}

  export(name: string): GraphProto {
    const { graph } = this;
    for (const [input, value] of graph.inputs) this.names.set(value, this.claim(input));
    const copies: [output: string, value: Value][] = [];
    for (const [output, value] of graph.outputs)
      if (value.node && !this.names.has(value)) this.names.set(value, this.claim(output));
      else copies.push([output, value]);
    for (const [output] of copies) this.claim(output);
    for (const [value, variable] of graph.variables) this.names.set(value, this.unique(variable.name));
    for (const node of graph.nodes) this.exportNode(node);
    for (const [output, value] of copies) this.append("Identity", [this.nameOf(value)], {}, [output], output);
    return {
      name,
      nodes: this.nodes,
      initializers: this.initializers,
      inputs: [...graph.inputs].map(([input, value]) => valueInfo(input, value)),
      outputs: [...graph.outputs].map(([output, value]) => valueInfo(output, value)),
    };
  }

  private exportNode(node: Node): void {
    const exporter = exporters.get(node.operator.name);
    const refuse = (why: string): never => {
      throw new UnsupportedError(`exportOnnx: ${node.operator.name} "${node.name}": ${why}`);
    };
    if (!exporter)
      return refuse("ONNX has no such operator; export the module or function rather than its graph, and no gradients");
    const inputs = node.inputs.map((value) => (value ? this.nameOf(value) : ""));
    node.outputs.forEach((value) => {
      if (!this.names.has(value)) this.names.set(value, this.unique(value.name));
    });
    const outputs = node.outputs.map((value) => this.names.get(value)!);
    const seen = new Set<string | symbol>();
    const call: ExportCall = {
      operator: node.operator.name,
      attributes: new Proxy(node.attributes, {
        get: (attributes, name) => {
          seen.add(name);
          return Reflect.get(attributes, name) as AttributeValue;
        },
      }),
      inputTypes: node.inputs,
      outputTypes: node.outputs,
      inputs,
      outputs,
      constant: (i) => {
        const value = node.inputs[i];
        return value && (this.graph.constants.get(value) ?? this.graph.variables.get(value)?.data);
      },
      emit: (operator, from, attributes = {}, to = [this.unique(`${node.name}/${operator}`)]) =>
        this.append(operator, from, attributes, to, node.name),
      fresh: (suffix) => this.unique(`${node.name}/${suffix}`),
      needs: (opset) => (this.opset = Math.max(this.opset, opset)),
      integers: (values) => this.integers(values),
      tensor: (value) => this.store(this.unique(`${node.name}/constant`), value),
      refuse,
    };
    exporter(call);
    for (const [name, value] of Object.entries(node.attributes))
      if (!seen.has(name) && JSON.stringify(value) !== JSON.stringify(node.operator.attributes[name]))
        refuse(`attribute ${name} = ${JSON.stringify(value)} is not of ONNX's operator`);
  }

  private append(
    operator: string,
    inputs: readonly string[],
    attributes: OnnxAttributes,
    outputs: readonly string[],
    name: string,
  ): string {
    let count = inputs.length;
    while (count > 0 && inputs[count - 1] === "") count--;
    this.nodes.push({
      name: unique(name, this.usedForNodes),
      operator,
      domain: "",
      inputs: inputs.slice(0, count),
      outputs,
      attributes: new Map(Object.entries(attributes)),
    });
    return outputs[0]!;
  }

  /** The name of a value that exists already: an input, a node's output; constants and variables are stored when first read. */
  private nameOf(value: Value): string {
    const { graph, names } = this;
    const stored = graph.constants.get(value) ?? graph.variables.get(value)?.data;
    let name = names.get(value);
    if (name === undefined) {
      if (!stored) throw new FormatError(`exportOnnx: "${value.name}" is computed after it is read`);
      names.set(value, (name = this.unique(value.name)));
    }
    if (stored && !this.initializers.has(name)) this.store(name, stored);
    return name;
  }

  private integers(values: readonly number[]): string {
    const key = values.join();
    let name = this.integerLists.get(key);
    if (name === undefined) {
      name = this.unique(`[${key}]`);
      const bytes = encodeElements(values.map(wideInteger), "int64");
      this.initializers.set(name, { name, dtype: "int64", shape: [values.length], bytes });
      this.integerLists.set(key, name);
    }
    return name;
  }

  private store(name: string, { dtype, shape, data }: TensorData): string {
    this.initializers.set(name, { name, dtype, shape, bytes: encodeElements(data, dtype) });
    return name;
  }

  /** A name the caller chose. */
  private claim(name: string): string {
    if (this.used.has(name) || name === "")
      throw new UsageError(`exportOnnx: an input and an output may not both be named "${name}"`);
    this.used.add(name);
    return name;
  }

  private unique(base: string): string {
    return unique(base === "" ? "value" : base, this.used);
  }
}

/** 2⁶³ - 1, which says "to the end" in files, is 2⁶³ as a number. */
function wideInteger(value: number): bigint {
  return value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(value);
}

/** `base`, with a number behind it where `used` has it already; it is in `used` then. */
function unique(base: string, used: Set<string>): string {
  let name = base;
  for (let i = 1; used.has(name); i++) name = `${base}_${i}`;
  used.add(name);
  return name;
}

function valueInfo(name: string, { dtype, shape }: TensorType): ValueInfo {
  if (shape.some((extent) => extent < 0)) throw new UsageError(`exportOnnx: "${name}" has shape ${formatShape(shape)}`);
  return { name, dtype, shape, kind: "tensor" };
}
