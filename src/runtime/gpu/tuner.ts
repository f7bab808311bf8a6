// Measures what the cost model only estimates: for every problem of a graph each strategy and parameter set, rewrites too,
// on the adapter itself. A candidate runs as a plan of its own, so that all kinds are timed alike. It is checked first,
// against the reference, or, where that would take too long, against the naive kernel; then those that are not clearly
// slower than the best take turns, and the least median wins. Work goes by weight: problems that cost a run most come first.

import { dtypes, isFloat } from "../../core/dtype.ts";
import { DeviceLostError, UnsupportedError, UsageError, throwIfAborted } from "../../core/errors.ts";
import { formatShape, sizeOf, type TensorType } from "../../core/shape.ts";
import type { TensorData } from "../../core/tensorData.ts";
import type { Gpu } from "../../device/gpu.ts";
import type { Graph, Node } from "../../graph/graph.ts";
import { boundOf, evaluateReference } from "../../ops/evaluate.ts";
import { EPSILON, minimumBytes, type Operator, type Problem } from "../../ops/operator.ts";
import type { AdapterTraits } from "../../scheduler/choose.ts";
import { formatTable, parametersLabel } from "../../scheduler/plan.ts";
import { knownOperands } from "../../scheduler/expand.ts";
import type { ScheduleOptions, Toolbox } from "../../scheduler/schedule.ts";
import { traitsOf, type Ceilings } from "../../scheduler/traits.ts";
import { TuningTable, problemKey, type Ban } from "../../scheduler/tuning.ts";
import { parameterSets, type AnyRewrite, type AnyStrategy, type Parameters } from "../../../shaders/strategy.ts";
import type { Executable, Executor } from "../executor.ts";
import type { Model } from "../model.ts";
import { measureCeilings } from "./ceilings.ts";
import { Stopwatch } from "./stopwatch.ts";
import { defaultTuningStore, forgetful, type TuningStore } from "./tuningStore.ts";

/** What can be tuned: a graph's problems, those of a compiled model, or of each plan of an ONNX model. */
export type TuningTarget = Graph | Model | { readonly models: readonly Model[] };

export interface TuneOptions {
  /** Milliseconds to spend; problems that are not reached keep the cost model's choice. Default 10,000. */
  readonly budgetMs?: number;
  /** Measure again what the table knows. Default false. */
  readonly again?: boolean;
  readonly onProgress?: (progress: TuneProgress) => void;
  /** Ends tuning; what was measured is kept. */
  readonly signal?: AbortSignal;
}

export interface TuneProgress {
  /** Problems that are done, of how many. */
  readonly done: number;
  readonly total: number;
  /** The candidate at hand: `MatMul [64, 400] [120, 400]: tiled tile=16`. */
  readonly what: string;
}

/** What was found for one problem. */
export interface TunedProblem {
  /** `MatMul [64, 400] [120, 400]`. */
  readonly problem: string;
  /** What the cost model would have taken, and the winner. */
  readonly untuned: TunedCandidate;
  readonly best: TunedCandidate;
  readonly measured: number;
}
interface TunedCandidate {
  readonly strategy: string;
  readonly ms: number;
}

export class TuneReport {
  constructor(
    readonly adapter: string,
    readonly problems: readonly TunedProblem[],
    /** Problems that were not reached within the budget. */
    readonly skipped: number,
    /** Problems that the table knew. */
    readonly known: number,
    /** Strategies found to be wrong here. */
    readonly bans: readonly Ban[],
  ) {}

  toString(): string {
    const rows = this.problems.map(({ problem, untuned, best, measured }) => [
      problem,
      untuned.strategy,
      untuned.ms.toFixed(3),
      best.strategy,
      best.ms.toFixed(3),
      `${(untuned.ms / best.ms).toFixed(2)}×`,
      `${measured}`,
    ]);
    const table = formatTable(["problem", "untuned", "ms", "tuned", "ms", "faster", "measured"], rows);
    const bans = this.bans.map(
      ({ operator, strategy, reason }) => `\nnot used here: ${operator}/${strategy}: ${reason}`,
    );
    return `${table}\n${rows.length} problems tuned on ${this.adapter}, ${this.known} known before, ${this.skipped} not reached${bans.join("")}`;
  }
}

