// How long a plan takes, and how right it is. Many runs go into one pass, so that clocks with coarse steps do; contenders take
// turns, so that drift hits all alike. What is clearly slower after its first sample is not sampled again.

import type { TensorData } from "../../src/core/tensorData.ts";
import { boundOf, evaluateReference } from "../../src/ops/evaluate.ts";
import { minimumBytes } from "../../src/ops/operator.ts";
import type { GpuExecutable } from "../../src/runtime/gpu/executable.ts";
import { Stopwatch } from "../../src/runtime/gpu/stopwatch.ts";
import type { Compiled } from "../../src/scheduler/schedule.ts";
import { contenderLabel, dispatchesOf, signatureOf, trafficOf, type Arena, type Contender, type Workshop } from "./contenders.ts"; // prettier-ignore
import type { Line, ProblemResult } from "./results.ts";
import { spreadOf } from "./statistics.ts";

/** What the host may bring: a clock of processor time, where to say how far things are. */
export interface BenchHost {
  /** Processor time of the whole process so far, ms. */
  readonly cpuMs?: () => number;
  /** Times are processor times: for a software adapter on a machine that has other work. */
  readonly byCpu?: boolean;
  readonly onProgress?: (text: string) => void;
  /** Called whenever more is known of a contender: checked, sampled, failed. */
  readonly onEntrant?: (entrant: Entrant) => void;
  readonly signal?: AbortSignal;
}

export interface MeasureOptions {
  /** Samples of those that are not clearly slower. */
  readonly rounds: number;
  /** Keeps the contenders whose label it accepts. */
  readonly filter?: ((label: string) => boolean) | undefined;
  /** Compare with the reference. */
  readonly check: boolean;
}

const LONG_ENOUGH_NS = 2e6;
const LONG_ENOUGH_SOFTWARE_NS = 6e6;
const MOST_REPEATS = 200;
const EMPTY_SAMPLES = 5;
/** A first run so many times as long as a sample has to be is one: nothing warms up in as long a time. */
const PATIENCE_TIMES = 20;
/** Times as slow as the fastest so far, at the best of three samples: not sampled again … */
const CLEARLY_SLOWER = 2;
const CHANCES = 3;
/** … or at the best of two. */
const HOPELESS = 8;
/** References of more operations than this take too long. */
const MOST_REFERENCE_FLOPS = 3e9;
/** Rows of a larger matrix product that are compared. */
const REFERENCE_ROWS = 16;
/** Plans that wait for their turn share this much memory; the slower ones are left out before it is exceeded. */
const MOST_WAITING_BYTES = 2 ** 29;

interface Runner {
  readonly executable: GpuExecutable;
  readonly samples: number[];
  readonly cpuSamples: number[];
  repeats: number;
}

/** Times plans by a stopwatch: one pass of so many runs that it takes long enough. */
export class PlanTimer implements Disposable {
  /** Processor time of a sample that does nothing, ns. */
  private emptyCpuNs = 0;

  private constructor(
    private readonly stopwatch: Stopwatch,
    private readonly enoughNs: number,
    private readonly host: BenchHost,
  ) {}

  static async on({ gpu }: Workshop, host: BenchHost): Promise<PlanTimer> {
    const enoughNs = gpu.adapter.isSoftware ? LONG_ENOUGH_SOFTWARE_NS : LONG_ENOUGH_NS;
    const timer = new PlanTimer(await Stopwatch.on(gpu), enoughNs, host);
    if (host.byCpu) {
      const empty = [];
      for (let i = 0; i < EMPTY_SAMPLES; i++) empty.push(await timer.time(undefined, 0));
      timer.emptyCpuNs = Math.min(...empty);
    }
    return timer;
  }

  get hasTimestamps(): boolean {
    return this.stopwatch.hasTimestamps;
  }

  /** Warms the plan up and takes its first sample. */
  async warmUp(executable: GpuExecutable): Promise<Runner> {
    const runner: Runner = { executable, samples: [], cpuSamples: [], repeats: 1 };
    const firstNs = await this.time(executable, 1); // some drivers compile in it
    if (firstNs < PATIENCE_TIMES * this.enoughNs) await this.sample(runner);
    else runner.samples.push(firstNs / 1e6);
    return runner;
  }

  /**
   * Takes a sample of so many runs that it is long enough. A run that was disturbed seems long: the number still grows when
   * that shows later, and what was sampled with too few is forgotten, as starting a pass weighed on it.
   */
  async sample(runner: Runner): Promise<void> {
    const { executable, samples, cpuSamples } = runner;
    for (;;) {
      const { repeats } = runner;
      const cpuBefore = this.host.cpuMs?.() ?? 0;
      const ns = await this.time(executable, repeats);
      if (ns < this.enoughNs / 2 && repeats < MOST_REPEATS) {
        runner.repeats = Math.min(MOST_REPEATS, Math.ceil((repeats * this.enoughNs) / Math.max(ns, 1)));
        samples.length = 0;
        cpuSamples.length = 0;
        continue;
      }
      samples.push(ns / repeats / 1e6);
      if (this.host.cpuMs) cpuSamples.push((this.host.cpuMs() - cpuBefore) / repeats);
      return;
    }
  }

