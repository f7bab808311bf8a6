// Elementwise operators, in a few lines each: an operator says what happens to one element (in WGSL and in JavaScript),
// and how errors pass through it; broadcasting, types, loops and costs are the same for all and derived here.

import { broadcastShapes, broadcastStrides } from "../core/broadcast.ts";
import { dtypes, isFloat, isWide, storeValue, type DType } from "../core/dtype.ts";
import { NeuriteError } from "../core/errors.ts";
import { sizeOf, type Shape, type TensorType } from "../core/shape.ts";
import { requireDType, requireInputs, requireSameDType, type Accepted } from "./check.ts";
import {
  defineOperator,
  EPSILON,
  type CaseInput,
  type Operator,
  type OperatorCase,
  type Pointwise,
} from "./operator.ts";

/** Attributes of an operator that has none. */
export type NoAttributes = Readonly<Record<string, never>>;

/** What an elementwise operator has to say; the rest of {@link Operator} follows from it. */
export interface PointwiseDefinition<A extends Operator["attributes"]> extends Pointwise<A> {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly attributes: A;
  /** Element types it takes; all operands have the same one. Default "float". */
  readonly accepts?: Accepted;
  /** Element type of the result. Default: that of the operands. */
  readonly result?: DType;
  /** Replaces the type rule that `accepts` and `result` describe. */
  readonly infer?: (inputs: readonly (TensorType | undefined)[], attributes: A) => TensorType;
  /** `evaluate` for integer results, where that differs; wrapped to the type's bits, or range-checked, afterwards. */
  readonly evaluateInteger?: (args: readonly number[], attributes: A, dtype: DType) => number;
  /** Floating-point operations an element. Default 1. */
  readonly flops?: number;
  readonly gradient?: NonNullable<Operator<A>["gradient"]>;
  readonly cases: readonly OperatorCase<A>[];
}

/** The elementwise part as {@link definePointwise} stores it. */
interface DefinedPointwise<A extends Operator["attributes"]> extends Pointwise<A> {
  readonly evaluateInteger?: (args: readonly number[], attributes: A, dtype: DType) => number;
}

/** Completes an elementwise operator: type inference, reference, bounds and costs. */
/* @__NO_SIDE_EFFECTS__ */
export function definePointwise<A extends Operator["attributes"]>(definition: PointwiseDefinition<A>): Operator<A> {
  const { name, inputs: names, accepts = "float", gradient, helpers, evaluateInteger, selects, lanewise } = definition;

  const infer = (inputs: readonly (TensorType | undefined)[], attributes: A): TensorType => {
    if (definition.infer) return definition.infer(inputs, attributes);
    const types = requireInputs(name, names, inputs);
    types.forEach((type, i) => requireDType(name, names[i]!, type, accepts));
    requireSameDType(name, types);
    const shape = broadcastShapes(
      types.map((type) => type.shape),
      name,
    );
    return { dtype: definition.result ?? types[0]!.dtype, shape };
  };

  const pointwise: DefinedPointwise<A> = {
    wgsl: (args, attributes, inputs) => definition.wgsl(args, attributes, inputs),
    evaluate: (args, attributes) => definition.evaluate(args, attributes),
    propagate: (args, errors, attributes) => definition.propagate(args, errors, attributes),
    ...(helpers ? { helpers } : {}),
    ...(selects ? { selects } : {}),
    ...(lanewise ? { lanewise } : {}),
    ...(definition.rounding
      ? { rounding: (args, result, attributes) => definition.rounding!(args, result, attributes) }
      : {}),
    ...(evaluateInteger ? { evaluateInteger } : {}),
  };

  return defineOperator<A>({
    name,
    inputs: names,
    outputs: ["output"],
    attributes: definition.attributes,
    infer: (inputs, attributes) => [infer(inputs, attributes)],
    reference: (inputs, { outputs, attributes }) => {
      const { shape, dtype } = outputs[0]!;
      const operands = inputs.map((input) => input!);
      const values = new Float64Array(sizeOf(shape));
      const terms = new Float64Array(values.length);
      const args = operands.map(() => 0);
      eachBroadcast(
        operands.map((operand) => operand.shape),
        shape,
        (places, index) => {
          for (let i = 0; i < args.length; i++) args[i] = operands[i]!.data[places[i]!]!;
          values[index] = evaluateElement(pointwise, args, attributes, dtype);
          terms[index] = roundingOf(pointwise, args, values[index], attributes, dtype) / EPSILON;
        },
      );
      return [{ values, terms }];
    },
    errorBound: () => 1,
    ...(gradient ? { gradient } : {}),
    flops: ({ outputs }) => sizeOf(outputs[0]!.shape) * (definition.flops ?? 1),
    cases: definition.cases,
    pointwise,
  });
}

/**
 * Visits every element of `target` in row-major order with its place in each operand: `places[i]` is where an operand
 * of `shapes[i]`, broadcast to `target`, is read. The array is reused between calls.
 */
