// Operators that order, search or accumulate along an axis, and those of detection networks: NonMaxSuppression, whose
// result is as long as the data says, on the host, and RoiAlign.

import { sizeOf } from "../../../core/shape.ts";
import { tensorData } from "../../../core/tensorData.ts";
import { argMax, argMin, hardmax } from "../../../ops/argMax.ts";
import { cumProd, cumSum } from "../../../ops/cumulative.ts";
import { reshapeTo } from "../../../ops/reshape.ts";
import { roiAlign } from "../../../ops/roiAlign.ts";
import { topK } from "../../../ops/topK.ts";
import { direct, hosted, type Call, type Handler, type Handlers } from "../handler.ts";
import type { HostValue } from "../tensor.ts";

/** Until opset 13 the input was seen as a matrix, [axes before, axes from `axis` on], and each row had one 1. */
const anyHardmax: Handler = (call) => {
  if (call.opset >= 13) return direct(hardmax)(call);
  const input = call.operand(0);
  const given = call.int("axis", 1);
  const axis = given < 0 ? given + input.shape.length : given;
  const matrix = [sizeOf(input.shape.slice(0, axis)), sizeOf(input.shape.slice(axis))];
  const marked = call.build.apply(hardmax, [reshapeTo(call.build, input, matrix)], { axis: 1 });
  return reshapeTo(call.build, marked, input.shape);
};

/** Since opset 10 k is an input. */
const anyTopK: Handler = (call) => direct(topK, call.opset >= 10 ? { constants: { 1: "k" } } : {})(call);

/** Until opset 16 regions began at pixel centres. */
const anyRoiAlign: Handler = (call) => {
  const mode = call.string("coordinate_transformation_mode", call.opset >= 16 ? "half_pixel" : "output_half_pixel");
  return call.build.applyAll(roiAlign, call.operands(), {
    coordinate_transformation_mode: mode,
    mode: call.string("mode", "avg"),
    output_height: call.int("output_height", 1),
    output_width: call.int("output_width", 1),
    sampling_ratio: call.int("sampling_ratio", 0),
    spatial_scale: call.float("spatial_scale", 1),
  });
};

/** A box by two corners, the lower one first. */
interface Box {
  readonly low: readonly [number, number];
  readonly high: readonly [number, number];
}

/** Box `index` of boxes [.., 4]: two opposite corners in any order, (y, x) each, or centre and size, (x, y) each. */
function boxAt(boxes: ArrayLike<number>, index: number, isCentred: boolean): Box {
  const [a, b, c, d] = [0, 1, 2, 3].map((i) => boxes[4 * index + i]!) as [number, number, number, number];
  if (isCentred) return { low: [a - c / 2, b - d / 2], high: [a + c / 2, b + d / 2] };
  return { low: [Math.min(a, c), Math.min(b, d)], high: [Math.max(a, c), Math.max(b, d)] };
}

/** Intersection over union of two boxes, in float32 as models expect it at a threshold; 0 where there is no area. */
function overlap(a: Box, b: Box): number {
  const round = Math.fround;
  const sides = ({ low, high }: Box): [number, number] => [round(high[0] - low[0]), round(high[1] - low[1])];
  const area = ([width, height]: [number, number]): number => round(width * height);
  const common: Box = {
    low: [Math.max(a.low[0], b.low[0]), Math.max(a.low[1], b.low[1])],
    high: [Math.min(a.high[0], b.high[0]), Math.min(a.high[1], b.high[1])],
  };
  const [width, height] = sides(common);
  if (width <= 0 || height <= 0) return 0;
  const shared = area([width, height]);
  const [areaA, areaB] = [area(sides(a)), area(sides(b))];
  const union = round(round(areaA + areaB) - shared);
  return areaA <= 0 || areaB <= 0 || union <= 0 ? 0 : round(shared / union);
}

/**
 * NonMaxSuppression: of boxes [N, B, 4] with scores [N, C, B] the best of every image and class, each unless it overlaps a
 * better one by more than the threshold. [selected, 3]: image, class, box.
 */
function nonMaxSuppression(
  [boxes, scores, most, overlapThreshold, scoreThreshold]: readonly (HostValue | undefined)[],
  call: Call,
): HostValue[] {
  const [images, classes, count] = scores!.shape as [number, number, number];
  const limit = most?.data[0] ?? 0;
  const isCentred = call.int("center_point_box", 0) === 1;
  const selected: number[] = [];
  for (let image = 0; image < images; image++)
    for (let group = 0; group < classes; group++) {
      const score = (box: number): number => scores!.data[(image * classes + group) * count + box]!;
      const candidates = Array.from({ length: count }, (_, box) => box)
        .filter((box) => scoreThreshold === undefined || score(box) > scoreThreshold.data[0]!)
        .sort((a, b) => score(b) - score(a) || a - b);
      const kept: Box[] = [];
      for (const candidate of candidates) {
        if (kept.length >= limit) break;
        const box = boxAt(boxes!.data, image * count + candidate, isCentred);
        if (kept.some((other) => overlap(other, box) > (overlapThreshold?.data[0] ?? 0))) continue;
        kept.push(box);
        selected.push(image, group, candidate);
      }
    }
  return [tensorData(selected, [selected.length / 3, 3], "int64")];
}

const running = { constants: { 1: "axis" } } as const;

export const sorting: Handlers = {
  ArgMax: direct(argMax),
  ArgMin: direct(argMin),
  CumProd: direct(cumProd, running),
  CumSum: direct(cumSum, running),
  Hardmax: anyHardmax,
  NonMaxSuppression: hosted(nonMaxSuppression),
  RoiAlign: anyRoiAlign,
  TopK: anyTopK,
};
