// Operators that move elements: what the cases of src/ops cannot say, which is what they refuse and how lists of any
// length are taken apart and put together again. ONNX's sequences are tried without a model, on a call made by hand.

import { describe, expect, test } from "vitest";
import { FormatError, NeuriteError, ShapeError, UnsupportedError } from "../../src/core/errors.ts";
import { sizeOf, type Shape, type TensorType } from "../../src/core/shape.ts";
import { concatenate } from "../../src/ops/concat.ts";
import { concat, depthToSpace, eyeLike, pad, reverseSequence, slice, tile, trilu } from "../../src/ops/index.ts";
import type { Attributes, Operator } from "../../src/ops/operator.ts";
import { splitAxis } from "../../src/ops/slice.ts";
import { permute } from "../../src/ops/transpose.ts";
import type { Call, Sequence } from "../../src/formats/onnx/handler.ts";
import { sequence } from "../../src/formats/onnx/operators/sequence.ts";
import { EagerBuilder, type EagerTensor } from "../harness/eager.ts";

const float = (...shape: number[]): TensorType => ({ dtype: "float32", shape });

/** A tensor of first, first + 1, … */
const counting = (shape: Shape, first = 0): EagerTensor => ({
  dtype: "float32",
  shape,
  data: Float64Array.from({ length: sizeOf(shape) }, (_, i) => first + i),
});

const elements = (tensor: unknown): number[] => [...(tensor as EagerTensor).data];

describe("slices and pads", () => {
  test("a slice is clamped as ONNX says", () => {
    const sliced = (starts: number, ends: number, steps: number): number[] =>
      elements(new EagerBuilder().apply(slice, [counting([5])], { starts: [starts], ends: [ends], steps: [steps] }));
    expect(sliced(-100, 2 ** 63, 2)).toEqual([0, 2, 4]);
    expect(sliced(2 ** 63, -(2 ** 63), -2)).toEqual([4, 2, 0]);
    expect(sliced(3, -1, 1)).toEqual([3]);
    expect(sliced(3, -1, -1)).toEqual([]);
    expect(sliced(7, 9, 1)).toEqual([]);
  });

  test("pads that crop do so before the others look at the border", () => {
    const padded = (mode: string, ...pads: number[]): number[] =>
      elements(new EagerBuilder().apply(pad, [counting([4])], { pads, mode }));
    expect(padded("wrap", -1, 2)).toEqual([1, 2, 3, 1, 2]);
    expect(padded("edge", 1, -2)).toEqual([0, 0, 1]);
    expect(padded("reflect", 2, -1)).toEqual([2, 1, 0, 1, 2]);
    expect(padded("reflect", 0, 5)).toEqual([0, 1, 2, 3, 2, 1, 0, 1, 2]);
    expect(padded("constant", -1, 1)).toEqual([1, 2, 3, 0]);
  });

  test("parts of a split that nobody reads are not cut", () => {
    const build = new EagerBuilder();
    const parts = splitAxis(build, counting([2, 5]), -1, [2, 0, 3], (part) => part !== 1);
    expect(elements(parts[0])).toEqual([0, 1, 5, 6]);
    expect(parts[1]).toBeUndefined();
    expect(elements(parts[2])).toEqual([2, 3, 4, 7, 8, 9]);
    expect(build.tape.length).toBe(2);
  });
});

describe("concatenation", () => {
  test.each([1, 7, 8, 17, 50])("%i tensors", (count) => {
    const build = new EagerBuilder();
    const inputs = Array.from({ length: count }, (_, i) => counting([2, i % 3], 100 * i));
    const joined = concatenate(build, inputs, 1);
    const rows = [0, 1].map((row) =>
      inputs.flatMap(({ shape, data }) => [...data.slice(row * shape[1]!, (row + 1) * shape[1]!)]),
    );
    expect(elements(joined)).toEqual(rows.flat());
    expect(joined.shape).toEqual([2, rows[0]!.length]);
    for (const { inputs: members } of build.tape) expect(members.length).toBeLessThanOrEqual(7);
  });

  test("of nothing but empty tensors", () => {
    expect(concatenate(new EagerBuilder(), [counting([2, 0]), counting([2, 0])], 1).shape).toEqual([2, 0]);
  });
});

test("a transposition that moves only extents of 1 is a Reshape", () => {
  const build = new EagerBuilder();
  expect(permute(build, counting([1, 3, 1, 5]), [1, 0, 3, 2]).shape).toEqual([3, 1, 5, 1]);
  expect(build.tape.map(({ operator }) => operator.name)).toEqual(["Reshape"]);
  expect(elements(permute(build, counting([2, 3]), [1, 0]))).toEqual([0, 3, 1, 4, 2, 5]);
});

