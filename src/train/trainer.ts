// Training as plans. For each batch shape the trainer traces forward pass, loss, gradients and all optimizer updates into
// one graph and compiles it: a step is one submit, and the weights never leave the GPU. Results (loss and metrics, a few
// bytes) come back while the next steps already run. Training and evaluation plans share the network's variables.

import { NeuriteError, UsageError } from "../core/errors.ts";
import { formatShape, formatType, sizeOf, type Shape, type TensorType } from "../core/shape.ts";
import { filled, type TensorData } from "../core/tensorData.ts";
import { gradients } from "../autodiff/gradients.ts";
import { Graph } from "../graph/graph.ts";
import { Tensor } from "../graph/tensor.ts";
import { Variable } from "../graph/variable.ts";
import type { Plan } from "../scheduler/plan.ts";
import type { Compiler } from "../runtime/compiler.ts";
import type { Inputs, Outputs } from "../runtime/executor.ts";
import type { Model, VerifyOptions } from "../runtime/model.ts";
import type { ProfileReport } from "../runtime/profile.ts";
import type { VerifyReport } from "../runtime/verify.ts";
import type { Module } from "../nn/module.ts";
import { markTraining, RANDOM_KEY } from "../nn/tracing.ts";
import { cutIntoBatches, epochOrder, type Batch, type Dataset } from "./dataset.ts";
import type { Loss } from "./losses.ts";
import type { Metrics } from "./metrics.ts";
import { ModelCache } from "./modelCache.ts";
import { learningRateAt, type LearningRate, type Optimizer } from "./optimizers.ts";
import { Stopwatch, Totals, type StepResult } from "./progress.ts";

export interface TrainerOptions {
  readonly loss: Loss;
  readonly optimizer: Optimizer;
  /** Decides shuffling and dropout; weights are seeded by `initialize`. Default 0. */
  readonly seed?: number;
  /** Default: what the loss brings, accuracy for `crossEntropy`. */
  readonly metrics?: Metrics;
}

export interface FitOptions {
  readonly epochs: number;
  readonly batchSize: number;
  /** Evaluated after every epoch. */
  readonly validation?: Dataset;
  /** Draw the examples of each epoch in a new order, decided by the trainer's seed. Default true. */
  readonly shuffle?: boolean;
  /** Leave out a last, smaller batch instead of compiling a plan for it. Default false. */
  readonly dropLast?: boolean;
  /** Ends training after the step at hand, by throwing the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called as kernels get ready, before the first step of each batch shape. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface EvaluateOptions {
  /** Default 256. */
  readonly batchSize?: number;
  readonly signal?: AbortSignal;
}

/** Means over examples. */
export interface Evaluation {
  readonly loss: number;
  /** Each metric, by name. */
  readonly metrics: Readonly<Record<string, number>>;
  /** `metrics.accuracy`, where there is one. */
  readonly accuracy: number | undefined;
  readonly examples: number;
}

/** Where a fit stands. */
export interface Progress {
  /** Epoch of this fit, from 1. */
  readonly epoch: number;
  readonly epochs: number;
  /** Step of this fit, from 1. */
  readonly step: number;
  /** Steps of the whole fit. */
  readonly steps: number;
  /** Running means over the epoch's examples so far. */
  readonly metrics: Readonly<Record<string, number>>;
  /** `metrics.accuracy`, where there is one. */
  readonly accuracy: number | undefined;
  /** Since the fit began, without compiling. */
  readonly examplesPerSecond: number;
  /** Estimated time to the end of the fit, without validation. */
  readonly etaMs: number;
  readonly learningRate: number;
}

/** One step is done. */
export interface StepEvent extends Progress {
  readonly type: "step";
  /** Of this step's batch, before its update. */
  readonly loss: number;
}

/** All steps of an epoch are done. */
export interface EpochEvent extends Progress {
  readonly type: "epoch";
  /** Mean over the epoch's examples, each seen with the weights of its step. */
  readonly loss: number;
  /** On the validation dataset, with the weights after the epoch. */
  readonly validation: Evaluation | undefined;
  readonly timeMs: number;
}

