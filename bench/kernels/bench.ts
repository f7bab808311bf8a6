// The whole bench, on one device, in Node or in a page: ceilings first, then every problem; or, for the regret, how near the
// scheduler's choices come to the best there is.

import type { Gpu } from "../../src/device/gpu.ts";
import { arenaOf, contenderLabel, signatureOf, Workshop } from "./contenders.ts";
import { measureBenchCeilings } from "./ceilings.ts";
import { measureHostCost } from "./hostCost.ts";
import { measureProblem, PlanTimer, race, type BenchHost, type Entrant } from "./measure.ts";
import {
  heavyProblems,
  operatorNamed,
  parseShape,
  problems as lightProblems,
  regretFamilies,
  regretProblems,
  type BenchProblem,
} from "./problems.ts";
import { RESULTS_VERSION, type BenchResults, type HostCost, type ProblemResult } from "./results.ts";
import { regretOf, quantile, type Choice } from "./statistics.ts";

/** What to measure, as plain data: it reaches a page as JSON. */
export interface BenchOptions {
  /** Families, operators' names, or what occurs in a problem's or a contender's name. All when empty. */
  readonly what: readonly string[];
  /** Problems of one's own, of the one family in `what`. */
  readonly shapes: readonly string[];
  /** Keeps contenders in whose label one of these occurs. */
  readonly strategies: readonly string[];
  readonly rounds: number;
  /** How near the choices come to the best, instead of times. */
  readonly regret?: boolean;
  /** Shapes a family for the regret. */
  readonly shapesEach: number;
  /** Compare with the reference. */
  readonly check: boolean;
  /** Time for tuning one family of the regret, ms; 0 leaves it out. */
  readonly tuneMs: number;
}

/** Also told: every problem as it is done. */
export interface BenchRun extends BenchHost {
  /** `Node 20.19, linux`, or a browser's name. */
  readonly name: string;
  readonly onProblem?: (result: ProblemResult) => void;
}

export async function runBench(gpu: Gpu, options: BenchOptions, host: BenchRun): Promise<BenchResults> {
  using workshop = new Workshop(gpu);
  host.onProgress?.("ceilings");
  const ceilings = await measureBenchCeilings(gpu, await workshop.tuner.measure(host.signal));
  using timer = await PlanTimer.on(workshop, host);
  const { name, vendor, architecture, isSoftware, features } = gpu.adapter;
  const head = {
    format: "neurite-bench",
    version: RESULTS_VERSION,
    date: new Date().toISOString().slice(0, 10),
    host: host.name,
    adapter: { name, vendor, architecture, isSoftware, features },
    ceilings,
  } as const;
  if (options.regret) return { ...head, problems: [], regret: await measureRegret(workshop, timer, options, host) };

  const wantsHost = options.what.length === 0 || options.what.includes("host");
  const hostCost: HostCost | undefined = wantsHost ? await measureHostCost(gpu) : undefined;
  const measured: ProblemResult[] = [];
  const { rounds, check, strategies } = options;
  for (const { problem, filters } of chosenProblems(options, isSoftware)) {
    const wanted = [...strategies, ...filters];
    const filter = (label: string): boolean => wanted.some((text) => label.includes(text));
    const how = { rounds, check, filter: wanted.length > 0 ? filter : undefined };
    const result = await measureProblem(workshop, timer, arenaOf(problem), how, host);
    if (result.lines.length === 0) continue;
    measured.push(result);
    host.onProblem?.(result);
  }
  return { ...head, ...(hostCost && { hostCost }), problems: measured };
}

