// Pointwise programs as WGSL: where each operand is read for a given output element, and one `let` per instruction.
// Used by the kernels of `Pointwise` and, as an epilogue, by every heavy kernel.

import { broadcastStrides } from "../../src/core/broadcast.ts";
import { sameShape, sizeOf, type Shape, type TensorType } from "../../src/core/shape.ts";
import { dtypes, isFloat, type DType } from "../../src/core/dtype.ts";
import type { PointwiseProgram, Register, Uniform } from "../strategy.ts";
import { mergeRuns, runsIndex } from "./runs.ts";

/**
 * A float of any bits. WGSL rejects constant expressions that are infinite or NaN, and may assume that no value is; the
 * parameter of a function is no constant.
 */
const FLOAT_FROM_BITS = "fn float_from_bits(bits: u32) -> f32 { return bitcast<f32>(bits); }";

/** WGSL text of a literal of the given type; floats print so that they parse back to the same float32. */
export function literal(value: number, dtype: DType): string {
  switch (dtypes[dtype].wgsl) {
    case "f32": {
      const rounded = Math.fround(value);
      if (!Number.isFinite(rounded)) return `float_from_bits(${new Uint32Array(Float32Array.of(rounded).buffer)[0]!}u)`;
      const text = Object.is(rounded, -0) ? "-0" : String(rounded);
      return signed(`${/[.e]/.test(text) ? text : `${text}.0`}f`);
    }
    case "i32":
      return value === -(2 ** 31) ? `i32(${value})` : signed(`${value}i`);
    case "u32":
      return dtype === "bool" ? (value === 0 ? "false" : "true") : `${value}u`;
  }
}

// Types narrower than the word they are kept in: what a word is made to after every operation. Half precision is rounded
// in integers: to nearest, ties to even, in steps of 2^-24 below 2^-14, infinite from 65,520 on. (pack2x16float may
// round either way, and compilers may simplify float arithmetic that rounds on purpose.)
const NARROW_WGSL: Partial<Record<DType, string>> = {
  float16: `fn to_float16(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let size = bits & 0x7fffffffu;
  let sign = bits ^ size;
  if (size > 0x7f800000u) { return x; }
  if (size < 0x38800000u) {
    let shift = min(126u - (size >> 23u), 25u);
    let mantissa = (size & 0x7fffffu) | 0x800000u;
    let steps = (mantissa + (1u << (shift - 1u)) - 1u + ((mantissa >> shift) & 1u)) >> shift;
    return bitcast<f32>(bitcast<u32>(f32(steps) * 0x1p-24f) | sign);
  }
  let rounded = (size + 0xfffu + ((size >> 13u) & 1u)) & 0xffffe000u;
  return bitcast<f32>(select(rounded, 0x7f800000u, rounded > 0x477fe000u) | sign);
}`,
  int8: "fn to_int8(x: i32) -> i32 { return (x << 24u) >> 24u; }",
  int16: "fn to_int16(x: i32) -> i32 { return (x << 16u) >> 16u; }",
  uint8: "fn to_uint8(x: u32) -> u32 { return x & 0xffu; }",
  uint16: "fn to_uint16(x: u32) -> u32 { return x & 0xffffu; }",
};

/** `value`, a word, as an element of type `dtype`: rounded or wrapped where the type is narrower than a word. */
export function narrowExpression(value: string, dtype: DType): string {
  return dtype in NARROW_WGSL ? `to_${dtype}(${value})` : value;
}

/** WGSL functions that {@link narrowExpression} needs for these types, each once. */
export function narrowHelpers(types: Iterable<DType>): string[] {
  return [...new Set(types)].flatMap((dtype) => NARROW_WGSL[dtype] ?? []);
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
function storeExpression(value: string, dtype: DType, lanes: 1 | 4): string {
  if (dtype !== "bool") return value;
  return lanes === 1 ? `select(0u, 1u, ${value})` : `select(vec4<u32>(0u), vec4<u32>(1u), ${value})`;
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
  /** One `let` per instruction, in order; registers are called `r0`, `r1` … . */
  readonly lines: readonly string[];
  /** WGSL expression of each program output, ready to store. */
  readonly results: readonly string[];
}

const COMPONENTS = ["x", "y", "z", "w"] as const;

/** Type of a register's value: bools are words in memory only. */
const registerType = (dtype: DType): string => (dtype === "bool" ? "bool" : dtypes[dtype].wgsl);

/** `a` four times, or four values, as a vector in registers. */
export function vector(dtype: DType, ...values: readonly string[]): string {
  return `vec4<${registerType(dtype)}>(${values.join(", ")})`;
}

/**
 * Emits a program's instructions. `inputs[i]` is the WGSL expression of program input i in registers; with four `lanes`
 * it names a vector of neighbouring elements, and so are the results. `suffix` ends the names of all registers.
 */
export function emitProgram(
  program: PointwiseProgram,
  inputs: readonly string[],
  lanes: 1 | 4 = 1,
  suffix = "",
): ProgramCode {
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
  /** The register as a scalar: of vectors the given component. */
  const read = (register: Register, component = ""): string => {
    if (register.kind === "literal") return literal(register.value, register.dtype);
    return `${register.kind === "input" ? inputs[register.index]! : `r${register.index}${suffix}`}${component}`;
  };
  const readVector = (register: Register): string =>
    register.kind === "literal" ? vector(register.dtype, read(register)) : read(register);
  const lines = program.instructions.map(({ operator, attributes, args, type: { dtype } }, i) => {
    const types = args.map(typeOf);
    const { selects, lanewise, ...pointwise } = operator.pointwise!;
    const isNarrowed = !selects && narrowExpression("", dtype) !== "";
    const value = (component = ""): string => {
      const expression = pointwise.wgsl(
        args.map((arg) => read(arg, component)),
        attributes,
        types,
      );
      return isNarrowed ? narrowExpression(expression, dtype) : expression;
    };
    if (lanes === 1) return `  let r${i}${suffix} = ${value()};`;
    const isVector = lanewise && !isNarrowed && !types.some((type) => dtypes[type.dtype].kind === "int");
    const result = isVector
      ? pointwise.wgsl(args.map(readVector), attributes, types)
      : vector(dtype, ...COMPONENTS.map((component) => value(`.${component}`)));
    return `  let r${i}${suffix} = ${result};`;
  });
  const results = program.outputs.map((index) =>
    storeExpression(`r${index}${suffix}`, program.instructions[index]!.type.dtype, lanes),
  );
  return { lines, results };
}

/**
 * WGSL functions that the program's operators declare and its literals and types need, each once. `types` are further
 * types that something is narrowed to.
 */
export function programHelpers(program: PointwiseProgram, types: readonly DType[] = []): string[] {
  const isOdd = (arg: Register): boolean =>
    arg.kind === "literal" && isFloat(arg.dtype) && !Number.isFinite(Math.fround(arg.value));
  const helpers = program.instructions.flatMap(({ operator, args }) => [
    ...(args.some(isOdd) ? [FLOAT_FROM_BITS] : []),
    ...(operator.pointwise?.helpers ?? []),
  ]);
  const narrow = narrowHelpers([...program.instructions.map(({ type }) => type.dtype), ...types]);
  return [...new Set([...helpers, ...narrow])];
}
