// From a fusion group to the problem a kernel is asked to solve: the heavy node's own problem, or `Pointwise`, with the
// fused pointwise nodes as a straight-line program over registers.

import { isLiteral, type Group } from "../graph/passes/fuse.ts";
import type { Graph, Node, Value } from "../graph/graph.ts";
import type { Operator } from "../ops/operator.ts";
import { pointwise } from "../ops/pointwise.ts";
import type { Instruction, KernelProblem, PointwiseProgram, Prologue, Register } from "../../shaders/strategy.ts";

export interface LoweredGroup {
  readonly operator: Operator;
  readonly problem: KernelProblem;
  /** Values behind the problem's inputs, the program's extra inputs (index 1 …) and the stored outputs. */
  readonly inputs: readonly (Value | undefined)[];
  /** Values behind the prologue's inputs. */
  readonly made: readonly Value[];
  readonly extras: readonly Value[];
  readonly outputs: readonly Value[];
}

/** `write` is how a prologue gets into a kernel; a group that has one cannot do without. */
export function lower(graph: Graph, group: Group, write?: Prologue["write"]): LoweredGroup {
  const { anchor, nodes, outputs } = group;
  if (!anchor) {
    const { inputs } = group;
    const program = buildProgram(graph, nodes, inputs, outputs, outputs[0]!.shape);
    const problem = { inputs, outputs, attributes: {}, program };
    return { operator: pointwise, problem, inputs, made: [], extras: [], outputs };
  }
  const { operator, inputs } = anchor;
  const before = new Set(group.prologue);
  const made = [...new Set(externalReads(graph, group.prologue, before))];
  const [first] = inputs;
  const own = {
    inputs,
    outputs: anchor.outputs,
    attributes: anchor.attributes,
    ...(before.size > 0
      ? {
          prologue: {
            program: buildProgram(graph, group.prologue, made, [first!], first!.shape),
            write: write!,
          },
        }
      : {}),
  };
  const fused = nodes.filter((node) => node !== anchor && !before.has(node));
  if (fused.length === 0) return { operator, problem: own, inputs, made, extras: [], outputs: anchor.outputs };
  const result = anchor.outputs[0]!;
  const extras = [...new Set(externalReads(graph, fused, new Set(nodes)))];
  const program = buildProgram(graph, fused, [result, ...extras], outputs, result.shape);
  return { operator, problem: { ...own, program }, inputs, made, extras, outputs };
}

function externalReads(graph: Graph, nodes: readonly Node[], members: ReadonlySet<Node>): Value[] {
  return nodes.flatMap((node) =>
    node.inputs.filter(
      (input): input is Value =>
        input !== undefined && !(input.node && members.has(input.node)) && !isLiteral(graph, input),
    ),
  );
}

function buildProgram(
  graph: Graph,
  nodes: readonly Node[],
  inputs: readonly Value[],
  outputs: readonly Value[],
  domain: Value["shape"],
): PointwiseProgram {
  const registers = new Map<Value, Register>();
  inputs.forEach((value, index) => registers.set(value, { kind: "input", index }));
  const instructions: Instruction[] = nodes.map((node, index) => {
    const args = node.inputs.map((input) => registers.get(input!) ?? literalRegister(graph, input!));
    registers.set(node.outputs[0]!, { kind: "result", index });
    return { operator: node.operator, attributes: node.attributes, args, type: node.outputs[0]! };
  });
  return { domain, inputs, instructions, outputs: outputs.map((value) => nodes.indexOf(value.node!)) };
}

function literalRegister(graph: Graph, value: Value): Register {
  const { data, dtype } = graph.constants.get(value)!;
  return { kind: "literal", value: data[0]!, dtype };
}
