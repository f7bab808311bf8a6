// Packed weights in WGSL: where they lie, and how a word becomes numbers. A number's bits are masked where they are, made a
// float as they stand and scaled down by a power of two, all of which is exact. Nothing is shifted: adapters emulated on a CPU
// shift one number at a time. Words are signed, as signed integers become floats at once, so the highest number of a word
// comes with its top bit flipped, which makes it smaller by half its range, and gets that back.

import { blockGeometry, type MatMulNBitsAttributes } from "../../src/ops/matMulNBits.ts";
import { unrolledList } from "../common/unroll.ts";
import type { BindingType, KernelProblem, Uniform } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

export type BlockProblem = KernelProblem<MatMulNBitsAttributes>;

/** Extents as uniforms. */
export function blockUniforms(problem: BlockProblem): Record<string, Uniform> {
  const { M, N, K, blocks, perWord, zeroWords } = blockGeometry(problem);
  const u32 = (value: number): Uniform => ({ type: "u32", value });
  return {
    M: u32(M),
    N: u32(N),
    K: u32(K),
    blocks: u32(blocks),
    words: u32(Math.ceil(K / perWord)),
    zero_words: u32(zeroWords),
  };
}

/** Words are read as signed: a float is made of them in one instruction. */
export function blockBindings(problem: BlockProblem, aIsVector: boolean): Record<string, BindingType> {
  return {
    b: "i32",
    ...(problem.inputs[3] ? { zero_points: "i32" as const } : {}),
    ...(aIsVector ? { a: "vec4<f32>" as const } : {}),
  };
}

/**
 * WGSL functions `numbers<j>(word, zero) -> vec4<f32>`: numbers 4j … 4j + 3 of a word, less the zero point, and
 * `zero_point(n, block) -> f32`.
 */
export function blockFunctions(problem: BlockProblem): string {
  const { bits, perWord } = blockGeometry(problem);
  const mask = 2 ** bits - 1;
  const numbers = Array.from({ length: perWord / 4 }, (_, j) => {
    const bit = (i: number): number => (4 * j + i) * bits;
    const isLast = j === perWord / 4 - 1;
    const masks = unrolledList(4, (i) => `${(mask << bit(i)) | 0}`);
    const back = isLast ? ` + vec4<f32>(0.0, 0.0, 0.0, ${2 ** (bits - 1)}.0)` : "";
    return wgsl`fn numbers${j}(word: i32, zero: f32) -> vec4<f32> {
  let masked = vec4<i32>(${isLast ? "word ^ i32(0x80000000u)" : "word"}) & vec4<i32>(${masks});
  return vec4<f32>(masked) * vec4<f32>(${unrolledList(4, (i) => `${2 ** -bit(i)}`)}) - zero${back};
}`;
  });
  const zeroPoint = problem.inputs[3]
    ? `let bit = block * ${bits}u;
  return f32((zero_points[n * u.zero_words + (bit >> 5u)] >> (bit & 31u)) & ${mask});`
    : `return ${2 ** (bits - 1)}.0;`;
  return `${numbers.join("\n")}
fn zero_point(n: u32, block: u32) -> f32 {
  ${zeroPoint}
}`;
}