  [Symbol.dispose](): void {
    this.stopwatch[Symbol.dispose]();
  }

  private async time(executable: GpuExecutable | undefined, repeats: number): Promise<number> {
    const { byCpu, cpuMs } = this.host;
    const before = cpuMs?.() ?? 0;
    const ns = await this.run(executable, repeats);
    return byCpu && cpuMs ? Math.max(0, (cpuMs() - before) * 1e6 - this.emptyCpuNs) : ns;
  }

  private run(executable: GpuExecutable | undefined, repeats: number): Promise<number> {
    return this.stopwatch.timePasses((encoder, timestamps) => {
      const pass = encoder.beginComputePass(timestamps);
      // A plan opens and ends passes by itself; here all of its runs go into one.
      const inside = {
        setPipeline: pass.setPipeline.bind(pass),
        setBindGroup: pass.setBindGroup.bind(pass),
        dispatchWorkgroups: pass.dispatchWorkgroups.bind(pass),
        end: () => undefined,
      };
      const only = { beginComputePass: () => inside } as unknown as typeof encoder;
      for (let i = 0; i < repeats; i++) executable!.encode(only);
      pass.end();
    });
  }
}

export interface Entrant {
  readonly contender: Contender;
  readonly compiled: Compiled;
  runner?: Runner;
  /** Bytes of its buffers. */
  readonly bytes: number;
  /** It takes all its turns, however slow. */
  readonly stays: boolean;
  check?: Pick<Line, "error" | "errorOverBound" | "failure">;
}

/** Measures every contender on a problem. */
export async function measureProblem(
  workshop: Workshop,
  timer: PlanTimer,
  arena: Arena,
  { rounds, filter, check }: MeasureOptions,
  host: BenchHost,
): Promise<ProblemResult> {
  const { problem, types } = arena;
  const { operator } = problem;
  const chosen = signatureOf((await workshop.chosen(arena)).plan);
  const entrants: Entrant[] = [];
  const seen = new Set<string>();
  for (const contender of await workshop.contenders(arena)) {
    if (filter && !filter(`${operator.name}/${contenderLabel(contender)}`)) continue;
    const compiled = await workshop.plan(arena, contender);
    if (typeof compiled === "string") continue;
    const signature = signatureOf(compiled.plan);
    if (seen.has(signature)) continue; // parameters that make no difference here
    seen.add(signature);
    const bytes = compiled.plan.buffers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    entrants.push({ contender, compiled, bytes, stays: signature === chosen });
  }

  await race(workshop, timer, arena, entrants, rounds, host, check ? referenceOf(arena) : undefined);

  const lines = entrants.map(({ contender, compiled: { plan }, runner, check: checked }): Line => {
    const timing = runner && spreadOf(runner.samples);
    const cpu = runner && spreadOf(runner.cpuSamples);
    return {
      strategy: contender.strategy,
      parameters: contender.parameters,
      isChosen: signatureOf(plan) === chosen,
      dispatches: dispatchesOf(plan),
      trafficBytes: trafficOf(plan),
      ...(timing && { timing }),
      ...(cpu && { cpuMs: cpu.medianMs }),
      ...checked,
    };
  });
  const bytes = minimumBytes(operator, types);
  return { family: problem.family, operator: operator.name, name: problem.name, flops: operator.flops(types), bytes, lines }; // prettier-ignore
}

/**
 * Lets the entrants take turns until all that are not clearly slower than the fastest have their samples. Those whose plans
 * would need too much memory together wait for no second turn, the slowest first.
 */
