// The one object users hold. An engine owns a backend (a GPU device, or the CPU reference), the variables that live on
// it, and the models compiled for it.

import type { DType } from "./core/dtype.ts";
import { UsageError, throwIfAborted } from "./core/errors.ts";
import type { Shape, TensorType } from "./core/shape.ts";
import type { AdapterSummary } from "./device/adapter.ts";
import { acquireGpu, type DeviceOptions } from "./device/acquire.ts";
import type { Gpu, GpuCounters } from "./device/gpu.ts";
import type { LoadModelOptions, OnnxModel, OnnxSource } from "./formats/onnx/load.ts";
import { Graph, type Value } from "./graph/graph.ts";
import { eliminate } from "./graph/passes/eliminate.ts";
import { Tensor } from "./graph/tensor.ts";
import type { Variable } from "./graph/variable.ts";
import type { CompileOptions, Compiler } from "./runtime/compiler.ts";
import type { Executable, Executor, Inputs, PrepareOptions } from "./runtime/executor.ts";
import { GpuExecutor } from "./runtime/gpu/executor.ts";
import type { TuneOptions, TuneReport, Tuner, TuningTarget } from "./runtime/gpu/tuner.ts";
import type { TuningStore } from "./runtime/gpu/tuningStore.ts";
import { Model, type VerifyOptions } from "./runtime/model.ts";
import type { ProfileReport } from "./runtime/profile.ts";
import type { VerifyReport } from "./runtime/verify.ts";
import { HARDWARE_TRAITS, SOFTWARE_TRAITS } from "./scheduler/choose.ts";
import { schedule, toolbox, type ScheduleOptions } from "./scheduler/schedule.ts";
import type { Ceilings } from "./scheduler/traits.ts";
import type { TuningData } from "./scheduler/tuning.ts";
import { loadRewrites, loadStrategies } from "../shaders/index.ts";
import { DEFAULT_LIMITS, type KernelLimits } from "../shaders/strategy.ts";

export type Backend = "gpu" | "cpu";

export interface EngineOptions extends DeviceOptions {
  /** `gpu` (default), or `cpu`: the float64 reference, slow and exact, needing no WebGPU. */
  readonly backend?: Backend;
  /**
   * Compile with what `tune` found on this adapter in earlier sessions: `true` looks where it keeps it, a store of your own
   * is used in its place. `false` keeps nothing. Left out, `tune` keeps its tables, and they are read by the first `tune`.
   */
  readonly tuning?: boolean | TuningStore;
}

/** A shape means float32. */
export type InputSpec = Shape | { readonly shape: Shape; readonly dtype?: DType };

/**
 * Acquires a device and makes an engine on it: the caller's `device` or `adapter`, a page's `navigator.gpu`, Node's
 * `webgpu` package, or, where there is no GPU, a software driver.
 *
 * @throws DeviceUnavailableError naming what to install; `backend: "cpu"` needs none of it.
 * @example
 * using engine = await createEngine();
 * const double = await engine.compile((x) => x.mul(2), { x: [3] });
 * const { y } = await double.run({ x: [1, 2, 3] });
 */
export async function createEngine(options: EngineOptions = {}): Promise<Engine> {
  const { backend = "gpu", tuning, ...device } = options;
  if (backend === "cpu") {
    const { CpuExecutor } = await import("./runtime/cpu/executor.ts");
    return new Engine(new CpuExecutor(), undefined);
  }
  const gpu = await acquireGpu(device);
  const engine = new Engine(new GpuExecutor(gpu), gpu, tuning);
  if (tuning) await (await engine.loadTuner()).restore();
  return engine;
}

export class Engine implements Compiler, Disposable {
  readonly backend: Backend;
  /** Undefined on the CPU backend. */
  readonly adapter: AdapterSummary | undefined;
  /** Rejects nothing; resolves when the device is lost. Never on the CPU backend. */
  readonly lost: Promise<unknown>;
  private readonly models = new Set<Model>();
  private tuner: Tuner | undefined;
  private disposed = false;

