// Strategies of several dispatches: a heavy node that has rewrites is weighed, its best kernel against the summed
// estimates of each rewrite's parts, and replaced by the parts of the winner. Parts are fused, chosen and rewritten like
// any nodes; what depends on constants alone costs nothing a run, as it is folded afterwards. What is weighed is a graph
// of its own, which also serves all nodes with the same problem.

import { UnsupportedError, UsageError } from "../core/errors.ts";
import { pacer } from "../core/pause.ts";
import { formatType, sizeOf, type TensorType } from "../core/shape.ts";
import type { Graph, Node, Value } from "../graph/graph.ts";
import { fold, grows } from "../graph/passes/fold.ts";
import type { Problem } from "../ops/operator.ts";
import { parameterSets, type AnyRewrite, type Parameters } from "../../shaders/strategy.ts";
import { parametersLabel } from "./plan.ts";
import type { ScheduleOptions, Toolbox } from "./schedule.ts";

const WORD_BYTES = 4;

/** A graph in which rewritten nodes have been replaced. */
export interface Expanded {
  readonly graph: Graph;
  /** The choices forced by name that are left for kernels. */
  readonly strategies: ScheduleOptions["strategies"];
  /** Names of the nodes of each rewritten node begin with a prefix; what it was rewritten by. */
  readonly rewritten: ReadonlyMap<string, string>;
}

/** What becomes of a problem: the graph that replaces it (its operands are inputs), or undefined for the best kernel. */
interface Decision {
  readonly parts: Graph | undefined;
  readonly label: string;
  readonly estimatedMs: number;
}

/** Replaces the nodes that some rewrite does better than every kernel, or for which one is forced by name. */
export async function expand(graph: Graph, options: ScheduleOptions, tools: Toolbox): Promise<Expanded> {
  return new Expander(options, tools).expandAll(graph);
}

/** The rewrite with these parameters as a graph: inputs `0`, `1` … are the operands, outputs `0` … the results. */
export function rewriteGraph(
  rewrite: AnyRewrite,
  problem: Problem,
  params: Parameters,
  { Graph, eliminate }: Pick<Toolbox, "Graph" | "eliminate">,
): Graph {
  const parts = new Graph();
  const operands = problem.inputs.map((type, i) => type && parts.input(String(i), type));
  const results = rewrite.rewrite(parts, operands, problem, params);
  problem.outputs.forEach((type, i) => {
    const result = results[i] as Value;
    if (formatType(result) !== formatType(type))
      throw new UsageError(
        `${rewrite.operator}/${rewrite.name}: output ${i} is ${formatType(result)}, expected ${formatType(type)}`,
      );
    parts.output(String(i), result);
  });
  return eliminate(parts);
}

class Expander {
  private readonly decisions = new Map<string, Decision>();
  /** Texts of kernels that are needed already: compiling them costs nothing more. */
  private readonly known = new Set<string>();

  private readonly breathe: () => Promise<void>;

  constructor(
    private readonly options: ScheduleOptions,
    private readonly tools: Toolbox,
  ) {
    this.breathe = pacer(options.signal);
  }

  async expandAll(graph: Graph): Promise<Expanded> {
    const { strategies = {} } = this.options;
    const rewritten = new Map<string, string>();
    const decided = new Map<Node, Decision>();
    const spent = new Set<string>();
    for (const node of graph.nodes) {
      const forcedBy = node.name in strategies ? node.name : node.operator.name;
      const forced = strategies[forcedBy];
      const decision = await this.decide(node, knownOperands(graph, node), forced, []);
      await this.breathe();
      if (!decision?.parts) continue;
      decided.set(node, decision);
      if (forced !== undefined) spent.add(forcedBy);
    }
    if (decided.size === 0) return { graph, strategies, rewritten };
    const { rebuild, eliminate } = this.tools;
    const replaced = rebuild(graph, (node, inputs, target) => {
      const decision = decided.get(node);
      if (!decision) return undefined;
      const prefix = `${node.name}/${decision.label}`;
      rewritten.set(`${prefix}/`, decision.label);
      return inline(decision.parts!, inputs, target, prefix);
    });
    return {
      graph: eliminate(fold(replaced)),
      strategies: Object.fromEntries(Object.entries(strategies).filter(([name]) => !spent.has(name))),
      rewritten,
    };
  }

