// Walking a tensor in another tensor's order: axes that are contiguous with one another are merged into runs, and what is
// left becomes as few divisions as possible. Extents and strides are uniforms, so only the number of runs is compiled in.

import type { Uniform } from "../strategy.ts";

/** `extent` steps of `stride` elements each. */
export interface Run {
  readonly extent: number;
  readonly stride: number;
}

/** The same walk (axes outermost first) with as few runs as the strides allow. */
export function mergeRuns(axes: readonly Run[]): Run[] {
  const runs: Run[] = [];
  for (const { extent, stride } of axes) {
    if (extent === 1) continue;
    const last = runs.at(-1);
    if (last && (last.stride === stride * extent || (last.stride === 0 && stride === 0)))
      runs[runs.length - 1] = { extent: last.extent * extent, stride };
    else runs.push({ extent, stride });
  }
  return runs;
}

/**
 * WGSL expression of the element that step `index` of a walk over `runs` reaches. Extents and strides are added to
 * `uniforms` under names that start with `name`. `index` is repeated: pass a name.
 */
export function runsIndex(
  runs: readonly Run[],
  name: string,
  index: string,
  uniforms: Record<string, Uniform>,
): string {
  const field = (suffix: string, value: number): string => {
    uniforms[`${name}_${suffix}`] = { type: "u32", value };
    return `u.${name}_${suffix}`;
  };
  const terms: string[] = [];
  let inner = 1;
  for (let i = runs.length - 1; i >= 0; i--) {
    const { extent, stride } = runs[i]!;
    if (stride !== 0) {
      let place = inner === 1 ? index : `${index} / ${field(`inner${i}`, inner)}`;
      if (i > 0) place = `(${place}) % ${field(`extent${i}`, extent)}`;
      terms.push(stride === 1 ? `(${place})` : `(${place}) * ${field(`stride${i}`, stride)}`);
    }
    inner *= extent;
  }
  return terms.length === 0 ? "0u" : terms.join(" + ");
}
