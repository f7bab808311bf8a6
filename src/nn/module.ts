// A module is a function of symbolic tensors that owns parameters. What it owns is what its properties hold: parameters,
// other modules, arrays of either; a parameter's path is made of the properties' names (`conv.weight`, `0.bias`). Nothing
// is registered. While a module runs, what it traces is named after its path, so that a plan's steps read `0/Conv`.

import { UsageError } from "../core/errors.ts";
import { formatType, sameShape } from "../core/shape.ts";
import type { TensorData } from "../core/tensorData.ts";
import { Tensor } from "../graph/tensor.ts";
import { Variable } from "../graph/variable.ts";
import { Parameter } from "./parameter.ts";

export interface LoadOptions {
  /** Refuse names that are missing or not known. Default true; shapes must always fit. */
  readonly strict?: boolean;
}

/**
 * Base of all layers and networks.
 *
 * @example
 * class Block extends Module {
 *   conv = new Conv2d(64, 64, 3, { padding: 1 });
 *   forward(x: Tensor) { return relu(this.conv.forward(x).add(x)); }
 * }
 */
export abstract class Module {
  /** False makes this module behave as in evaluation (no dropout) even inside a training step. See {@link eval}. */
  training = true;

  constructor() {
    // Every call of forward, by whomever, goes through `enter`; the method itself stays as the class wrote it.
    const forward = (...inputs: [Tensor, ...Tensor[]]): Tensor =>
      enter(this, inputs, () => (Object.getPrototypeOf(this) as Module).forward.apply(this, inputs));
    Object.defineProperty(this, "forward", { value: forward, writable: true, configurable: true });
  }

  /** Appends what the module computes to the graph of `x`. */
  abstract forward(x: Tensor, ...more: Tensor[]): Tensor;

  /** This module and all below it with their paths, each once, parents first; this one's path is empty. */
  namedModules(): [path: string, module: Module][] {
    const found = new Map<Module, string>();
    const visit = (module: Module, path: string): void => {
      if (found.has(module)) return;
      found.set(module, path);
      for (const [name, owned] of ownedBy(module)) if (owned instanceof Module) visit(owned, join(path, name));
    };
    visit(this, "");
    return [...found].map(([module, path]) => [path, module]);
  }

  /** All variables with their paths, each once: parameters and what is kept beside them. Names them by these paths. */
  namedVariables(): [path: string, variable: Variable][] {
    const found = new Map<Variable, string>();
    for (const [path, module] of this.namedModules())
      for (const [name, owned] of ownedBy(module))
        if (owned instanceof Variable && !found.has(owned)) found.set(owned, join(path, name));
    for (const [variable, path] of found) variable.name = path;
    return [...found].map(([variable, path]) => [path, variable]);
  }

  /** The variables optimizers change, with their paths. */
  namedParameters(): [path: string, parameter: Variable][] {
    return this.namedVariables().filter(([, variable]) => variable.trainable);
  }

  /** The variables optimizers change. */
  parameters(): Variable[] {
    return this.namedParameters().map(([, parameter]) => parameter);
  }

  /** Lets this module and all below it behave as in training, inside training steps. The default. */
  train(on = true): this {
    for (const [, module] of this.namedModules()) module.training = on;
    return this;
  }

  /** Makes this module and all below it behave as in evaluation always: a frozen part of a network in training. */
  eval(): this {
    return this.train(false);
  }

  /**
   * The contents of all variables as the host knows them, by path. An engine that has trained them since is asked first:
   * `await trainer.sync()`.
   *
   * @example
   * const file = encodeSafetensors(net.stateDict());
   */
  stateDict(): Map<string, TensorData> {
    return new Map(
      this.namedVariables().map(([path, { dtype, shape, data }]) => [path, { dtype, shape, data: data.data }]),
    );
  }

