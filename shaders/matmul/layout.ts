// What every MatMul kernel needs to know of its operands: where a batch begins, along which axis an operand is contiguous,
// and whether four neighbours along it can be read as one aligned vec4.

import { isFloat } from "../../src/core/dtype.ts";
import { matMulGeometry, type MatMulAttributes } from "../../src/ops/matmul.ts";
import type { BindingType, KernelLimits, KernelProblem, Uniform } from "../strategy.ts";

export type MatMulProblem = KernelProblem<MatMulAttributes>;

/** How an operand lies in memory. */
export interface OperandLayout {
  /** Axis walked with stride 1: the sum's axis (k), or the operand's own (m of A, n of B). */
  readonly along: "sum" | "own";
  /** True when groups of four along that axis are whole and aligned: the binding is then `array<vec4<f32>>`. */
  readonly isVector: boolean;
}

const isAligned = (strides: readonly number[]): boolean => strides.every((stride) => stride % 4 === 0);

/** Layouts of A [batch…, M, K] and B [batch…, K, N]. */
export function operandLayouts(problem: MatMulProblem): { a: OperandLayout; b: OperandLayout } {
  const g = matMulGeometry(problem);
  const layout = (
    sumStride: number,
    ownStride: number,
    own: number,
    batchStrides: readonly number[],
  ): OperandLayout => {
    const fits = (extent: number, otherExtent: number, otherStride: number): boolean =>
      extent % 4 === 0 && isAligned(otherExtent > 1 ? [otherStride, ...batchStrides] : batchStrides);
    const sumFits = sumStride === 1 && fits(g.K, own, ownStride);
    const ownFits = ownStride === 1 && fits(own, g.K, sumStride);
    if (sumFits || ownFits) return { along: sumFits ? "sum" : "own", isVector: true };
    return { along: sumStride === 1 ? "sum" : "own", isVector: false };
  };
  return {
    a: layout(g.aColStride, g.aRowStride, g.M, g.aBatchStrides),
    b: layout(g.bRowStride, g.bColStride, g.N, g.bBatchStrides),
  };
}

/** Binding types that go with {@link operandLayouts}. */
export function operandBindings(problem: MatMulProblem): Record<string, BindingType> {
  const { a, b } = operandLayouts(problem);
  return { a: a.isVector ? "vec4<f32>" : "f32", b: b.isVector ? "vec4<f32>" : "f32" };
}

/** Extents and strides (elements) as uniforms; batch axes are numbered from the outermost. */
export function matMulUniforms(problem: MatMulProblem): Record<string, Uniform> {
  const g = matMulGeometry(problem);
  const u32 = (value: number): Uniform => ({ type: "u32", value });
  const uniforms: Record<string, Uniform> = {
    M: u32(g.M),
    N: u32(g.N),
    K: u32(g.K),
    a_row_stride: u32(g.aRowStride),
    a_col_stride: u32(g.aColStride),
    b_row_stride: u32(g.bRowStride),
    b_col_stride: u32(g.bColStride),
  };
  g.batch.forEach((extent, axis) => {
    uniforms[`batch_extent${axis}`] = u32(extent);
    uniforms[`a_batch_stride${axis}`] = u32(g.aBatchStrides[axis]!);
    uniforms[`b_batch_stride${axis}`] = u32(g.bBatchStrides[axis]!);
  });
  return uniforms;
}

/** WGSL `fn batch_offsets(batch: u32) -> vec2<u32>`: first elements of A and B of one product of the batch. */
export function batchOffsets(problem: MatMulProblem): string {
  const axes = matMulGeometry(problem).batch.length;
  const steps = Array.from({ length: axes }, (_, i) => {
    const axis = axes - 1 - i;
    const place = axis === 0 ? "rest" : `rest % u.batch_extent${axis}`;
    const step = `  offsets += (${place}) * vec2<u32>(u.a_batch_stride${axis}, u.b_batch_stride${axis});`;
    return axis === 0 ? step : `${step}\n  rest = rest / u.batch_extent${axis};`;
  });
  return `fn batch_offsets(batch: u32) -> vec2<u32> {
  var rest = batch;
  var offsets = vec2<u32>(0u, 0u);
${steps.join("\n")}
  return offsets;
}`;
}

/** Workgroups of a kernel that covers M × N with blocks and walks the batch along z. */
export function blockDispatch(problem: MatMulProblem, blockM: number, blockN: number): [number, number, number] {
  const { batchSize, M, N } = matMulGeometry(problem);
  return [Math.ceil(N / blockN), Math.ceil(M / blockM), batchSize];
}

/** True, or why {@link blockDispatch} does not fit the device or the kernel, which all multiply floats, the type. */
export function blockDispatchFits(
  problem: MatMulProblem,
  limits: KernelLimits,
  blockM: number,
  blockN: number,
): true | string {
  const { dtype } = problem.outputs[0]!;
  if (!isFloat(dtype)) return `a product of ${dtype}`;
  const groups = blockDispatch(problem, blockM, blockN);
  if (Math.max(...groups) <= limits.maxComputeWorkgroupsPerDimension) return true;
  return `${groups.join(" × ")} workgroups pass ${limits.maxComputeWorkgroupsPerDimension} in a dimension`;
}

/** The part of its tiles that a product fills: a tile that hangs over an edge loads as much, and multiplies in vain. */
export function usedShare(problem: MatMulProblem, rows: number, columns: number): number {
  const { M, N } = matMulGeometry(problem);
  const used = (extent: number, tile: number): number => extent / (Math.ceil(extent / tile) * tile);
  return M * N === 0 ? 1 : used(M, rows) * used(N, columns);
}