/** What the tuner works with: the engine's parts. */
export interface TunerParts extends Pick<ScheduleOptions, "loadStrategies" | "limits"> {
  readonly gpu: Gpu;
  readonly executor: Executor;
  readonly loadRewrites: NonNullable<ScheduleOptions["loadRewrites"]>;
  /** What the cost model assumes of adapters of this kind. */
  readonly traits: AdapterTraits;
  readonly tools: Toolbox;
  readonly store: TuningStore;
}

/** The engine's parts as it has them. Throws UnsupportedError where nothing can be measured. */
export async function makeTuner(
  { gpu, ...parts }: Omit<TunerParts, "gpu" | "store"> & { readonly gpu: Gpu | undefined },
  tuning: boolean | TuningStore | undefined,
): Promise<Tuner> {
  if (!gpu)
    throw new UnsupportedError("tuning: the CPU backend has no kernels to choose from; create an engine on a GPU");
  const store = typeof tuning === "object" ? tuning : tuning === false ? forgetful : await defaultTuningStore();
  return new Tuner({ ...parts, gpu, store });
}

/** The CPU reference checks candidates up to this many operations; beyond, the naive kernel does. */
const REFERENCE_FLOPS = 2e7;
/** Estimated or measured times so many times the best are not worth another look. */
const HOPELESS_ESTIMATE = 16;
const CLEARLY_SLOWER = 1.8;
/** Rounds that the best take turns in; more, where they take next to no time. */
const ROUNDS = 7;
const MOST_ROUNDS = 21;
const ROUNDS_MS = 200;
/** Good enough: this near to what the adapter's ceilings allow, once a few have been measured. */
const NEAR_BOUND = 1.15;
const ENOUGH = 3;
/** What is not faster by more than this is no reason to leave the cost model's choice. */
const TIE = 1.04;
/** Caches may hold so much, faster than the ceiling of memory says. */
const CACHED_BYTES = 2 ** 26;
const SURVIVORS = 4;
/** A candidate is judged by the best of so many samples, if they are short: something else may have been running. */
const FIRST_SAMPLES = 6;
const SHORT_NS = 1e7;
/** So many runs make a sample that it is as long as this: a browser's clock has steps of 0.1 ms, and threads wake late. */
const LONG_ENOUGH_NS = 1e6;
const MOST_REPEATS = 64;
const DEFAULT_BUDGET_MS = 10_000;

/** One way to run a problem. */
interface Candidate {
  readonly name: string;
  readonly params: Parameters;
  readonly label: string;
  readonly kernel: AnyStrategy | undefined;
  readonly rewrite: AnyRewrite | undefined;
  readonly estimatedMs: number;
}

/** A problem of the targets, with what it is measured on. */
interface Task {
  readonly operator: Operator;
  readonly problem: Problem;
  readonly isConstant: readonly boolean[];
  readonly label: string;
  readonly data: readonly (TensorData | undefined)[];
  candidates: readonly Candidate[];
  /** Estimated ms of all its occurrences. */
  weight: number;
}

/** What a GPU's executor prepares. */
interface GpuRun extends Executable {
  encode(encoder: ReturnType<Gpu["device"]["createCommandEncoder"]>): void;
}

interface Running {
  readonly candidate: Candidate;
  readonly executable: GpuRun;
  readonly samples: number[];
}

/** Expected values with their bounds. */
type Expected = readonly { readonly values: ArrayLike<number>; readonly bounds: ArrayLike<number> }[];

export class Tuner {
  readonly table: TuningTable;
  private restored: Promise<void> | undefined;

  constructor(private readonly parts: TunerParts) {
    const { gpu, limits, tools } = parts;
    this.table = new TuningTable(gpu.adapter.name, limits, tools);
  }

  /** The cost model's numbers: measured, where ceilings are known. */
  get traits(): AdapterTraits {
    const { gpu, traits } = this.parts;
    const { ceilings } = this.table;
    return ceilings ? traitsOf(ceilings, traits, gpu.adapter.isSoftware) : traits;
  }

  /** Reads what was kept for this adapter, once. */
  restore(): Promise<void> {
    return (this.restored ??= this.parts.store.load(this.table.adapter).then((data) => {
      if (data !== undefined) this.table.add(data);
    }));
  }

  /** The adapter's ceilings: what the table says, or, where it does not or `again` is asked for, measured now. */
  async measure(signal?: AbortSignal, again = false): Promise<Ceilings> {
    await this.restore();
    if (again || !this.table.ceilings) {
      this.table.ceilings = await measureCeilings(this.parts.gpu, signal);
      await this.save();
    }
    return this.table.ceilings;
  }

