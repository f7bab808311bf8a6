// How an operator runs on a GPU: the contract of a kernel strategy. A strategy is one file, shaders/<operator>/<idea>.ts,
// listed in shaders/<operator>/index.ts; tests, bench and tuner find it there. It works on a Problem (types and
// attributes, no values) and returns handwritten WGSL.

import type { DType } from "../src/core/dtype.ts";
import type { Shape, TensorType } from "../src/core/shape.ts";
import type { Attributes, Operator, Problem } from "../src/ops/operator.ts";

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

/** What a strategy is asked to run: an operator's problem and the pointwise code fused with it. */
export interface KernelProblem<A extends Attributes = Attributes> extends Problem<A> {
  /**
   * On `Pointwise`, the whole computation. On any other operator the epilogue: input 0 is the value the kernel has just
   * computed (it has no binding), inputs 1 … are extra bindings, and the one output is stored instead of the value.
   */
  readonly program?: PointwiseProgram;
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
  /** Bytes the kernel really moves to and from memory beyond its workgroup, for the roofline and the cost model. */
  trafficBytes(problem: KernelProblem<A>, params: P): number;
  /** Invocations that execute at least one workgroupBarrier, times barriers each: what a barrier-averse adapter pays. Default 0. */
  barriers?(problem: KernelProblem<A>, params: P): number;
  /** Invocations that have something to compute, where tiles leave many without. Default: all that are dispatched. */
  busyInvocations?(problem: KernelProblem<A>, params: P): number;
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

/** Every combination of a strategy's parameter values, the untuned guess first. */
export function parameterSets(strategy: AnyStrategy): Parameters[] {
  let sets: Parameters[] = [{}];
  for (const [name, values] of Object.entries(strategy.params))
    sets = sets.flatMap((set) => values.map((value) => ({ ...set, [name]: value })));
  return sets;
}