  /** @internal Use {@link createEngine}. */
  constructor(
    /** @internal */
    readonly executor: Executor,
    private readonly gpu: Gpu | undefined,
    private readonly tuning?: EngineOptions["tuning"],
  ) {
    this.backend = gpu ? "gpu" : "cpu";
    this.adapter = gpu?.adapter;
    this.lost = gpu?.lost ?? new Promise(() => undefined);
  }

  /** One line for people: the adapter's name, or that this is the CPU reference. */
  get name(): string {
    return this.adapter?.name ?? "CPU reference (float64)";
  }

  /** The device, for callers who encode their own work beside ours. Undefined on the CPU backend. */
  get device(): GPUDevice | undefined {
    return this.gpu?.device;
  }

  /** What has been created and submitted so far: buffers, bytes, bind groups, pipelines, submits. */
  get counters(): Readonly<GpuCounters> | undefined {
    return this.gpu && { ...this.gpu.counters };
  }

  /**
   * Traces `build` on symbolic inputs and compiles what it computes. Inputs are passed in the order of `inputs`; a single
   * tensor returned is the output `y`, a record names its outputs.
   *
   * @throws ShapeError and others while tracing; GpuValidationError when a kernel does not compile.
   * @example
   * const model = await engine.compile((x, w) => softmax(x.matmul(w)), { x: [8, 64], w: [64, 10] });
   * const { y } = await model.run({ x, w });
   */
  async compile(
    build: (...inputs: Tensor[]) => Tensor | Readonly<Record<string, Tensor>>,
    inputs: Readonly<Record<string, InputSpec>>,
    options?: CompileOptions,
  ): Promise<Model> {
    const graph = new Graph();
    const tensors = Object.entries(inputs).map(([name, spec]) => new Tensor(graph, graph.input(name, typeOf(spec))));
    const result = build(...tensors);
    const outputs = result instanceof Tensor ? { y: result } : result;
    for (const [name, tensor] of Object.entries(outputs)) graph.output(name, tensor.value);
    return this.compileGraph(graph, options);
  }

  /** Compiles a graph that was built by hand or by an importer. */
  async compileGraph(graph: Graph, options: CompileOptions = {}): Promise<Model> {
    this.check();
    const { onProgress, signal, simplify = true, expectedRuns, ...scheduling } = options;
    const simplified = simplify ? await simplifyGraph(graph) : graph;
    const prepare = async (preparing: PrepareOptions = {}): Promise<Executable> => {
      const compiled = await schedule(simplified, {
        ...scheduling,
        limits: this.limits,
        traits: expectedRuns ? { ...this.traits, expectedRuns } : this.traits,
        tuning: this.tuner?.table,
        loadStrategies,
        loadRewrites,
        signal: preparing.signal,
        onKernel: (kernel, stepName) => this.executor.compile?.(kernel, stepName),
        onStep: (done, total) => preparing.onProgress?.(done, total, "plan"),
      });
      throwIfAborted(preparing.signal);
      return this.executor.prepare(compiled, preparing);
    };
    const executable = await prepare({ onProgress, signal });
    const model = new Model(executable, this.name, () => this.models.delete(model), simplified, prepare);
    this.models.add(model);
    return model;
  }

  /**
   * Loads an ONNX model: its bytes, a URL, a File or Blob, or, in Node, a path. Nothing is compiled until its shapes are
   * known: at once where the file or `dims` gives them all, else with the first run; each new shape compiles once.
   *
   * @throws FormatError for a damaged file; UnsupportedError naming the operators that are not there.
   * @example
   * const model = await engine.load("model.onnx", { dims: { batch: 1 } });
   * const { scores } = await model.run({ image: new Float32Array(3 * 224 * 224) });
   */
  async load(source: OnnxSource, options?: LoadModelOptions): Promise<OnnxModel> {
    this.check();
    const { loadOnnx } = await import("./formats/onnx/load.ts");
    return loadOnnx(this, source, options);
  }

  /** Carries every step of `model` out again on the CPU reference and judges each element by its own error bound. */
  verify(model: Model, inputs: Inputs, options?: VerifyOptions): Promise<VerifyReport> {
    return model.verify(inputs, options);
  }