export async function race(
  workshop: Workshop,
  timer: PlanTimer,
  arena: Arena,
  entrants: readonly Entrant[],
  rounds: number,
  { onProgress, onEntrant, signal }: BenchHost,
  expected?: Expected,
): Promise<void> {
  const title = `${arena.problem.family} ${arena.problem.name}`;
  let running: Entrant[] = [];
  const leastOf = ({ runner }: Entrant): number => Math.min(...runner!.samples);
  try {
    for (const [i, entrant] of entrants.entries()) {
      signal?.throwIfAborted();
      onProgress?.(`${title}: ${contenderLabel(entrant.contender)} (${i + 1} of ${entrants.length})`);
      let executable: GpuExecutable | undefined;
      try {
        executable = await workshop.prepare(entrant.compiled);
        const { rewrite, params } = entrant.contender;
        const names = expected ? {} : { outputs: [] };
        const outputs = await executable.run(feedsOf(arena, entrant.compiled), names); // its operands stay where they are
        if (expected) {
          const values = expected.map((_, place) => outputs[String(place)]!.data);
          entrant.check = checkOf(values, expected, rewrite?.errorFactor?.(arena.types, params));
        }
        entrant.runner = await timer.warmUp(executable);
        const bestMs = Math.min(...running.map(leastOf));
        // Other work on the machine only ever adds to a sample: a slow one may be bad luck.
        for (let chance = 2; chance <= CHANCES && leastOf(entrant) > CLEARLY_SLOWER * bestMs; chance++)
          if (chance === 2 || leastOf(entrant) < HOPELESS * bestMs) await timer.sample(entrant.runner);
      } catch (error) {
        executable?.dispose();
        delete entrant.runner;
        entrant.check = { failure: error instanceof Error ? error.message.split("\n", 1)[0]! : String(error) };
        onEntrant?.(entrant);
        continue;
      }
      onEntrant?.(entrant);
      running.push(entrant);
      running.sort((a, b) => leastOf(a) - leastOf(b));
      const limit = CLEARLY_SLOWER * leastOf(running[0]!);
      let waitingBytes = 0;
      const stays = (one: Entrant, place: number): boolean => {
        waitingBytes += one.bytes;
        return one.stays || (leastOf(one) <= limit && (place === 0 || waitingBytes <= MOST_WAITING_BYTES));
      };
      const kept = running.filter(stays);
      for (const one of running) if (!kept.includes(one)) one.runner!.executable.dispose();
      running = kept;
    }
    onProgress?.(`${title}: ${running.length} of ${entrants.length} in turns`);
    for (let round = 1; round < rounds; round++)
      for (let i = 0; i < running.length; i++) {
        signal?.throwIfAborted();
        const entrant = running[(i + round) % running.length]!;
        await timer.sample(entrant.runner!);
        onEntrant?.(entrant);
      }
  } finally {
    for (const { runner } of running) runner?.executable.dispose();
  }
}

/** Values of the outputs with the bounds of their errors; `places` where not all elements are known. */
type Expected = readonly {
  readonly values: Float64Array;
  readonly bounds: Float64Array;
  readonly places?: Uint32Array;
}[];

/** What the results should be; undefined where working that out would take too long. */
export function referenceOf(arena: Arena): Expected | undefined {
  const { operator } = arena.problem;
  const { types, data } = arena;
  if (operator.flops(types) > MOST_REFERENCE_FLOPS) return rowsOfProduct(arena);
  return evaluateReference(operator, data, types).map((result, i) => ({
    values: result.values,
    bounds: boundOf(operator, types, i, result),
  }));
}

/** Of a large plain matrix product some rows, first and last ones among them; of other problems nothing. */
export function rowsOfProduct({ problem: { operator }, types, data }: Arena): Expected | undefined {
  const [a, b] = data;
  const [M, K] = a?.shape ?? [];
  if (operator.name !== "MatMul" || types.attributes["transA"] === 1 || a?.shape.length !== 2 || b?.shape.length !== 2)
    return undefined;
  const N = types.outputs[0]!.shape[1]!;
  const rows = Array.from({ length: REFERENCE_ROWS }, (_, i) => Math.floor((i * (M! - 1)) / (REFERENCE_ROWS - 1)));
  const few = new Float32Array(REFERENCE_ROWS * K!);
  rows.forEach((row, i) => few.set(a.data.subarray(row * K!, (row + 1) * K!), i * K!));
  const inputs = [{ dtype: "float32", shape: [REFERENCE_ROWS, K!] } as const, types.inputs[1]];
  const part = { ...types, inputs, outputs: operator.infer(inputs, types.attributes) };
  const [result] = evaluateReference(operator, [{ ...inputs[0]!, data: few }, b], part);
  const places = Uint32Array.from({ length: REFERENCE_ROWS * N }, (_, i) => rows[Math.floor(i / N)]! * N + (i % N));
  return [{ values: result!.values, bounds: boundOf(operator, part, 0, result!), places }];
}

function feedsOf({ data }: Arena, { plan }: Compiled): Record<string, TensorData> {
  return Object.fromEntries(Object.keys(plan.inputs).map((name) => [name, data[Number(name)]!]));
}

/** How far outputs are from what is expected. */
export function checkOf(
  outputs: readonly ArrayLike<number>[],
  expected: Expected,
  factor = 1,
): Pick<Line, "error" | "errorOverBound" | "failure"> {
  let error = 0;
  let errorOverBound = 0;
  let failure: string | undefined;
  for (const [i, { values, bounds, places }] of expected.entries()) {
    const output = outputs[i]!;
    const actual = places ? Float64Array.from(places, (place) => output[place]!) : output;
    let largest = 0;
    let most = 0;
    for (let j = 0; j < values.length; j++) {
      const value = values[j]!;
      largest = Math.max(largest, Math.abs(value));
      const off = actual[j] === Math.fround(value) ? 0 : Math.abs(actual[j]! - value);
      if (off === 0) continue;
      const share = off / (factor * bounds[j]!);
      if (!(share <= 1)) failure ??= `element ${j} is ${actual[j]} instead of ${value}`;
      if (!(off <= most)) most = off;
      if (!(share <= errorOverBound)) errorOverBound = share;
    }
    error = Math.max(error, largest > 0 ? most / largest : most);
  }
  return { error, errorOverBound, ...(failure !== undefined && { failure }) };
}
