// From a strategy's text to a complete shader module: binding declarations, the uniform block and the fused epilogue
// are written here, once for all kernels, so that a strategy holds nothing but its idea.

import { dtypes } from "../src/core/dtype.ts";
import type { TensorType } from "../src/core/shape.ts";
import type { Operator } from "../src/ops/operator.ts";
import {
  emitProgram,
  loadExpression,
  narrowExpression,
  narrowHelpers,
  operandIndex,
  programHelpers,
} from "./common/program.ts";
import type { AnyStrategy, BindingType, KernelProblem, Parameters, Uniform } from "./strategy.ts";

/** A kernel ready to become a pipeline, with the data it runs on described but not yet placed. */
export interface AssembledKernel {
  readonly wgsl: string;
  /** Access of each storage binding: group 0, binding i. */
  readonly storage: readonly ("read" | "read_write")[];
  /** Which operand each storage binding holds. */
  readonly operands: readonly Operand[];
  /** Values of the uniform block (group 1, binding 0) in declaration order; empty when there is none. */
  readonly uniforms: readonly Uniform[];
  readonly workgroups: readonly [number, number, number];
}

/** Input i of the operator (for `Pointwise`, of the program), extra input i of the epilogue, or output i. */
interface Operand {
  readonly kind: "input" | "extra" | "output";
  readonly index: number;
}

/** Names of the operator's bindings in WGSL. */
function bindingNames(operator: Operator): { inputs: string[]; outputs: string[] } {
  const lower = (name: string): string => name.toLowerCase();
  return { inputs: operator.inputs.map(lower), outputs: operator.outputs.map(lower) };
}

/** Name of extra input `index` (≥ 1) of an epilogue. */
const extraName = (index: number): string => `extra${index}`;

/** Writes the shader module of one strategy for one problem. */
export function assemble(
  operator: Operator,
  strategy: AnyStrategy,
  problem: KernelProblem,
  params: Parameters,
): AssembledKernel {
  const uniforms: Record<string, Uniform> = { ...strategy.uniforms(problem, params) };
  const { code, bindings = {}, enable = [] } = strategy.source(problem, params);
  const names = bindingNames(operator);
  const isPointwise = operator.name === "Pointwise";
  const overwritten = new Set(problem.inPlace?.filter((index) => index !== undefined));

  const storage: ("read" | "read_write")[] = [];
  const operands: Operand[] = [];
  const declarations: string[] = [];
  const declare = (operand: Operand, name: string, scalar: BindingType): void => {
    const access = operand.kind === "output" ? "read_write" : "read";
    declarations.push(
      `@group(0) @binding(${storage.length}) var<storage, ${access}> ${name}: array<${bindings[name] ?? scalar}>;`,
    );
    storage.push(access);
    operands.push(operand);
  };

  problem.inputs.forEach((type, index) => {
    if (!type || overwritten.has(index)) return;
    declare({ kind: "input", index }, isPointwise ? `x${index}` : names.inputs[index]!, dtypes[type.dtype].wgsl);
  });
  const epilogue = isPointwise ? undefined : problem.program;
  epilogue?.inputs.forEach((type, index) => {
    if (index > 0) declare({ kind: "extra", index }, extraName(index), dtypes[type.dtype].wgsl);
  });
  const stored = epilogue ? [epilogue.instructions[epilogue.outputs[0]!]!.type] : problem.outputs;
  problem.outputs.forEach((type, index) => {
    const name = isPointwise ? `y${index}` : names.outputs[index]!;
    declare({ kind: "output", index }, name, dtypes[(stored[index] ?? type).dtype].wgsl);
  });

  const parts = [epilogueFunction(problem, isPointwise, uniforms), code];
  const fields = Object.entries(uniforms);
  if (fields.length > 0) {
    const struct = fields.map(([name, { type }]) => `  ${name}: ${type},`).join("\n");
    declarations.push(`struct Uniforms {\n${struct}\n}\n@group(1) @binding(0) var<uniform> u: Uniforms;`);
  }
  return {
    wgsl: [...enable.map((extension) => `enable ${extension};`), ...declarations, ...parts]
      .filter((part) => part !== "")
      .join("\n"),
    storage,
    operands,
    uniforms: fields.map(([, uniform]) => uniform),
    workgroups: strategy.dispatch(problem, params),
  };
}

/**
 * `fn epilogue(value, index)`: what a heavy kernel passes every result through before storing it. It rounds or wraps to
 * the output's type, where that is narrower than a word, and carries out what has been fused behind the kernel. Kernels
 * with further outputs store those through `epilogue1(value)` … .
 */
function epilogueFunction(problem: KernelProblem, isPointwise: boolean, uniforms: Record<string, Uniform>): string {
  if (isPointwise) return "";
  const [{ dtype }, ...others] = problem.outputs as [TensorType, ...TensorType[]];
  const type = dtypes[dtype].wgsl;
  const { program } = problem;
  const types = problem.outputs.map((output) => output.dtype);
  const further = others.map((output, i) => {
    const own = dtypes[output.dtype].wgsl;
    return `fn epilogue${i + 1}(value: ${own}) -> ${own} { return ${narrowExpression("value", output.dtype)}; }`;
  });
  if (!program)
    return [
      narrowHelpers(types),
      `fn epilogue(value: ${type}, index: u32) -> ${type} { return ${narrowExpression("value", dtype)}; }`,
      ...further,
    ]
      .filter((text) => text !== "")
      .join("\n");
  const inputs = program.inputs.map((operand, i) => {
    if (i === 0) return dtype === "bool" ? "(value != 0u)" : narrowExpression("value", dtype);
    const index = operandIndex(operand, program.domain, extraName(i), "index", uniforms);
    return loadExpression(extraName(i), index, operand.dtype);
  });
  const { body, results } = emitProgram(program, inputs);
  const stored = dtypes[program.instructions[program.outputs[0]!]!.type.dtype].wgsl;
  return `${programHelpers(program, types)}
fn epilogue(value: ${type}, index: u32) -> ${stored} {
${body}
  return ${results[0]};
}`;
}
