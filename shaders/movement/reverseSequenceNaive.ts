// An element moves along time only, so its place is its own plus a multiple of time's stride.

import { type reverseSequence, sequenceStrides } from "../../src/ops/reverseSequence.ts";
import { linearMain } from "../common/linear.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { countOf, perElement, words, WORKGROUP } from "./elementwise.ts";

export default defineStrategy({
  op: operatorNamed<typeof reverseSequence>("ReverseSequence"),
  name: "naive",
  ...perElement,
  uniforms: (problem) => ({
    ...countOf(problem),
    ...words({ ...sequenceStrides(problem.inputs[0]!.shape, problem.attributes) }),
  }),
  source: () => ({
    code: wgsl`
${linearMain(WORKGROUP)}
  if (index >= u.count) { return; }
  let time = (index / u.timeStride) % u.times;
  let length = min(u32(sequence_lens[(index / u.batchStride) % u.batch]), u.times);
  let place = select(index, index + (length - 1u - 2u * time) * u.timeStride, time < length);
  y[index] = epilogue(input[place], index);
}`,
  }),
});
