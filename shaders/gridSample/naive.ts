// A result element a thread. The loops over the neighbours of each axis are one loop over their combinations, whose number
// is read as digits, one an axis; the text is the same for lines, pictures and volumes.

import { dtypes } from "../../src/core/dtype.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { GRID_TAPS, type gridSample } from "../../src/ops/gridSample.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { defineStrategy, type Uniform, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

export default defineStrategy({
  op: operatorNamed<typeof gridSample>("GridSample"),
  name: "naive",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) =>
    firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
  dispatch: (problem, { workgroup }) => linearDispatch(sizeOf(problem.outputs[0]!.shape), workgroup),
  uniforms({ inputs, outputs }) {
    const [, C, ...extents] = inputs[0]!.shape;
    const uniforms: Record<string, Uniform> = {
      count: { type: "u32", value: sizeOf(outputs[0]!.shape) },
      channels: { type: "u32", value: C! },
      points: { type: "u32", value: sizeOf(outputs[0]!.shape.slice(2)) },
    };
    extents.forEach((value, axis) => (uniforms[`extent${axis}`] = { type: "i32", value }));
    return uniforms;
  },
  trafficBytes({ inputs, outputs, attributes }) {
    const rank = inputs[0]!.shape.length - 2;
    return 4 * sizeOf(outputs[0]!.shape) * (1 + rank + GRID_TAPS[attributes.mode]! ** rank);
  },
  source({ inputs, attributes }, { workgroup }) {
    const { mode, padding_mode, align_corners } = attributes;
    const rank = inputs[0]!.shape.length - 2;
    const taps = GRID_TAPS[mode]!;
    const type = dtypes[inputs[0]!.dtype].wgsl;
    const isNearest = mode === "nearest";
    const axes = Array.from({ length: rank }, (_, axis) => axis);
    return {
      code: wgsl`
const LOW = ${align_corners !== 0 ? "0.0f" : "-0.5f"};

fn reflect_at(x: f32, low: f32, high: f32) -> f32 {
  let range = high - low;
  let outside = max(low - x, x - high);
  if (range <= 0.0f) { return low; }
  if (outside <= 0.0f) { return x; }
  let turns = floor(outside / range);
  let rest = outside - turns * range;
  let is_even = turns - 2.0f * floor(0.5f * turns) == 0.0f;
  return select(high - rest, low + rest, (x < low) == is_even);
}

// Where a coordinate of the grid lies on an axis, before its neighbours are looked up.
fn position(coordinate: f32, extent: i32) -> f32 {
  let n = f32(extent);
  let high = LOW + n + 2.0f * (-0.5f - LOW);
#if ${align_corners !== 0}
  var x = (coordinate + 1.0f) * 0.5f * (n - 1.0f);
#else
  var x = ((coordinate + 1.0f) * n - 1.0f) * 0.5f;
#endif
#if ${isNearest}
  x = round(x);
#endif
#if ${padding_mode === "border"}
  x = select(x, clamp(x, 0.0f, n - 1.0f), x < LOW || x > high);
#elif ${padding_mode === "reflection"}
  x = reflect_at(x, LOW, high);
#endif
  return x;
}

// The place of a neighbour, -1 where there are zeros.
fn pad(place: i32, extent: i32) -> i32 {
#if ${padding_mode === "zeros"}
  return select(-1, place, place >= 0 && place < extent);
#elif ${padding_mode === "reflection"}
  let n = f32(extent);
  let x = reflect_at(f32(place), LOW, LOW + n + 2.0f * (-0.5f - LOW));
  return clamp(i32(x), 0, extent - 1);
#else
  return clamp(place, 0, extent - 1);
#endif
}

fn weight(t: f32, tap: i32) -> f32 {
#if ${mode === "cubic"}
  const A = -0.75f;
  let x = abs(t - f32(tap - 1));
  return select(((A * x - 5.0f * A) * x + 8.0f * A) * x - 4.0f * A, ((A + 2.0f) * x - (A + 3.0f)) * x * x + 1.0f, x <= 1.0f);
#else
  return select(t, 1.0f - t, tap == 0);
#endif
}

${linearMain(workgroup)}
  if (index >= u.count) { return; }
  let image = index / u.points;
  let row = (image / u.channels * u.points + index % u.points) * ${rank}u;
  ${axes.map((axis) => `let x${axis} = position(grid[row + ${rank - 1 - axis}u], u.extent${axis});`).join("\n  ")}
  var sum = ${type}(0);
  for (var combination = 0; combination < ${taps ** rank}; combination++) {
    var place = 0;
    var is_inside = true;
    var share = 1.0f;
    ${axes
      .map(
        (axis) => `{
      let tap = combination / ${taps ** (rank - 1 - axis)} % ${taps};
      let at = pad(i32(floor(x${axis})) + tap - ${taps === 4 ? 1 : 0}, u.extent${axis});
      is_inside = is_inside && at >= 0;
      place = place * u.extent${axis} + at;
      share *= weight(x${axis} - floor(x${axis}), tap);
    }`,
      )
      .join("\n    ")}
    if (is_inside) {
      let value = x[image * ${axes.map((axis) => `u32(u.extent${axis})`).join(" * ")} + u32(place)];
#if ${isNearest}
      sum = value;
#else
      sum += share * value;
#endif
    }
  }
  y[index] = epilogue(sum, index);
}`,
    };
  },
});