  async tune(targets: TuningTarget | readonly TuningTarget[], options: TuneOptions = {}): Promise<TuneReport> {
    const { budgetMs = DEFAULT_BUDGET_MS, again = false, onProgress, signal } = options;
    if (!(budgetMs > 0)) throw new UsageError(`tune: a budget of ${budgetMs} ms; expected more than 0`);
    throwIfAborted(signal);
    const began = performance.now();
    await this.measure(signal, again);
    const { models, graphs } = this.collect(
      Array.isArray(targets) ? (targets as TuningTarget[]) : [targets as TuningTarget],
    );
    const { tasks, known } = await this.tasks(graphs, again);
    const found: TunedProblem[] = [];
    const bansBefore = this.table.bans.length;
    let reached = 0;
    try {
      using stopwatch = await Stopwatch.on(this.parts.gpu);
      let weightLeft = tasks.reduce((sum, { weight }) => sum + weight, 0);
      for (const task of tasks) {
        throwIfAborted(signal);
        const leftMs = budgetMs - (performance.now() - began);
        if (leftMs <= 0) break;
        const share = Math.max(leftMs / (tasks.length - reached) / 2, (leftMs * task.weight) / weightLeft);
        weightLeft -= task.weight;
        const tuned = await this.tuneOne(task, stopwatch, performance.now() + Math.min(leftMs, share), (candidate) => {
          throwIfAborted(signal);
          onProgress?.({ done: reached, total: tasks.length, what: `${task.label}: ${candidate}` });
        });
        reached++;
        if (tuned) found.push(tuned);
        throwIfAborted(signal);
      }
      onProgress?.({ done: reached, total: tasks.length, what: "" });
    } finally {
      if (found.length > 0) await this.save();
    }
    for (const model of models) await model.recompile();
    const { adapter, bans } = this.table;
    return new TuneReport(adapter, found, tasks.length - reached, known, bans.slice(bansBefore));
  }

  private save(): Promise<void> {
    const { table } = this;
    const data = table.toJSON();
    return this.parts.store.save(table.adapter, {
      ...data,
      adapters: { [table.adapter]: data.adapters[table.adapter]! },
    });
  }

  private collect(targets: readonly TuningTarget[]): { models: Model[]; graphs: Graph[] } {
    const models: Model[] = [];
    const graphs: Graph[] = [];
    for (const target of targets) {
      if (target instanceof this.parts.tools.Graph) {
        graphs.push(this.parts.tools.eliminate(target));
        continue;
      }
      const own = "models" in target ? target.models : [target];
      if (own.length === 0)
        throw new UsageError("tune: nothing is compiled yet; run the model once, or prepare it for the shapes to come");
      models.push(...own);
    }
    return { models, graphs: [...graphs, ...models.map(({ graph }) => graph)] };
  }

  /** The problems of the graphs, those that take most time first. Pointwise code is left to the cost model. */
  private async tasks(graphs: readonly Graph[], again: boolean): Promise<{ tasks: Task[]; known: number }> {
    const byKey = new Map<string, { node: Node; graph: Graph; count: number }>();
    for (const graph of graphs)
      for (const node of graph.nodes) {
        const { operator, outputs } = node;
        if (operator.pointwise || operator.alias || outputs.some(({ shape }) => sizeOf(shape) === 0)) continue;
        const isConstant = knownOperands(graph, node);
        const key = problemKey(operator, node, isConstant);
        const seen = byKey.get(key);
        if (seen) seen.count++;
        else byKey.set(key, { node, graph, count: 1 });
      }
    const tasks: Task[] = [];
    let known = 0;
    for (const { node, graph, count } of byKey.values()) {
      const isConstant = knownOperands(graph, node);
      if (!again && this.table.entry(node.operator, node, isConstant)) {
        known++;
        continue;
      }
      const data = node.inputs.map((value, i) => (isConstant[i] ? graph.constants.get(value!) : undefined));
      const task = await this.task(node.operator, node, isConstant, data);
      if (task.candidates.length < 2) continue;
      task.weight *= count;
      tasks.push(task);
    }
    return { tasks: tasks.sort((a, b) => b.weight - a.weight), known };
  }

