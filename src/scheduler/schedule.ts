// Graph in, plan out: fuse, decide where updated variables are written, order the steps, pick a strategy for each, and
// give every tensor a buffer. Nothing here touches a GPU.

import { dtypes, LARGE_CONSTANT } from "../core/dtype.ts";
import { UnsupportedError, throwIfAborted } from "../core/errors.ts";
import { pacer } from "../core/pause.ts";
import { sameShape, sizeOf, type TensorType } from "../core/shape.ts";
import type { Packing } from "../core/storage.ts";
import type { TensorData } from "../core/tensorData.ts";
import { Graph, type Node, type Value } from "../graph/graph.ts";
import { eliminate, exactText } from "../graph/passes/eliminate.ts";
import { fuse, isLiteral, type FuseOptions, type Group } from "../graph/passes/fuse.ts";
import { rebuild } from "../graph/passes/rebuild.ts";
import type { Variable } from "../graph/variable.ts";
import { minimumBytes, type Operator, type Problem } from "../ops/operator.ts";
import type {
  AnyRewrite,
  AnyStrategy,
  KernelLimits,
  KernelProblem,
  PointwiseProgram,
  Prologue,
} from "../../shaders/strategy.ts";
import { assemble } from "../../shaders/assemble.ts";
import { boundsOf, chooseStrategy, type AdapterTraits, type Candidate, type Tuning } from "./choose.ts";
import type { Expanded } from "./expand.ts";
import { lower, type LoweredGroup } from "./lower.ts";
import { assignBuffers, type Lifetime, type Place } from "./memory.ts";
import { orderSteps, precedes } from "./order.ts";
import {
  Plan,
  type PlanBinding,
  type PlanBuffer,
  type PlanKernel,
  type PlanNode,
  type PlanStep,
  type PlanValue,
} from "./plan.ts";
import type { StorageOf } from "./storage.ts";

/** A plan and the objects its numbers stand for. */
export interface Compiled {
  readonly plan: Plan;
  /** Operators by name: what the CPU reference and verify carry out. */
  readonly operators: ReadonlyMap<string, Operator>;
  /** Contents of constant buffers, by buffer index. */
  readonly constants: ReadonlyMap<number, TensorData>;
  /** Variables by buffer index. */
  readonly variables: ReadonlyMap<number, Variable>;
  /** How values that are stored in less than a word are packed; undefined where there are none. */
  readonly packing: Packing | undefined;
}

export interface ScheduleOptions {
  readonly limits: KernelLimits;
  readonly traits: AdapterTraits;
  /** The strategies of an operator that may run one of these problems. */
  loadStrategies(operatorName: string, problems?: readonly Problem[]): Promise<readonly AnyStrategy[]>;
  /** Its rewrites, likewise. Left out, only kernels are considered. */
  readonly loadRewrites?: (operatorName: string, problems?: readonly Problem[]) => Promise<readonly AnyRewrite[]>;
  /** What has been measured. A strategy forced by name wins over it, and it over the cost model. */
  readonly tuning?: Tuning | undefined;
  /** Strategies by name, for an operator (`MatMul`) or one node (`0/Conv`). The node's wins. */
  readonly strategies?: Readonly<Record<string, string>> | undefined;
  readonly fusion?: Pick<FuseOptions, "pointwise" | "epilogue" | "prologue"> | undefined;
  /** Share intermediate buffers by lifetime. Default true; false gives each tensor its own, for debugging. */
  readonly reuseBuffers?: boolean | undefined;
  /** Keep constants and inputs of narrow types, and large constants that fit one, in their own size. Default true. */
  readonly narrowStorage?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with each distinct kernel as soon as it is chosen, and the name of its first step: compiling need not wait for the plan. */
  readonly onKernel?: (kernel: PlanKernel, stepName: string) => void;
  /** Called with every step that has its kernel. */
  readonly onStep?: (done: number, total: number) => void;
}