/** What `fit` yields. */
export type FitEvent = StepEvent | EpochEvent;

/**
 * The loss became infinite or NaN. The weights on the device are spoiled: a step whose loss is not finite has been applied,
 * and so have up to two after it. `trainer.restore()` goes back to the last `sync()`, or to the first weights.
 */
export class DivergenceError extends NeuriteError {
  constructor(
    /** Step of the trainer, from 1. */
    readonly step: number,
    readonly loss: number,
  ) {
    super(
      `training diverged: the loss of step ${step} is ${loss}; lower the learning rate, or look for inputs that are not finite`,
    );
  }
}

/** Steps that may be under way at once: the GPU has work while the host reads the results of the oldest. */
const MOST_IN_FLIGHT = 3;
const LOSS = "loss";
const metricOutput = (name: string): string => `metric.${name}`;
const scalarInput = (name: string): string => `optimizer.${name}`;

/**
 * Trains a module on an engine.
 *
 * @example
 * using trainer = new Trainer(engine, net, { loss: crossEntropy(), optimizer: adamW({ lr: 1e-3 }), seed: 1 });
 * for await (const { epoch, step, loss } of trainer.fit(train, { epochs: 3, batchSize: 64, signal })) console.log(epoch, step, loss);
 * console.log(await trainer.evaluate(test));
 * await trainer.sync();
 * const file = encodeSafetensors(net.stateDict());
 */
export class Trainer implements Disposable {
  /** Of the steps to come: the optimizer's, until it is set. */
  learningRate: LearningRate;
  /** Plan of the latest training step, or of one that was verified or profiled; undefined before. */
  stepPlan: Plan | undefined;

  private readonly loss: Loss;
  private readonly optimizer: Optimizer;
  private readonly metrics: Metrics;
  private readonly seed: number;
  private readonly training = new ModelCache();
  private readonly evaluating = new ModelCache();
  private readonly predicting = new ModelCache();
  /** The optimizer's state, by parameter and name. */
  private readonly state = new Map<Variable, Readonly<Record<string, Variable>>>();
  private stepsTaken = 0;
  private epochsBegun = 0;
  /** Steps and epochs at the last sync. */
  private synced = { steps: 0, epochs: 0 };
  private isFitting = false;
  private disposed = false;

  constructor(
    private readonly engine: Compiler,
    private readonly net: Module,
    { loss, optimizer, seed = 0, metrics = loss.metrics ?? {} }: TrainerOptions,
  ) {
    this.loss = loss;
    this.optimizer = optimizer;
    this.metrics = metrics;
    this.seed = seed;
    this.learningRate = optimizer.learningRate;
  }

  /** Training steps taken since the trainer was made. */
  get steps(): number {
    return this.stepsTaken;
  }

