// The graph: a list of operator applications in the order they were traced, which is always a topological order.
// Everything that is compiled is one of these: an inference function, an imported model, a whole training step.

import { ShapeError, UsageError } from "../core/errors.ts";
import { checkShape, formatType, sameShape, type Shape, type TensorType } from "../core/shape.ts";
import type { DType } from "../core/dtype.ts";
import { filled, type TensorData } from "../core/tensorData.ts";
import type { Attributes, Builder, Operand, Operator } from "../ops/operator.ts";
import type { Variable } from "./variable.ts";

/** A tensor of the graph: an input, a constant, a variable's value, or one output of a node. */
export class Value implements TensorType {
  constructor(
    readonly id: number,
    readonly dtype: DType,
    readonly shape: Shape,
    /** The node that computes it; undefined for inputs, constants and variables. */
    readonly node: Node | undefined,
    /** Shown in plans and messages. */
    readonly name: string,
  ) {}
}

/** One application of an operator. */
export interface Node {
  readonly id: number;
  readonly operator: Operator;
  readonly attributes: Attributes;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  /** Where it came from, e.g. `features.0/Conv`. */
  readonly name: string;
}

export class Graph implements Builder {
  readonly nodes: Node[] = [];
  readonly inputs = new Map<string, Value>();
  readonly outputs = new Map<string, Value>();
  readonly constants = new Map<Value, TensorData>();
  readonly variables = new Map<Value, Variable>();
  /** New contents of variables after a run: variable's value → updated value. */
  readonly updates = new Map<Value, Value>();
  private readonly variableValues = new Map<Variable, Value>();
  private readonly scalars = new Map<string, Value>();
  private readonly scopes: string[] = [];
  private nextId = 0;

  /** Declares a named input that every run supplies. */
  input(name: string, type: TensorType): Value {
    if (this.inputs.has(name)) throw new UsageError(`Graph: input "${name}" is declared twice`);
    checkShape(type.shape, `input "${name}"`);
    const value = this.value(type, undefined, name);
    this.inputs.set(name, value);
    return value;
  }

  /** A constant. A bare number is a float32 scalar; equal scalars are one value. */
  constant(value: number | TensorData): Value {
    if (typeof value !== "number") {
      const constant = this.value(value, undefined, "constant");
      this.constants.set(constant, value);
      return constant;
    }
    const key = Object.is(value, -0) ? "-0" : String(value);
    let scalar = this.scalars.get(key);
    if (!scalar) {
      scalar = this.value({ dtype: "float32", shape: [] }, undefined, String(value));
      this.constants.set(scalar, filled(value, []));
      this.scalars.set(key, scalar);
    }
    return scalar;
  }

  /** The current contents of a variable (a parameter, an optimizer's moment). */
  variable(variable: Variable): Value {
    let value = this.variableValues.get(variable);
    if (!value) {
      value = this.value(variable, undefined, variable.name);
      this.variableValues.set(variable, value);
      this.variables.set(value, variable);
    }
    return value;
  }

  /** After each run `variable` holds `value`. Reads of the variable in this graph see the old contents. */
  update(variable: Variable, value: Value): void {
    if (!sameShape(variable.shape, value.shape) || variable.dtype !== value.dtype)
      throw new ShapeError(`update of ${variable.name}: expected ${formatType(variable)}, got ${formatType(value)}`);
    this.updates.set(this.variable(variable), value);
  }

  output(name: string, value: Value): void {
    if (this.outputs.has(name)) throw new UsageError(`Graph: output "${name}" is declared twice`);
    this.outputs.set(name, value);
  }

  apply<A extends Attributes>(
    operator: Operator<A>,
    inputs: readonly (Operand | undefined)[],
    attributes?: Partial<A>,
  ): Value {
    return this.applyAll(operator, inputs, attributes)[0]!;
  }

  applyAll<A extends Attributes>(
    operator: Operator<A>,
    inputs: readonly (Operand | undefined)[],
    attributes?: Partial<A>,
  ): readonly Value[] {
    const values = inputs.map((input) => input && valueOf(input, operator.name));
    const complete = { ...operator.attributes, ...attributes };
    this.checkArity(operator, values);
    const types = operator.infer(values, complete);
    if (operator.decompose)
      return this.scope(operator.name, () =>
        operator.decompose!(this, values, complete).map((output) => valueOf(output, operator.name)),
      );
    return this.append(operator, values, complete, types, this.scopedName(operator.name)).outputs;
  }

  /** Appends a node whose types are already known; for passes that rebuild graphs. */
  append(
    operator: Operator,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes,
    types: readonly TensorType[],
    name: string,
  ): Node {
    const outputs: Value[] = [];
    const node: Node = { id: this.nodes.length, operator, attributes, inputs, outputs, name };
    types.forEach((type, i) => outputs.push(this.value(type, node, i === 0 ? name : `${name}.${i}`)));
    this.nodes.push(node);
    return node;
  }

  /** Names the nodes that `trace` appends `name/…`. */
  scope<T>(name: string, trace: () => T): T {
    this.scopes.push(name);
    try {
      return trace();
    } finally {
      this.scopes.pop();
    }
  }

  private scopedName(name: string): string {
    return [...this.scopes, name].join("/");
  }

  private checkArity(operator: Operator, inputs: readonly (Value | undefined)[]): void {
    const required = operator.required ?? operator.inputs.length;
    const missing = operator.inputs.slice(0, required).filter((_, i) => inputs[i] === undefined);
    if (missing.length > 0) throw new UsageError(`${operator.name}: input ${missing.join(", ")} is missing`);
    if (inputs.length > operator.inputs.length)
      throw new UsageError(`${operator.name} takes at most ${operator.inputs.length} inputs, got ${inputs.length}`);
  }

  private value(type: TensorType, node: Node | undefined, name: string): Value {
    return new Value(this.nextId++, type.dtype, [...type.shape], node, name);
  }
}

/** An operand of a rule is a value of the graph the rule was given. */
function valueOf(operand: Operand, who: string): Value {
  if (operand instanceof Value) return operand;
  throw new UsageError(`${who}: an operand is not a value of a graph`);
}

/** For every value, the nodes that read it, in order; a node that reads it twice appears once. */
export function consumersOf(graph: Graph): Map<Value, Node[]> {
  const consumers = new Map<Value, Node[]>();
  for (const node of graph.nodes)
    for (const input of new Set(node.inputs)) {
      if (!input) continue;
      const list = consumers.get(input);
      if (list) list.push(node);
      else consumers.set(input, [node]);
    }
  return consumers;
}
