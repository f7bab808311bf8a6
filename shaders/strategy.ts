// How an operator runs on a GPU: the contract of a kernel strategy. A strategy is one file, shaders/<operator>/<idea>.ts,
// listed in shaders/<operator>/index.ts; tests, bench and tuner find it there. It works on a Problem (types and
// attributes, no values) and returns handwritten WGSL.

import type { DType } from "../src/core/dtype.ts";
import type { Shape, TensorType } from "../src/core/shape.ts";
import type { Attributes, Builder, Operand, Operator, Problem } from "../src/ops/operator.ts";

/** One operand of a pointwise program: a program input, an earlier instruction's result, or a literal. */
export type Register =
  | { readonly kind: "input"; readonly index: number }
  | { readonly kind: "result"; readonly index: number }
  | { readonly kind: "literal"; readonly value: number; readonly dtype: DType };

export interface Instruction {
  readonly operator: Operator;
  readonly attributes: Attributes;
  readonly args: readonly Register[];
  /** Type of the result; its shape broadcasts to the program's domain. */
  readonly type: TensorType;
}

/** Straight-line pointwise code over the elements of one domain. */
export interface PointwiseProgram {
  /** Shape every instruction's result broadcasts to; all outputs have it. */
  readonly domain: Shape;
  readonly inputs: readonly TensorType[];
  readonly instructions: readonly Instruction[];
  /** Indices of the instructions whose results are stored. */
  readonly outputs: readonly number[];
}

/** Pointwise code that makes an operator's first input, evaluated wherever a kernel reads it. Strategies need not know. */
export interface Prologue {
  /** Its one output is the input; its domain is the input's shape. */
  readonly program: PointwiseProgram;
  /** Writes it into a kernel's text: shaders/prologue.ts, which is loaded where a plan has a prologue. */
  readonly write: (kernel: PrologueSite, program: PointwiseProgram) => PrologueText;
}

/** Where a prologue is written into: a kernel's text, the name of the binding it has for the input, and its element type. */
export interface PrologueSite {
  readonly code: string;
  readonly name: string;
  readonly type: BindingType;
  readonly uniforms: Record<string, Uniform>;
}

/** The text that reads nothing but the prologue, which reads the new bindings instead. */
export interface PrologueText {
  readonly bindings: readonly { readonly name: string; readonly type: BindingType }[];
  /** Functions that the code calls; the epilogue may have them, too. */
  readonly helpers: readonly string[];
  readonly code: string;
}

/** What a strategy is asked to run: an operator's problem and the pointwise code fused with it. */
export interface KernelProblem<A extends Attributes = Attributes> extends Problem<A> {
  /**
   * On `Pointwise`, the whole computation. On any other operator the epilogue: input 0 is the value the kernel has just
   * computed (it has no binding), inputs 1 … are extra bindings, and the one output is stored instead of the value.
   */
  readonly program?: PointwiseProgram;
  readonly prologue?: Prologue;
  /** `Pointwise` only: `inPlace[i]` is the input whose buffer output i overwrites, if any. */
  readonly inPlace?: readonly (number | undefined)[];
}

/** The limits of the device that shape kernels; the WebGPU defaults are in {@link DEFAULT_LIMITS}. */
export interface KernelLimits {
  readonly maxStorageBuffersPerShaderStage: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxBufferSize: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
  readonly maxComputeWorkgroupSizeY: number;
  readonly maxComputeWorkgroupSizeZ: number;
  readonly maxComputeWorkgroupsPerDimension: number;
  /** WebGPU features the device was granted: `subgroups`, `shader-f16` …; none when left out. */
  readonly features?: ReadonlySet<string>;
  /** Fewest invocations of a subgroup, where the device has them. */
  readonly subgroupMinSize?: number | undefined;
  /** Most invocations of a subgroup. */
  readonly subgroupMaxSize?: number | undefined;
}

/** What every WebGPU device grants. */
export const DEFAULT_LIMITS: KernelLimits = {
  maxStorageBuffersPerShaderStage: 8,
  maxStorageBufferBindingSize: 128 * 2 ** 20,
  maxBufferSize: 256 * 2 ** 20,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupsPerDimension: 65535,
};

/** One concrete choice of a strategy's parameters. */
export type Parameters = Readonly<Record<string, number | readonly number[]>>;

/** How the kernel sees one of its storage buffers. */
export type BindingType = "f32" | "i32" | "u32" | "vec2<f32>" | "vec4<f32>" | "vec4<i32>" | "vec4<u32>";

/** What {@link Strategy.source} returns. */
interface KernelSource {
  /** WGSL extensions the text needs; `supports` has asked `limits.features` for them. */
  readonly enable?: readonly ("subgroups" | "f16")[];
  /**
   * Element types of storage bindings that are not plain scalars, by binding name (`{ a: "vec4<f32>" }`).
   * Names are the operator's input and output names in lower case.
   */
  readonly bindings?: Readonly<Record<string, BindingType>>;
  /**
   * WGSL without binding declarations: helper functions and `main`. It reads its bindings and uniforms (`u.NAME`) by
   * name and stores through `epilogue(value, index)`, which is the identity when nothing is fused; `index` is the
   * element's place in the row-major output.
   */
  readonly code: string;
  /**
   * 4: the kernel stores vectors, `y[quad] = epilogue4(value, quad)`, and only them; its output's binding is a vec4 by
   * that. What is fused behind then runs on vectors, too.
   */
  readonly lanes?: 4;
}

/** A scalar handed to the kernel as data (`u.NAME` in WGSL), so that new extents compile nothing. */
export interface Uniform {
  readonly type: "u32" | "i32" | "f32";
  readonly value: number;
}