  /** Undefined where the operator has no rewrites, or one of its kernels is forced. `path` names the rewrites around. */
  private async decide(
    node: Node,
    isConstant: readonly boolean[],
    forced: string | undefined,
    path: readonly string[],
  ): Promise<Decision | undefined> {
    const { operator, attributes } = node;
    const { tuning, loadRewrites } = this.options;
    if (operator.pointwise || operator.alias) return undefined;
    const inputs = node.inputs.map((value) => value && typeOf(value));
    const problem: Problem = { inputs, outputs: node.outputs.map(typeOf), attributes };
    const listed = await loadRewrites!(operator.name, forced === undefined ? [problem] : undefined);
    const measured = forced === undefined ? tuning?.rewrites(operator, problem, isConstant, listed) : undefined;
    const rewrites = (measured?.rewrites ?? listed).filter(
      ({ name }) => !path.includes(name) && (forced ?? name) === name,
    );
    if (rewrites.length === 0) {
      if (forced !== undefined && listed.length > 0) await this.requireKernel(node, forced, listed);
      return undefined;
    }
    const key = JSON.stringify([operator.name, attributes, problem.inputs, isConstant, forced, path]);
    let decision = this.decisions.get(key);
    if (!decision) {
      const settled = measured?.isSettled ? rewrites[0]!.name : forced;
      decision = await this.weigh(node, problem, rewrites, isConstant, settled, path);
      this.decisions.set(key, decision);
    }
    return decision;
  }

  private async requireKernel({ operator }: Node, forced: string, rewrites: readonly AnyRewrite[]): Promise<void> {
    const names = [...(await this.options.loadStrategies(operator.name)), ...rewrites].map(({ name }) => name);
    if (!names.includes(forced))
      throw new UsageError(`${operator.name} has no strategy "${forced}"; it has ${names.join(", ")}`);
  }

  private async weigh(
    node: Node,
    problem: Problem,
    rewrites: readonly AnyRewrite[],
    isConstant: readonly boolean[],
    forced: string | undefined,
    path: readonly string[],
  ): Promise<Decision> {
    const { limits } = this.options;
    let best: Decision = { parts: undefined, label: "", estimatedMs: Infinity };
    let kernels: string[] = [];
    if (forced === undefined) {
      const [estimatedMs, texts] = await this.estimate(directGraph(node, problem, this.tools));
      best = { ...best, estimatedMs };
      kernels = texts;
    }
    const reasons = new Map<string, string>();
    for (const rewrite of rewrites)
      for (const params of parameterSets(rewrite)) {
        const answer = rewrite.supports(problem, limits, params);
        if (answer !== true) {
          reasons.set(rewrite.name, answer);
          continue;
        }
        const plain = rewriteGraph(rewrite, problem, params, this.tools);
        if (largestBytes(plain) > Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize)) {
          reasons.set(rewrite.name, `${largestBytes(plain)} bytes on the way are more than this device binds`);
          continue;
        }
        const parts = await this.expandParts(plain, isConstant, [...path, rewrite.name]);
        const plan = withoutConstants(parts, isConstant, this.tools);
        const [estimatedMs, texts] = await this.estimate(plan, best.estimatedMs);
        if (estimatedMs >= best.estimatedMs && best.estimatedMs !== Infinity) continue;
        best = { parts, label: parametersLabel(rewrite.name, params), estimatedMs };
        kernels = texts;
      }
    if (forced !== undefined && !best.parts)
      throw new UnsupportedError(
        `${node.name}: ${node.operator.name} can't be rewritten by ${forced} here (${reasons.get(forced) ?? "no reason"})`,
      );
    for (const text of kernels) this.known.add(text);
    return best;
  }

  /** Rewrites the parts of a rewrite in their turn. */
  private async expandParts(parts: Graph, isConstant: readonly boolean[], path: readonly string[]): Promise<Graph> {
    const constants = constantValues(parts, isConstant);
    const decided = new Map<Node, Decision>();
    for (const node of parts.nodes) {
      if (node.outputs.every((value) => constants.has(value))) continue;
      const decision = await this.decide(
        node,
        node.inputs.map((value) => value !== undefined && constants.has(value)),
        undefined,
        path,
      );
      if (decision?.parts) decided.set(node, decision);
    }
    if (decided.size === 0) return parts;
    return this.tools.rebuild(parts, (node, inputs, target) => {
      const decision = decided.get(node);
      return decision && inline(decision.parts!, inputs, target, `${node.name}/${decision.label}`);
    });
  }

  /**
   * Milliseconds a run of the graph's dispatches, each by its cheapest kernel, and those kernels' texts. It ends early where
   * `mostMs` are passed.
   */
  private async estimate(graph: Graph, mostMs = Infinity): Promise<[ms: number, texts: string[]]> {
    const { limits, traits, fusion } = this.options;
    const { fuse, lower, boundsOf, chooseStrategy } = this.tools;
    const groups = fuse(graph, { maxBindings: limits.maxStorageBuffersPerShaderStage, ...fusion, prologue: false });
    const texts: string[] = [];
    const dispatchMs = traits.dispatchNs * 1e-6;
    const lowered = await Promise.all(
      groups.map(async (group) => {
        const { operator, problem } = lower(graph, group);
        return { operator, problem, strategies: await this.options.loadStrategies(operator.name, [problem]) };
      }),
    );
    let leastMs = 0;
    for (const { operator, problem, strategies } of mostMs < Infinity ? lowered : []) {
      await this.breathe();
      leastMs += (boundsOf(operator, problem, strategies, this.options)[0]?.leastMs ?? Infinity) + dispatchMs;
      if (leastMs >= mostMs) return [Infinity, []];
    }
    let ms = 0;
    for (const { operator, problem, strategies } of lowered) {
      if (ms > mostMs) break;
      await this.breathe();
      const isKnown = (wgsl: string): boolean => this.known.has(wgsl) || texts.includes(wgsl);
      try {
        const best = chooseStrategy(operator, problem, strategies, { limits, traits, forced: undefined, isKnown });
        ms += best.estimatedMs + dispatchMs;
        texts.push(best.kernel.wgsl);
      } catch (error) {
        if (!(error instanceof UnsupportedError)) throw error;
        return [Infinity, []];
      }
    }
    return [ms, texts];
  }
}