  /**
   * Replaces the contents of variables by copies of `state`. An engine that holds them already is told by
   * `engine.push(net.parameters())`.
   *
   * @throws UsageError that lists every name that is missing, unknown or of another type; nothing is changed then.
   */
  loadStateDict(state: ReadonlyMap<string, TensorData>, { strict = true }: LoadOptions = {}): void {
    const own = new Map(this.namedVariables());
    const faults: string[] = [];
    const list = (title: string, names: string[]): unknown =>
      names.length > 0 && faults.push(`${title}: ${names.join(", ")}`);
    if (strict) {
      list(
        "missing",
        [...own.keys()].filter((name) => !state.has(name)),
      );
      list(
        "unexpected",
        [...state.keys()].filter((name) => !own.has(name)),
      );
    }
    const known = [...state].filter(([name]) => own.has(name));
    list(
      "of another type",
      known.flatMap(([name, given]) => {
        const expected = own.get(name)!;
        const fits = expected.dtype === given.dtype && sameShape(expected.shape, given.shape);
        return fits ? [] : [`${name} (expected ${formatType(expected)}, got ${formatType(given)})`];
      }),
    );
    if (faults.length > 0) throw new UsageError(`loadStateDict: ${faults.join("; ")}`);
    for (const [name, { dtype, shape, data }] of known) own.get(name)!.data = { dtype, shape, data: data.slice() };
  }

  /** What {@link namedModules} and {@link namedVariables} look through: by default the own properties. */
  protected properties(): Iterable<[name: string, value: unknown]> {
    return Object.entries(this);
  }

  /** @internal */
  static propertiesOf(module: Module): Iterable<[name: string, value: unknown]> {
    return module.properties();
  }
}

/**
 * Draws all parameters of a module anew. Parameter number i, in the order of `namedParameters()`, draws from Philox stream
 * (seed, i): the same seed gives bit-identical values on every machine. Variables that are no {@link Parameter} stay.
 *
 * @example
 * initialize(net, 42);
 */
export function initialize(module: Module, seed: number): void {
  const parameters = module.namedVariables().map(([, variable]) => variable);
  parameters.forEach((variable, i) => {
    if (variable instanceof Parameter) variable.redraw(seed, i);
  });
}

/** Modules and variables a module's properties hold, one level down. */
function ownedBy(module: Module): [name: string, owned: Module | Variable][] {
  const owned: [string, Module | Variable][] = [];
  for (const [name, value] of Module.propertiesOf(module)) {
    if (!Array.isArray(value)) {
      if (value instanceof Module || value instanceof Variable) owned.push([name, value]);
      continue;
    }
    value.forEach((item: unknown, i) => {
      if (item instanceof Module || item instanceof Variable) owned.push([`${name}.${i}`, item]);
    });
  }
  return owned;
}

const join = (path: string, name: string): string => (path === "" ? name : `${path}.${name}`);

/** One module's turn while a network is traced. */
export interface Call {
  readonly module: Module;
  readonly path: string;
  readonly result: Tensor;
  /** Nodes it appended: [firstNode, endNode) of the graph, those of the modules it called included. */
  readonly firstNode: number;
  readonly endNode: number;
  /** The calls it made itself. */
  readonly inner: readonly Call[];
}

// Tracing is synchronous, so what is being traced right now can live here.
let paths: ReadonlyMap<Module, string> | undefined;
let observe: ((call: Call) => void) | undefined;
const entered: { readonly path: string; readonly inner: Call[] }[] = [];

/** Runs `forward` in the scope of the module's path. */
function enter(module: Module, inputs: readonly Tensor[], forward: () => Tensor): Tensor {
  const graph = inputs.find((input) => input instanceof Tensor)?.graph;
  if (!graph) throw new UsageError(`${module.constructor.name}.forward: expected a symbolic tensor`);
  const isRoot = paths === undefined;
  if (isRoot) {
    module.namedVariables();
    paths = new Map(module.namedModules().map(([path, below]) => [below, path]));
  }
  const path = paths!.get(module) ?? "";
  const caller = entered.at(-1);
  const isBelow = caller !== undefined && caller.path !== "" && path.startsWith(`${caller.path}.`);
  const local = isBelow ? path.slice(caller.path.length + 1) : path;
  const firstNode = graph.nodes.length;
  const inner: Call[] = [];
  entered.push({ path, inner });
  try {
    const result = local === "" ? forward() : graph.scope(local.replaceAll(".", "/"), forward);
    const call: Call = { module, path, result, firstNode, endNode: graph.nodes.length, inner };
    caller?.inner.push(call);
    observe?.(call);
    return result;
  } finally {
    entered.pop();
    if (isRoot) paths = undefined;
  }
}

/** Calls `visit` after every module that `trace` runs. */
export function observing<T>(visit: (call: Call) => void, trace: () => T): T {
  const outer = observe;
  observe = visit;
  try {
    return trace();
  } finally {
    observe = outer;
  }
}
