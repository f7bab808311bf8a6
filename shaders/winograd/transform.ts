// A transform left · block · leftᵀ of Winograd's method as straight-line WGSL: along the rows, then along the columns, zeros
// and ones left out. The matrices are small and fixed, so nothing is gained by a loop.

import { unroll } from "../common/unroll.ts";

/** Σ coefficients[i] · term(i) without the zeros. */
function combination(coefficients: readonly number[], term: (i: number) => string): string {
  const parts = coefficients.flatMap((factor, i) => {
    if (factor === 0) return [];
    const magnitude = Math.abs(factor) === 1 ? term(i) : `${Math.abs(factor)} * ${term(i)}`;
    return [`${factor < 0 ? "-" : "+"} ${magnitude}`];
  });
  return parts.join(" ").replace(/^\+ /, "");
}

/**
 * Declares `into`<a>_<b>, the elements of left · block · leftᵀ, where `from`<i>_<j> are those of the block; `between` names
 * what lies between the two steps.
 */
export function transformRegisters(
  left: readonly (readonly number[])[],
  from: string,
  between: string,
  into: string,
): string {
  const size = left[0]!.length;
  return `${unroll(size, (i) => unroll(left.length, (b) => `  let ${between}${i}_${b} = ${combination(left[b]!, (j) => `${from}${i}_${j}`)};`))}
${unroll(left.length, (a) => unroll(left.length, (b) => `  let ${into}${a}_${b} = ${combination(left[a]!, (i) => `${between}${i}_${b}`)};`))}`;
}
