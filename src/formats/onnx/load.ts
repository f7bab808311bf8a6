// Loading an ONNX model and running it: bytes in, a model out that takes tensors by name. Graphs are built by the
// interpreter, for the shapes a run comes with; what was compiled is kept, least recently used out first.

import { ShapeError, UnsupportedError, UsageError, throwIfAborted } from "../../core/errors.ts";
import { formatShape, sizeOf, type Shape } from "../../core/shape.ts";
import type { TensorData } from "../../core/tensorData.ts";
import type { Graph } from "../../graph/graph.ts";
import { optimize, type OptimizeOptions } from "../../graph/passes/optimize.ts";
import type { CompileOptions, Compiler } from "../../runtime/compiler.ts";
import type { Model } from "../../runtime/model.ts";
import type { ProfileReport } from "../../runtime/profile.ts";
import type { VerifyReport } from "../../runtime/verify.ts";
import type { Plan } from "../../scheduler/plan.ts";
import { nodeLabel } from "./call.ts";
import { isControlFlow } from "./control.ts";
import { decodeModel } from "./decode.ts";
import { graphKey } from "./graphKey.ts";
import { Handle } from "./handle.ts";
import { ImportedModel, Interpreter, NeedsInputs, sameContents, shapeKey, type Walked } from "./interpreter.ts";
import type { GraphProto, ModelProto, NodeProto, OnnxDType, ValueInfo } from "./model.ts";
import { handlers } from "./operators/index.ts";
import { readSource, type OnnxSource, type StreamOptions } from "./source.ts";
import { StreamedTensor, withContents } from "./streamed.ts";
import { fromCaller, isDType, toOnnxTensor, type HostValue, type OnnxArray, type OnnxTensor } from "./tensor.ts";

export type { OnnxSource, StreamOptions } from "./source.ts";
export type { RandomAccess } from "./structure.ts";

/** What a run takes for an input: a tensor, or its elements alone where the file or the count says which shape they have. */
export type OnnxInput =
  | {
      readonly shape: Shape;
      readonly data: OnnxArray | readonly number[] | readonly bigint[];
      readonly dtype?: OnnxDType;
    }
  | OnnxArray
  | readonly number[]
  | readonly bigint[];

/** What a run takes: inputs by the names the file gives them. */
export type OnnxInputs = Readonly<Record<string, OnnxInput>>;

/** How a model is compiled; see `Engine.load`. */
export interface LoadModelOptions
  extends Pick<
    CompileOptions,
    "strategies" | "fusion" | "reuseBuffers" | "narrowStorage" | "expectedRuns" | "simplify"
  > {
  /** Which optimisations to leave out; all are on by default. */
  readonly optimize?: OptimizeOptions;
  /** Extents of symbolic dimensions, by the name the file gives them. */
  readonly dims?: Readonly<Record<string, number>>;
  /** Called as the model is read, planned and uploaded and its kernels get ready. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Which files are not read as a whole, and which weights stay in them until a backend wants them. */
  readonly stream?: StreamOptions;
  /** Ends loading; runs have signals of their own. */
  readonly signal?: AbortSignal;
}

/** How far loading is. All but `read` start anew for every plan: also when a run brings new shapes. */
export interface LoadProgress {
  /** `read` the file, `plan` its steps, `compile` their kernels (which begins while planning), `upload` the weights. */
  readonly stage: "read" | "plan" | "compile" | "upload";
  /** Bytes read, steps planned, kernels ready, or bytes uploaded. */
  readonly done: number;
  /** Undefined where a server does not say. */
  readonly total: number | undefined;
}

/** Compiled graphs that are kept, and sets of shapes whose walk is. */
const KEPT_MODELS = 32;
const KEPT_WALKS = 16;

/** Reads and checks a model; see `Engine.load`. */
export async function loadOnnx(
  compiler: Compiler,
  source: OnnxSource,
  options: LoadModelOptions = {},
): Promise<OnnxModel> {
  const { onProgress, signal, stream } = options;
  const read = (done: number, total: number | undefined): void => onProgress?.({ stage: "read", done, total });
  const file = await readSource(source, read, signal, stream);
  throwIfAborted(signal);
  const proto = await file.withExternalData(decodeModel(file.bytes));
  const missing = unsupportedOperators(proto.graph, proto);
  if (missing.length > 0)
    throw new UnsupportedError(
      `ONNX: this model needs ${missing.map(({ operator, count }) => `${operator} (${count}×)`).join(", ")}, which Neurite does not have`,
    );
  const model = new OnnxModel(compiler, proto, options);
  await model.prepare({}, { signal });
  return model;
}

