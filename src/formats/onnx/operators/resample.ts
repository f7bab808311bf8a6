// Resizing and sampling. Scales, sizes and regions are part of the plan: with them the tables of a Resize are constants.

import { affineGrid } from "../../../ops/affineGrid.ts";
import { gridSample } from "../../../ops/gridSample.ts";
import { resize } from "../../../ops/resize.ts";
import type { Operand } from "../../../ops/operator.ts";
import type { Call, Handlers } from "../handler.ts";

/** Upsample, and Resize before version 11: coordinates are divided by the scale and cut off. */
function upsample(call: Call): Operand {
  return call.build.apply(resize, [call.operand(0)], {
    coordinate_transformation_mode: "asymmetric",
    mode: call.string("mode", "nearest"),
    nearest_mode: "simple",
    scales: call.floats("scales") ?? call.numbers(1) ?? [],
  });
}

/** GridSample's modes had other names in version 16. */
const GRID_MODES: Readonly<Record<string, string>> = { bilinear: "linear", bicubic: "cubic" };

export const resample: Handlers = {
  AffineGrid: (call) =>
    call.build.apply(affineGrid, [call.operand(0)], {
      align_corners: call.int("align_corners", 0),
      size: call.numbers(1) ?? [],
    }),

  GridSample: (call) => {
    const mode = call.string("mode", "linear");
    return call.build.apply(gridSample, [call.operand(0), call.operand(1)], {
      align_corners: call.int("align_corners", 0),
      mode: GRID_MODES[mode] ?? mode,
      padding_mode: call.string("padding_mode", "zeros"),
    });
  },

  Resize: (call) => {
    if (call.opset < 11) return upsample(call);
    const mode = call.string("coordinate_transformation_mode", "half_pixel");
    const sizes = call.numbers(3) ?? [];
    return call.build.apply(resize, [call.operand(0)], {
      antialias: call.int("antialias", 0),
      axes: call.ints("axes") ?? [],
      coordinate_transformation_mode: mode,
      cubic_coeff_a: call.float("cubic_coeff_a", -0.75),
      exclude_outside: call.int("exclude_outside", 0),
      extrapolation_value: call.float("extrapolation_value", 0),
      keep_aspect_ratio_policy: call.string("keep_aspect_ratio_policy", "stretch"),
      mode: call.string("mode", "nearest"),
      nearest_mode: call.string("nearest_mode", "round_prefer_floor"),
      roi: mode === "tf_crop_and_resize" ? (call.numbers(1) ?? []) : [],
      scales: sizes.length > 0 ? [] : (call.numbers(2) ?? []),
      sizes,
    });
  },

  Upsample: upsample,
};