  /**
   * Trains for some epochs and yields an event a step, in order and a few steps behind the GPU, and one an epoch. Leaving
   * the loop early is fine: steps under way are finished first. Fitting again goes on from where the weights are.
   *
   * @throws UsageError for sizes that make no sense; {@link DivergenceError} when the loss is not finite; the signal's reason
   * when it is aborted. The weights then are those after the last step that was begun.
   */
  async *fit(dataset: Dataset, options: FitOptions): AsyncGenerator<FitEvent, void, undefined> {
    const { epochs, batchSize, validation, shuffle = true, dropLast = false, signal, onProgress } = options;
    requirePositive("fit", { epochs, batchSize });
    const stepsAnEpoch = dropLast ? Math.floor(dataset.length / batchSize) : Math.ceil(dataset.length / batchSize);
    if (stepsAnEpoch === 0)
      throw new UsageError(`fit: ${dataset.length} examples make no batch of ${batchSize}; lower batchSize`);
    this.check();
    if (this.isFitting) throw new UsageError("fit: this trainer is fitting already; end that loop first");
    this.isFitting = true;

    const inFlight: Promise<StepResult>[] = [];
    const clock = new Stopwatch();
    const steps = epochs * stepsAnEpoch;
    let step = 0;
    const examples = epochs * (dropLast ? stepsAnEpoch * batchSize : dataset.length);
    try {
      for (let epoch = 1; epoch <= epochs; epoch++) {
        const epochStart = performance.now();
        const totals = new Totals();
        let learningRate = NaN;
        const progress = (): Progress => {
          const { rate } = clock;
          const metrics = totals.metrics();
          const etaMs = (1000 * (examples - clock.examples)) / rate;
          const { accuracy } = metrics;
          return { epoch, epochs, step, steps, metrics, accuracy, examplesPerSecond: rate, etaMs, learningRate };
        };
        const finishOne = async (): Promise<StepEvent> => {
          const result = await inFlight.shift()!;
          signal?.throwIfAborted();
          if (!Number.isFinite(result.loss)) throw new DivergenceError(result.number, result.loss);
          step++;
          totals.add(result);
          clock.add(result.examples);
          learningRate = result.learningRate;
          return { type: "step", loss: result.loss, ...progress() };
        };

        const order = epochOrder(dataset.length, shuffle ? this.seed : undefined, this.epochsBegun++);
        for (const indices of cutIntoBatches(order, batchSize, dropLast)) {
          signal?.throwIfAborted();
          const batch = await dataset.batch(indices);
          const model = await clock.without(() => this.trainingModel(batch, { signal, onProgress }));
          signal?.throwIfAborted();
          this.check();
          inFlight.push(this.begin(model, batch));
          if (inFlight.length === MOST_IN_FLIGHT) yield await finishOne();
        }
        while (inFlight.length > 0) yield await finishOne();
        const timeMs = performance.now() - epochStart;
        const evaluation =
          validation && (await clock.without(() => this.evaluate(validation, signal ? { signal } : {})));
        yield { type: "epoch", loss: totals.loss(), ...progress(), validation: evaluation, timeMs };
      }
    } finally {
      await Promise.allSettled(inFlight);
      this.isFitting = false;
    }
  }

  /** Mean loss and metrics over a dataset, as in evaluation (no dropout). Throws UsageError for an empty dataset. */
  async evaluate(dataset: Dataset, { batchSize = 256, signal }: EvaluateOptions = {}): Promise<Evaluation> {
    this.check();
    requirePositive("evaluate", { batchSize });
    if (dataset.length === 0) throw new UsageError("evaluate: the dataset is empty");
    const totals = new Totals();
    const inFlight: Promise<StepResult>[] = [];
    try {
      for (const indices of cutIntoBatches(epochOrder(dataset.length, undefined, 0), batchSize, false)) {
        signal?.throwIfAborted();
        const batch = await dataset.batch(indices);
        const model = await this.evaluationModel(batch, signal);
        inFlight.push(this.results(model.run({ x: batch.x, y: batch.y }), batch, 0, 0));
        if (inFlight.length === MOST_IN_FLIGHT) totals.add(await inFlight.shift()!);
      }
      while (inFlight.length > 0) totals.add(await inFlight.shift()!);
    } finally {
      await Promise.allSettled(inFlight);
    }
    const metrics = totals.metrics();
    return { loss: totals.loss(), metrics, accuracy: metrics.accuracy, examples: dataset.length };
  }

  /** What the network makes of x [N, …], as in evaluation. One plan for each N: prefer a fixed N. */
  async predict(x: TensorData): Promise<TensorData> {
    this.check();
    const model = await this.predicting.get(formatType(x), () => {
      const graph = new Graph();
      graph.output("y", this.net.forward(input(graph, "x", x)).value);
      return this.engine.compileGraph(graph);
    });
    const { y } = await model.run({ x });
    return y!;
  }

  /** Reads weights and optimizer state back, so that `net.stateDict()` and {@link restore} see the present ones. */
  async sync(): Promise<void> {
    this.check();
    const counts = { steps: this.stepsTaken, epochs: this.epochsBegun };
    await this.engine.pull(this.variables());
    this.synced = counts;
  }

  /** Goes back to the last {@link sync}, or to the first weights: weights, optimizer state and step count. */
  restore(): void {
    this.check();
    this.engine.push(this.variables());
    this.stepsTaken = this.synced.steps;
    this.epochsBegun = this.synced.epochs;
  }

