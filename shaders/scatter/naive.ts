// A thread makes a few neighbouring results: it looks through all indices that could mean them, in order, and combines the
// updates that do. Nothing is written concurrently, so duplicates need no atomics and the same inputs give the same bits.
// The price is that every thread reads the indices again; the wider its run of results, the fewer threads there are.

import { dtypes, isFloat, type DType } from "../../src/core/dtype.ts";
import { sizeOf, stridesOf } from "../../src/core/shape.ts";
import type * as elements from "../../src/ops/elements.ts";
import * as slices from "../../src/ops/gather.ts";
import { linesOf } from "../../src/ops/lines.ts";
import type { Attributes } from "../../src/ops/operator.ts";
import * as tuples from "../../src/ops/tuples.ts";
import { tupleTerms } from "../gather/naive.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { PLACE_OF } from "../common/place.ts";
import { mergeRuns, runsIndex } from "../common/runs.ts";
import { unroll } from "../common/unroll.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import {
  defineStrategy,
  operatorNamed,
  type AnyStrategy,
  type KernelProblem,
  type Uniform,
  type OperatorName,
} from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

/** One scattering problem: results are `slabs × rows × inner` elements, and `count` indices may each mean a row. */
interface Scattering {
  readonly slabs: number;
  readonly rows: number;
  readonly inner: number;
  readonly count: number;
  /** WGSL: the row that index `p` means, the place of its update for the thread's first result, and what both need. */
  readonly row: string;
  readonly from: string;
  readonly setup?: string;
  readonly uniforms: Record<string, Uniform>;
  /** Names of the bindings; without `data` results start at 0. */
  readonly updates: string;
  readonly data?: string;
  readonly output: string;
  readonly reduction: string;
}

/** A NaN stays, whichever operand it is; WGSL's `max` and `min` may drop it. */
const NAN_STAYS = `
fn extreme_or_nan(a: f32, b: f32, extreme: f32) -> f32 {
  let is_nan_a = (bitcast<u32>(a) << 1u) > 0xff000000u;
  let is_nan_b = (bitcast<u32>(b) << 1u) > 0xff000000u;
  return select(select(extreme, b, is_nan_b), a, is_nan_a);
}`;

/** WGSL of an update `b` that meets what is there. */
function combine(reduction: string, dtype: DType, a: string, b: string): string {
  switch (reduction) {
    case "add":
      return `${a} + ${b}`;
    case "mul":
      return `${a} * ${b}`;
    case "max":
    case "min": {
      const chosen = `${reduction}(${a}, ${b})`;
      return isFloat(dtype) ? `extreme_or_nan(${a}, ${b}, ${chosen})` : chosen;
    }
    default:
      return b;
  }
}

function scattering<A extends Attributes>(
  op: OperatorName<A>,
  columns: readonly number[],
  describe: (problem: KernelProblem<A>) => Scattering,
): AnyStrategy {
  const threads = ({ slabs, rows, inner }: Scattering, width: number): number =>
    slabs * rows * Math.ceil(inner / width);
  return defineStrategy({
    op,
    name: "naive",
    params: { columns, workgroup: [64] },
    supports: (problem, limits, { workgroup }) =>
      firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
    dispatch: (problem, { columns: width, workgroup }) => linearDispatch(threads(describe(problem), width), workgroup),
    uniforms(problem, { columns: width }) {
      const { slabs, rows, inner, count, uniforms } = describe(problem);
      const extents = { slabs, rows, inner, count, blocks: Math.ceil(inner / width) };
      const own = Object.entries(extents).map(([name, value]): [string, Uniform] => [name, { type: "u32", value }]);
      return { ...Object.fromEntries(own), ...uniforms };
    },
    trafficBytes(problem, { columns: width }) {
      const scatter = describe(problem);
      return 8 * sizeOf(problem.outputs[0]!.shape) + 4 * scatter.count * threads(scatter, width);
    },
    source(problem, { columns: width, workgroup }) {
      const { row, from, setup = "", updates, data, output, reduction } = describe(problem);
      const { dtype } = problem.outputs[0]!;
      const each = (text: (column: number) => string): string => unroll(width, text);
      const guarded = (column: number, text: string): string =>
        column === 0 ? text : `if (first + ${column}u < u.inner) { ${text} }`;
      const start = (column: number): string => {
        const zero = `${dtypes[dtype].wgsl}(0)`;
        if (data === undefined) return zero;
        return column === 0 ? `${data}[to]` : `select(${zero}, ${data}[to + ${column}u], first + ${column}u < u.inner)`;
      };
      return {
        code: wgsl`
${PLACE_OF}
#if ${isFloat(dtype) && (reduction === "max" || reduction === "min")}
${NAN_STAYS}
#endif
${linearMain(workgroup)}
  if (index >= u.slabs * u.rows * u.blocks) { return; }
  let first = index % u.blocks * ${width}u;
  let row = index / u.blocks % u.rows;
  let slab = index / (u.blocks * u.rows);
  let to = (slab * u.rows + row) * u.inner + first;
${each((column) => `  var total${column} = ${start(column)};`)}
  var count = u.count;
${setup}
  for (var p = 0u; p < count; p++) {
    if (${row} != row) { continue; }
    let source = ${from};
${each((column) => guarded(column, `total${column} = ${combine(reduction, dtype, `total${column}`, `${updates}[source + ${column}u]`)};`))}
  }
${each((column) => guarded(column, `${output}[to + ${column}u] = epilogue(total${column}, to + ${column}u);`))}
}`,
      };
    },
  });
}

