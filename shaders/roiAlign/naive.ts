// One output element a thread: it walks the points of its bin. Neighbouring threads are neighbouring bins of one region,
// so their pixels lie close together.

import { sizeOf } from "../../src/core/shape.ts";
import type { roiAlign } from "../../src/ops/roiAlign.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { PLACE_OF } from "../common/place.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { defineStrategy, type Uniform, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

export default defineStrategy({
  op: operatorNamed<typeof roiAlign>("RoiAlign"),
  name: "naive",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) =>
    firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
  dispatch: (problem, { workgroup }) => linearDispatch(sizeOf(problem.outputs[0]!.shape), workgroup),
  uniforms({ inputs: [x], outputs: [y], attributes }) {
    const [images, channels, height, width] = x!.shape as [number, number, number, number];
    const { output_height: rows, output_width: columns, sampling_ratio } = attributes;
    const counts = { count: sizeOf(y!.shape), images, channels, rows, columns };
    const uniforms: Record<string, Uniform> = {};
    for (const [name, value] of Object.entries(counts)) uniforms[name] = { type: "u32", value };
    for (const [name, value] of Object.entries({ height, width, sampling_ratio }))
      uniforms[name] = { type: "i32", value };
    return { ...uniforms, scale: { type: "f32", value: attributes.spatial_scale } };
  },
  trafficBytes: ({ outputs, attributes }) =>
    sizeOf(outputs[0]!.shape) * (20 + 16 * Math.max(1, attributes.sampling_ratio) ** 2),
  source({ attributes }, { workgroup }) {
    const isHalf = attributes.coordinate_transformation_mode === "half_pixel";
    return {
      code: wgsl`
${PLACE_OF}

// Start, width of a bin and number of points of one side of a region; the smallest number that covers the side.
fn side_of(low: f32, high: f32, bins: u32) -> vec3<f32> {
  let start = low * u.scale - ${isHalf ? "0.5" : "0.0"};
  let end = high * u.scale - ${isHalf ? "0.5" : "0.0"};
  let extent = ${isHalf ? "end - start" : "max(end - start, 1.0)"};
  let count = f32(bins);
  var points = ceil(extent / count);
  if ((points - 1.0) * count >= extent) { points -= 1.0; }
  if (points * count < extent) { points += 1.0; }
  if (u.sampling_ratio > 0) { points = f32(u.sampling_ratio); }
  return vec3<f32>(start, extent / count, max(points, 0.0));
}

// The pixel before a coordinate, the one after it, and the share of the latter, below 0 if the point is outside.
struct Neighbours { low: i32, high: i32, share: f32 }
fn neighbours(at: f32, extent: i32) -> Neighbours {
  let inside = clamp(at, 0.0, f32(extent - 1));
  let low = i32(inside);
  return Neighbours(low, min(low + 1, extent - 1), select(-1.0, inside - f32(low), at >= -1.0 && at <= f32(extent)));
}

${linearMain(workgroup)}
  if (index >= u.count) { return; }
  let column = index % u.columns;
  let row = index / u.columns % u.rows;
  let channel = index / (u.columns * u.rows) % u.channels;
  let region = index / (u.columns * u.rows * u.channels);
  let vertical = side_of(rois[4u * region + 1u], rois[4u * region + 3u], u.rows);
  let horizontal = side_of(rois[4u * region], rois[4u * region + 2u], u.columns);
  let image = place_of(batch_indices[region], u.images);
  let plane = i32(image * u.channels + channel) * u.height * u.width;
  let points = vec2<u32>(u32(vertical.z), u32(horizontal.z));
  var total = ${attributes.mode === "max" ? "-3.4028234663852886e38" : "0.0"};
  for (var i = 0u; i < points.x; i++) {
    let v = neighbours(vertical.x + (f32(row) + (f32(i) + 0.5) / vertical.z) * vertical.y, u.height);
    for (var j = 0u; j < points.y; j++) {
      let h = neighbours(horizontal.x + (f32(column) + (f32(j) + 0.5) / horizontal.z) * horizontal.y, u.width);
      var corners = vec4<f32>(0.0);
      if (v.share >= 0.0 && h.share >= 0.0) {
        let upper = plane + v.low * u.width;
        let lower = plane + v.high * u.width;
        let pixels = vec4<f32>(x[upper + h.low], x[upper + h.high], x[lower + h.low], x[lower + h.high]);
        let shares = vec2<f32>(1.0 - h.share, h.share);
        corners = pixels * vec4<f32>(shares * (1.0 - v.share), shares * v.share);
      }
#if ${attributes.mode === "max"}
      total = max(total, max(max(corners.x, corners.y), max(corners.z, corners.w)));
#else
      total += corners.x + corners.y + corners.z + corners.w;
#endif
    }
  }
  let count = points.x * points.y;
#if ${attributes.mode === "max"}
  total = select(total, 0.0, count == 0u);
#else
  total = total / f32(max(count, 1u));
#endif
  y[index] = epilogue(total, index);
}`,
    };
  },
});