  /** Compiles the training plan for batches of this type ahead of the first step, and returns it; nothing runs. */
  async prepare(batch: Batch, options: Pick<FitOptions, "signal" | "onProgress"> = {}): Promise<Plan> {
    this.check();
    return (await this.trainingModel(batch, options)).plan;
  }

  /** Times every step of the training plan on `batch`; weights stay as they are. */
  async profile(batch: Batch, options: { readonly repeats?: number } = {}): Promise<ProfileReport> {
    this.check();
    const model = await this.trainingModel(batch);
    return model.profile(this.inputs(model, batch).inputs, options);
  }

  /** Holds every step of the training plan on `batch` against the CPU reference; weights stay as they are. */
  async verify(batch: Batch, options: VerifyOptions = {}): Promise<VerifyReport> {
    this.check();
    const model = await this.trainingModel(batch);
    return model.verify(this.inputs(model, batch).inputs, options);
  }

  /** Frees plans and optimizer state. The weights stay with the engine; {@link sync} before, to have them on the host. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const models of [this.training, this.evaluating, this.predicting]) models.dispose();
    this.engine.executor.release(this.stateVariables());
    this.state.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private check(): void {
    if (this.disposed) throw new UsageError("this trainer has been disposed; create a new one");
  }

  private variables(): Variable[] {
    return [...this.net.namedVariables().map(([, variable]) => variable), ...this.stateVariables()];
  }

  private stateVariables(): Variable[] {
    return [...this.state.values()].flatMap((state) => Object.values(state));
  }

  /** Starts a training step. Everything a run needs is on its way when this returns. */
  private begin(model: Model, batch: Batch): Promise<StepResult> {
    const { inputs, learningRate } = this.inputs(model, batch);
    const number = ++this.stepsTaken;
    this.stepPlan = model.plan;
    return this.results(model.run(inputs), batch, number, learningRate);
  }

  /** What a run of the training plan takes: the batch, the step's scalars and, if something is random, its key. */
  private inputs(model: Model, { x, y }: Batch): { inputs: Inputs; learningRate: number } {
    const number = this.stepsTaken + 1;
    const learningRate = learningRateAt(this.learningRate, number);
    const inputs: Record<string, Inputs[string]> = { x, y };
    for (const [name, value] of Object.entries(this.optimizer.scalars(learningRate, number)))
      inputs[scalarInput(name)] = Float32Array.of(value);
    if (RANDOM_KEY in model.plan.inputs) inputs[RANDOM_KEY] = Uint32Array.of(this.seed, number);
    return { inputs, learningRate };
  }

  private results(run: Promise<Outputs>, batch: Batch, number: number, learningRate: number): Promise<StepResult> {
    const result = run.then((outputs): StepResult => {
      const scalar = (name: string): number => outputs[name]!.data[0]!;
      const metrics = Object.fromEntries(Object.keys(this.metrics).map((name) => [name, scalar(metricOutput(name))]));
      return { loss: scalar(LOSS), metrics, examples: batch.x.shape[0]!, number, learningRate };
    });
    result.catch(() => undefined); // whoever waits for it sees the failure, which may be later
    return result;
  }

  private trainingModel(
    batch: Batch,
    options: { signal?: AbortSignal | undefined; onProgress?: FitOptions["onProgress"] } = {},
  ): Promise<Model> {
    return this.training.get(batchKey(batch), async () => {
      const { signal, onProgress } = options;
      const graph = this.trainingGraph(batch);
      const model = await this.engine.compileGraph(graph, {
        ...(signal && { signal }),
        ...(onProgress && {
          onProgress(done, total, stage) {
            if (stage === "compile") onProgress(done, total);
          },
        }),
      });
      this.stepPlan = model.plan;
      return model;
    });
  }

  private evaluationModel(batch: Batch, signal: AbortSignal | undefined): Promise<Model> {
    return this.evaluating.get(batchKey(batch), () => {
      const graph = new Graph();
      this.traceLoss(graph, batch);
      return this.engine.compileGraph(graph, signal ? { signal } : {});
    });
  }