export const gatherGradient = scattering(
  operatorNamed<typeof slices.gatherGradient>("GatherGradient"),
  [4, 1, 16],
  ({ inputs: [indices, dy], attributes: { axis, extent } }) => {
    const { outer, count, inner } = slices.gatheredLines(indices!.shape, dy!.shape, axis);
    return {
      slabs: outer,
      rows: extent,
      inner,
      count,
      row: "place_of(indices[p], u.rows)",
      from: "(slab * u.count + p) * u.inner + first",
      uniforms: {},
      updates: "dy",
      output: "dx",
      reduction: "add",
    };
  },
);

export const scatterND = scattering(
  operatorNamed<typeof tuples.scatterND>("ScatterND"),
  [4, 1],
  ({ inputs: [data, indices], attributes }) => {
    const lookup = tuples.tupleLookup("ScatterND", data!.shape, indices!.shape, 0);
    const { slice } = lookup;
    const extents: Record<string, number> = {};
    // Rows, not elements: slices are numbered.
    const strides = lookup.strides.map((stride) => (slice === 0 ? 0 : stride / slice));
    const terms = tupleTerms({ extents: lookup.extents, strides }, "p", extents);
    return {
      slabs: 1,
      rows: sizeOf(lookup.extents),
      inner: slice,
      count: lookup.count,
      row: terms.length === 0 ? "0u" : terms.join(" + "),
      from: "p * u.inner + first",
      uniforms: Object.fromEntries(Object.entries(extents).map(([name, value]) => [name, { type: "u32", value }])),
      updates: "updates",
      data: "data",
      output: "output",
      reduction: attributes.reduction,
    };
  },
);

export const scatterElements = scattering(
  operatorNamed<typeof elements.scatterElements>("ScatterElements"),
  [1],
  ({ inputs: [data, indices], attributes }) => {
    const { axis, length, inner, outer } = linesOf(data!.shape, attributes.axis, "ScatterElements");
    const uniforms: Record<string, Uniform> = {};
    const strides = stridesOf(indices!.shape);
    // Lines of data that indices do not reach have nothing to look through.
    const outside = data!.shape.flatMap((extent, i) => {
      const limit = indices!.shape[i]!;
      if (i === axis || limit === extent) return [];
      uniforms[`inner${i}`] = { type: "u32", value: sizeOf(data!.shape.slice(i + 1)) };
      uniforms[`extent${i}`] = { type: "u32", value: extent };
      uniforms[`limit${i}`] = { type: "u32", value: limit };
      return [`index / u.inner${i} % u.extent${i} >= u.limit${i}`];
    });
    const runs = mergeRuns(data!.shape.map((extent, i) => ({ extent, stride: i === axis ? 0 : strides[i]! })));
    const line = runsIndex(runs, "line", "index", uniforms);
    uniforms["step"] = { type: "u32", value: strides[axis]! };
    return {
      slabs: outer,
      rows: length,
      inner,
      count: indices!.shape[axis]!,
      row: "place_of(indices[line + p * u.step], u.rows)",
      from: "line + p * u.step",
      setup: `  let line = ${line};\n${outside.length === 0 ? "" : `  if (${outside.join(" || ")}) { count = 0u; }`}`,
      uniforms,
      updates: "updates",
      data: "data",
      output: "output",
      reduction: attributes.reduction,
    };
  },
);