/** Problems that `what` names, and what is left of it to choose contenders by. */
function chosenProblems(
  { what, shapes }: BenchOptions,
  isSoftware: boolean,
): { problem: BenchProblem; filters: readonly string[] }[] {
  const problems = isSoftware ? lightProblems : [...lightProblems, ...heavyProblems];
  const asked = what.filter((word) => word !== "host");
  if (what.length > 0 && asked.length === 0) return [];
  const lower = (text: string): string => text.toLowerCase();
  if (shapes.length > 0) {
    const [family, ...more] = asked;
    if (family === undefined || more.length > 0) throw new Error("--shape wants one family beside it: matmul --shape 512x512,512x512"); // prettier-ignore
    return shapes.map((text) => ({ problem: parseShape(lower(family), text), filters: [] }));
  }
  if (asked.length === 0) return problems.map((problem) => ({ problem, filters: [] }));
  const found = problems.flatMap((problem) => {
    const { family, name, operator } = problem;
    const isNamed = asked.some(
      (word) => [family, operator.name].some((one) => lower(one) === lower(word)) || name.includes(word),
    );
    if (isNamed) return [{ problem, filters: [] }];
    const filters = asked.filter((word) => word.includes("/") && lower(word).startsWith(`${lower(operator.name)}/`));
    return filters.length > 0 ? [{ problem, filters }] : [];
  });
  if (found.length > 0) return found;
  const names = [...new Set(problems.flatMap(({ family, operator }) => [family, operator.name]))];
  for (const word of asked) operatorNamed(word); // says which operators there are
  throw new Error(`there are no problems for ${asked.join(", ")}: give --shape, or name one of ${names.join(", ")}`);
}

/** Samples of the fastest for the regret. The least of them counts, as what disturbs a sample only ever adds to it. */
const REGRET_ROUNDS = 7;

async function measureRegret(
  workshop: Workshop,
  timer: PlanTimer,
  { what, shapesEach, tuneMs }: BenchOptions,
  host: BenchRun,
): Promise<NonNullable<BenchResults["regret"]>> {
  const wanted = regretFamilies.filter((family) => what.length === 0 || what.includes(family));
  if (wanted.length === 0) throw new Error(`the regret is known for ${regretFamilies.join(", ")}`);
  const regret: Record<string, NonNullable<BenchResults["regret"]>[string]> = {};
  for (const family of wanted) {
    const arenas = regretProblems(family, shapesEach, workshop.gpu.adapter.isSoftware).map(arenaOf);
    // Choices are made first: what the tuner has measured must not change the untuned ones.
    const untunedPlans = [];
    for (const arena of arenas) untunedPlans.push(signatureOf((await workshop.chosen(arena)).plan));
    let tunedPlans: string[] | undefined;
    if (tuneMs > 0) {
      const onProgress = ({ done, total, what: at }: { done: number; total: number; what: string }): void =>
        host.onProgress?.(`tuning ${family} ${done} of ${total}: ${at}`);
      const signal = host.signal && { signal: host.signal };
      for (const arena of arenas)
        await workshop.tuner.tune(workshop.graph(arena), { budgetMs: tuneMs / arenas.length, onProgress, ...signal });
      tunedPlans = [];
      for (const arena of arenas) tunedPlans.push(signatureOf((await workshop.chosen(arena, true)).plan));
    }
    const untuned: Choice[] = [];
    const tuned: Choice[] = [];
    for (const [i, arena] of arenas.entries()) {
      const chosen = new Set([untunedPlans[i]!, ...(tunedPlans ? [tunedPlans[i]!] : [])]);
      const entrants: Entrant[] = [];
      for (const contender of await workshop.contenders(arena)) {
        const compiled = await workshop.plan(arena, contender);
        if (typeof compiled === "string") continue;
        const bytes = compiled.plan.buffers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
        entrants.push({ contender, compiled, bytes, stays: chosen.has(signatureOf(compiled.plan)) });
      }
      await race(workshop, timer, arena, entrants, REGRET_ROUNDS, host);
      const timed = entrants.flatMap(({ contender, compiled, runner }) => {
        const ms = runner && quantile(runner.samples, 0);
        return ms === undefined
          ? []
          : [{ ms, label: contenderLabel(contender), signature: signatureOf(compiled.plan) }];
      });
      const best = timed.reduce((a, b) => (b.ms < a.ms ? b : a));
      const note = (choices: Choice[], signature: string): void => {
        const chosen = timed.find((one) => one.signature === signature);
        if (!chosen)
          throw new Error(`${arena.problem.name}: what was chosen is none of the ${timed.length} contenders`);
        const text = `${arena.problem.name}: ${chosen.label} ${chosen.ms.toPrecision(3)} ms, best ${best.label} ${best.ms.toPrecision(3)} ms`; // prettier-ignore
        choices.push({ problem: text, bestMs: best.ms, chosenMs: chosen.ms });
      };
      note(untuned, untunedPlans[i]!);
      if (tunedPlans) note(tuned, tunedPlans[i]!);
    }
    regret[family] = { untuned: regretOf(untuned), ...(tunedPlans && { tuned: regretOf(tuned) }) };
  }
  return regret;
}