/** Compiles a graph whose passes have run. */
export async function schedule(source: Graph, given: ScheduleOptions): Promise<Compiled> {
  const { graph, rewritten, ...forced } = await rewrite(source, given);
  const options = { ...given, ...forced };
  const maxBindings = options.limits.maxStorageBuffersPerShaderStage;
  const prepare = async (inPlace: boolean): Promise<Scheduler> => {
    const groups = fuse(graph, { maxBindings, inPlace, ...options.fusion });
    const problems = problemsOf(groups.map(({ anchor }) => anchor));
    const families = new Map(
      await Promise.all(
        [...problems].map(async ([name, own]) => {
          const strategies = await options.loadStrategies(name, given.strategies ? undefined : own);
          return [name, strategies] as const;
        }),
      ),
    );
    const isWorthwhile = (options.narrowStorage ?? true) && hasNarrow(graph);
    const storage = isWorthwhile
      ? await (await import("./storage.ts")).chooseStorage(graph, groups, rootOf, families, options.limits)
      : undefined;
    const writePrologue = groups.some(({ prologue }) => prologue.length > 0)
      ? (await import("../../shaders/prologue.ts")).writePrologue
      : undefined;
    return new Scheduler(graph, groups, families, options, rewritten, storage, writePrologue);
  };
  let scheduler = await prepare(true);
  // Where an update that fusion counted on writing in place needs a copy after all, its group may bind one buffer too many.
  if (scheduler.mostBindings > maxBindings) scheduler = await prepare(false);
  return scheduler.compile();
}

/** Problems by operator; what has no anchor is pointwise code. */
function problemsOf(anchors: readonly (Node | undefined)[]): Map<string, Node[]> {
  const problems = new Map<string, Node[]>();
  for (const anchor of anchors) {
    const name = anchor?.operator.name ?? "Pointwise";
    problems.set(name, [...(problems.get(name) ?? []), ...(anchor ? [anchor] : [])]);
  }
  return problems;
}

/** Strategies of several dispatches. What weighs them comes only where some family has one for these problems. */
async function rewrite(graph: Graph, options: ScheduleOptions): Promise<Expanded> {
  const { strategies, loadRewrites } = options;
  const heavy = loadRewrites ? graph.nodes.filter(({ operator }) => !operator.pointwise && !operator.alias) : [];
  const found = await Promise.all(
    [...problemsOf(heavy)].map(([name, own]) => loadRewrites!(name, strategies ? undefined : own)),
  );
  if (found.every((rewrites) => rewrites.length === 0)) return { graph, strategies, rewritten: new Map() };
  const { expand } = await import("./expand.ts");
  return expand(graph, options, toolbox);
}

/**
 * What parts of the scheduler that load later work with. They are handed it, instead of importing it: a bundler would cut
 * what they share with the core out of it, which costs every page a request and some compression.
 */
export const toolbox = {
  Graph,
  assemble,
  boundsOf,
  chooseStrategy,
  eliminate,
  fuse,
  lower,
  rebuild,
  schedule,
};
export type Toolbox = typeof toolbox;

const wordBytesOf = ({ shape, dtype }: Value): number => sizeOf(shape) * dtypes[dtype].sizeBytes;

/** The value whose buffer `value` shares: itself, or what its chain of aliasing operators starts from. */
function rootOf(value: Value): Value {
  let root = value;
  while (root.node?.operator.alias) root = root.node.inputs[0]!;
  return root;
}

/** Whether anything might be stored in less than a word. */
function hasNarrow({ inputs, constants }: Graph): boolean {
  const isNarrow = ({ dtype }: Value): boolean => dtypes[dtype].high < 2 ** 16;
  return (
    [...inputs.values(), ...constants.keys()].some(isNarrow) ||
    [...constants.keys()].some(({ shape }) => sizeOf(shape) >= LARGE_CONSTANT)
  );
}

interface Work {
  readonly group: Group;
  readonly after: Set<number>;
}

class Scheduler {
  private readonly work: Work[];
  private readonly producers = new Map<Value, number>();
  /** Updated values written straight into the variable's buffer: root of the new value → the variable's value. */
  private readonly direct = new Map<Value, Value>();
  /** Updates carried out by a copy after everything else: [new value's root, variable's value]. */
  private readonly copied: [Value, Value][] = [];
  private readonly outputRoots: Set<Value>;

  private readonly buffers: PlanBuffer[] = [];
  /** Where each root value lies. */
  private readonly placeOf = new Map<Value, Place>();
  private readonly values: PlanValue[] = [];
  private readonly valueIds = new Map<Value, number>();
  private readonly kernels: PlanKernel[] = [];
  private readonly kernelIds = new Map<string, number>();
  /** What was chosen, by problem: layers come in repetitions. */
  private readonly choices = new Map<string, Candidate>();
  /** Texts of the kernels chosen so far, as their strategies wrote them. */
  private readonly chosenTexts = new Set<string>();
  /** Plan values of outputs that are copied out: see {@link saveOldContents}. */
  private readonly outputIds = new Map<Value, number>();