/** Operators of a model without a handler, with how often they occur. Subgraphs are counted only with `deep`. */
export function unsupportedOperators(
  graph: GraphProto,
  { functions }: ModelProto,
  deep = false,
): { readonly operator: string; readonly count: number }[] {
  const counts = new Map<string, number>();
  const known = new Set(functions.map((fn) => `${fn.domain}::${fn.name}`));
  const visit = ({ nodes }: { readonly nodes: readonly NodeProto[] }): void => {
    for (const node of nodes) {
      const key = node.domain === "" ? node.operator : `${node.domain}::${node.operator}`;
      if (!Object.hasOwn(handlers, key) && !isControlFlow(node) && !known.has(`${node.domain}::${node.operator}`))
        counts.set(key, (counts.get(key) ?? 0) + 1);
      if (deep) for (const { kind, value } of node.attributes.values()) if (kind === "graph") visit(value);
    }
  };
  visit(graph);
  for (const fn of functions) visit(fn);
  return [...counts].map(([operator, count]) => ({ operator, count }));
}

/** One compiled graph. */
interface Segment {
  readonly key: string;
  readonly graph: Graph;
  readonly model: Model;
}

/** A walk that can be used again for the same shapes and the same values of some inputs. */
interface KeptWalk {
  readonly shapes: string;
  readonly guards: ReadonlyMap<string, HostValue>;
  readonly walked: Walked;
}

/** Called with each compiled segment and what feeds it, before it is run. */
type Visit = (model: Model, feeds: Readonly<Record<string, TensorData>>) => Promise<void>;

/**
 * An ONNX model on an engine. Made by `engine.load`. Runs wait for one another; `dispose` frees what was compiled, as does
 * disposing of the engine.
 */
export class OnnxModel implements Disposable {
  /** What a run takes, as the file declares it. */
  readonly inputs: readonly ValueInfo[];
  /** What it returns, as the file declares it. */
  readonly outputs: readonly ValueInfo[];
  private readonly imported: ImportedModel;
  private readonly segments = new Map<string, Segment>();
  private walks: KeptWalk[] = [];
  private lastHostNodes: readonly NodeProto[] = [];
  private disposed = false;
  private turn: Promise<unknown> = Promise.resolve();

  /** @internal */
  constructor(
    private readonly compiler: Compiler,
    /** The file's contents as data. */
    readonly proto: ModelProto,
    private readonly options: LoadModelOptions,
  ) {
    const { graph } = proto;
    this.imported = new ImportedModel(proto, handlers);
    this.inputs = graph.inputs;
    this.outputs = graph.outputs;
    for (const name of Object.keys(options.dims ?? {}))
      if (!graph.inputs.some(({ shape }) => shape?.includes(name)))
        throw new UsageError(
          `load: there is no dimension "${name}"; the inputs have ${symbolicNames(graph).join(", ") || "no symbolic ones"}`,
        );
  }

  /** The plans that are ready, most recently used last: one a set of shapes, more where a model is run in segments. */
  get plans(): readonly Plan[] {
    return [...this.segments.values()].map(({ model }) => model.plan);
  }

  /** @internal What is compiled, for tuning. */
  get models(): readonly Model[] {
    return [...this.segments.values()].map(({ model }) => model);
  }

  /** Nodes that the last run carried out on the host, e.g. `NonZero "indices"`. */
  get hostNodes(): readonly string[] {
    return this.lastHostNodes.map(nodeLabel);
  }

