// Regions of interest as small images of one size (He et al., "Mask R-CNN", 2017): each bin of a region is sampled at a
// grid of points, bilinearly, and the samples are averaged or their maximum is taken.

import { ShapeError, UnsupportedError, UsageError } from "../core/errors.ts";
import { formatShape, sizeOf, type TensorType } from "../core/shape.ts";
import { requireDType, requireInputs, requireSameDType } from "./check.ts";
import { INDEX_TYPES, placeOf } from "./indexing.ts";
import { defineOperator, summationBound, type Operator } from "./operator.ts";

export type RoiAlignAttributes = {
  /** `half_pixel`, or `output_half_pixel`: regions begin at pixel centres and are at least one pixel wide. */
  readonly coordinate_transformation_mode: string;
  /** `avg` or `max`. */
  readonly mode: string;
  readonly output_height: number;
  readonly output_width: number;
  /** Points along each side of a bin; 0 is as many as it has pixels. */
  readonly sampling_ratio: number;
  /** Pixels of X for a unit of a region's coordinates. */
  readonly spatial_scale: number;
};

/** One axis of one region: where it starts, the width of a bin, and the points in it. */
interface Side {
  readonly start: number;
  readonly bin: number;
  readonly points: number;
}

/** Regions are measured in float32, as on a GPU: the number of points jumps where a width is whole. */
function sideOf(low: number, high: number, bins: number, attributes: RoiAlignAttributes): Side {
  const round = Math.fround;
  const isHalf = attributes.coordinate_transformation_mode === "half_pixel";
  const scale = round(attributes.spatial_scale);
  const start = round(round(low * scale) - (isHalf ? 0.5 : 0));
  const end = round(round(high * scale) - (isHalf ? 0.5 : 0));
  const extent = isHalf ? round(end - start) : Math.max(round(end - start), 1);
  const points = attributes.sampling_ratio > 0 ? attributes.sampling_ratio : Math.max(0, Math.ceil(extent / bins));
  return { start, bin: extent / bins, points };
}

/** The two pixels a coordinate lies between and the share of the second; undefined more than a pixel outside. */
function neighbours(at: number, extent: number): { low: number; high: number; share: number } | undefined {
  if (!(at >= -1 && at <= extent)) return undefined;
  const inside = Math.min(Math.max(at, 0), extent - 1);
  const low = Math.floor(inside);
  return { low, high: Math.min(low + 1, extent - 1), share: inside - low };
}

/**
 * RoiAlign (ONNX): X [N, C, H, W], rois [R, 4] (x1, y1, x2, y2), batch_indices [R] (int32 or int64) to
 * [R, C, output_height, output_width]. Points more than a pixel outside count as 0. With `max` a bin's result is its
 * largest weighted pixel, as ONNX has it. Floats.
 */