  constructor(
    private readonly graph: Graph,
    groups: readonly Group[],
    private readonly families: ReadonlyMap<string, readonly AnyStrategy[]>,
    private readonly options: ScheduleOptions,
    private readonly rewritten: Expanded["rewritten"],
    private readonly storage: StorageOf | undefined,
    private readonly writePrologue: Prologue["write"] | undefined,
  ) {
    this.work = groups.map((group) => ({ group, after: new Set<number>() }));
    this.outputRoots = new Set([...graph.outputs.values()].map(rootOf));
    this.work.forEach(({ group }, i) => group.outputs.forEach((value) => this.producers.set(value, i)));
    this.work.forEach(({ group, after }, i) => {
      for (const value of group.inputs) {
        const producer = this.producers.get(rootOf(value));
        if (producer !== undefined && producer !== i) after.add(producer);
      }
    });
    this.placeUpdates();
  }

  /** Storage buffers of the group that binds most. */
  get mostBindings(): number {
    return Math.max(
      0,
      ...this.work.map(({ group: { inputs, outputs } }) => {
        const separate = outputs.filter((value) => {
          const variable = this.direct.get(value);
          return !variable || !inputs.includes(variable);
        });
        return inputs.length + separate.length;
      }),
    );
  }

  async compile(): Promise<Compiled> {
    const { signal, onKernel, onStep } = this.options;
    const breathe = pacer(signal);
    const order = this.order();
    this.placeLeaves();
    await breathe();
    const memory = this.placeIntermediates(order);
    const steps = this.saveOldContents();
    await breathe();
    const groups = order.map((i) => this.work[i]!.group).filter(writesSomething);
    for (const [i, group] of groups.entries()) {
      const known = this.kernels.length;
      const name = `#${steps.length} ${operatorLabel(group)} (${group.nodes[0]!.name})`;
      steps.push(this.dispatchStep(group));
      if (this.kernels.length > known) onKernel?.(this.kernels[known]!, name);
      onStep?.(i + 1, groups.length);
      throwIfAborted(signal);
      await breathe();
    }
    steps.push(...this.copied.map(([from, to]) => this.copyStep(from, to)));
    const idsOf = (named: ReadonlyMap<string, Value>): Record<string, number> =>
      Object.fromEntries([...named].map(([name, value]) => [name, this.outputIds.get(value) ?? this.valueId(value)]));
    const plan = new Plan({
      inputs: idsOf(this.graph.inputs),
      outputs: idsOf(this.graph.outputs),
      values: this.values,
      buffers: this.buffers,
      kernels: this.kernels,
      steps,
      memory,
    });
    const [constants, variables] = [this.constantBuffers(), this.variableBuffers()];
    return { plan, operators: this.operators(), constants, variables, packing: this.storage?.packing };
  }

  /** Decides for each updated variable whether its new contents can be written in place of the old. */
  private placeUpdates(): void {
    for (const [variable, updated] of this.graph.updates) {
      const root = rootOf(updated);
      if (root === variable) continue;
      if (!this.writeInPlace(variable, root)) this.copied.push([root, variable]);
    }
    for (const [from] of this.copied)
      if (this.graph.updates.has(from))
        throw new UnsupportedError(
          `update: ${from.name} is assigned to another variable and updated in the same graph`,
        );
  }

  private writeInPlace(variable: Value, root: Value): boolean {
    const producer = this.producers.get(root);
    if (producer === undefined || this.direct.has(root)) return false;
    const { group } = this.work[producer]!;
    if (!this.overwritable(group, variable, root)) return false;
    const readers = this.work.flatMap(({ group: reader }, i) =>
      i !== producer && reader.inputs.some((value) => rootOf(value) === variable) ? [i] : [],
    );
    const after = this.work.map((step) => step.after);
    if (readers.some((reader) => precedes(after, producer, reader))) return false;
    for (const reader of readers) this.work[producer]!.after.add(reader);
    this.direct.set(root, variable);
    return true;
  }

  /** The group may write `root` into the variable's buffer: it reads that buffer at the very elements it writes, or not at all. */
  private overwritable(group: Group, variable: Value, root: Value): boolean {
    const reads = group.inputs.filter((value) => rootOf(value) === variable);
    if (reads.length === 0) return true;
    return !group.anchor && reads.length === 1 && reads[0] === variable && sameShape(variable.shape, root.shape);
  }

