// Operators that read and write at places that are data, and those whose result is as long as the data says (Compress,
// NonZero, Unique), which are carried out on the host.

import { formatShape, sizeOf, stridesOf, type Shape } from "../../../core/shape.ts";
import { tensorData } from "../../../core/tensorData.ts";
import { gatherElements, scatterElements } from "../../../ops/elements.ts";
import { gather } from "../../../ops/gather.ts";
import { placeOf } from "../../../ops/indexing.ts";
import { linesOf } from "../../../ops/lines.ts";
import { oneHot } from "../../../ops/oneHot.ts";
import { tensorScatter } from "../../../ops/tensorScatter.ts";
import { compareNumbers } from "../../../ops/topK.ts";
import { gatherND, scatterND } from "../../../ops/tuples.ts";
import { direct, hosted, type Call, type Handlers } from "../handler.ts";
import { fromReference, type HostValue } from "../tensor.ts";

const integers = (values: readonly number[], shape: Shape = [values.length]): HostValue =>
  tensorData(values, shape, "int64");

/** The slices of `data` along `axis` at these places. */
function takeSlices(data: HostValue, axis: number, places: readonly number[]): HostValue {
  const lines = linesOf(data.shape, axis, "slices");
  const shape = data.shape.map((extent, i) => (i === lines.axis ? places.length : extent));
  const taken = new Float64Array(sizeOf(shape));
  for (let slab = 0; slab < lines.outer; slab++)
    places.forEach((place, to) => {
      const from = (slab * lines.length + place) * lines.inner;
      taken.set(data.data.subarray(from, from + lines.inner), (slab * places.length + to) * lines.inner);
    });
  return fromReference(taken, data.dtype, shape);
}

const flat = (tensor: HostValue): HostValue => ({ ...tensor, shape: [tensor.data.length] });

/** The slices whose condition holds; without an axis, of the flattened data. A short condition drops the rest. */
function compress(data: HostValue, condition: HostValue, axis: number | undefined): HostValue {
  const places = [...condition.data.keys()].filter((place) => condition.data[place] !== 0);
  return axis === undefined ? takeSlices(flat(data), 0, places) : takeSlices(data, axis, places);
}

/** Coordinates of the elements that are not 0, [rank, count]; a scalar counts as one element of an axis. */
function nonZero({ shape: given, data }: HostValue): HostValue {
  const shape = given.length === 0 ? [1] : given;
  const places = [...data.keys()].filter((place) => data[place] !== 0);
  const strides = stridesOf(shape);
  const coordinates = shape.flatMap((extent, axis) =>
    places.map((place) => Math.floor(place / strides[axis]!) % extent),
  );
  return integers(coordinates, [shape.length, places.length]);
}

/**
 * The different slices along `axis` (of the flattened data without one), where each comes up first, which of them every
 * slice is, and how often each comes up; in ascending order, or in that of their first appearance.
 */
function unique(given: HostValue, axis: number | undefined, sorted: boolean): HostValue[] {
  const data = axis === undefined ? flat(given) : given;
  const lines = linesOf(data.shape, axis ?? 0, "Unique");
  const { outer, length, inner } = lines;
  const compare = (a: number, b: number): number => {
    for (let slab = 0; slab < outer; slab++)
      for (let i = 0; i < inner; i++) {
        const [x, y] = [a, b].map((place) => data.data[(slab * length + place) * inner + i]!);
        const order = compareNumbers(x!, y!);
        if (order !== 0) return order;
      }
    return 0;
  };
  // Equal slices become neighbours, the first to appear in front.
  const order = Array.from({ length }, (_, place) => place).sort((a, b) => compare(a, b) || a - b);
  const groups: number[][] = [];
  order.forEach((place, i) => {
    if (i > 0 && compare(order[i - 1]!, place) === 0) groups.at(-1)!.push(place);
    else groups.push([place]);
  });
  if (!sorted) groups.sort((a, b) => a[0]! - b[0]!);
  const inverse = new Array<number>(length);
  groups.forEach((places, group) => places.forEach((place) => (inverse[place] = group)));
  const firsts = groups.map((places) => places[0]!);
  return [
    takeSlices(data, lines.axis, firsts),
    integers(firsts),
    integers(inverse),
    integers(groups.map((places) => places.length)),
  ];
}

/**
 * MaxPool undone: zeros but for the elements of X, put where the indices of the pooling say, which count through its whole
 * input. That input is as large as the window and its strides tell; a larger output_shape adds zeros at the end.
 */
function maxUnpool(call: Call, x: HostValue, indices: HostValue, wanted: HostValue | undefined): HostValue {
  const spatial = x.shape.slice(2);
  const kernel = call.ints("kernel_shape");
  if (kernel?.length !== spatial.length)
    throw call.malformed(`kernel_shape must have ${spatial.length} extents for X ${formatShape(x.shape)}`);
  const strides = call.ints("strides") ?? kernel.map(() => 1);
  const pads = call.ints("pads") ?? [...kernel, ...kernel].map(() => 0);
  const pooled = [
    ...x.shape.slice(0, 2),
    ...spatial.map((extent, i) => (extent - 1) * strides[i]! + kernel[i]! - pads[i]! - pads[spatial.length + i]!),
  ];
  const shape = wanted ? [...wanted.data] : pooled;
  const fits = shape.length === pooled.length && shape.every((extent, i) => extent >= pooled[i]!);
  if (!fits) throw call.malformed(`output_shape ${formatShape(shape)} does not hold ${formatShape(pooled)}`);
  const output = new Float64Array(sizeOf(shape));
  const [from, to] = [stridesOf(pooled), stridesOf(shape)];
  x.data.forEach((value, i) => {
    const index = placeOf(indices.data[i]!, sizeOf(pooled), "MaxUnpool");
    const place = pooled.reduce((sum, extent, axis) => sum + (Math.floor(index / from[axis]!) % extent) * to[axis]!, 0);
    output[place] = value;
  });
  return fromReference(output, x.dtype, shape);
}

const axisOf = (call: Call): number | undefined => (call.attribute("axis") ? call.int("axis", 0) : undefined);

const scatter = direct(scatterElements);

export const indexing: Handlers = {
  Compress: hosted(([data, condition], call) => [compress(data!, condition!, axisOf(call))]),
  Gather: direct(gather),
  GatherElements: direct(gatherElements),
  GatherND: direct(gatherND),
  MaxUnpool: hosted(([x, indices, shape], call) => [maxUnpool(call, x!, indices!, shape)]),
  NonZero: hosted(([x]) => [nonZero(x!)]),
  OneHot: direct(oneHot, { constants: { 1: "depth" } }),
  Scatter: scatter,
  ScatterElements: scatter,
  ScatterND: direct(scatterND),
  TensorScatter: direct(tensorScatter),
  Unique: hosted(([x], call) => unique(x!, axisOf(call), call.int("sorted", 1) === 1)),
};