  /**
   * Runs the model. Inputs that the file gives a default for may be left out.
   *
   * @throws UsageError, ShapeError or DTypeError for inputs that do not fit; errors name the node they come from.
   * @example
   * const { scores } = await model.run({ image: { shape: [1, 3, 224, 224], data: pixels } });
   */
  async run(
    inputs: OnnxInputs,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Record<string, OnnxTensor>> {
    const given = this.check(inputs);
    return this.inTurn(() => this.carryOut(given, signal));
  }

  /**
   * Encodes the model into the caller's command encoder, between the caller's own buffers: no submit, no read-back, no
   * stall, nothing created for buffers it has seen. It takes the plan that was prepared or run last; buffers hold elements
   * as that plan stores them (32-bit words; narrower types may be packed, see `plan.values`). Inputs and outputs that are
   * left out use the model's own buffers.
   *
   * @throws UsageError where no plan is ready, or for names and buffers that do not fit; UnsupportedError where the host has
   * a part in every run.
   * @example
   * await model.prepare({ batch: 1 });
   * model.encode(myEncoder, { image: myBuffer }, { scores: myOtherBuffer });
   */
  encode(...[encoder, inputs = {}, outputs = {}]: Parameters<Model["encode"]>): void {
    if (this.disposed) throw new UsageError("encode: this model has been disposed");
    if (this.lastHostNodes.length > 0)
      throw new UnsupportedError(`encode: ${this.hostNodes.join(", ")} ran on the host; use run`);
    const walked = this.walks.at(-1)?.walked;
    const segment = walked && this.segments.get(graphKey(walked.graph));
    if (!segment)
      throw new UsageError("encode: no plan is ready; load the model with `dims`, or call prepare or run before");
    if (walked.guards.size > 0)
      throw new UnsupportedError(
        `encode: the plan depends on the values of ${[...walked.guards].join(", ")}, which are in no buffer yet; use run`,
      );
    for (const [name, buffer] of Object.entries(inputs)) {
      if (!this.inputs.some((input) => input.name === name))
        throw new UsageError(`encode: there is no input "${name}"`);
      if ("createView" in buffer)
        throw new UnsupportedError(
          `encode: "${name}" is a texture; write its texels into a buffer first, docs/onnx.md has a shader for that`,
        );
    }
    for (const name of Object.keys(outputs))
      if (!walked.graph.outputs.has(name))
        throw walked.outputs.has(name)
          ? new UnsupportedError(`encode: "${name}" is not computed but known, as a constant or an input; use run`)
          : new UsageError(`encode: there is no output "${name}"`);
    const read = Object.entries(inputs).filter(([name]) => name in segment.model.plan.inputs);
    segment.model.encode(encoder, Object.fromEntries(read), outputs);
  }

  /** Runs the model and carries every step out again on the CPU reference; one report a segment. */
  async verify(
    inputs: OnnxInputs,
    options: { readonly signal?: AbortSignal; readonly onProgress?: (done: number, total: number) => void } = {},
  ): Promise<readonly VerifyReport[]> {
    const given = this.check(inputs);
    return this.inTurn(async () => {
      const reports: VerifyReport[] = [];
      await this.carryOut(given, options.signal, async (model, feeds) => {
        reports.push(await model.verify(feeds, options));
      });
      return reports;
    });
  }

  /** Times every step; one report a segment. */
  async profile(inputs: OnnxInputs, options?: { readonly repeats?: number }): Promise<readonly ProfileReport[]> {
    const given = this.check(inputs);
    return this.inTurn(async () => {
      const reports: ProfileReport[] = [];
      await this.carryOut(given, undefined, async (model, feeds) => {
        reports.push(await model.profile(feeds, options));
      });
      return reports;
    });
  }

  /**
   * Compiles for the given extents of symbolic dimensions ahead of a run. Returns false where shapes or values that only a
   * run brings are still missing; the first run then compiles.
   */
  async prepare(
    dims: Readonly<Record<string, number>> = {},
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<boolean> {
    const extents = { ...this.options.dims, ...dims };
    const inputs = new Map<string, Handle>();
    for (const info of this.fed) {
      const shape = info.shape?.map((extent) => (typeof extent === "number" ? extent : extents[extent]));
      if (!shape || shape.includes(undefined) || !isDType(info.dtype)) return false;
      inputs.set(info.name, new Handle(info.dtype, shape as number[], info.name, "input", undefined));
    }
    try {
      const walked = await this.walk(inputs, signal);
      if (walked.guards.size > 0 || !walked.isReusable) return false;
      this.keep(inputs, walked);
      if (walked.graph.outputs.size > 0) await this.compile(walked.graph, signal);
      return true;
    } catch (error) {
      if (error instanceof NeedsInputs) return false;
      throw error;
    }
  }

  /** Frees everything that was compiled. */
  dispose(): void {
    this.disposed = true;
    for (const { model } of this.segments.values()) model.dispose();
    this.segments.clear();
    this.walks = [];
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Inputs without a default in the file. */
  private get fed(): readonly ValueInfo[] {
    return this.inputs.filter(({ name }) => !this.proto.graph.initializers.has(name));
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.turn.then(() => {
      if (this.disposed) throw new UsageError("run: this model has been disposed");
      return work();
    });
    this.turn = turn.catch(() => undefined);
    return turn;
  }

  private async carryOut(
    inputs: ReadonlyMap<string, Handle>,
    signal: AbortSignal | undefined,
    visit?: Visit,
  ): Promise<Record<string, OnnxTensor>> {
    throwIfAborted(signal);
    const isWide = [...inputs.values()].some((handle) => handle.exceedsWords);
    const kept = isWide ? undefined : this.find(inputs);
    const walked = kept ?? (await this.walk(inputs, signal, visit));
    if (!kept && walked.isReusable) this.keep(inputs, walked);
    this.lastHostNodes = walked.hostNodes;
    const names = [...walked.graph.outputs.keys()];
    const feeds = new Map<string, TensorData>();
    for (const [name, handle] of walked.feeds) {
      const host = inputs.get(name)?.host ?? handle.host!;
      feeds.set(name, this.imported.constant(host, `input "${name}"`));
    }
    const computed =
      names.length > 0
        ? await this.runSegment(walked.graph, feeds, names, signal, visit)
        : new Map<string, TensorData>();
    const results: Record<string, OnnxTensor> = {};
    for (const [name, handle] of walked.outputs) {
      const host = computed.get(name) ?? (handle.origin === "input" ? inputs.get(handle.name)?.host : handle.host);
      if (host instanceof StreamedTensor) await host.load();
      results[name] = toOnnxTensor(host!);
    }
    return results;
  }

  private walk(inputs: ReadonlyMap<string, Handle>, signal?: AbortSignal, visit?: Visit): Promise<Walked> {
    const run = (
      graph: Graph,
      feeds: ReadonlyMap<string, TensorData>,
      names: readonly string[],
    ): Promise<ReadonlyMap<string, TensorData>> => this.runSegment(graph, feeds, names, signal, visit);
    return new Interpreter(this.imported, run, signal).walkModel(inputs);
  }

  private async runSegment(
    graph: Graph,
    feeds: ReadonlyMap<string, TensorData>,
    names: readonly string[],
    signal: AbortSignal | undefined,
    visit?: Visit,
  ): Promise<ReadonlyMap<string, TensorData>> {
    const { model } = await this.compile(graph, signal);
    const inputs = Object.fromEntries([...feeds].filter(([name]) => name in model.plan.inputs));
    await visit?.(model, inputs);
    const results = await model.run(inputs, signal ? { outputs: names, signal } : { outputs: names });
    return new Map(Object.entries(results));
  }

  private async compile(graph: Graph, signal: AbortSignal | undefined): Promise<Segment> {
    const key = graphKey(graph);
    let segment = this.segments.get(key);
    if (!segment) {
      const {
        strategies,
        fusion,
        reuseBuffers,
        narrowStorage,
        expectedRuns,
        simplify = true,
        onProgress,
      } = this.options;
      const model = await withContents(async () => {
        const optimized = simplify ? await optimize(graph, this.options.optimize, signal) : graph;
        return this.compiler.compileGraph(optimized, {
          strategies,
          fusion,
          reuseBuffers,
          narrowStorage,
          expectedRuns,
          simplify: false, // it just was
          signal,
          onProgress: onProgress && ((done, total, stage) => onProgress({ stage, done, total })),
        });
      });
      segment = { key, graph, model };
    }
    this.segments.delete(key);
    this.segments.set(key, segment);
    if (this.segments.size > KEPT_MODELS) {
      const [oldest] = this.segments.values();
      this.segments.delete(oldest!.key);
      oldest!.model.dispose();
    }
    return segment;
  }

  private find(inputs: ReadonlyMap<string, Handle>): Walked | undefined {
    const shapes = keyOf(inputs);
    const index = this.walks.findIndex(
      (walk) =>
        walk.shapes === shapes &&
        [...walk.guards].every(([name, value]) => sameContents(value, inputs.get(name)!.host!)),
    );
    if (index < 0) return undefined;
    const [walk] = this.walks.splice(index, 1);
    this.walks.push(walk!);
    return walk!.walked;
  }

  private keep(inputs: ReadonlyMap<string, Handle>, walked: Walked): void {
    const guards = new Map([...walked.guards].map((name) => [name, inputs.get(name)!.host!]));
    this.walks.push({ shapes: keyOf(inputs), guards, walked });
    if (this.walks.length > KEPT_WALKS) this.walks.shift();
  }

  /** The inputs of a run as handles, checked against the file's declarations and copied: runs may have to wait. */
  private check(given: OnnxInputs): Map<string, Handle> {
    for (const name of Object.keys(given))
      if (!this.inputs.some((input) => input.name === name))
        throw new UsageError(
          `run: there is no input "${name}"; this model takes ${this.inputs.map((input) => input.name).join(", ") || "none"}`,
        );
    const extents: Record<string, number> = { ...this.options.dims };
    const handles = new Map<string, Handle>();
    for (const info of this.inputs) {
      const input = given[info.name];
      if (input === undefined) {
        if (this.proto.graph.initializers.has(info.name)) continue;
        throw new UsageError(`run: input "${info.name}" (${describe(info)}) is missing`);
      }
      const host = checkInput(info, input, extents);
      handles.set(info.name, new Handle(host.dtype, host.shape, info.name, "input", host));
    }
    return handles;
  }
}

/** `float32 [batch, 3, 224, 224]`. */
function describe({ dtype, shape }: ValueInfo): string {
  return `${dtype}${shape ? ` [${shape.map((extent) => (extent === "" ? "?" : extent)).join(", ")}]` : ""}`;
}

function checkInput(info: ValueInfo, input: OnnxInput, extents: Record<string, number>): HostValue {
  const who = `input "${info.name}"`;
  if (info.kind !== "tensor") throw new UnsupportedError(`${who} is a ${info.kind}; only tensors can be given`);
  const isTensor = "shape" in input;
  const data = isTensor ? input.data : input;
  const dtype = info.dtype === "undefined" && isTensor && input.dtype ? input.dtype : info.dtype;
  if (!isDType(dtype)) throw new UnsupportedError(`${who} is ${dtype}, which cannot be computed with`);
  if (isTensor && input.dtype !== undefined && input.dtype !== dtype)
    throw new UsageError(`${who} is ${input.dtype}, the model takes ${describe(info)}`);
  const shape = isTensor ? input.shape : shapeFor(info, data.length, extents, who);
  const declared = info.shape;
  if (declared) {
    const fits =
      declared.length === shape.length &&
      declared.every(
        (extent, axis) =>
          extent === "" || (typeof extent === "string" ? (extents[extent] ?? shape[axis]) : extent) === shape[axis],
      );
    if (!fits) throw new ShapeError(`${who} has the shape ${formatShape(shape)}, the model takes ${describe(info)}`);
    declared.forEach((extent, axis) => {
      if (typeof extent === "string" && extent !== "") extents[extent] = shape[axis]!;
    });
  }
  return fromCaller(data, dtype, shape, who);
}

/** The shape of bare elements: as declared, where at most one extent is open and their number settles it. */
function shapeFor(info: ValueInfo, length: number, extents: Readonly<Record<string, number>>, who: string): Shape {
  const shape = info.shape?.map((extent) => (typeof extent === "number" ? extent : extents[extent]));
  const open = shape?.filter((extent) => extent === undefined).length ?? Infinity;
  if (!shape || open > 1)
    throw new UsageError(`${who} (${describe(info)}): give { shape, data }, the shape is not settled`);
  const known = sizeOf(shape.map((extent) => extent ?? 1));
  return shape.map((extent) => extent ?? (known === 0 ? 0 : length / known));
}

function symbolicNames({ inputs }: GraphProto): string[] {
  const names = inputs.flatMap(({ shape }) => shape?.filter((extent) => typeof extent === "string") ?? []);
  return [...new Set(names)].filter((name) => name !== "");
}

function keyOf(inputs: ReadonlyMap<string, Handle>): string {
  return `${[...inputs.keys()].join()}|${shapeKey([...inputs.values()].map(({ shape }) => shape))}`;
}