  private order(): number[] {
    const tensors = new Map<Value, number>();
    const isIntermediate = (root: Value): boolean =>
      this.producers.has(root) && !this.outputRoots.has(root) && !this.direct.has(root);
    const tensorId = (root: Value): number => {
      if (!tensors.has(root)) tensors.set(root, tensors.size);
      return tensors.get(root)!;
    };
    return orderSteps(
      this.work.map(({ group, after }) => ({
        after,
        writtenBytes: group.outputs.filter(isIntermediate).reduce((sum, value) => sum + this.sizeBytesOf(value), 0),
        reads: [...new Set(group.inputs.map(rootOf))]
          .filter(isIntermediate)
          .map((root) => ({ tensor: tensorId(root), sizeBytes: this.sizeBytesOf(root) })),
      })),
    );
  }

  /** Buffers of inputs, variables and the constants that are read from memory. */
  private placeLeaves(): void {
    for (const value of this.graph.inputs.values()) this.addBuffer("input", value);
    for (const value of this.graph.variables.keys()) this.addBuffer("variable", value);
    const read = new Set(this.work.flatMap(({ group }) => group.inputs.map(rootOf)));
    for (const [from] of this.copied) read.add(from);
    for (const value of this.graph.constants.keys())
      if (read.has(value) || this.outputRoots.has(value)) this.addBuffer("constant", value);
  }

  /** Buffers of everything the steps compute. */
  private placeIntermediates(order: readonly number[]): Plan["memory"] {
    const lifetimes = new Map<Value, { firstStep: number; lastStep: number }>();
    order.forEach((index, step) => {
      const { group } = this.work[index]!;
      for (const value of group.outputs) lifetimes.set(value, { firstStep: step, lastStep: step });
      for (const value of group.inputs) {
        const lifetime = lifetimes.get(rootOf(value));
        if (lifetime) lifetime.lastStep = step;
      }
    });
    for (const [from] of this.copied) {
      const lifetime = lifetimes.get(from);
      if (lifetime) lifetime.lastStep = order.length;
    }
    const placed: Value[] = [];
    const tensors: Lifetime[] = [];
    for (const [value, lifetime] of lifetimes) {
      const variable = this.direct.get(value);
      if (variable) this.placeOf.set(value, this.placeOf.get(variable)!);
      else if (this.outputRoots.has(value)) this.addBuffer("output", value);
      else {
        placed.push(value);
        tensors.push({
          sizeBytes: roundUp(this.sizeBytesOf(value)),
          ...(this.options.reuseBuffers === false ? FOREVER : lifetime),
        });
      }
    }
    const { places, bufferSizes, totalBytes, liveBytes } = assignBuffers(this.apart(placed, tensors));
    const first = this.buffers.length;
    bufferSizes.forEach((sizeBytes, i) => {
      this.buffers.push({
        kind: "intermediate",
        sizeBytes,
        name: placed[places.findIndex(({ buffer }) => buffer === i)]!.name,
      });
    });
    placed.forEach((value, i) => {
      const { buffer, offsetBytes } = places[i]!;
      this.placeOf.set(value, { buffer: first + buffer, offsetBytes });
    });
    return { intermediateBytes: totalBytes, liveBytes };
  }

  /** Adds to each tensor which others must lie in another buffer: those bound beside it in a dispatch that writes one. */
  private apart(placed: readonly Value[], tensors: readonly Lifetime[]): Lifetime[] {
    const indexOf = new Map(placed.map((value, i) => [value, i]));
    const apartFrom = placed.map(() => new Set<number>());
    for (const { group } of this.work) {
      const bound = new Set(
        [...group.inputs.map(rootOf), ...group.outputs].flatMap((value) => indexOf.get(value) ?? []),
      );
      for (const value of group.outputs) {
        const written = indexOf.get(value);
        if (written === undefined) continue;
        for (const other of bound)
          if (other !== written) {
            apartFrom[written]!.add(other);
            apartFrom[other]!.add(written);
          }
      }
    }
    return tensors.map((tensor, i) => ({ ...tensor, apartFrom: apartFrom[i]! }));
  }

  /** An output that is a variable's old contents is copied out before an update overwrites it. */
  private saveOldContents(): PlanStep[] {
    const steps: PlanStep[] = [];
    for (const value of new Set(this.graph.outputs.values())) {
      const root = rootOf(value);
      if (!this.graph.updates.has(root)) continue;
      const from = this.valueId(root);
      const to = this.buffers.length;
      this.buffers.push({ kind: "output", sizeBytes: roundUp(this.sizeBytesOf(value)), name: value.name });
      const id = this.values.push({ dtype: value.dtype, shape: value.shape, name: value.name, buffer: to }) - 1;
      this.outputIds.set(value, id);
      steps.push({
        kind: "copy",
        from: this.binding(root),
        to: { buffer: to, offsetBytes: 0, sizeBytes: roundUp(this.sizeBytesOf(value)) },
        inputs: [from],
        outputs: [id],
      });
    }
    return steps;
  }