export interface Strategy<A extends Attributes = Attributes, P extends Parameters = Parameters> {
  readonly operator: string;
  /** Named after its idea: naive, tiled, registerTile … */
  readonly name: string;
  /** The tuner's search space: every parameter with its candidate values, the best untuned guess first. */
  readonly params: { readonly [K in keyof P]: readonly P[K][] };
  /** True, or why this problem can't be run so. */
  supports(problem: KernelProblem<A>, limits: KernelLimits, params: P): true | string;
  /** Workgroups. 1-D kernels use {@link linearDispatch}; others keep each dimension within 65,535 or say no in `supports`. */
  dispatch(problem: KernelProblem<A>, params: P): readonly [number, number, number];
  /** Extents and strides as data, in declaration order. */
  uniforms(problem: KernelProblem<A>, params: P): Readonly<Record<string, Uniform>>;
  source(problem: KernelProblem<A>, params: P): KernelSource;
  /** It reads its outputs back and relies on finding what it stored, so they must hold whole words. */
  readonly readsOutputs?: true;
  /** Bytes the kernel really moves to and from memory beyond its workgroup, for the roofline and the cost model. */
  trafficBytes(problem: KernelProblem<A>, params: P): number;
  /** Invocations that execute at least one workgroupBarrier, times barriers each: what a barrier-averse adapter pays. Default 0. */
  barriers?(problem: KernelProblem<A>, params: P): number;
  /** Invocations that have something to compute, where tiles leave many without. Default: all that are dispatched. */
  busyInvocations?(problem: KernelProblem<A>, params: P): number;
  /** Sums an invocation keeps at once: past what an adapter's registers hold they go to memory and back. Default 0: few. */
  accumulators?(params: P): number;
  /** Multiply-adds a thread issues per scalar or vector load from memory: how well the kernel feeds its arithmetic. Default 0.5. */
  intensity?(problem: KernelProblem<A>, params: P): number;
}

/**
 * An operator by its name and its attributes' type. A strategy needs no more, and so a page that loads a kernel does not
 * load the operator's references and gradients with it.
 */
export interface OperatorName<A extends Attributes = Attributes> {
  readonly name: string;
  readonly attributes?: A;
}

/** The name of an operator as {@link defineStrategy} takes it: `operatorNamed<typeof conv>("Conv")`. */
/* @__NO_SIDE_EFFECTS__ */
export function operatorNamed<O extends { readonly attributes: Attributes }>(
  name: string,
): OperatorName<O["attributes"]> {
  return { name };
}

/** A strategy whose attribute and parameter types have been forgotten: what families list. */
export type AnyStrategy = Strategy;

/** Checks a strategy's definition and forgets its parameter types. `operator` is the operator it runs. */
/* @__NO_SIDE_EFFECTS__ */
export function defineStrategy<A extends Attributes, P extends Parameters>(
  strategy: Omit<Strategy<NoInfer<A>, P>, "operator"> & { readonly op: OperatorName<A> },
): AnyStrategy {
  const { op, ...rest } = strategy;
  return { ...rest, operator: op.name };
}

/**
 * A strategy of several dispatches (split-K, Winograd): the node in terms of other operators, so that what lies between
 * them is planned, fused and verified like any tensor. The scheduler takes it where the sum of its parts is cheaper than
 * the best kernel; whatever depends on constants alone (transformed weights) is computed once, while compiling.
 */
export interface Rewrite<A extends Attributes = Attributes, P extends Parameters = Parameters> {
  readonly operator: string;
  /** Named after its idea; no kernel of the operator has the same name. */
  readonly name: string;
  /** The tuner's search space, as a strategy's. */
  readonly params: { readonly [K in keyof P]: readonly P[K][] };
  /** True, or why this problem can't be rewritten so. */
  supports(problem: Problem<A>, limits: KernelLimits, params: P): true | string;
  /** The operator's outputs by way of other operators (or smaller problems of the same one), as in an operator's `decompose`. */
  rewrite(build: Builder, inputs: readonly (Operand | undefined)[], problem: Problem<A>, params: P): readonly Operand[];
  /** How many times the operator's own error bound the results may be off. Default 1. */
  errorFactor?(problem: Problem<A>, params: P): number;
}

/** A rewrite whose attribute and parameter types have been forgotten: what families list. */
export type AnyRewrite = Rewrite;

/** Checks a rewrite's definition and forgets its parameter types. `op` is the operator it stands for. */
/* @__NO_SIDE_EFFECTS__ */
export function defineRewrite<A extends Attributes, P extends Parameters>(
  rewrite: Omit<Rewrite<NoInfer<A>, P>, "operator"> & { readonly op: OperatorName<A> },
): AnyRewrite {
  const { op, ...rest } = rewrite;
  return { ...rest, operator: op.name };
}

/**
 * A file that only some problems can use, so that a page whose problems are not of that kind does not load it: whether a
 * problem is, and the import. A family's index lists them as `special`.
 */
export type Special = readonly [
  isKind: (problem: Problem) => boolean,
  load: () => Promise<{ readonly default: AnyStrategy | AnyRewrite | readonly (AnyStrategy | AnyRewrite)[] }>,
];

/** Every combination of the parameter values of a strategy or rewrite, the untuned guess first. */
export function parameterSets(strategy: Pick<AnyStrategy, "params">): Parameters[] {
  let sets: Parameters[] = [{}];
  for (const [name, values] of Object.entries(strategy.params))
    sets = sets.flatMap((set) => values.map((value) => ({ ...set, [name]: value })));
  return sets;
}
