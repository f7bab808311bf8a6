// The Kernel Lab without its face: one device on which the variants of a problem race, live, and on which a kernel whose text
// was edited runs in the plan of the one it came from, in turns with it, judged by the same reference.

import { acquireGpu } from "../../src/device/acquire.ts";
import type { Gpu } from "../../src/device/gpu.ts";
import { minimumBytes } from "../../src/ops/operator.ts";
import { Plan } from "../../src/scheduler/plan.ts";
import type { Compiled } from "../../src/scheduler/schedule.ts";
import { arenaOf, contenderLabel, dispatchesOf, signatureOf, trafficOf, Workshop, type Arena } from "./contenders.ts";
import { measureBenchCeilings } from "./ceilings.ts";
import { joinKernels, placeIn, splitKernels } from "./kernelText.ts";
import { measureProblem, PlanTimer, race, referenceOf, type Entrant } from "./measure.ts";
import { operatorNamed, type BenchProblem } from "./problems.ts";
import type { BenchCeilings } from "./results.ts";
import { quantile } from "./statistics.ts";

/** A problem by names and numbers. */
export interface LabProblem extends Pick<BenchProblem, "inputs" | "attributes" | "constants" | "dtype"> {
  /** The operator's ONNX name. */
  readonly operator: string;
}

/** How a variant is asked for again. */
export interface VariantName {
  readonly strategy: string;
  /** `rows=4 columns=8`, or empty. */
  readonly params: string;
}

/** One way to run a problem: a strategy with its parameters. */
export interface Variant extends VariantName {
  /** Its place in the list of the problem. */
  readonly id: number;
  /** What Neurite would run by itself. */
  readonly isChosen: boolean;
  /** Dispatches of one run: more than one for rewrites. */
  readonly dispatches: number;
  /** Bytes it moves to and from memory. */
  readonly trafficBytes: number;
}

/** A strategy that cannot run the problem. */
export interface Refusal {
  readonly strategy: string;
  readonly reason: string;
}

/** A problem, and all that will race on it. */
export interface Field {
  readonly variants: readonly Variant[];
  readonly refusals: readonly Refusal[];
  readonly flops: number;
  readonly minimumBytes: number;
}

/** Times of one variant so far. */
export interface Timing {
  readonly medianMs: number;
  readonly lowMs: number;
  readonly highMs: number;
  readonly samples: number;
}

/** Result against the float64 reference. */
export interface Check {
  readonly passed: boolean;
  /** max |y - reference| / max |reference| */
  readonly error: number;
  /** Largest error as a share of the bound its element has. */
  readonly errorOverBound: number;
}

/** What is known of a variant by now. */
export interface Standing {
  readonly timing?: Timing;
  readonly check?: Check;
  /** Why it did not run. */
  readonly failure?: string;
}

/** A message of the shader compiler. */
export interface Complaint {
  readonly severity: "error" | "warning" | "info";
  /** 1-based line and column, and length in characters; 0 where the compiler does not say. */
  readonly line: number;
  readonly column: number;
  readonly length: number;
  readonly text: string;
}

/** What came of an edited text: complaints, and where there is no error among them how it does beside the original. */
export interface Trial {
  readonly complaints: readonly Complaint[];
  readonly original?: Standing;
  readonly edited?: Standing;
}

export interface LabWatch {
  readonly onProgress: (text: string, share: number) => void;
  readonly signal: AbortSignal;
}

export interface RaceWatch extends LabWatch {
  readonly onCeilings: (ceilings: BenchCeilings) => void;
  readonly onField: (field: Field) => void;
  readonly onStanding: (id: number, standing: Standing) => void;
}

/** Samples of a variant in a sweep, where the order counts and not the third digit. */
const SWEEP_ROUNDS = 3;

export class KernelLab implements Disposable {
  private ceilings: BenchCeilings | undefined;

  private constructor(
    private readonly gpu: Gpu,
    private readonly workshop: Workshop,
    private readonly timer: PlanTimer,
  ) {}

  static async open(): Promise<KernelLab> {
    const gpu = await acquireGpu({ log: () => undefined });
    const workshop = new Workshop(gpu);
    return new KernelLab(gpu, workshop, await PlanTimer.on(workshop, {}));
  }

  get adapter(): { readonly name: string; readonly isSoftware: boolean } {
    return this.gpu.adapter;
  }

  /** Races all variants. */
  async race(problem: LabProblem, rounds: number, watch: RaceWatch): Promise<void> {
    const { onCeilings, onField, onStanding, onProgress, signal } = watch;
    onProgress("Measuring what this adapter can do", 0);
    this.ceilings ??= await measureBenchCeilings(this.gpu, await this.workshop.tuner.measure(signal));
    onCeilings(this.ceilings);
    onProgress("Planning every variant", 0);
    const arena = arenaNamed(problem);
    const { entrants, refusals } = await this.entrants(arena);
    const { operator } = arena.problem;
    const variants = entrants.map(
      ({ contender, compiled, stays }, id): Variant => ({
        id,
        strategy: contender.strategy,
        params: contender.parameters,
        isChosen: stays,
        dispatches: dispatchesOf(compiled.plan),
        trafficBytes: trafficOf(compiled.plan),
      }),
    );
    const flops = operator.flops(arena.types);
    onField({ variants, refusals, flops, minimumBytes: minimumBytes(operator, arena.types) });
    onProgress("Working out the reference", 0);
    const expected = referenceOf(arena);
    let looks = 0;
    const host = {
      signal,
      onEntrant: (entrant: Entrant) => {
        looks++;
        onStanding(entrants.indexOf(entrant), standingOf(entrant));
      },
      onProgress: (text: string) => {
        onProgress(text, Math.min(1, looks / entrants.length));
      },
    };
    await race(this.workshop, this.timer, arena, entrants, rounds, host, expected);
  }