  private copyStep(from: Value, to: Value): PlanStep {
    return {
      kind: "copy",
      from: this.binding(from),
      to: this.binding(to),
      inputs: [this.valueId(from)],
      outputs: [this.valueId(to)],
    };
  }

  private dispatchStep(group: Group): PlanStep {
    const lowered = this.withInPlace(lower(this.graph, group, this.writePrologue));
    const { operator, problem } = lowered;
    const { name } = group.anchor ?? group.nodes[0]!;
    const { limits, traits, strategies } = this.options;
    const forced = strategies?.[name] ?? strategies?.[operator.name];
    this.checkSizes(group, name);
    const family = this.families.get(operator.name)!;
    const isConstant = lowered.inputs.map((value) => {
      const data = this.graph.constants.get(value!);
      return data !== undefined && !data.read;
    });
    const key = problemKey(operator, problem, isConstant, forced);
    let choice = this.choices.get(key);
    if (!choice) {
      const measured = forced === undefined && this.options.tuning?.kernels(operator, problem, isConstant, family);
      const isKnown = (wgsl: string): boolean => this.chosenTexts.has(wgsl);
      choice = chooseStrategy(operator, problem, measured || family, { limits, traits, forced, isKnown });
      this.choices.set(key, choice);
    }
    const { strategy, params, kernel: chosen } = choice;
    this.chosenTexts.add(chosen.wgsl);
    const bound = chosen.operands.map(({ kind, index }) => {
      const { inputs, made, extras, outputs } = lowered;
      const values = { input: inputs, prologue: made, extra: extras, output: outputs }[kind];
      return rootOf(values[kind === "extra" ? index - 1 : index]!);
    });
    const kernel = this.storage?.apply(chosen, bound) ?? chosen;
    const moved = { bytes: fewestBytes(group), trafficBytes: strategy.trafficBytes(problem, params) };
    const rewrite = [...this.rewritten].find(([prefix]) => name.startsWith(prefix))?.[1];
    return {
      kind: "dispatch",
      operator: operatorLabel(group),
      strategy: strategy.name,
      params,
      ...(rewrite === undefined ? {} : { rewrite }),
      nodes: group.nodes.map((node) => this.planNode(node)),
      inputs: group.inputs.map((value) => this.valueId(value)),
      outputs: group.outputs.map((value) => this.valueId(value)),
      kernel: this.kernelId(kernel),
      bindings: bound.map((root) => this.binding(root)),
      uniforms: kernel.uniforms,
      workgroups: kernel.workgroups,
      flops: group.nodes.reduce((sum, node) => sum + node.operator.flops(node), 0),
      ...(this.storage?.moved(group, bound, moved) ?? moved),
    };
  }

  private withInPlace(lowered: LoweredGroup): LoweredGroup {
    const inPlace = lowered.outputs.map((output) => {
      const variable = this.direct.get(output);
      const index = variable ? lowered.inputs.indexOf(variable) : -1;
      return index < 0 ? undefined : index;
    });
    return inPlace.every((index) => index === undefined)
      ? lowered
      : { ...lowered, problem: { ...lowered.problem, inPlace } };
  }

  private checkSizes(group: Group, name: string): void {
    const limit = Math.min(this.options.limits.maxStorageBufferBindingSize, this.options.limits.maxBufferSize);
    for (const value of [...group.inputs, ...group.outputs])
      if (this.sizeBytesOf(value) > limit)
        throw new UnsupportedError(
          `${name}: ${value.name} takes ${this.sizeBytesOf(value)} bytes, more than the ${limit} this device binds; use a smaller batch`,
        );
  }

  private planNode(node: Node): PlanNode {
    return {
      operator: node.operator.name,
      name: node.name,
      attributes: node.attributes,
      inputs: node.inputs.map((value) => (value ? this.valueId(value) : null)),
      outputs: node.outputs.map((value) => this.valueId(value)),
    };
  }

  /** What a storage binding of the root value spans: whole vec4s. */
  private binding(root: Value): PlanBinding {
    return { ...this.placeOf.get(root)!, sizeBytes: roundUp(this.sizeBytesOf(root)) };
  }