export const roiAlign: Operator<RoiAlignAttributes> = defineOperator<RoiAlignAttributes>({
  name: "RoiAlign",
  inputs: ["X", "rois", "batch_indices"],
  outputs: ["Y"],
  attributes: {
    coordinate_transformation_mode: "half_pixel",
    mode: "avg",
    output_height: 1,
    output_width: 1,
    sampling_ratio: 0,
    spatial_scale: 1,
  },
  infer: (inputs, attributes): TensorType[] => {
    const who = "RoiAlign";
    const [x, rois, batch] = requireInputs(who, ["X", "rois", "batch_indices"], inputs);
    requireDType(who, "X", x!, "float");
    requireSameDType(who, [x!, rois!]);
    requireDType(who, "batch_indices", batch!, INDEX_TYPES);
    const [count, width] = rois!.shape;
    if (
      x!.shape.length !== 4 ||
      rois!.shape.length !== 2 ||
      width !== 4 ||
      batch!.shape.length !== 1 ||
      batch!.shape[0] !== count
    )
      throw new ShapeError(
        `${who}: expected X [N, C, H, W], rois [R, 4] and batch_indices [R], got ${inputs.map((type) => formatShape(type!.shape)).join(", ")}`,
      );
    const { coordinate_transformation_mode: coordinates, mode, output_height, output_width } = attributes;
    if (coordinates !== "half_pixel" && coordinates !== "output_half_pixel")
      throw new UnsupportedError(`${who}: coordinate_transformation_mode ${coordinates} is not known`);
    if (mode !== "avg" && mode !== "max") throw new UsageError(`${who}: mode must be avg or max, got ${mode}`);
    return [{ dtype: x!.dtype, shape: [count!, x!.shape[1]!, output_height, output_width] }];
  },
  reference: ([x, rois, batch], { attributes, outputs }) => {
    const [, C, H, W] = x!.shape as [number, number, number, number];
    const { output_height: rows, output_width: columns } = attributes;
    const values = new Float64Array(sizeOf(outputs[0]!.shape));
    const terms = new Float64Array(values.length);
    const isMax = attributes.mode === "max";
    let index = 0;
    for (let region = 0; region < rois!.shape[0]!; region++) {
      const corner = (i: number): number => rois!.data[4 * region + i]!;
      const vertical = sideOf(corner(1), corner(3), rows, attributes);
      const horizontal = sideOf(corner(0), corner(2), columns, attributes);
      const image = placeOf(batch!.data[region]!, x!.shape[0]!, "RoiAlign");
      // What a coordinate errs moves a sample by as much as its pixels differ.
      const reach = (side: Side, bins: number): number => Math.abs(side.start) + Math.abs(side.bin * bins) + 1;
      const doubt = reach(vertical, rows) + reach(horizontal, columns);
      for (let channel = 0; channel < C; channel++) {
        const plane = (image * C + channel) * H * W;
        for (let row = 0; row < rows; row++)
          for (let column = 0; column < columns; column++, index++) {
            let [total, magnitude] = [isMax ? -Infinity : 0, 0];
            for (let i = 0; i < vertical.points; i++)
              for (let j = 0; j < horizontal.points; j++) {
                const v = neighbours(vertical.start + (row + (i + 0.5) / vertical.points) * vertical.bin, H);
                const h = neighbours(horizontal.start + (column + (j + 0.5) / horizontal.points) * horizontal.bin, W);
                let corners = [0, 0, 0, 0];
                if (v && h) {
                  const pixel = (y: number, z: number): number => x!.data[plane + y * W + z]!;
                  const pixels = [
                    pixel(v.low, h.low),
                    pixel(v.low, h.high),
                    pixel(v.high, h.low),
                    pixel(v.high, h.high),
                  ];
                  const shares = [
                    (1 - v.share) * (1 - h.share),
                    (1 - v.share) * h.share,
                    v.share * (1 - h.share),
                    v.share * h.share,
                  ];
                  corners = pixels.map((value, i) => value * shares[i]!);
                  const most = pixels.reduce((sum, value) => sum + Math.abs(value) * doubt, 0);
                  magnitude = isMax ? Math.max(magnitude, most) : magnitude + most;
                }
                const sample = corners.reduce((sum, value) => sum + value, 0);
                total = isMax ? Math.max(total, ...corners) : total + sample;
              }
            const points = vertical.points * horizontal.points;
            values[index] = points === 0 ? 0 : isMax ? total : total / points;
            terms[index] = isMax ? magnitude : magnitude / Math.max(1, points);
          }
      }
    }
    return [{ values, terms }];
  },
  errorBound: () => 8 + summationBound(16),
  flops: ({ outputs, attributes }) => sizeOf(outputs[0]!.shape) * 16 * Math.max(1, attributes.sampling_ratio) ** 2,
  cases: [
    { regions: 1, attributes: {} },
    { regions: 5, attributes: { output_height: 3, output_width: 2, sampling_ratio: 2 } },
    { regions: 3, attributes: { output_height: 3, output_width: 5, mode: "max", sampling_ratio: 3 } },
    {
      regions: 3,
      attributes: { output_height: 2, output_width: 3, coordinate_transformation_mode: "output_half_pixel" },
    },
    { regions: 3, attributes: { output_height: 2, output_width: 2, mode: "max", spatial_scale: 0.5 } },
    { regions: 0, attributes: {} },
  ].map(({ regions, attributes }) => ({
    // Some regions lie partly outside, and some end before they begin.
    inputs: [
      [2, 3, 11, 7],
      { shape: [regions, 4], low: -3, high: 12 },
      { shape: [regions], dtype: "int64", low: 0, high: 2 },
    ],
    attributes,
  })),
});