const typeOf = ({ dtype, shape }: TensorType): TensorType => ({ dtype, shape });

/** Which operands have contents that can be computed with by now: constants, unless they are read from a file later. */
export function knownOperands(graph: Graph, { inputs }: Pick<Node, "inputs">): boolean[] {
  return inputs.map((value) => {
    const data = value && graph.constants.get(value);
    return data !== undefined && !data.read;
  });
}

function largestBytes({ nodes }: Graph): number {
  const sizes = nodes.flatMap(({ outputs }) => outputs.map(({ shape }) => sizeOf(shape)));
  return WORD_BYTES * Math.max(0, ...sizes);
}

/** The node alone, its operands as inputs. */
function directGraph({ operator, name }: Node, problem: Problem, { Graph }: Toolbox): Graph {
  const graph = new Graph();
  const operands = problem.inputs.map((type, i) => type && graph.input(String(i), type));
  const { outputs } = graph.append(operator, operands, problem.attributes, problem.outputs, name);
  outputs.forEach((value, i) => {
    graph.output(String(i), value);
  });
  return graph;
}

/** Values that will be folded, given which of the operands are constants. */
function constantValues(parts: Graph, isConstant: readonly boolean[]): Set<Value> {
  const constants = new Set<Value>(parts.constants.keys());
  for (const [name, value] of parts.inputs) if (isConstant[Number(name)]) constants.add(value);
  for (const node of parts.nodes)
    if (node.inputs.length > 0 && node.inputs.every((value) => !value || constants.has(value)) && !grows(node))
      for (const value of node.outputs) constants.add(value);
  return constants;
}

/** The graph with inputs in place of what will be folded. */
function withoutConstants(parts: Graph, isConstant: readonly boolean[], tools: Toolbox): Graph {
  const constants = constantValues(parts, isConstant);
  return tools.eliminate(
    tools.rebuild(parts, (node, _, target) =>
      node.outputs.every((value) => constants.has(value))
        ? node.outputs.map((value, i) => target.input(`folded ${node.id}.${i}`, value))
        : undefined,
    ),
  );
}

/** Appends `parts` to `target` on these operands. Returns what stands for the results. */
function inline(
  parts: Graph,
  operands: readonly (Value | undefined)[],
  target: Graph,
  prefix: string,
): readonly Value[] {
  const mapped = new Map<Value, Value>();
  for (const [name, value] of parts.inputs) mapped.set(value, operands[Number(name)]!);
  for (const [value, data] of parts.constants)
    mapped.set(value, target.constant(data.shape.length === 0 && data.dtype === "float32" ? data.data[0]! : data));
  const map = (value: Value): Value => mapped.get(value)!;
  for (const { operator, inputs, attributes, outputs, name } of parts.nodes) {
    const copy = target.append(
      operator,
      inputs.map((value) => value && map(value)),
      attributes,
      outputs,
      `${prefix}/${name}`,
    );
    outputs.forEach((value, i) => mapped.set(value, copy.outputs[i]!));
  }
  return [...parts.outputs.values()].map(map);
}
