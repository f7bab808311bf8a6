// From a strategy's text to a complete shader module: binding declarations, the uniform block and the fused epilogue
// are written here, once for all kernels, so that a strategy holds nothing but its idea.

import { dtypes, type DType } from "../src/core/dtype.ts";
import type { TensorType } from "../src/core/shape.ts";
import type { Operator } from "../src/ops/operator.ts";
import {
  emitProgram,
  loadExpression,
  narrowExpression,
  narrowHelpers,
  operandIndex,
  programHelpers,
  vector,
} from "./common/program.ts";
import { loadVector, neighbours, readingOf, vectorType } from "./common/vectors.ts";
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

/** Input i of the operator (for `Pointwise`, of the program) or of the prologue, extra input i of the epilogue, or output i. */
interface Operand {
  readonly kind: "input" | "prologue" | "extra" | "output";
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
  const { code: own, bindings = {}, enable = [], lanes = 1 } = strategy.source(problem, params);
  const names = bindingNames(operator);
  const { prologue } = problem;
  const first = problem.inputs[0];
  const made =
    prologue &&
    prologue.write(
      { code: own, name: names.inputs[0]!, type: bindings[names.inputs[0]!] ?? dtypes[first!.dtype].wgsl, uniforms },
      prologue.program,
    );
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
    if (made && index === 0) {
      made.bindings.forEach((binding, i) => declare({ kind: "prologue", index: i }, binding.name, binding.type));
      return;
    }
    declare({ kind: "input", index }, isPointwise ? `x${index}` : names.inputs[index]!, dtypes[type.dtype].wgsl);
  });
  const epilogue = isPointwise ? undefined : problem.program;
  epilogue?.inputs.forEach((type, index) => {
    if (index === 0) return;
    const isVector = lanes === 4 && readingOf(type, epilogue.domain) === "vector";
    declare({ kind: "extra", index }, extraName(index), isVector ? vectorType(type.dtype) : dtypes[type.dtype].wgsl);
  });
  const stored = epilogue ? [epilogue.instructions[epilogue.outputs[0]!]!.type] : problem.outputs;
  problem.outputs.forEach((type, index) => {
    const name = isPointwise ? `y${index}` : names.outputs[index]!;
    const { dtype } = stored[index] ?? type;
    declare({ kind: "output", index }, name, lanes === 4 && index === 0 ? vectorType(dtype) : dtypes[dtype].wgsl);
  });

  const behind = isPointwise ? "" : epilogueFunctions(problem, lanes, uniforms);
  const helpers = made?.helpers.filter((helper) => !behind.includes(helper)) ?? [];
  const parts = [behind, ...helpers, made?.code ?? own];
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
 * the output's type, where that is narrower than a word, and carries out what has been fused behind the kernel. With four
 * `lanes` it is `epilogue4(value, quad)`, for the quad-th four results. Kernels with further outputs store those through
 * `epilogue1(value)` … .
 */
function epilogueFunctions(problem: KernelProblem, lanes: 1 | 4, uniforms: Record<string, Uniform>): string {
  const [{ dtype }, ...others] = problem.outputs as [TensorType, ...TensorType[]];
  const { program } = problem;
  const types = problem.outputs.map((output) => output.dtype);
  const typed = (type: DType): string => (lanes === 4 ? vectorType(type) : dtypes[type].wgsl);
  const value = narrowedValue(dtype, lanes);
  const stored = program ? program.instructions[program.outputs[0]!]!.type.dtype : dtype;
  const head = `fn epilogue${lanes === 4 ? "4" : ""}(value: ${typed(dtype)}, ${lanes === 4 ? "number" : "index"}: u32) -> ${typed(stored)}`;
  const further = others.map((output, i) => {
    const own = dtypes[output.dtype].wgsl;
    return `fn epilogue${i + 1}(value: ${own}) -> ${own} { return ${narrowExpression("value", output.dtype)}; }`;
  });
  if (!program) return lines(...narrowHelpers(types), `${head} { return ${value}; }`, ...further);
  const loads = program.inputs.map((operand, i) => {
    const { domain } = program;
    const zero = lanes === 4 ? "vec4<u32>(0u)" : "0u";
    if (i === 0) return dtype === "bool" ? `(value != ${zero})` : value;
    if (lanes === 4) return loadVector(operand, domain, { name: extraName(i) }, extraName(i), uniforms);
    return loadExpression(extraName(i), operandIndex(operand, domain, extraName(i), "index", uniforms), operand.dtype);
  });
  const names = loads.map((_, i) => `v${i}`);
  const code = emitProgram(program, names, lanes);
  return lines(
    ...programHelpers(program, types),
    `${head} {`,
    lanes === 4 ? neighbours("number") : "",
    ...loads.map((load, i) => `  let v${i} = ${load};`),
    ...code.lines,
    `  return ${code.results[0]};\n}`,
  );
}

const lines = (...texts: readonly string[]): string => texts.filter((text) => text !== "").join("\n");

/** `value` rounded or wrapped to its type, lane by lane. */
function narrowedValue(dtype: DType, lanes: 1 | 4): string {
  if (lanes === 1 || narrowExpression("", dtype) === "") return narrowExpression("value", dtype);
  return vector(dtype, ...["x", "y", "z", "w"].map((lane) => narrowExpression(`value.${lane}`, dtype)));
}
