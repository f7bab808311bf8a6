// What was measured on adapters: for a problem, the strategy and parameters that won; strategies that gave wrong results;
// an adapter's ceilings. Plain data, which goes to JSON and back. A problem is known by its operator, types and attributes,
// extents rounded to half powers of two, because what wins for 500 rows wins for 512; small ones and whether vec4 loads fit
// stay exact. An entry holds for as long as the winner's text is the one that was measured.

import { FormatError } from "../core/errors.ts";
import type { TensorType } from "../core/shape.ts";
import type { Operator, Problem } from "../ops/operator.ts";
import type { AnyRewrite, AnyStrategy, KernelLimits, Parameters } from "../../shaders/strategy.ts";
import type { Tuning } from "./choose.ts";
import { rewriteGraph } from "./expand.ts";
import type { Toolbox } from "./schedule.ts";
import type { Ceilings } from "./traits.ts";

/** The winner for one problem. */
export interface TuningEntry {
  /** The problem it was measured on. */
  readonly problem: Problem;
  /** Name of the kernel or rewrite. */
  readonly strategy: string;
  readonly params: Parameters;
  readonly ms: number;
  /** Of the texts that were measured. */
  readonly hash: string;
}

/** A strategy that is not used on an adapter, as it gave a wrong result there. */
export interface Ban {
  readonly operator: string;
  readonly strategy: string;
  readonly reason: string;
}

/** What is known of one adapter. */
export interface AdapterTuning {
  readonly ceilings?: Ceilings;
  /** By {@link problemKey}. */
  readonly entries: Readonly<Record<string, TuningEntry>>;
  readonly bans: readonly Ban[];
}

/** A tuning file: what `engine.exportTuning` gives and `engine.importTuning` takes. */
export interface TuningData {
  readonly format: "neurite-tuning";
  readonly version: 1;
  /** By adapter. */
  readonly adapters: Readonly<Record<string, AdapterTuning>>;
}

/** Extents up to this stay exact. */
const SMALL = 8;

const bucket = (extent: number): string =>
  extent <= SMALL
    ? String(extent)
    : `~${(2 ** (Math.round(2 * Math.log2(extent)) / 2)) | 0}${extent % 4 === 0 ? "v" : ""}`;

const typeOf = (type: TensorType | undefined): TensorType | undefined =>
  type && { dtype: type.dtype, shape: [...type.shape] };

/** `MatMul float32[~512v,~512v] const float32[~512v,~512v] {"transA":0,"transB":0}`. */
export function problemKey(operator: Operator, problem: Problem, isConstant: readonly boolean[]): string {
  const types = problem.inputs.map((type, i) =>
    type ? `${isConstant[i] ? "const " : ""}${type.dtype}[${type.shape.map(bucket).join()}]` : "-",
  );
  return [operator.name, ...types, JSON.stringify(problem.attributes)].join(" ");
}

/** The table of one engine: what it knows of its own adapter decides, what it knows of others it keeps. */
export class TuningTable implements Tuning {
  private readonly adapters = new Map<
    string,
    { ceilings?: Ceilings; entries: Map<string, TuningEntry>; bans: Ban[] }
  >();
  /** Entries whose text has been compared, by key. */
  private readonly checked = new Map<TuningEntry, boolean>();

  constructor(
    readonly adapter: string,
    private readonly limits: KernelLimits,
    private readonly tools: Toolbox,
  ) {
    this.adapters.set(adapter, { entries: new Map(), bans: [] });
  }

  get ceilings(): Ceilings | undefined {
    return this.own.ceilings;
  }

  set ceilings(ceilings: Ceilings | undefined) {
    if (ceilings) this.own.ceilings = ceilings;
  }

  get bans(): readonly Ban[] {
    return this.own.bans;
  }

  kernels(
    operator: Operator,
    problem: Problem,
    isConstant: readonly boolean[],
    strategies: readonly AnyStrategy[],
  ): readonly AnyStrategy[] {
    const allowed = this.allowed(operator, strategies);
    const entry = this.entry(operator, problem, isConstant);
    const winner = entry && allowed.find(({ name }) => name === entry.strategy);
    if (!winner || winner.supports(problem, this.limits, entry.params) !== true) return allowed;
    const most = this.limits.maxComputeWorkgroupsPerDimension;
    if (winner.dispatch(problem, entry.params).some((count) => count > most)) return allowed;
    return this.isCurrent(entry, () => this.kernelHash(operator, winner, entry.problem, entry.params))
      ? [only(winner, entry.params)]
      : allowed;
  }

  rewrites(
    operator: Operator,
    problem: Problem,
    isConstant: readonly boolean[],
    rewrites: readonly AnyRewrite[],
  ): { readonly rewrites: readonly AnyRewrite[]; readonly isSettled: boolean } {
    const allowed = this.allowed(operator, rewrites);
    const entry = this.entry(operator, problem, isConstant);
    if (!entry) return { rewrites: allowed, isSettled: false };
    const winner = allowed.find(({ name }) => name === entry.strategy);
    if (!winner) return { rewrites: [], isSettled: !rewrites.some(({ name }) => name === entry.strategy) };
    const holds =
      winner.supports(problem, this.limits, entry.params) === true &&
      this.isCurrent(entry, () => this.rewriteHash(winner, entry.problem, entry.params));
    return holds
      ? { rewrites: [only(winner, entry.params)], isSettled: true }
      : { rewrites: allowed, isSettled: false };
  }

