// Where a pointwise kernel finds its operands: inputs have bindings x0, x1 … of their own, except those that an output
// overwrites; these are read from the output's binding y0, y1 … before it is written.

import { sizeOf } from "../../src/core/shape.ts";
import { dtypes, type DType } from "../../src/core/dtype.ts";
import { UsageError } from "../../src/core/errors.ts";
import { fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import type { KernelLimits, KernelProblem, PointwiseProgram } from "../strategy.ts";

/** The computation of a `Pointwise` problem. */
export function programOf(problem: KernelProblem): PointwiseProgram {
  if (!problem.program) throw new UsageError("Pointwise: a problem without a program");
  return problem.program;
}

/** Number of elements of the program's domain: those of every output. */
export function domainSize(problem: KernelProblem): number {
  return sizeOf(programOf(problem).domain);
}

/** Name of the binding that holds input `index`, and the type its words are declared with there. */
export function inputBinding(problem: KernelProblem, index: number): { name: string; stored: DType } {
  const output = problem.inPlace?.indexOf(index) ?? -1;
  if (output < 0) return { name: `x${index}`, stored: programOf(problem).inputs[index]!.dtype };
  return { name: `y${output}`, stored: problem.outputs[output]!.dtype };
}

/** `loaded` (scalar or, with a width, vector) as `wanted` when its binding is declared as `stored`. */
export function reinterpret(loaded: string, stored: DType, wanted: DType, width: 1 | 4): string {
  const type = dtypes[wanted].wgsl;
  if (dtypes[stored].wgsl === type) return loaded;
  return width === 1 ? `bitcast<${type}>(${loaded})` : `bitcast<vec4<${type}>>(${loaded})`;
}

/** Starting a workgroup costs: small ones are for tensors that would leave the adapter idle otherwise. */
const LARGE = 256;
const MANY = 1 << 16;

/** What every pointwise kernel asks of a problem: bindings within the limit and honest overwriting. */
export function supportsProgram(problem: KernelProblem, limits: KernelLimits, workgroup: number): true | string {
  const program = programOf(problem);
  const overwritten = (problem.inPlace ?? []).filter((index) => index !== undefined);
  const count = program.inputs.length + program.outputs.length - overwritten.length;
  const most = limits.maxStorageBuffersPerShaderStage;
  return firstReason(
    count <= most || `${count} storage buffers, and the device allows ${most} a stage`,
    new Set(overwritten).size === overwritten.length || "two outputs overwrite the same input",
    overwritten.every((index) => sizeOf(program.inputs[index]!.shape) === sizeOf(program.domain)) ||
      "an output overwrites an input of another size",
    fitsWorkgroup(limits, [workgroup]),
    workgroup >= LARGE ||
      domainSize(problem) <= MANY ||
      limits.maxComputeInvocationsPerWorkgroup < LARGE ||
      "so many elements fill larger workgroups",
  );
}

/** Every operand moved once: stretched operands stay in cache. */
export function programTraffic(problem: KernelProblem): number {
  const elements = [...programOf(problem).inputs, ...problem.outputs].map((type) => sizeOf(type.shape));
  return 4 * elements.reduce((sum, size) => sum + size, 0);
}

/** Multiply-adds per load when each load brings `width` elements. */
export function programIntensity(problem: KernelProblem, width: number): number {
  const { instructions, inputs } = programOf(problem);
  return (0.5 * width * instructions.length) / Math.max(1, inputs.length);
}