  /** The WGSL of a variant; several kernels under a line each. */
  async source(problem: LabProblem, variant: VariantName): Promise<string> {
    const { compiled } = await this.entrant(arenaNamed(problem), variant);
    return joinKernels(compiled.plan.kernels.map(({ wgsl }) => wgsl));
  }

  /** Runs an edited text in place of the variant's own. */
  async try(problem: LabProblem, variant: VariantName, text: string, rounds: number, watch: LabWatch): Promise<Trial> {
    const arena = arenaNamed(problem);
    const original = await this.entrant(arena, variant);
    const { kernels } = original.compiled.plan;
    const texts = splitKernels(text, kernels.length);
    watch.onProgress("Compiling", 0);
    const complaints: Complaint[] = [];
    for (const [i, wgsl] of texts.entries())
      complaints.push(...(await this.compile(wgsl)).map((complaint) => placeIn(text, i, complaint)));
    if (complaints.some(({ severity }) => severity === "error")) return { complaints };
    const plan = new Plan(
      Object.assign({}, original.compiled.plan, {
        kernels: kernels.map((kernel, i) => ({ ...kernel, wgsl: texts[i]! })),
      }),
    );
    const edited: Entrant = { ...original, compiled: { ...original.compiled, plan } };
    const host = {
      signal: watch.signal,
      onProgress: (what: string) => {
        watch.onProgress(what, 0.5);
      },
    };
    await race(this.workshop, this.timer, arena, [original, edited], rounds, host, referenceOf(arena));
    return { complaints, original: standingOf(original), edited: standingOf(edited) };
  }

  /** The best time of every strategy on each of the problems. */
  async sweep(
    problems: readonly LabProblem[],
    { onProgress, signal }: LabWatch,
    onTime: (place: number, strategy: string, timeMs: number) => void,
  ): Promise<void> {
    for (const [place, problem] of problems.entries()) {
      const how = { rounds: SWEEP_ROUNDS, check: false };
      const host = {
        signal,
        onProgress: (text: string) => {
          onProgress(text, place / problems.length);
        },
      };
      const { lines } = await measureProblem(this.workshop, this.timer, arenaNamed(problem), how, host);
      const best = new Map<string, number>();
      for (const { strategy, timing } of lines)
        if (timing) best.set(strategy, Math.min(timing.medianMs, best.get(strategy) ?? Infinity));
      for (const [strategy, timeMs] of best) onTime(place, strategy, timeMs);
    }
  }

  dispose(): void {
    this.timer[Symbol.dispose]();
    this.workshop[Symbol.dispose]();
    this.gpu.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** All that take the problem, each with a plan; those that do not, with their reason. */
  private async entrants(arena: Arena): Promise<{ entrants: Entrant[]; refusals: Refusal[] }> {
    const chosen = signatureOf((await this.workshop.chosen(arena)).plan);
    const entrants: Entrant[] = [];
    const reasons = new Map<string, string>();
    const seen = new Set<string>();
    for (const contender of await this.workshop.contenders(arena)) {
      const compiled = await this.workshop.plan(arena, contender);
      if (typeof compiled === "string") {
        if (!reasons.has(contender.strategy)) reasons.set(contender.strategy, compiled);
        continue;
      }
      const signature = signatureOf(compiled.plan);
      if (seen.has(signature)) continue; // parameters that make no difference here
      seen.add(signature);
      entrants.push({ contender, compiled, bytes: bytesOf(compiled), stays: signature === chosen });
    }
    const taken = new Set(entrants.map(({ contender }) => contender.strategy));
    const refusals = [...reasons].filter(([strategy]) => !taken.has(strategy));
    return { entrants, refusals: refusals.map(([strategy, reason]) => ({ strategy, reason })) };
  }

  private async entrant(arena: Arena, { strategy, params }: VariantName): Promise<Entrant> {
    const contender = (await this.workshop.contenders(arena)).find(
      (one) => one.strategy === strategy && one.parameters === params,
    );
    if (!contender) throw new Error(`${arena.problem.operator.name} has no variant ${strategy} ${params}`);
    const compiled = await this.workshop.plan(arena, contender);
    if (typeof compiled === "string") throw new Error(`${contenderLabel(contender)}: ${compiled}`);
    return { contender, compiled, bytes: bytesOf(compiled), stays: true };
  }

  /** What the compiler says of a text. */
  private async compile(wgsl: string): Promise<Complaint[]> {
    const { device } = this.gpu;
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ code: wgsl });
    void device.popErrorScope();
    const { messages } = await module.getCompilationInfo();
    return [...messages].map(({ type, lineNum, linePos, length, message }) => ({
      severity: type,
      line: lineNum,
      column: linePos,
      length,
      text: message,
    }));
  }
}

const arenaNamed = ({ operator, ...rest }: LabProblem): Arena =>
  arenaOf({ ...rest, operator: operatorNamed(operator), family: operator, name: "" });

const bytesOf = ({ plan }: Compiled): number => plan.buffers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

function timingOf(samples: readonly number[]): Timing {
  const [lowMs, medianMs, highMs] = [0, 0.5, 1].map((share) => quantile(samples, share)!) as [number, number, number];
  return { lowMs, medianMs, highMs, samples: samples.length };
}

function standingOf({ runner, check }: Entrant): Standing {
  if (!runner) return { failure: check?.failure ?? "it did not run" };
  const { error = 0, errorOverBound = 0, failure } = check ?? {};
  return {
    ...(runner.samples.length > 0 && { timing: timingOf(runner.samples) }),
    ...(check && { check: { passed: failure === undefined, error, errorOverBound } }),
  };
}
