// All scalars of all steps in one buffer, written once: each step's block starts at the offset alignment and is bound
// with a dynamic offset, so that every step shares one bind group.

import type { Gpu } from "../../device/gpu.ts";
import type { Plan } from "../../scheduler/plan.ts";
import type { Uniform } from "../../../shaders/strategy.ts";

const WORD_BYTES = 4;
const BLOCK_ALIGNMENT_BYTES = 16;

export interface UniformBlocks {
  /** Bytes of the largest block: the size every step binds. */
  readonly blockBytes: number;
  /** Offset of each step's block in bytes; 0 for steps without one. */
  readonly offsets: readonly number[];
  /** Contents of the buffer. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/** Lays out the uniform blocks of a plan; undefined if no step has any. Equal blocks are stored once. */
export function layOutUniforms(plan: Plan, gpu: Gpu): UniformBlocks | undefined {
  const strideBytes = gpu.limits.minUniformBufferOffsetAlignment;
  const blocks = plan.steps.map((step) =>
    step.kind === "dispatch" && step.uniforms.length > 0 ? encode(step.uniforms) : undefined,
  );
  const longest = Math.max(0, ...blocks.map((block) => block?.byteLength ?? 0));
  if (longest === 0) return undefined;
  const blockBytes = Math.ceil(longest / BLOCK_ALIGNMENT_BYTES) * BLOCK_ALIGNMENT_BYTES;
  const spacing = Math.ceil(blockBytes / strideBytes) * strideBytes;
  const distinct = new Map<string, { offset: number; block: Uint8Array }>();
  const offsets = blocks.map((block) => {
    if (!block) return 0;
    const key = block.join();
    let place = distinct.get(key);
    if (!place) {
      place = { offset: distinct.size * spacing, block };
      distinct.set(key, place);
    }
    return place.offset;
  });
  const data = new Uint8Array(distinct.size * spacing);
  for (const { offset, block } of distinct.values()) data.set(block, offset);
  return { blockBytes, offsets, data };
}

function encode(uniforms: readonly Uniform[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(uniforms.length * WORD_BYTES));
  uniforms.forEach(({ type, value }, i) => {
    if (type === "f32") view.setFloat32(i * WORD_BYTES, value, true);
    else if (type === "i32") view.setInt32(i * WORD_BYTES, value, true);
    else view.setUint32(i * WORD_BYTES, value, true);
  });
  return new Uint8Array(view.buffer);
}
