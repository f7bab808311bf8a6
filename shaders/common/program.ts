// Pointwise programs as WGSL: where each operand is read for a given output element, and one `let` per instruction.
// Used by the kernels of `Pointwise` and, as an epilogue, by every heavy kernel.

import { broadcastStrides } from "../../src/core/broadcast.ts";
import { sameShape, sizeOf, type Shape, type TensorType } from "../../src/core/shape.ts";
import type { DType } from "../../src/core/dtype.ts";
import type { PointwiseProgram, Register, Uniform } from "../strategy.ts";
import { mergeRuns, runsIndex } from "./runs.ts";

/**
 * A float of any bits. WGSL rejects constant expressions that are infinite or NaN, and may assume that no value is; the
 * parameter of a function is no constant.
 */
const FLOAT_FROM_BITS = "fn float_from_bits(bits: u32) -> f32 { return bitcast<f32>(bits); }";

/** WGSL text of a literal of the given type; floats print so that they parse back to the same float32. */
export function literal(value: number, dtype: DType): string {
  switch (dtype) {
    case "float32": {
      const rounded = Math.fround(value);
      if (!Number.isFinite(rounded)) return `float_from_bits(${new Uint32Array(Float32Array.of(rounded).buffer)[0]!}u)`;
      const text = Object.is(rounded, -0) ? "-0" : String(rounded);
      return signed(`${/[.e]/.test(text) ? text : `${text}.0`}f`);
    }
    case "int32":
      return value === -(2 ** 31) ? `i32(${value})` : signed(`${value}i`);
    case "uint32":
      return `${value}u`;
    case "bool":
      return value === 0 ? "false" : "true";
  }
}

/** Negative literals in parentheses: `-${literal}` must not read as a decrement. */
function signed(text: string): string {
  return text.startsWith("-") ? `(${text})` : text;
}

/** `name[index]` as a value in registers: bools are stored as words. */
export function loadExpression(name: string, index: string, dtype: DType): string {
  return dtype === "bool" ? `(${name}[${index}] != 0u)` : `${name}[${index}]`;
}

/** A register's value as it is stored. */
function storeExpression(value: string, dtype: DType): string {
  return dtype === "bool" ? `select(0u, 1u, ${value})` : value;
}

/**
 * WGSL expression of the element of `operand` that output element `index` of `domain` reads. Extents and strides of
 * stretched operands are added to `uniforms` under names that start with `name`.
 */
export function operandIndex(
  operand: TensorType,
  domain: Shape,
  name: string,
  index: string,
  uniforms: Record<string, Uniform>,
): string {
  if (sizeOf(operand.shape) === 1) return "0u";
  if (sizeOf(operand.shape) === sizeOf(domain) && sameShape(trim(operand.shape), trim(domain))) return index;
  const strides = broadcastStrides(operand.shape, domain);
  return runsIndex(
    mergeRuns(domain.map((extent, axis) => ({ extent, stride: strides[axis]! }))),
    name,
    index,
    uniforms,
  );
}

/** A shape without its leading ones. */
function trim(shape: Shape): Shape {
  const first = shape.findIndex((extent) => extent !== 1);
  return first < 0 ? [] : shape.slice(first);
}

export interface ProgramCode {
  /** One `let` per instruction, in order; registers are called `r0`, `r1` … with `suffix` appended. */
  readonly body: string;
  /** WGSL expression of each program output, ready to store. */
  readonly results: readonly string[];
}

/** Emits a program's instructions. `inputs[i]` is the WGSL expression of program input i in registers. */
export function emitProgram(program: PointwiseProgram, inputs: readonly string[], suffix = ""): ProgramCode {
  const read = (register: Register): string => {
    switch (register.kind) {
      case "input":
        return inputs[register.index]!;
      case "result":
        return `r${register.index}${suffix}`;
      case "literal":
        return literal(register.value, register.dtype);
    }
  };
  const typeOf = (register: Register): TensorType => {
    switch (register.kind) {
      case "input":
        return program.inputs[register.index]!;
      case "result":
        return program.instructions[register.index]!.type;
      case "literal":
        return { dtype: register.dtype, shape: [] };
    }
  };
  const lines = program.instructions.map(({ operator, attributes, args }, i) => {
    const expression = operator.pointwise!.wgsl(args.map(read), attributes, args.map(typeOf));
    return `  let r${i}${suffix} = ${expression};`;
  });
  const results = program.outputs.map((index) =>
    storeExpression(`r${index}${suffix}`, program.instructions[index]!.type.dtype),
  );
  return { body: lines.join("\n"), results };
}

/** WGSL functions that the program's operators declare and its literals need, each once. */
export function programHelpers(program: PointwiseProgram): string {
  const isOdd = (arg: Register): boolean =>
    arg.kind === "literal" && arg.dtype === "float32" && !Number.isFinite(Math.fround(arg.value));
  const helpers = program.instructions.flatMap(({ operator, args }) => [
    ...(args.some(isOdd) ? [FLOAT_FROM_BITS] : []),
    ...(operator.pointwise?.helpers ?? []),
  ]);
  return [...new Set(helpers)].join("\n");
}