  private async task(
    operator: Operator,
    given: Problem,
    isConstant: readonly boolean[],
    constants: readonly (TensorData | undefined)[],
  ): Promise<Task> {
    const { limits, loadStrategies, loadRewrites } = this.parts;
    const type = ({ dtype, shape }: TensorType): TensorType => ({ dtype, shape });
    const inputs = given.inputs.map((input) => input && type(input));
    const problem: Problem = { inputs, outputs: given.outputs.map(type), attributes: given.attributes };
    const smallest = Math.min(...(inputs[0]?.shape ?? []), 16);
    const data = inputs.map((input, i) => constants[i] ?? (input && scatteredTensor(input, smallest, i + 1)));
    const candidates: Candidate[] = [];
    const accepted = (strategy: AnyStrategy | AnyRewrite): Parameters[] =>
      this.isBanned(operator, strategy.name)
        ? []
        : parameterSets(strategy).filter((params) => strategy.supports(problem, limits, params) === true);
    for (const kernel of await loadStrategies(operator.name, [problem]))
      for (const params of accepted(kernel)) {
        const one = { ...kernel, params: settled(params) };
        const estimatedMs = this.estimate(operator, problem, one);
        if (estimatedMs === undefined) continue;
        const label = parametersLabel(kernel.name, params);
        candidates.push({ name: kernel.name, params, label, kernel, rewrite: undefined, estimatedMs });
      }
    candidates.sort((a, b) => a.estimatedMs - b.estimatedMs);
    const best = candidates[0]?.estimatedMs ?? 0;
    for (const rewrite of await loadRewrites(operator.name, [problem]))
      for (const params of accepted(rewrite)) {
        const label = parametersLabel(rewrite.name, params);
        candidates.push({ name: rewrite.name, params, label, kernel: undefined, rewrite, estimatedMs: best });
      }
    const shapes = inputs.map((input) => (input ? formatShape(input.shape) : "-")).join(" ");
    return { operator, problem, isConstant, label: `${operator.name} ${shapes}`, data, candidates, weight: best };
  }

  private isBanned({ name }: Operator, strategy: string): boolean {
    return this.table.bans.some((ban) => ban.operator === name && ban.strategy === strategy);
  }

  private estimate(operator: Operator, problem: Problem, strategy: AnyStrategy): number | undefined {
    try {
      const choice = { limits: this.parts.limits, traits: this.traits, forced: undefined, isKnown: () => true };
      return this.parts.tools.chooseStrategy(operator, problem, [strategy], choice).estimatedMs;
    } catch {
      return undefined; // too many workgroups
    }
  }

  private async tuneOne(
    task: Task,
    stopwatch: Stopwatch,
    untilMs: number,
    onCandidate: (label: string) => void,
  ): Promise<TunedProblem | undefined> {
    const { operator, problem, isConstant } = task;
    const ceilings = this.table.ceilings!;
    const bytes = minimumBytes(operator, problem);
    const boundNs = Math.max(
      operator.flops(problem) / ceilings.gflops,
      bytes > CACHED_BYTES ? bytes / ceilings.gigabytesPerSecond : 0,
    );
    let running: Running[] = [];
    const leastOf = ({ samples }: Running): number => Math.min(...samples);
    const drop = (one: Running): void => {
      one.executable.dispose();
    };
    const untuned = await this.untuned(task);
    const order = [...task.candidates].sort((a, b) => Number(b.label === untuned) - Number(a.label === untuned));
    const [first] = order;
    let untunedMs = NaN;
    let measured = 0;
    let expected: Expected | undefined;
    try {
      for (const candidate of order) {
        const best = Math.min(...running.map(leastOf));
        const isGood = measured >= ENOUGH && best <= NEAR_BOUND * boundNs;
        if (candidate !== first && (performance.now() > untilMs || isGood)) break;
        if (this.isBanned(operator, candidate.name)) continue; // found wrong with other parameters
        if (candidate.kernel && candidate.estimatedMs > HOPELESS_ESTIMATE * first!.estimatedMs) continue;
        onCandidate(candidate.label);
        expected ??= await this.expected(task);
        const executable = await this.prepare(task, candidate, expected);
        if (!executable) continue;
        measured++;
        const one: Running = { candidate, executable, samples: [] };
        do await sample(stopwatch, one);
        while (one.samples.length < FIRST_SAMPLES && one.samples[0]! < SHORT_NS);
        if (candidate === first) untunedMs = leastOf(one) * 1e-6;
        if (leastOf(one) > CLEARLY_SLOWER * best) drop(one);
        else running.push(one);
        const limit = CLEARLY_SLOWER * Math.min(...running.map(leastOf));
        running.sort((a, b) => leastOf(a) - leastOf(b));
        running.filter((other, i) => i >= SURVIVORS || leastOf(other) > limit).forEach(drop);
        running = running.filter((other, i) => i < SURVIVORS && leastOf(other) <= limit);
      }
      const began = performance.now();
      for (let round = 1; running.length > 1; round++) {
        const isEnough = round >= ROUNDS && (round >= MOST_ROUNDS || performance.now() - began > ROUNDS_MS);
        if (isEnough || (round > 3 && performance.now() > untilMs)) break;
        for (const one of running) await sample(stopwatch, one);
      }
      const [best] = running.sort((a, b) => this.score(a.samples) - this.score(b.samples));
      if (!best || measured < 2) return undefined;
      const before = running.find(({ candidate }) => candidate === first);
      const isTie = before && this.score(before.samples) <= TIE * this.score(best.samples);
      const winner = isTie ? before : best;
      const { name, params, kernel, rewrite, label } = winner.candidate;
      const ms = this.score(winner.samples) * 1e-6;
      const hash = rewrite
        ? this.table.rewriteHash(rewrite, problem, params)
        : this.table.kernelHash(operator, kernel!, problem, params);
      this.table.record(operator, isConstant, { problem, strategy: name, params, ms, hash });
      return {
        problem: task.label,
        untuned: { strategy: first!.label, ms: before ? this.score(before.samples) * 1e-6 : untunedMs },
        best: { strategy: label, ms },
        measured,
      };
    } finally {
      running.forEach(drop);
    }
  }