  private kernelId(kernel: { wgsl: string; storage: PlanKernel["storage"]; uniforms: readonly unknown[] }): number {
    const hasUniforms = kernel.uniforms.length > 0;
    let id = this.kernelIds.get(kernel.wgsl);
    if (id === undefined) {
      id = this.kernels.push({ wgsl: kernel.wgsl, storage: kernel.storage, hasUniforms }) - 1;
      this.kernelIds.set(kernel.wgsl, id);
    }
    return id;
  }

  private valueId(value: Value): number {
    let id = this.valueIds.get(value);
    if (id === undefined) {
      const root = rootOf(value);
      const place = this.placeOf.get(root);
      const storage = this.storage?.of(root);
      const { dtype, shape, name } = value;
      id =
        this.values.push({
          dtype,
          shape,
          name,
          ...(place && { buffer: place.buffer }),
          ...(place && place.offsetBytes > 0 && { offsetBytes: place.offsetBytes }),
          ...(storage && { storage }),
          ...(isLiteral(this.graph, value) ? { literal: this.graph.constants.get(value)!.data[0]! } : {}),
          ...(root === value ? {} : { alias: this.valueId(root) }),
        }) - 1;
      this.valueIds.set(value, id);
    }
    return id;
  }

  private sizeBytesOf(value: Value): number {
    return this.storage?.sizeBytes(rootOf(value)) ?? wordBytesOf(value);
  }

  private addBuffer(kind: PlanBuffer["kind"], value: Value): void {
    this.placeOf.set(value, { buffer: this.buffers.length, offsetBytes: 0 });
    this.buffers.push({ kind, sizeBytes: roundUp(this.sizeBytesOf(value)), name: value.name });
  }

  private operators(): Map<string, Operator> {
    return new Map(this.graph.nodes.map(({ operator }) => [operator.name, operator]));
  }

  private constantBuffers(): Map<number, TensorData> {
    return new Map([...this.graph.constants].flatMap(([value, data]) => this.buffered(value, data)));
  }

  private variableBuffers(): Map<number, Variable> {
    return new Map([...this.graph.variables].flatMap(([value, variable]) => this.buffered(value, variable)));
  }

  private buffered<T>(value: Value, data: T): [number, T][] {
    const buffer = this.placeOf.get(value)?.buffer;
    return buffer === undefined ? [] : [[buffer, data]];
  }
}

/** What must move: each tensor read once and written once, or less where a lone operator says so. */
function fewestBytes({ nodes, inputs, outputs }: Group): number {
  if (nodes.length === 1) return minimumBytes(nodes[0]!.operator, nodes[0]!);
  return [...new Set([...inputs, ...outputs])].reduce((sum, value) => sum + wordBytesOf(value), 0);
}

/** False for groups whose results have no elements: there is nothing to dispatch. */
function writesSomething({ outputs }: Group): boolean {
  return outputs.some(({ shape }) => sizeOf(shape) > 0);
}

/** Equal for problems that the same kernel solves. */
function problemKey(
  { name }: Operator,
  { inputs, outputs, attributes, inPlace, program, prologue }: KernelProblem,
  ...context: unknown[]
): string {
  const typeOf = (type: TensorType | undefined): unknown => type && [type.dtype, type.shape];
  const codeOf = (code: PointwiseProgram | undefined): unknown =>
    code && [
      code.domain,
      code.inputs.map(typeOf),
      code.instructions.map(({ operator, attributes, args, type }) => [operator.name, attributes, args, typeOf(type)]),
      code.outputs,
    ];
  const codes = [codeOf(prologue?.program), codeOf(program)];
  return exactText([name, inputs.map(typeOf), outputs.map(typeOf), attributes, inPlace, codes, context]);
}

const FOREVER = { firstStep: 0, lastStep: Number.MAX_SAFE_INTEGER - 1 };
const ALIGNMENT_BYTES = 16;

/** Buffer sizes are whole vec4s, so that vec4 views cover every element. */
function roundUp(bytes: number): number {
  return Math.max(ALIGNMENT_BYTES, Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES);
}

/** `Conv+Relu`, `Add+Mul ×3`. */
function operatorLabel({ nodes, anchor, prologue }: Group): string {
  const behind = nodes.filter((node) => node !== anchor && !prologue.includes(node));
  const names = [...prologue, ...(anchor ? [anchor] : []), ...behind].map((node) => node.operator.name);
  const shown = names.slice(0, 3).join("+");
  return names.length > 3 ? `${shown}+${names.length - 3} more` : shown;
}