  /** The entry for a problem, if there is one; its text may have changed since. */
  entry(operator: Operator, problem: Problem, isConstant: readonly boolean[]): TuningEntry | undefined {
    return this.own.entries.get(problemKey(operator, problem, isConstant));
  }

  record(operator: Operator, isConstant: readonly boolean[], entry: TuningEntry): void {
    const { inputs, outputs, attributes } = entry.problem;
    const problem = { inputs: inputs.map(typeOf), outputs: outputs.map((type) => typeOf(type)!), attributes };
    this.own.entries.set(problemKey(operator, problem, isConstant), { ...entry, problem });
  }

  ban(ban: Ban): void {
    if (!this.own.bans.some(({ operator, strategy }) => operator === ban.operator && strategy === ban.strategy))
      this.own.bans.push(ban);
  }

  kernelHash(operator: Operator, strategy: AnyStrategy, problem: Problem, params: Parameters): string {
    return hashOf(this.tools.assemble(operator, strategy, problem, params).wgsl);
  }

  rewriteHash(rewrite: AnyRewrite, problem: Problem, params: Parameters): string {
    const { nodes } = rewriteGraph(rewrite, problem, params, this.tools);
    return hashOf(
      JSON.stringify(
        nodes.map(({ operator, attributes, inputs }) => [
          operator.name,
          attributes,
          inputs.map((value) => value && [value.id, value.shape]),
        ]),
      ),
    );
  }

  toJSON(): TuningData {
    const adapters = [...this.adapters].map(([name, { entries, ...rest }]) => [
      name,
      { ...rest, entries: Object.fromEntries(entries) },
    ]);
    return { format: "neurite-tuning", version: 1, adapters: Object.fromEntries(adapters) as TuningData["adapters"] };
  }

  /** Adds what a file knows; where both know something, the file's counts. Throws FormatError for what is none. */
  add(data: unknown): void {
    for (const [name, { ceilings, entries, bans }] of Object.entries(checkTuning(data).adapters)) {
      const known = this.adapters.get(name) ?? { entries: new Map<string, TuningEntry>(), bans: [] };
      for (const [key, entry] of Object.entries(entries)) {
        const { inputs } = entry.problem;
        const problem = { ...entry.problem, inputs: inputs.map((type) => type ?? undefined) }; // JSON has null for what is absent
        known.entries.set(key, { ...entry, problem });
      }
      this.adapters.set(name, { ...known, ...(ceilings && { ceilings }) });
      const seen = new Set(known.bans.map(({ operator, strategy }) => `${operator}/${strategy}`));
      known.bans.push(...bans.filter(({ operator, strategy }) => !seen.has(`${operator}/${strategy}`)));
    }
  }

  private get own(): { ceilings?: Ceilings; entries: Map<string, TuningEntry>; bans: Ban[] } {
    return this.adapters.get(this.adapter)!;
  }

  /** All but the banned; all, if none were left. */
  private allowed<S extends { readonly name: string }>(operator: Operator, strategies: readonly S[]): readonly S[] {
    const isBanned = ({ name }: S): boolean =>
      this.bans.some((ban) => ban.operator === operator.name && ban.strategy === name);
    const allowed = strategies.filter((strategy) => !isBanned(strategy));
    return allowed.length > 0 ? allowed : strategies;
  }

  private isCurrent(entry: TuningEntry, hash: () => string): boolean {
    let isCurrent = this.checked.get(entry);
    if (isCurrent === undefined) this.checked.set(entry, (isCurrent = hash() === entry.hash));
    return isCurrent;
  }
}

/** The strategy with its parameters settled. */
function only<S extends { readonly params: AnyStrategy["params"] }>(strategy: S, params: Parameters): S {
  return { ...strategy, params: Object.fromEntries(Object.entries(params).map(([name, value]) => [name, [value]])) };
}

/** 53 bits of a text (FNV-1a, two halves): enough to tell versions of a kernel apart. */
function hashOf(text: string): string {
  let a = 0x811c9dc5;
  let b = 0x01000193;
  for (let i = 0; i < text.length; i++) {
    a = Math.imul(a ^ text.charCodeAt(i), 0x01000193);
    b = Math.imul(b ^ text.charCodeAt(i), 0x5bd1e995);
  }
  return (a >>> 0).toString(16) + (b >>> 0).toString(16);
}

function checkTuning(data: unknown): TuningData {
  const file = (typeof data === "string" ? parse(data) : data) as Partial<TuningData> | null;
  if (file?.format !== "neurite-tuning" || typeof file.adapters !== "object")
    throw new FormatError('importTuning: expected what exportTuning gives, { format: "neurite-tuning", … }');
  if (file.version !== 1)
    throw new FormatError(`importTuning: version ${String(file.version)} is not 1; tune again with this release`);
  for (const [name, adapter] of Object.entries(file.adapters as Record<string, Partial<AdapterTuning> | null>)) {
    const isWhole =
      Array.isArray(adapter?.bans) &&
      typeof adapter.entries === "object" &&
      Object.values(adapter.entries).every(({ strategy, params, hash, problem }: Partial<TuningEntry>) =>
        Boolean(strategy && params && hash && problem),
      );
    if (!isWhole) throw new FormatError(`importTuning: what it says of ${name} is not complete`);
  }
  return file as TuningData;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FormatError(`importTuning: not JSON: ${(error as Error).message}`, { cause: error });
  }
}
