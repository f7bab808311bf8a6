// Lists of tensors. They exist while a model is imported and leave nothing in the graph but the tensors themselves, and
// what joins or splits these.

import { normalizeAxis } from "../../../core/shape.ts";
import { concatenate } from "../../../ops/concat.ts";
import type { Operand } from "../../../ops/operator.ts";
import { reshapeTo } from "../../../ops/reshape.ts";
import { splitAxis } from "../../../ops/slice.ts";
import type { Call, Handlers, Sequence } from "../handler.ts";

/** A list that remembers the type its elements have even when there are none. */
function listOf(items: readonly Operand[], like?: Sequence): Sequence {
  const dtype = items[0]?.dtype ?? like?.dtype;
  return { sequence: items, ...(dtype && { dtype }) };
}

/** Input `place` as a position in a list of `length`, `end` included where `orEnd`; negative ones count from the end. */
function positionOf(call: Call, place: number, length: number, orEnd = false): number | undefined {
  const given = call.numbers(place)?.[0];
  if (given === undefined) return undefined;
  const position = given < 0 ? given + length : given;
  if (position < 0 || position >= length + (orEnd ? 1 : 0))
    throw call.malformed(`position ${given} is outside a sequence of ${length}`);
  return position;
}

/** Extents of the parts SplitToSequence makes of an axis. */
function partsOf(call: Call, extent: number): readonly number[] {
  const split = call.constant(1);
  if (split && split.shape.length > 0) return Array.from(split.data);
  const part = split?.data[0] ?? 1;
  if (!(part > 0)) throw call.malformed(`parts of ${part} elements`);
  return Array.from({ length: Math.ceil(extent / part) }, (_, i) => Math.min(part, extent - i * part));
}

const without = (shape: readonly number[], axis: number): number[] => shape.filter((_, i) => i !== axis);

export const sequence: Handlers = {
  SequenceEmpty: (call) => ({ sequence: [], dtype: call.dtype("dtype", "float32") }),

  SequenceConstruct: (call) => listOf(call.operands().filter((input) => input !== undefined)),

  SequenceInsert: (call) => {
    const list = call.sequence(0);
    const position = positionOf(call, 2, list.sequence.length, true) ?? list.sequence.length;
    return listOf([...list.sequence.slice(0, position), call.operand(1), ...list.sequence.slice(position)]);
  },

  SequenceErase: (call) => {
    const list = call.sequence(0);
    const position = positionOf(call, 1, list.sequence.length) ?? list.sequence.length - 1;
    return listOf(
      list.sequence.filter((_, i) => i !== position),
      list,
    );
  },

  SequenceAt: (call) => {
    const list = call.sequence(0);
    const position = positionOf(call, 1, list.sequence.length);
    if (position === undefined) throw call.malformed("position is missing");
    return list.sequence[position]!;
  },

  SequenceLength: (call) =>
    call.build.constant({ dtype: "int64", shape: [], data: Int32Array.of(call.sequence(0).sequence.length) }),

  SplitToSequence: (call) => {
    const input = call.operand(0);
    const axis = normalizeAxis(call.int("axis", 0), input.shape.length, "SplitToSequence");
    const parts = splitAxis(call.build, input, axis, partsOf(call, input.shape[axis]!)) as Operand[];
    // Only a split into single elements may drop the axis.
    const dropped = !call.has(1) && call.int("keepdims", 1) === 0;
    return {
      sequence: dropped ? parts.map((part) => reshapeTo(call.build, part, without(part.shape, axis))) : parts,
      dtype: input.dtype,
    };
  },

  ConcatFromSequence: (call) => {
    const { sequence: parts } = call.sequence(0);
    const [first] = parts;
    if (!first) throw call.malformed("nothing to concatenate");
    const axis = call.attribute("axis") && call.int("axis", 0);
    if (axis === undefined) throw call.malformed("axis is missing");
    if (call.int("new_axis", 0) === 0) return concatenate(call.build, parts, axis);
    const along = normalizeAxis(axis, first.shape.length + 1, "ConcatFromSequence");
    const raised = parts.map((part) =>
      reshapeTo(call.build, part, [...part.shape.slice(0, along), 1, ...part.shape.slice(along)]),
    );
    return concatenate(call.build, raised, along);
  },
};