export function eachBroadcast(
  shapes: readonly Shape[],
  target: Shape,
  visit: (places: readonly number[], index: number) => void,
): void {
  const strides = shapes.map((shape) => broadcastStrides(shape, target));
  const places = shapes.map(() => 0);
  const coordinates = target.map(() => 0);
  const size = sizeOf(target);
  for (let index = 0; index < size; index++) {
    visit(places, index);
    for (let axis = target.length - 1; axis >= 0; axis--) {
      const carry = ++coordinates[axis]! === target[axis];
      for (let i = 0; i < places.length; i++)
        places[i]! += carry ? strides[i]![axis]! * (1 - target[axis]!) : strides[i]![axis]!;
      if (!carry) break;
      coordinates[axis] = 0;
    }
  }
}

/**
 * One element of an elementwise operator. Integer results wrap, as on the GPU; those of 64-bit types, which are an error
 * when they do not fit, and floats, which round, are left as they are until they are stored.
 */
export function evaluateElement<A extends Operator["attributes"]>(
  pointwise: Pointwise<A>,
  args: readonly number[],
  attributes: A,
  dtype: DType,
): number {
  if (dtypes[dtype].kind !== "int") return pointwise.evaluate(args, attributes);
  const { evaluateInteger } = pointwise as DefinedPointwise<A>;
  const value = evaluateInteger ? evaluateInteger(args, attributes, dtype) : pointwise.evaluate(args, attributes);
  return isWide(dtype) ? Math.trunc(value) : storeValue(value, dtype, "");
}

/** Bound of the absolute rounding error of one evaluation with exact arguments; 0 for integers and booleans. */
export function roundingOf<A extends Operator["attributes"]>(
  pointwise: Pointwise<A>,
  args: readonly number[],
  result: number,
  attributes: A,
  dtype: DType,
): number {
  if (!isFloat(dtype)) return 0;
  return pointwise.rounding ? pointwise.rounding(args, result, attributes) : EPSILON * Math.abs(result);
}

/** `rounding` of operators that copy, select or negate: there is none. */
export const exact = (): number => 0;

/** `propagate` of a monotone function of one argument: the change at the worse end of the interval. */
/* @__NO_SIDE_EFFECTS__ */
export function monotone(f: (x: number) => number): (args: readonly number[], errors: readonly number[]) => number {
  return ([x], [error]) => {
    const middle = f(x!);
    return Math.max(Math.abs(f(x! + error!) - middle), Math.abs(middle - f(x! - error!)));
  };
}

/** Shapes of one operand worth testing: scalar, one element, odd, prime, just past 64 and 256, several axes, empty. */
export const unaryShapes: readonly Shape[] = [[], [1], [7], [65], [257], [2, 3, 5], [0]];

/** Pairs of shapes worth testing: {@link unaryShapes} of equal operands, then each side stretched, then both. */
const binaryShapes: readonly (readonly [Shape, Shape])[] = [
  [[], []],
  [[1], [1]],
  [[65], [65]],
  [[257], []],
  [[], [7]],
  [[3, 5], [5]],
  [[5], [3, 5]],
  [
    [4, 1, 3],
    [1, 5, 1],
  ],
  [
    [2, 3, 5, 7],
    [3, 1, 1],
  ],
  [
    [2, 0],
    [1, 1],
  ],
];

/** One-operand cases over {@link unaryShapes}, with values in [low, high). */
/* @__NO_SIDE_EFFECTS__ */
export function unaryCases<A extends Operator["attributes"]>(low = -1, high = 1): OperatorCase<A>[] {
  return unaryShapes.map((shape) => ({ inputs: [{ shape, low, high }] }));
}

/** Two-operand cases over {@link binaryShapes}; `b` overrides the second operand's range. */
/* @__NO_SIDE_EFFECTS__ */
export function binaryCases<A extends Operator["attributes"]>(
  a: Omit<Exclude<CaseInput, Shape>, "shape"> = {},
  b: Omit<Exclude<CaseInput, Shape>, "shape"> = a,
): OperatorCase<A>[] {
  return binaryShapes.map(([left, right]) => ({
    inputs: [
      { shape: left, ...a },
      { shape: right, ...b },
    ],
  }));
}

const neverInGraph = (): never => {
  throw new NeuriteError("Pointwise runs fused programs and never stands in a graph");
};

/**
 * What a fused chain of elementwise operators is called when kernels are chosen for it: shaders/pointwise/* run it, with
 * the chain in {@link KernelProblem.program}. It has no meaning of its own; `infer` and `reference` throw.
 */
export const pointwise = defineOperator<NoAttributes>({
  name: "Pointwise",
  inputs: [],
  outputs: [],
  attributes: {},
  infer: neverInGraph,
  reference: neverInGraph,
  errorBound: () => 1,
  flops: ({ outputs }) => outputs.reduce((sum, type) => sum + sizeOf(type.shape), 0),
  cases: [],
});
