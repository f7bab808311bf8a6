// If, Loop and Scan: decided on the host. A branch or body is walked like any other part of the model, in a scope of its own
// that sees the names around it; a loop is unrolled into the graph at hand until a condition has to be computed.

import { FormatError, ShapeError, UnsupportedError } from "../../core/errors.ts";
import { filled } from "../../core/tensorData.ts";
import { concatenate } from "../../ops/concat.ts";
import { reshape } from "../../ops/reshape.ts";
import { slice } from "../../ops/slice.ts";
import { nodeLabel } from "./call.ts";
import { Handle, Scope, SequenceHandle } from "./handle.ts";
import type { Interpreter } from "./interpreter.ts";
import type { GraphProto, NodeProto } from "./model.ts";

/** Iterations after which a loop is taken to have gone astray. */
const MOST_ITERATIONS = 1_000_000;
/** Node applications up to which a loop's counter is written into the graph as a constant. */
const UNROLLED_NODES = 2000;

type Item = Handle | SequenceHandle;

interface ControlCall {
  readonly interpreter: Interpreter;
  readonly node: NodeProto;
  readonly inputs: readonly (Item | undefined)[];
  readonly scope: Scope;
  readonly opsets: Readonly<Record<string, number>>;
}

export function isControlFlow({ domain, operator }: NodeProto): boolean {
  return domain === "" && (operator === "If" || operator === "Loop" || operator === "Scan");
}

/** Operators that {@link runControlFlow} takes. */
export function runControlFlow(call: ControlCall): Promise<readonly (Item | undefined)[]> {
  switch (call.node.operator) {
    case "If":
      return runIf(call);
    case "Loop":
      return runLoop(call);
    default:
      return runScan(call);
  }
}

function body({ node }: ControlCall, name: string): GraphProto {
  const attribute = node.attributes.get(name);
  if (attribute?.kind !== "graph") throw new FormatError(`${nodeLabel(node)}: attribute ${name} must be a graph`);
  return attribute.value;
}

function tensor({ node, inputs }: ControlCall, i: number): Handle {
  const input = inputs[i];
  if (input instanceof Handle) return input;
  throw new FormatError(`${nodeLabel(node)}: input ${i} must be a tensor`);
}

/** Walks a subgraph with the given inputs; its outputs. */
async function runBody(call: ControlCall, graph: GraphProto, inputs: readonly Item[]): Promise<Item[]> {
  const { interpreter, scope, opsets, node } = call;
  const inner = new Scope(scope, interpreter.model.lastUses(graph));
  graph.inputs.forEach(({ name }, i) => {
    const input = inputs[i];
    if (!input)
      throw new FormatError(
        `${nodeLabel(node)}: the subgraph takes ${graph.inputs.length} inputs, got ${inputs.length}`,
      );
    inner.set(name, input);
  });
  await interpreter.walk(graph, inner, opsets);
  return graph.outputs.map(({ name }) => {
    const output = inner.get(name);
    if (!output) throw new FormatError(`${nodeLabel(node)}: nothing in the subgraph computes "${name}"`);
    return output;
  });
}

async function runIf(call: ControlCall): Promise<Item[]> {
  const condition = await call.interpreter.need(tensor(call, 0), call.scope);
  return runBody(call, body(call, condition.data[0] ? "then_branch" : "else_branch"), []);
}

/** Keeps what a loop carries in a scope, so that a cut in its body does not lose it. */
class Carried {
  readonly scope: Scope;

  constructor(parent: Scope, names: readonly string[]) {
    this.scope = new Scope(parent, new Map(names.map((name) => [name, Infinity])));
  }
}

async function runLoop(call: ControlCall): Promise<Item[]> {
  const { interpreter, node, inputs, scope } = call;
  const graph = body(call, "body");
  const trips = inputs[0] ? (await interpreter.need(tensor(call, 0), scope)).data[0]! : Infinity;
  let condition: Handle | undefined = inputs[1] ? tensor(call, 1) : undefined;
  let states = inputs.slice(2).map((item, i) => {
    if (!item) throw new FormatError(`${nodeLabel(node)}: loop-carried input ${i + 2} is missing`);
    return item;
  });
  const scans: Handle[][] = Array.from({ length: graph.outputs.length - 1 - states.length }, () => []);
  const isUnrolled = trips * graph.nodes.length <= UNROLLED_NODES;
  for (let i = 0; i < trips; i++) {
    if (condition && !(await interpreter.need(condition, scope)).data[0]) break;
    if (i >= MOST_ITERATIONS)
      throw new UnsupportedError(`${nodeLabel(node)}: the loop has run ${i} times and its condition still holds`);
    const counter = interpreter.known({ dtype: "int64", shape: [], data: Float64Array.of(i) }, isUnrolled);
    const truth = condition ?? interpreter.known({ dtype: "bool", shape: [], data: Uint32Array.of(1) }, true);
    const carried = keep(call, [...states, ...scans.flat()]);
    const [next, ...results] = await runBody({ ...call, scope: carried.scope }, graph, [counter, truth, ...states]);
    if (!(next instanceof Handle)) throw new FormatError(`${nodeLabel(node)}: the body's condition must be a tensor`);
    condition = next;
    states = results.slice(0, states.length);
    results.slice(states.length).forEach((item, k) => {
      if (!(item instanceof Handle)) throw new FormatError(`${nodeLabel(node)}: scan output ${k} must be a tensor`);
      scans[k]!.push(item);
    });
    // The condition may cut the graph: what the loop holds must survive that.
    if (!interpreter.isConstant(condition)) {
      const held = keep(call, [...states, ...scans.flat(), condition]);
      await interpreter.need(condition, held.scope);
    }
  }
  return [...states, ...scans.map((items, k) => stack(call, items, 0, graph.outputs[1 + states.length + k]!.dtype))];
}

