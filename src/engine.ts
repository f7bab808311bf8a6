// The one object users hold. An engine owns a backend (a GPU device, or the CPU reference), the variables that live on
// it, and the models compiled for it.

import type { DType } from "./core/dtype.ts";
import { UsageError, throwIfAborted } from "./core/errors.ts";
import type { Shape, TensorType } from "./core/shape.ts";
import type { AdapterSummary } from "./device/adapter.ts";
import { acquireGpu, type DeviceOptions } from "./device/acquire.ts";
import type { Gpu, GpuCounters } from "./device/gpu.ts";
import type { LoadModelOptions, OnnxModel, OnnxSource } from "./formats/onnx/load.ts";
import { Graph } from "./graph/graph.ts";
import { eliminate } from "./graph/passes/eliminate.ts";
import { fold } from "./graph/passes/fold.ts";
import { Tensor } from "./graph/tensor.ts";
import type { Variable } from "./graph/variable.ts";
import type { CompileOptions, Compiler } from "./runtime/compiler.ts";
import type { Executor, Inputs } from "./runtime/executor.ts";
import { GpuExecutor } from "./runtime/gpu/executor.ts";
import { Model, type VerifyOptions } from "./runtime/model.ts";
import type { ProfileReport } from "./runtime/profile.ts";
import type { VerifyReport } from "./runtime/verify.ts";
import { HARDWARE_TRAITS, SOFTWARE_TRAITS } from "./scheduler/choose.ts";
import { schedule, type ScheduleOptions } from "./scheduler/schedule.ts";
import { loadStrategies } from "../shaders/index.ts";
import { DEFAULT_LIMITS, type KernelLimits } from "../shaders/strategy.ts";

export type Backend = "gpu" | "cpu";

export interface EngineOptions extends DeviceOptions {
  /** `gpu` (default), or `cpu`: the float64 reference, slow and exact, needing no WebGPU. */
  readonly backend?: Backend;
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
  const { backend = "gpu", ...device } = options;
  if (backend === "cpu") {
    const { CpuExecutor } = await import("./runtime/cpu/executor.ts");
    return new Engine(new CpuExecutor(), undefined);
  }
  const gpu = await acquireGpu(device);
  return new Engine(new GpuExecutor(gpu), gpu);
}

export class Engine implements Compiler, Disposable {
  readonly backend: Backend;
  /** Undefined on the CPU backend. */
  readonly adapter: AdapterSummary | undefined;
  /** Rejects nothing; resolves when the device is lost. Never on the CPU backend. */
  readonly lost: Promise<unknown>;
  private readonly models = new Set<Model>();
  private disposed = false;

  /** @internal Use {@link createEngine}. */
  constructor(
    /** @internal */
    readonly executor: Executor,
    private readonly gpu: Gpu | undefined,
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
    const { onProgress, signal, simplify = true, ...scheduling } = options;
    const simplified = simplify ? eliminate(fold(eliminate(graph))) : graph;
    const compiled = await schedule(simplified, {
      ...scheduling,
      limits: this.limits,
      traits: this.traits,
      loadStrategies,
    });
    throwIfAborted(signal);
    const executable = await this.executor.prepare(compiled, { onProgress, signal });
    const model = new Model(executable, this.name, () => this.models.delete(model));
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

  private get limits(): KernelLimits {
    return this.gpu?.kernelLimits ?? DEFAULT_LIMITS;
  }

  private get traits(): ScheduleOptions["traits"] {
    return !this.adapter || this.adapter.isSoftware ? SOFTWARE_TRAITS : HARDWARE_TRAITS;
  }

  private check(): void {
    if (this.disposed) throw new UsageError("this engine has been disposed; create a new one");
  }
}

function typeOf(spec: InputSpec): TensorType {
  return isShape(spec) ? { dtype: "float32", shape: spec } : { dtype: spec.dtype ?? "float32", shape: spec.shape };
}

function isShape(spec: InputSpec): spec is Shape {
  return Array.isArray(spec);
}