  /** GPU time of every step of `model` from timestamp queries; the report says so where there are none. */
  profile(model: Model, inputs: Inputs, options?: { readonly repeats?: number }): Promise<ProfileReport> {
    return model.profile(inputs, options);
  }

  /**
   * Measures the kernels that run `targets` (models, ONNX models, graphs) against each other on this adapter and keeps the
   * winners: in IndexedDB, or, in Node, in a file under the user's cache folder. The models given are compiled again with
   * them, and so is whatever is compiled from now on. Kernels that give wrong results here are told of and not used.
   *
   * @throws UsageError for an ONNX model whose shapes are still open; UnsupportedError on the CPU backend.
   * @example
   * console.log(String(await engine.tune(model, { budgetMs: 5_000 })));
   */
  async tune(targets: TuningTarget | readonly TuningTarget[], options?: TuneOptions): Promise<TuneReport> {
    return (await this.loadTuner()).tune(targets, options);
  }

  /** Measures what the adapter can do at best, once or `again`; kernels that were not tuned are then chosen by that. */
  async measure(options?: { readonly signal?: AbortSignal; readonly again?: boolean }): Promise<Ceilings> {
    return (await this.loadTuner()).measure(options?.signal, options?.again);
  }

  /** What has been measured, as plain data for a JSON file; see {@link importTuning}. */
  async exportTuning(): Promise<TuningData> {
    return (await this.loadTuner()).table.toJSON();
  }

  /** Takes what `exportTuning` gave, or its JSON text: what is compiled from now on uses it. Throws FormatError for anything else. */
  async importTuning(data: TuningData | string): Promise<void> {
    (await this.loadTuner()).table.add(data);
  }

  /** Reads the current contents of variables (parameters) back into their `data`. */
  pull(variables: Iterable<Variable>): Promise<void> {
    this.check();
    return this.executor.pull(variables);
  }

  /** Sends variables' `data` to where they live, after it was changed on the host. */
  push(variables: Iterable<Variable>): void {
    this.check();
    this.executor.push(variables);
  }

  /** Resolves when all queued work is done; throws what WebGPU reported meanwhile. */
  async idle(): Promise<void> {
    this.check();
    await this.executor.idle();
  }

  /** Frees everything, and the device if this engine acquired it; Node can then exit. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const model of this.models) model.dispose();
    this.executor.dispose();
    this.gpu?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @internal */
  async loadTuner(): Promise<Tuner> {
    this.check();
    const { makeTuner } = await import("./runtime/gpu/tuner.ts");
    const { gpu, executor, limits, traits } = this;
    return (this.tuner ??= await makeTuner(
      { gpu, executor, limits, traits, loadStrategies, loadRewrites, tools: toolbox },
      this.tuning,
    ));
  }

  private get limits(): KernelLimits {
    return this.gpu?.kernelLimits ?? DEFAULT_LIMITS;
  }

  private get traits(): ScheduleOptions["traits"] {
    if (this.tuner) return this.tuner.traits;
    return !this.adapter || this.adapter.isSoftware ? SOFTWARE_TRAITS : HARDWARE_TRAITS;
  }

  private check(): void {
    if (this.disposed) throw new UsageError("this engine has been disposed; create a new one");
  }
}

/** Folds constants, and drops dead and repeated nodes. Few graphs have nodes to fold: what does it loads where one has. */
async function simplifyGraph(graph: Graph): Promise<Graph> {
  const live = eliminate(graph);
  const isKnown = (value: Value | undefined): boolean => value === undefined || live.constants.has(value);
  if (!live.nodes.some(({ inputs }) => inputs.length > 0 && inputs.every(isKnown))) return live;
  const { fold } = await import("./graph/passes/fold.ts");
  return eliminate(fold(live));
}

function typeOf(spec: InputSpec): TensorType {
  return isShape(spec) ? { dtype: "float32", shape: spec } : { dtype: spec.dtype ?? "float32", shape: spec.shape };
}

function isShape(spec: InputSpec): spec is Shape {
  return Array.isArray(spec);
}
