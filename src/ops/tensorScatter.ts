// Updates of a cache along its sequence axis.

import { ShapeError, UsageError } from "../core/errors.ts";
import { formatShape, normalizeAxis, sameShape } from "../core/shape.ts";
import { tensorData } from "../core/tensorData.ts";
import { add, greater, sub } from "./binary.ts";
import { requireDType, requireInputs, requireSameDType } from "./check.ts";
import { scatterElements } from "./elements.ts";
import { expandTo } from "./expand.ts";
import { countAlong, INDEX_TYPES, placeOf } from "./indexing.ts";
import { linesOf } from "./lines.ts";
import { defineOperator, type Operator } from "./operator.ts";
import { reshapeTo } from "./reshape.ts";
import { cast } from "./cast.ts";
import { where } from "./where.ts";

export type TensorScatterAttributes = {
  /** The axis of the sequence; not the first. */
  readonly axis: number;
  /** `linear`, or `circular`: what runs past the end continues at the beginning. */
  readonly mode: string;
};

/**
 * TensorScatter (ONNX): past_cache [B, .., T, ..] with update [B, .., S, ..] written along `axis` from write_indices [B]
 * on (int64; absent: 0). Any element type; exact. A composition over ScatterElements.
 */
export const tensorScatter: Operator<TensorScatterAttributes> = defineOperator<TensorScatterAttributes>({
  name: "TensorScatter",
  inputs: ["past_cache", "update", "write_indices"],
  required: 2,
  outputs: ["present_cache"],
  attributes: { axis: -2, mode: "linear" },
  infer: (inputs, attributes) => {
    const who = "TensorScatter";
    const [cache, update, from] = inputs;
    requireInputs(
      who,
      from ? ["past_cache", "update", "write_indices"] : ["past_cache", "update"],
      inputs.filter(Boolean),
    );
    requireSameDType(who, [cache!, update!]);
    const axis = normalizeAxis(attributes.axis, cache!.shape.length, who);
    const fits = cache!.shape.every((extent, i) =>
      i === axis ? update!.shape[i]! <= extent : update!.shape[i] === extent,
    );
    if (axis === 0 || update!.shape.length !== cache!.shape.length || !fits)
      throw new ShapeError(
        `${who}: update ${formatShape(update!.shape)} does not fit into ${formatShape(cache!.shape)} along axis ${axis}`,
      );
    if (from) {
      requireDType(who, "write_indices", from, INDEX_TYPES);
      if (!sameShape(from.shape, cache!.shape.slice(0, 1)))
        throw new ShapeError(`${who}: write_indices must be [${cache!.shape[0]}], got ${formatShape(from.shape)}`);
    }
    if (attributes.mode !== "linear" && attributes.mode !== "circular")
      throw new UsageError(`${who}: mode must be linear or circular, got ${attributes.mode}`);
    return [cache!];
  },
  reference: ([cache, update, from], { attributes }) => {
    const { outer, length, inner } = linesOf(cache!.shape, attributes.axis, "TensorScatter");
    const steps = linesOf(update!.shape, attributes.axis, "TensorScatter").length;
    const values = Float64Array.from(cache!.data);
    for (let slab = 0; slab < outer; slab++)
      for (let step = 0; step < steps; step++) {
        const batch = Math.floor(slab / (outer / cache!.shape[0]!));
        const to = (from?.data[batch] ?? 0) + step;
        const place = placeOf(
          attributes.mode === "circular" && to >= length ? to - length : to,
          length,
          "TensorScatter",
        );
        for (let i = 0; i < inner; i++)
          values[(slab * length + place) * inner + i] = update!.data[(slab * steps + step) * inner + i]!;
      }
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  flops: () => 0,
  cases: [
    { inputs: [[2, 7, 3], [2, 2, 3], { shape: [2], dtype: "int64", low: 0, high: 6 }] },
    {
      inputs: [[2, 3, 7, 5], [2, 3, 4, 5], { shape: [2], dtype: "int64", low: 0, high: 7 }],
      attributes: { mode: "circular" },
    },
    {
      inputs: [
        [2, 7, 3],
        [2, 7, 3],
      ],
      attributes: { axis: 1 },
      why: "all of it, from the beginning",
    },
    { inputs: [[3, 5], [3, 1], { shape: [3], dtype: "int64", low: 0, high: 5 }], attributes: { axis: -1 } },
  ],
  decompose: (build, [cache, update, from], attributes) => {
    const axis = normalizeAxis(attributes.axis, cache!.shape.length, "TensorScatter");
    const length = cache!.shape[axis]!;
    let places = countAlong(build, update!.shape, axis, "int32");
    if (from) {
      const first = reshapeTo(build, from.dtype === "int32" ? from : build.apply(cast, [from], { to: "int32" }), [
        ...from.shape,
        ...update!.shape.slice(1).map(() => 1),
      ]);
      places = build.apply(add, [places, first]);
      if (attributes.mode === "circular") {
        const int = (value: number) => build.constant(tensorData(Int32Array.of(value), []));
        const isPast = build.apply(greater, [places, int(length - 1)]);
        places = build.apply(where, [isPast, build.apply(sub, [places, int(length)]), places]);
      }
    }
    return [build.apply(scatterElements, [cache, expandTo(build, places, update!.shape), update], { axis })];
  },
});