function keep({ scope }: ControlCall, items: readonly Item[]): Carried {
  const names = items.map((_, i) => ` kept ${i}`);
  const carried = new Carried(scope, names);
  items.forEach((item, i) => {
    carried.scope.set(names[i]!, item);
  });
  return carried;
}

/** Results of all iterations along a new axis. */
function stack({ interpreter, node }: ControlCall, items: readonly Handle[], axis: number, dtype: string): Handle {
  if (items.length === 0) {
    if (dtype === "float32" || dtype === "int64" || dtype === "int32" || dtype === "bool")
      return interpreter.known(filled(0, [0], dtype), true);
    throw new UnsupportedError(`${nodeLabel(node)}: a scan output of no iterations has no known shape`);
  }
  const [{ shape }] = items as [Handle];
  if (items.some((item) => item.shape.join() !== shape.join()))
    throw new ShapeError(`${nodeLabel(node)}: a scan output changes its shape from one iteration to the next`);
  const at = axis < 0 ? axis + shape.length + 1 : axis;
  const stretched = [...shape.slice(0, at), 1, ...shape.slice(at)];
  const parts = items.map((item) =>
    interpreter.build.apply(reshape, [interpreter.operand(item)], { shape: stretched }),
  );
  return interpreter.result(concatenate(interpreter.build, parts, at));
}

async function runScan(call: ControlCall): Promise<Item[]> {
  const { interpreter, node, inputs, opsets } = call;
  if ((opsets[""] ?? 0) < 9)
    throw new UnsupportedError(`${nodeLabel(node)}: Scan of opset 8 is not supported, only 9 and later`);
  const graph = body(call, "body");
  const count = integers(node, "num_scan_inputs")[0] ?? 0;
  const stateCount = inputs.length - count;
  const outputCount = graph.outputs.length - stateCount;
  const inputAxes = integers(node, "scan_input_axes", count);
  const inputDirections = integers(node, "scan_input_directions", count);
  const outputAxes = integers(node, "scan_output_axes", outputCount);
  const outputDirections = integers(node, "scan_output_directions", outputCount);
  let states: Item[] = inputs.slice(0, stateCount).map((_, i) => tensor(call, i));
  const sequences = inputs.slice(stateCount).map((_, i) => tensor(call, stateCount + i));
  const axisOf = (k: number): number => {
    const axis = inputAxes[k]!;
    return axis < 0 ? axis + sequences[k]!.shape.length : axis;
  };
  const length = sequences[0]!.shape[axisOf(0)]!;
  const scans: Handle[][] = Array.from({ length: outputCount }, () => []);
  for (let i = 0; i < length; i++) {
    const carried = keep(call, [...states, ...sequences, ...scans.flat()]);
    const items = sequences.map((sequence, k) => {
      const axis = axisOf(k);
      const index = inputDirections[k] === 1 ? length - 1 - i : i;
      const { shape } = sequence;
      const part = interpreter.build.apply(slice, [interpreter.operand(sequence)], {
        starts: [index],
        ends: [index + 1],
        axes: [axis],
        steps: [1],
      });
      const item = [...shape.slice(0, axis), ...shape.slice(axis + 1)];
      return interpreter.result(interpreter.build.apply(reshape, [part], { shape: item }));
    });
    const results = await runBody({ ...call, scope: carried.scope }, graph, [...states, ...items]);
    states = results.slice(0, stateCount);
    results.slice(stateCount).forEach((item, k) => {
      if (!(item instanceof Handle)) throw new FormatError(`${nodeLabel(node)}: scan output ${k} must be a tensor`);
      scans[k]!.push(item);
    });
  }
  return [
    ...states,
    ...scans.map((items, k) =>
      stack(
        call,
        outputDirections[k] === 1 ? items.toReversed() : items,
        outputAxes[k]!,
        graph.outputs[stateCount + k]!.dtype,
      ),
    ),
  ];
}

/** A list attribute, zeros where it is absent; or one integer as a list. */
function integers(node: NodeProto, name: string, count = 0): readonly number[] {
  const attribute = node.attributes.get(name);
  if (!attribute) return new Array<number>(count).fill(0);
  if (attribute.kind === "int") return [attribute.value];
  if (attribute.kind === "ints") return attribute.value;
  throw new FormatError(`${nodeLabel(node)}: attribute ${name} must be integers`);
}