  /** The median; on a software adapter the least, as what else the CPU does only ever adds. */
  private score(samples: readonly number[]): number {
    const sorted = [...samples].sort((a, b) => a - b);
    return sorted[this.parts.gpu.adapter.isSoftware ? 0 : sorted.length >> 1]!;
  }

  /** Label of what the cost model takes: a kernel or a rewrite. */
  private async untuned(task: Task): Promise<string | undefined> {
    const { plan } = await this.plan(task, {});
    const step = plan.steps.find((one) => one.kind === "dispatch");
    return step && (step.rewrite ?? parametersLabel(step.strategy, step.params));
  }

  private plan(
    { operator, problem, isConstant, data }: Task,
    given: Pick<ScheduleOptions, "strategies"> & Partial<ScheduleOptions>,
  ): ReturnType<Toolbox["schedule"]> {
    const { limits, loadStrategies, loadRewrites, tools } = this.parts;
    const graph = new tools.Graph();
    const operands = problem.inputs.map((type, i) => {
      if (!type) return undefined;
      return isConstant[i] ? graph.constant(data[i]!) : graph.input(String(i), type);
    });
    graph.append(operator, operands, problem.attributes, problem.outputs, operator.name).outputs.forEach((value, i) => {
      graph.output(String(i), value);
    });
    return tools.schedule(graph, { limits, traits: this.traits, loadStrategies, loadRewrites, ...given });
  }

  /** Compiles a candidate alone. */
  private async compile(task: Task, { name, params, kernel, rewrite }: Candidate): Promise<GpuRun> {
    const { loadStrategies, loadRewrites, executor } = this.parts;
    const own = task.operator.name;
    const compiled = await this.plan(task, {
      strategies: { [own]: name },
      // Parts of a rewrite may be of the same operator; theirs is the usual choice.
      loadStrategies: (operatorName, problems) =>
        kernel && operatorName === own
          ? Promise.resolve([{ ...kernel, params: settled(params) }])
          : loadStrategies(operatorName, problems),
      loadRewrites: (operatorName, problems) =>
        operatorName !== own
          ? loadRewrites(operatorName, problems)
          : Promise.resolve(rewrite ? [{ ...rewrite, params: settled(params) }] : []),
      tuning: this.table,
    });
    return (await executor.prepare(compiled)) as GpuRun;
  }

  /** The candidate, checked and warm; undefined, and a ban, where it is wrong or does not compile. */
  private async prepare(task: Task, candidate: Candidate, expected: Expected): Promise<GpuRun | undefined> {
    let executable: GpuRun | undefined;
    let reason: string | undefined;
    try {
      executable = await this.compile(task, candidate);
      reason = await wrong(executable, task, expected, candidate);
    } catch (error) {
      if (error instanceof DeviceLostError) throw error;
      reason = (error as Error).message.split("\n", 1)[0];
    }
    if (reason === undefined) return executable;
    executable?.dispose();
    if (candidate.name !== "naive") {
      this.table.ban({
        operator: task.operator.name,
        strategy: candidate.name,
        reason: `${candidate.label} on ${task.label}: ${reason}`,
      });
      console.warn(`neurite: ${task.operator.name}/${candidate.name} is not used on ${this.table.adapter}: ${reason}`);
    }
    return undefined;
  }

