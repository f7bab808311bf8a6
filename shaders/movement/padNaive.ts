// Each padded axis maps its coordinate to the input's, by clamping, folding or wrapping it, or finds that there is none. Axes
// that are not padded are merged with each other, so that most problems cost a division or two.

import { dtypes } from "../../src/core/dtype.ts";
import { stridesOf } from "../../src/core/shape.ts";
import { type pad, resolvePad, type PadAttributes } from "../../src/ops/slice.ts";
import { linearMain } from "../common/linear.ts";
import { unroll } from "../common/unroll.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { countOf, perElement, words, WORKGROUP } from "./elementwise.ts";

/** One axis of the output; `extent` elements of the input are shown, from output coordinate `before` on. */
interface Axis {
  readonly out: number;
  readonly stride: number;
  readonly before: number;
  readonly extent: number;
  readonly padded: boolean;
}

/** Axes outermost first, merged where that changes nothing, and the input's first element that is kept. */
function axesOf({ inputs, attributes }: KernelProblem<PadAttributes>): { axes: Axis[]; first: number } {
  const { shape } = inputs[0]!;
  const strides = stridesOf(shape);
  const axes: Axis[] = [];
  let first = 0;
  resolvePad(shape, attributes).forEach(({ crop, extent, before, after }, i) => {
    const stride = strides[i]!;
    const out = before + extent + after;
    const padded = before + after > 0;
    const last = axes.at(-1);
    first += crop * stride;
    if (!padded && last && !last.padded && last.stride === stride * extent)
      axes[axes.length - 1] = { ...last, out: last.out * out, stride, extent: last.extent * extent };
    else axes.push({ out, stride, before, extent, padded });
  });
  return { axes, first };
}

/** WGSL statements that turn coordinate `s` (i32, beside or inside [0, extent)) into one inside. */
const INSIDE: Readonly<Record<string, string>> = {
  constant: "inside = inside && u32(s) < u32(extent);",
  edge: "s = clamp(s, 0, extent - 1);",
  wrap: "s = (s % extent + extent) % extent;",
  reflect: `let period = max(1, 2 * (extent - 1));
    s = (s % period + period) % period;
    s = min(s, period - s);`,
};

export default defineStrategy({
  op: operatorNamed<typeof pad>("Pad"),
  name: "naive",
  ...perElement,
  uniforms(problem) {
    const { axes, first } = axesOf(problem);
    const fields: Record<string, number> = { first };
    axes.forEach(({ out, stride, before, extent, padded }, i) => {
      fields[`out${i}`] = out;
      fields[`stride${i}`] = stride;
      if (padded) Object.assign(fields, { [`before${i}`]: before, [`extent${i}`]: extent });
    });
    return { ...countOf(problem), ...words(fields) };
  },
  source(problem) {
    const { axes } = axesOf(problem);
    const type = dtypes[problem.inputs[0]!.dtype].wgsl;
    const fill = problem.inputs[1] ? "constant_value[0]" : `${type}(0)`;
    const axis = (i: number): string =>
      axes[i]!.padded
        ? `  {
    let extent = i32(u.extent${i});
    var s = i32(rest % u.out${i}) - i32(u.before${i});
    ${INSIDE[problem.attributes.mode]}
    place += u32(s) * u.stride${i};
    rest /= u.out${i};
  }`
        : `  place += (rest % u.out${i}) * u.stride${i};
  rest /= u.out${i};`;
    return {
      code: wgsl`
${linearMain(WORKGROUP)}
  if (index >= u.count) { return; }
  var place = u.first;
  var rest = index;
  var inside = true;
${unroll(axes.length, (i) => axis(axes.length - 1 - i))}
  var value = ${fill};
  if (inside) { value = data[place]; }
  output[index] = epilogue(value, index);
}`,
    };
  },
});
