// One output element a thread, fetched from the place an index names. Stores are contiguous, and so are loads within a
// slice. The three operators differ only in how an output element finds its index and its place.

import { sizeOf } from "../../src/core/shape.ts";
import type * as elements from "../../src/ops/elements.ts";
import type * as slices from "../../src/ops/gather.ts";
import { elementStrides } from "../../src/ops/indexing.ts";
import { linesOf } from "../../src/ops/lines.ts";
import type { Attributes } from "../../src/ops/operator.ts";
import * as tuples from "../../src/ops/tuples.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { PLACE_OF } from "../common/place.ts";
import { mergeRuns, runsIndex } from "../common/runs.ts";
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

/** A gathering operator; `place` is the WGSL expression of where output element `index` comes from, and adds uniforms. */
function gathering<A extends Attributes>(
  op: OperatorName<A>,
  place: (problem: KernelProblem<A>, extents: Record<string, number>, uniforms: Record<string, Uniform>) => string,
): AnyStrategy {
  const described = (problem: KernelProblem<A>): { place: string; uniforms: Record<string, Uniform> } => {
    const extents: Record<string, number> = { count: sizeOf(problem.outputs[0]!.shape) };
    const uniforms: Record<string, Uniform> = {};
    const expression = place(problem, extents, uniforms);
    for (const [name, value] of Object.entries(extents)) uniforms[name] = { type: "u32", value };
    return { place: expression, uniforms };
  };
  return defineStrategy({
    op,
    name: "naive",
    params: { workgroup: [64, 256] },
    supports: (problem, limits, { workgroup }) =>
      firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
    dispatch: (problem, { workgroup }) => linearDispatch(sizeOf(problem.outputs[0]!.shape), workgroup),
    uniforms: (problem) => described(problem).uniforms,
    trafficBytes: (problem) => 12 * sizeOf(problem.outputs[0]!.shape),
    source: (problem, { workgroup }) => ({
      code: wgsl`
${PLACE_OF}
${linearMain(workgroup)}
  if (index >= u.count) { return; }
  output[index] = epilogue(data[${described(problem).place}], index);
}`,
    }),
  });
}

export const gather = gathering(
  operatorNamed<typeof slices.gather>("Gather"),
  ({ inputs: [data, indices], attributes }, extents) => {
    const { length, inner } = linesOf(data!.shape, attributes.axis, "Gather");
    Object.assign(extents, { extent: length, inner, indices: sizeOf(indices!.shape) });
    return `(index / (u.inner * u.indices) * u.extent + place_of(indices[index / u.inner % u.indices], u.extent)) * u.inner + index % u.inner`;
  },
);

export const gatherElements = gathering(
  operatorNamed<typeof elements.gatherElements>("GatherElements"),
  ({ inputs: [data, indices], attributes }, extents, uniforms) => {
    const { axis, length } = linesOf(data!.shape, attributes.axis, "GatherElements");
    const { strides, axisStride } = elementStrides(data!.shape, axis);
    Object.assign(extents, { extent: length, axis_stride: axisStride });
    const runs = mergeRuns(indices!.shape.map((extent, i) => ({ extent, stride: strides[i]! })));
    return `${runsIndex(runs, "line", "index", uniforms)} + place_of(indices[index], u.extent) * u.axis_stride`;
  },
);

export const gatherND = gathering(
  operatorNamed<typeof tuples.gatherND>("GatherND"),
  ({ inputs: [data, indices], attributes }, extents) => {
    const lookup = tuples.tupleLookup("GatherND", data!.shape, indices!.shape, attributes.batch_dims);
    Object.assign(extents, { slice: lookup.slice, per_batch: lookup.perBatch, batch_stride: lookup.batchStride });
    const first = `index / (u.slice * u.per_batch) * u.batch_stride + index % u.slice`;
    return [first, ...tupleTerms(lookup, "index / u.slice", extents)].join(" + ");
  },
);

/** WGSL terms of the place that tuple `tuple` names, one for each of its coordinates. */
export function tupleTerms(
  { extents: lengths, strides }: Pick<ReturnType<typeof tuples.tupleLookup>, "extents" | "strides">,
  tuple: string,
  extents: Record<string, number>,
): string[] {
  return lengths.map((length, i) => {
    Object.assign(extents, { [`extent${i}`]: length, [`stride${i}`]: strides[i]! });
    return `place_of(indices[(${tuple}) * ${lengths.length}u + ${i}u], u.extent${i}) * u.stride${i}`;
  });
}