  /** Forward pass, loss and metrics; returns the loss. */
  private traceLoss(graph: Graph, { x, y }: Batch): Tensor {
    const target = input(graph, "y", y);
    const prediction = this.net.forward(input(graph, "x", x));
    const loss = graph.scope("loss", () => this.loss(prediction, target));
    if (sizeOf(loss.shape) !== 1)
      throw new UsageError(
        `Trainer: the loss must be a scalar, got ${formatShape(loss.shape)}; reduce it by mean or sum`,
      );
    graph.output(LOSS, loss.value);
    graph.scope("metrics", () => {
      for (const [name, metric] of Object.entries(this.metrics))
        graph.output(metricOutput(name), metric(prediction, target).value);
    });
    return loss;
  }

  private trainingGraph(batch: Batch): Graph {
    const graph = new Graph();
    markTraining(graph);
    const loss = this.traceLoss(graph, batch);
    const parameters = this.tracedParameters(graph);
    const scalars = Object.fromEntries(
      Object.keys(this.optimizer.scalars(0, 1)).map((name) => [name, input(graph, scalarInput(name), SCALAR)]),
    );
    const slopes = gradients(
      graph,
      loss.value,
      parameters.map((parameter) => graph.variable(parameter)),
    );
    parameters.forEach((parameter, i) => {
      graph.scope(`optimizer/${parameter.name}`, () => {
        const gradient = new Tensor(graph, slopes[i]!);
        this.traceUpdate(graph, parameter, gradient, scalars);
      });
    });
    return graph;
  }

  private traceUpdate(
    graph: Graph,
    parameter: Variable,
    gradient: Tensor,
    scalars: Readonly<Record<string, Tensor>>,
  ): void {
    const variables = this.stateOf(parameter);
    const tensor = (variable: Variable): Tensor => new Tensor(graph, graph.variable(variable));
    const state = Object.fromEntries(Object.entries(variables).map(([name, variable]) => [name, tensor(variable)]));
    const next = this.optimizer.update({ parameter: tensor(parameter), gradient, state, scalars });
    for (const [name, variable] of Object.entries(variables)) {
      const value = next.state[name];
      if (!value) throw new UsageError(`Trainer: the optimizer gave no new "${name}" for ${parameter.name}`);
      graph.update(variable, value.value);
    }
    graph.update(parameter, next.parameter.value);
  }

  /** The network's parameters that the loss may depend on; the others are left alone. */
  private tracedParameters(graph: Graph): Variable[] {
    const traced = new Set(graph.variables.values());
    const listed = this.net.parameters();
    const hidden = [...traced].find((variable) => variable.trainable && !listed.includes(variable));
    if (hidden)
      throw new UsageError(
        `Trainer: the network uses parameter "${hidden.name}", which no property of a module holds; it could not be saved`,
      );
    const parameters = listed.filter((parameter) => traced.has(parameter));
    if (parameters.length === 0) throw new UsageError("Trainer: the network has no parameters to train");
    return parameters;
  }

  private stateOf(parameter: Variable): Readonly<Record<string, Variable>> {
    let state = this.state.get(parameter);
    if (!state) {
      state = Object.fromEntries(
        this.optimizer.state.map((name) => [
          name,
          new Variable(`optimizer.${name}.${parameter.name}`, filled(0, parameter.shape), false),
        ]),
      );
      this.state.set(parameter, state);
    }
    return state;
  }
}

const SCALAR: TensorType = { dtype: "float32", shape: [] };

function input(graph: Graph, name: string, { dtype, shape }: { dtype: TensorType["dtype"]; shape: Shape }): Tensor {
  return new Tensor(graph, graph.input(name, { dtype, shape }));
}

function batchKey({ x, y }: Batch): string {
  return `${formatType(x)}, ${formatType(y)}`;
}

function requirePositive(who: string, counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts))
    if (!Number.isSafeInteger(count) || count < 1)
      throw new UsageError(`${who}: ${name} must be a positive integer, got ${count}`);
}