test("errors name the operator, what it got and why it will not do", () => {
  const refuse = <A extends Attributes>(
    operator: Operator<A>,
    inputs: readonly TensorType[],
    attributes: Partial<A>,
    message: RegExp,
    kind: new (message: string) => Error = ShapeError,
  ): void => {
    const infer = (): unknown => operator.infer(inputs, { ...operator.attributes, ...attributes });
    expect(infer).toThrow(kind);
    expect(infer).toThrow(message);
  };
  refuse(slice, [float(3)], { starts: [0], ends: [] }, /Slice: starts \[0\].*one length/);
  refuse(slice, [float(3)], { starts: [0], ends: [1], steps: [0] }, /Slice: .*other than 0/);
  refuse(slice, [float(3)], { starts: [0, 0], ends: [1, 1], axes: [0, -1] }, /Slice: axis 0 is given twice/);
  refuse(pad, [float(3)], { pads: [1] }, /Pad: .*\[3\]: expected 2 pads/);
  refuse(pad, [float(3)], { pads: [-2, -2] }, /Pad: .*more is cut off/);
  refuse(pad, [float(0)], { pads: [1, 0], mode: "edge" }, /Pad: .*nothing to edge/);
  refuse(pad, [float(3)], { mode: "mirror" }, /Pad: mode must be .*"mirror"/, UnsupportedError);
  refuse(pad, [float(3), float(2)], {}, /Pad: constant_value must be one element/);
  refuse(concat, [float(2, 3), float(3, 4)], {}, /Concat: .*every axis but 0, got float32 \[2, 3\], float32 \[3, 4\]/);
  refuse(tile, [float(2, 3)], { repeats: [2] }, /Tile: repeats \[2\]/);
  refuse(trilu, [float(3)], {}, /Trilu: expected matrices, got float32 \[3\]/);
  refuse(eyeLike, [float(3)], {}, /EyeLike: expected a matrix/);
  refuse(depthToSpace, [float(1, 3, 2, 2)], { blocksize: 2 }, /DepthToSpace: blocks of 2 do not divide/);
  refuse(reverseSequence, [float(2, 3), { dtype: "int64", shape: [2] }], {}, /ReverseSequence: expected a length/);
});

describe("ONNX sequences", () => {
  const [a, b, c] = [counting([2], 10), counting([2], 20), counting([2], 30)] as const;
  const list: Sequence = { sequence: [a, b, c], dtype: "float32" };

  /** Runs a handler on inputs that are tensors, sequences, or numbers known beforehand. */
  function call(
    operator: string,
    inputs: readonly (EagerTensor | Sequence | number | readonly number[])[],
    attributes: Readonly<Record<string, number>> = {},
  ): unknown {
    const known = (i: number): readonly number[] | undefined => {
      const input = inputs[i];
      return typeof input === "number" ? [input] : (input as readonly number[] | undefined);
    };
    const fake = {
      build: new EagerBuilder(),
      has: (i: number) => inputs[i] !== undefined,
      operand: (i: number) => inputs[i] as EagerTensor,
      operands: () => inputs as readonly EagerTensor[],
      sequence: (i: number) => inputs[i] as Sequence,
      numbers: known,
      constant: (i: number) => {
        const data = known(i);
        return data && { shape: typeof inputs[i] === "number" ? [] : [data.length], data };
      },
      attribute: (name: string) => attributes[name],
      int: (name: string, otherwise: number) => attributes[name] ?? otherwise,
      dtype: () => "float32",
      unsupported: (why: string) => new UnsupportedError(why),
      malformed: (why: string) => new FormatError(why),
    };
    return sequence[operator]!(fake as unknown as Call);
  }
  const items = (result: unknown): number[][] => (result as Sequence).sequence.map(elements);

  test("positions count from either end", () => {
    expect(elements(call("SequenceAt", [list, -1]))).toEqual([30, 31]);
    expect(items(call("SequenceErase", [list, -3]))).toEqual([elements(b), elements(c)]);
    expect(items(call("SequenceErase", [list]))).toEqual([elements(a), elements(b)]);
    expect(items(call("SequenceInsert", [list, a, 3]))[3]).toEqual([10, 11]);
    expect(items(call("SequenceInsert", [list, a, -3]))[0]).toEqual([10, 11]);
    expect(items(call("SequenceInsert", [list, a]))[3]).toEqual([10, 11]);
    expect(elements(call("SequenceLength", [list]))).toEqual([3]);
    for (const position of [3, -4]) {
      expect(() => call("SequenceAt", [list, position])).toThrow(/outside a sequence of 3/);
      expect(() => call("SequenceErase", [list, position])).toThrow(FormatError);
    }
    expect(() => call("SequenceInsert", [list, a, 4])).toThrow(FormatError);
  });

  test("an emptied list remembers its type", () => {
    const empty = call("SequenceErase", [{ sequence: [a], dtype: "float32" }]);
    expect(empty).toEqual({ sequence: [], dtype: "float32" });
    expect(call("SequenceEmpty", [])).toEqual(empty);
    expect(() => call("ConcatFromSequence", [empty as Sequence], { axis: 0 })).toThrow(/nothing/);
  });

  test("splitting by a length, by lengths, and into elements", () => {
    const x = counting([5]);
    expect(items(call("SplitToSequence", [x, 2]))).toEqual([[0, 1], [2, 3], [4]]);
    expect(items(call("SplitToSequence", [x, [1, 4]]))).toEqual([[0], [1, 2, 3, 4]]);
    const shapes = (keepdims: number): Shape[] =>
      (call("SplitToSequence", [counting([2, 3])], { axis: 1, keepdims }) as Sequence).sequence.map(
        ({ shape }) => shape,
      );
    expect(shapes(1)).toEqual([
      [2, 1],
      [2, 1],
      [2, 1],
    ]);
    expect(shapes(0)).toEqual([[2], [2], [2]]);
    expect(() => call("SplitToSequence", [x, 0])).toThrow(NeuriteError);
  });

  test("joining along an axis that is there, and along a new one", () => {
    expect(elements(call("ConcatFromSequence", [list], { axis: 0 }))).toEqual([10, 11, 20, 21, 30, 31]);
    const stacked = call("ConcatFromSequence", [list], { axis: -1, new_axis: 1 }) as EagerTensor;
    expect(stacked.shape).toEqual([2, 3]);
    expect(elements(stacked)).toEqual([10, 20, 30, 11, 21, 31]);
  });
});