  /** From the reference; or from the naive kernel, with bounds by what it makes of the operands' magnitudes. */
  private async expected(task: Task): Promise<Expected> {
    const { operator, problem, data } = task;
    if (operator.flops(problem) <= REFERENCE_FLOPS)
      return evaluateReference(operator, data, problem).map((result, i) => ({
        values: result.values,
        bounds: boundOf(operator, problem, i, result),
      }));
    const naive = task.candidates.find(({ name }) => name === "naive");
    if (!naive) return [];
    const magnitudes = data.map(
      (tensor) => tensor && { ...tensor, data: tensor.data.map(Math.abs) as typeof tensor.data },
    );
    const results: { data: ArrayLike<number> }[][] = [];
    for (const operands of [data, magnitudes]) {
      using executable = await this.compile({ ...task, data: operands }, naive);
      const outputs = await executable.run(feedsOf(executable, operands));
      results.push(problem.outputs.map((_, i) => outputs[String(i)]!));
    }
    const k = 4 * operator.errorBound(problem) * EPSILON;
    return problem.outputs.map(({ dtype }, i) => {
      const [values, terms] = results.map((outputs) => outputs[i]!.data);
      const bounds = Float64Array.from(values!, (value, j) =>
        isFloat(dtype) ? k * Math.max(Math.abs(value), Math.abs(terms![j]!)) : 0,
      );
      return { values: values!, bounds };
    });
  }
}

/** What the first wrong element is, or undefined. */
async function wrong(
  executable: GpuRun,
  { problem, data }: Task,
  expected: Expected,
  { rewrite, params }: Candidate,
): Promise<string | undefined> {
  const outputs = await executable.run(feedsOf(executable, data));
  const factor = rewrite?.errorFactor?.(problem, params) ?? 1;
  for (const [i, { values, bounds }] of expected.entries()) {
    const actual = outputs[String(i)]!.data;
    for (let j = 0; j < actual.length; j++) {
      const off = Math.abs(actual[j]! - values[j]!);
      // float32 values are compared with the reference's nearest float32
      if (off <= factor * bounds[j]! || actual[j] === Math.fround(values[j]!) || Object.is(actual[j], values[j]))
        continue;
      return `element ${j} is ${actual[j]} instead of ${values[j]}`;
    }
  }
  return undefined;
}

function feedsOf(
  { compiled: { plan } }: GpuRun,
  data: readonly (TensorData | undefined)[],
): Record<string, TensorData> {
  return Object.fromEntries(Object.keys(plan.inputs).map((name) => [name, data[Number(name)]!]));
}

/** Adds the nanoseconds of one run to the samples: the mean of as many in one pass as make it long enough. */
async function sample(stopwatch: Stopwatch, { executable, samples }: Running): Promise<void> {
  const repeats = Math.min(MOST_REPEATS, Math.ceil(LONG_ENOUGH_NS / Math.min(LONG_ENOUGH_NS / 4, ...samples)));
  const ns = await stopwatch.timePasses((encoder, timestamps) => {
    const pass = encoder.beginComputePass(timestamps);
    // One pass for all: the plan begins and ends passes of its own, which this encoder does not do.
    const inside = {
      setPipeline: pass.setPipeline.bind(pass),
      setBindGroup: pass.setBindGroup.bind(pass),
      dispatchWorkgroups: pass.dispatchWorkgroups.bind(pass),
      end: () => undefined,
    };
    const only = { beginComputePass: () => inside } as unknown as typeof encoder;
    for (let i = 0; i < repeats; i++) executable.encode(only);
    pass.end();
  });
  samples.push(Math.max(1, ns / repeats));
}

function settled(params: Parameters): AnyStrategy["params"] {
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, [value]]));
}

/** Floats in [-1, 1), truth values, and integers that are places along any axis of the first operand. */
function scatteredTensor({ dtype, shape }: TensorType, smallest: number, seed: number): TensorData {
  const data = dtypes[dtype].create(sizeOf(shape));
  const high = dtype === "bool" ? 2 : smallest;
  for (let i = 0; i < data.length; i++) {
    const share = (Math.imul(i + 1009 * seed, 0x9e3779b1) >>> 0) / 2 ** 32; // multiples of the golden ratio
    data[i] = isFloat(dtype) ? 2 * share - 1 : Math.floor(high * share);
  }
  return { dtype, shape, data };
}
