// Each pixel collects the taps that fall on it, instead of each tap looking for its pixel: nothing has to be added
// atomically, and the order of summation is fixed.

import { dtypes } from "../../src/core/dtype.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { blockAxes, type col2Im } from "../../src/ops/col2Im.ts";
import { linearMain } from "../common/linear.ts";
import { unroll } from "../common/unroll.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { countOf, perElement, words, WORKGROUP } from "./elementwise.ts";

export default defineStrategy({
  op: operatorNamed<typeof col2Im>("Col2Im"),
  name: "naive",
  ...perElement,
  trafficBytes: ({ inputs, outputs }) => 4 * (sizeOf(inputs[0]!.shape) + sizeOf(outputs[0]!.shape)),
  uniforms(problem) {
    const fields: Record<string, number> = { taps: 1, blocks: 1, pixels: 1 };
    blockAxes(problem.attributes).forEach(({ extent, taps, stride, dilation, padBegin, blocks }, i) => {
      const axis = { extent, taps, stride, dilation, pad: padBegin, blocks };
      for (const [name, value] of Object.entries(axis)) fields[`${name}${i}`] = value;
      fields["taps"]! *= taps;
      fields["blocks"]! *= blocks;
      fields["pixels"]! *= extent;
    });
    return { ...countOf(problem), ...words(fields) };
  },
  source(problem) {
    const rank = problem.attributes.image_shape.length;
    const type = dtypes[problem.inputs[0]!.dtype].wgsl;
    // Innermost axis first: pixel, tap and block give up one coordinate each.
    const axis = (i: number): string => `
    let reach${i} = pixel % u.extent${i} + u.pad${i} - (tap % u.taps${i}) * u.dilation${i};
    let block${i} = reach${i} / u.stride${i};
    hit = hit && reach${i} < 0x80000000u && reach${i} % u.stride${i} == 0u && block${i} < u.blocks${i};
    block += block${i} * pitch;
    pitch *= u.blocks${i};
    pixel /= u.extent${i};
    tap /= u.taps${i};`;
    return {
      code: wgsl`
// input [N·C, taps, blocks]
${linearMain(WORKGROUP)}
  if (index >= u.count) { return; }
  let plane = index / u.pixels;
  var sum = ${type}(0);
  for (var t = 0u; t < u.taps; t++) {
    var hit = true;
    var block = 0u;
    var pitch = 1u;
    var pixel = index % u.pixels;
    var tap = t;
${unroll(rank, (i) => axis(rank - 1 - i))}
    if (hit) { sum += input[(plane * u.taps + t) * u.blocks + block]; }
  }
  output[index] = epilogue(sum, index);
}`,
    };
  },
});
