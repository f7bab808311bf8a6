// RNN, LSTM and GRU as ONNX has them. They have no kernels of their own: the part that does not depend on the state, X·Wᵀ and
// the biases, is one MatMul over all steps and directions, and `RecurrentSequence` walks through what that gives. A single
// step needs no walk and no order, so `RecurrentStep` does both parts in one dispatch over the whole adapter.

import { dtypes } from "../core/dtype.ts";
import { ShapeError, UnsupportedError } from "../core/errors.ts";
import { formatShape, type Shape, type TensorType } from "../core/shape.ts";
import { add, mul } from "./binary.ts";
import { formatInputs, requireDType } from "./check.ts";
import { concatenate } from "./concat.ts";
import { reduceSum } from "./reduce.ts";
import { matMul } from "./matmul.ts";
import {
  defineOperator,
  EPSILON,
  summationBound,
  type Builder,
  type CaseInput,
  type Operand,
  type Operator,
  type OperatorCase,
  type Problem,
  type ReferenceInput,
} from "./operator.ts";
import {
  activationsOf,
  cells,
  directionsOf,
  recurrentDefaults,
  recurrentGeometry,
  requireShape,
  runRecurrence,
  type Cell,
  type DoubtfulArray,
  type RecurrentAttributes,
  type RecurrentGeometry,
} from "./recurrence.ts";
import { reshapeTo } from "./reshape.ts";

type Inputs = readonly (TensorType | undefined)[];

/** Inputs of RNN, LSTM and GRU; the last two are an LSTM's. */
const INPUTS = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"];
const OUTPUTS = ["Y", "Y_h", "Y_c"];

/** Attributes of {@link recurrentSequence} and {@link recurrentStep}: those of the network and which one it is. */
export type CellAttributes = RecurrentAttributes & {
  /** "RNN", "LSTM" or "GRU". */
  readonly cell: string;
  /** 1: R is flat, and an LSTM's peepholes P [D, 3·H] lie behind it. Saves a binding, of which there are 8. */
  readonly peephole: number;
};

const cellDefaults: CellAttributes = { ...recurrentDefaults, cell: "LSTM", peephole: 0 };

function cellOf({ cell }: CellAttributes): Cell {
  if (cell === "RNN" || cell === "LSTM" || cell === "GRU") return cell;
  throw new UnsupportedError(`RecurrentSequence: no cell is called "${cell}"`);
}

function requireFloats(who: string, names: readonly string[], inputs: Inputs): void {
  inputs.forEach((type, i) => {
    const name = names[i]!;
    if (type) requireDType(who, name, type, name === "sequence_lens" ? ["int32", "int64"] : ["float32"]);
  });
}

/** Geometry of a whole network, all inputs checked. */
function networkGeometry(cell: Cell, inputs: Inputs, attributes: RecurrentAttributes): RecurrentGeometry {
  const [X, W, R, B, lengths, initialH, initialC, P] = inputs;
  if (X?.shape.length !== 3 || W?.shape.length !== 3 || R?.shape.length !== 3)
    throw new ShapeError(`${cell}: X, W and R must have 3 axes, got ${formatInputs([X, W, R])}`);
  requireFloats(cell, INPUTS, inputs);
  const [first, second, I] = X.shape as readonly [number, number, number];
  const H = R.shape[2]!;
  if (attributes.hidden_size !== 0 && attributes.hidden_size !== H)
    throw new ShapeError(`${cell}: hidden_size is ${attributes.hidden_size}, R is ${formatShape(R.shape)}`);
  const geometry = recurrentGeometry(cell, [first, second], H, attributes);
  const { D, gates: K } = geometry;
  requireShape(cell, "W", W, [D, K * H, I]);
  requireShape(cell, "R", R, [D, K * H, H]);
  requireShape(cell, "B", B, [D, 2 * K * H]);
  requireShape(cell, "sequence_lens", lengths, [geometry.B]);
  requireShape(cell, "initial_h", initialH, geometry.stateShape);
  requireShape(cell, "initial_c", initialC, geometry.stateShape);
  requireShape(cell, "P", P, [D, 3 * H]);
  activationsOf(cell, attributes);
  return geometry;
}

function outputTypes({ cell, yShape, stateShape }: RecurrentGeometry): TensorType[] {
  const state: TensorType = { dtype: "float32", shape: stateShape };
  return [{ dtype: "float32", shape: yShape }, state, ...(cell === "LSTM" ? [state] : [])];
}

/** True where Rb of the last gate is added inside the step and not to the gate inputs. */
const keepsBias = (cell: Cell, { linear_before_reset }: RecurrentAttributes): boolean =>
  cell === "GRU" && linear_before_reset !== 0;

/** X·Wᵀ + Wb + Rb, laid out like X, with errors. */
function gateInputs(
  { cell, gates: K, H, D }: RecurrentGeometry,
  attributes: RecurrentAttributes,
  X: ReferenceInput,
  W: ReferenceInput,
  B: ReferenceInput | undefined,
): DoubtfulArray {
  const I = X.shape[2]!;
  const rows = X.shape[0]! * X.shape[1]!;
  const width = D * K * H;
  const values = new Float64Array(rows * width);
  const errors = new Float64Array(rows * width);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < width; column++) {
      let sum = 0;
      let magnitude = 0;
      const addTerm = (term: number): void => {
        sum += term;
        magnitude += Math.abs(term);
      };
      for (let i = 0; i < I; i++) addTerm(X.data[row * I + i]! * W.data[column * I + i]!);
      if (B) {
        const d = Math.floor(column / (K * H));
        const gate = column % (K * H);
        addTerm(B.data[d * 2 * K * H + gate]!);
        if (!keepsBias(cell, attributes) || gate < 2 * H) addTerm(B.data[d * 2 * K * H + K * H + gate]!);
      }
      values[row * width + column] = sum;
      errors[row * width + column] = EPSILON * summationBound(I + 2) * magnitude;
    }
  return { values, errors };
}

/** Two per multiply-add, of the input products too when there are `inputSize` features. */
function recurrentFlops({ T, B, H, D, gates: K }: RecurrentGeometry, inputSize = 0): number {
  return T * B * D * H * (2 * K * (H + inputSize) + 20);
}

/** An LSTM's peepholes behind its recurrent weights, as {@link CellAttributes.peephole} has them. */
function unpacked(R: ReferenceInput, { D, gates: K, H }: RecurrentGeometry, { peephole }: CellAttributes) {
  const weights = D * K * H * H;
  return { R: R.data.subarray(0, weights), P: peephole ? R.data.subarray(weights) : undefined };
}

function requireRecurrentWeights(who: string, R: TensorType, g: RecurrentGeometry, { peephole }: CellAttributes): void {
  const { D, gates: K, H } = g;
  requireShape(who, "R", R, peephole ? [D * K * H * H + D * 3 * H] : [D, K * H, H]);
}

const SEQUENCE_INPUTS = ["gates", "R", "B", "sequence_lens", "initial_h", "initial_c"];

/** Geometry of a {@link recurrentSequence} problem. */
export function sequenceGeometry({
  inputs,
  attributes,
}: Pick<Problem<CellAttributes>, "inputs" | "attributes">): RecurrentGeometry {
  const cell = cellOf(attributes);
  const gates = inputs[0]!.shape;
  const D = directionsOf(cell, attributes.direction);
  const H = gates[2]! / (D * cells[cell].gates);
  return recurrentGeometry(cell, [gates[0]!, gates[1]!], H, attributes);
}

/**
 * The part of RNN, LSTM and GRU that has an order. gates [T, B, D·K·H] (layout 1: [B, T, D·K·H]) are the gates' inputs X·Wᵀ
 * with the biases added, R [D, K·H, H] the recurrent weights. B [D, 2·K·H] is only there for a GRU with
 * linear_before_reset, which adds Rb of its last gate here and not to `gates`. Outputs are ONNX's Y, Y_h and, of an LSTM, Y_c.
 */
export const recurrentSequence: Operator<CellAttributes> = defineOperator<CellAttributes>({
  name: "RecurrentSequence",
  inputs: SEQUENCE_INPUTS,
  required: 2,
  outputs: OUTPUTS,
  attributes: cellDefaults,

  infer(inputs, attributes) {
    const who = "RecurrentSequence";
    requireFloats(who, SEQUENCE_INPUTS, inputs);
    const [gates, R, B, lengths, initialH, initialC] = inputs;
    if (gates?.shape.length !== 3) throw new ShapeError(`${who}: gates must have 3 axes, got ${formatInputs([gates])}`);
    const geometry = sequenceGeometry({ inputs, attributes });
    const { D, gates: K, H } = geometry;
    if (!Number.isInteger(H))
      throw new ShapeError(`${who}: gates ${formatShape(gates.shape)} do not hold ${D} × ${K} gates`);
    requireRecurrentWeights(who, R!, geometry, attributes);
    requireShape(who, "B", B, [D, 2 * K * H]);
    requireShape(who, "sequence_lens", lengths, [geometry.B]);
    requireShape(who, "initial_h", initialH, geometry.stateShape);
    requireShape(who, "initial_c", initialC, geometry.stateShape);
    return outputTypes(geometry);
  },

  reference([gates, R, B, lengths, initialH, initialC], problem) {
    const geometry = sequenceGeometry(problem);
    return runRecurrence(geometry, problem.attributes, {
      gates: { values: gates!.data },
      ...unpacked(R!, geometry, problem.attributes),
      bias: B?.data,
      lengths: lengths?.data,
      initialH: initialH?.data,
      initialC: initialC?.data,
    });
  },
  // The loop's errors are absolute bounds already.
  errorBound: () => 1,
  flops: (problem) => recurrentFlops(sequenceGeometry(problem)),
  cases: sequenceCases(),
});

const STEP_INPUTS = ["X", "W", "R", "B", "initial_h", "initial_c"];

/** Geometry of a {@link recurrentStep} problem. */
export function stepGeometry({
  inputs,
  attributes,
}: Pick<Problem<CellAttributes>, "inputs" | "attributes">): RecurrentGeometry {
  const [X, W] = inputs;
  const cell = cellOf(attributes);
  const H = W!.shape[1]! / cells[cell].gates;
  return recurrentGeometry(cell, [X!.shape[0]!, X!.shape[1]!], H, attributes);
}

/**
 * One step (T = 1) of RNN, LSTM or GRU, input products included; X and W are ONNX's, the rest as in
 * {@link recurrentSequence}. Output Y is ONNX's Y [1, D, B, H] (layout 1: [B, 1, D, H]) and holds Y_h as well; an LSTM's
 * second output is Y_c. Units do not depend on each other, except in a GRU without linear_before_reset, which it refuses.
 */
export const recurrentStep: Operator<CellAttributes> = defineOperator<CellAttributes>({
  name: "RecurrentStep",
  inputs: STEP_INPUTS,
  required: 3,
  outputs: ["Y", "Y_c"],
  attributes: cellDefaults,

  infer(inputs, attributes) {
    const who = "RecurrentStep";
    requireFloats(who, STEP_INPUTS, inputs);
    const [X, W, R, B, initialH, initialC] = inputs;
    if (X?.shape.length !== 3 || W?.shape.length !== 3)
      throw new ShapeError(`${who}: X and W must have 3 axes, got ${formatInputs([X, W])}`);
    const geometry = stepGeometry({ inputs, attributes });
    const { cell, D, gates: K, H } = geometry;
    if (geometry.T !== 1 || (cell === "GRU" && !attributes.linear_before_reset))
      throw new UnsupportedError(
        `${who}: one step of RNN, LSTM or a GRU with linear_before_reset, got ${formatInputs([X])}`,
      );
    requireShape(who, "W", W, [D, K * H, X.shape[2]!]);
    requireRecurrentWeights(who, R!, geometry, attributes);
    requireShape(who, "B", B, [D, 2 * K * H]);
    requireShape(who, "initial_h", initialH, geometry.stateShape);
    requireShape(who, "initial_c", initialC, geometry.stateShape);
    const [Y, , Yc] = outputTypes(geometry);
    return Yc ? [Y!, Yc] : [Y!];
  },

  reference([X, W, R, B, initialH, initialC], problem) {
    const geometry = stepGeometry(problem);
    const { attributes } = problem;
    const [Y, , Yc] = runRecurrence(geometry, attributes, {
      gates: gateInputs(geometry, attributes, X!, W!, B),
      ...unpacked(R!, geometry, attributes),
      bias: B?.data,
      lengths: undefined,
      initialH: initialH?.data,
      initialC: initialC?.data,
    });
    return Yc ? [Y!, Yc] : [Y!];
  },
  errorBound: () => 1,
  flops: (problem) => recurrentFlops(stepGeometry(problem), problem.inputs[0]!.shape[2]),
  cases: stepCases(),
});

/** X·Wᵀ + bias of all steps and directions: one product, in the layout of X. */
function hoisted(
  build: Builder,
  { cell, gates: K, H, D }: RecurrentGeometry,
  attributes: RecurrentAttributes,
  X: Operand,
  W: Operand,
  B: Operand | undefined,
): Operand {
  const product = build.apply(matMul, [X, reshapeTo(build, W, [D * K * H, W.shape[2]!])], { transB: 1 });
  if (!B) return product;
  let both = reshapeTo(build, B, [D, 2, K * H]);
  if (keepsBias(cell, attributes)) {
    const mask = dtypes.float32.create(2 * K * H).fill(1, 0, (2 * K - 1) * H);
    both = build.apply(mul, [both, build.constant({ dtype: "float32", shape: [2, K * H], data: mask })]);
  }
  const bias = build.apply(reduceSum, [both], { axes: [1], keepdims: 0 });
  return build.apply(add, [product, reshapeTo(build, bias, [D * K * H])]);
}

/* @__NO_SIDE_EFFECTS__ */
function defineNetwork(cell: Cell, cases: readonly OperatorCase<RecurrentAttributes>[]): Operator<RecurrentAttributes> {
  const isLstm = cell === "LSTM";
  return defineOperator<RecurrentAttributes>({
    name: cell,
    inputs: isLstm ? INPUTS : INPUTS.slice(0, 6),
    required: 3,
    outputs: isLstm ? OUTPUTS : OUTPUTS.slice(0, 2),
    attributes: recurrentDefaults,
    infer: (inputs, attributes) => outputTypes(networkGeometry(cell, inputs, attributes)),
    reference([X, W, R, B, lengths, initialH, initialC, P], { inputs, attributes }) {
      const geometry = networkGeometry(cell, inputs, attributes);
      return runRecurrence(geometry, attributes, {
        gates: gateInputs(geometry, attributes, X!, W!, B),
        R: R!.data,
        bias: B?.data,
        P: P?.data,
        lengths: lengths?.data,
        initialH: initialH?.data,
        initialC: initialC?.data,
      });
    },
    errorBound: () => 1,
    flops: ({ inputs, attributes }) => recurrentFlops(networkGeometry(cell, inputs, attributes), inputs[0]!.shape[2]),
    decompose(build, inputs, attributes) {
      const [X, W, R, B, lengths, initialH, initialC, P] = inputs;
      const geometry = networkGeometry(cell, inputs, attributes);
      const { T, D, H, gates: K, stateShape } = geometry;
      const recurrent = P
        ? concatenate(build, [reshapeTo(build, R!, [D * K * H * H]), reshapeTo(build, P, [D * 3 * H])], 0)
        : R;
      const all: CellAttributes = { ...attributes, cell, peephole: P ? 1 : 0 };
      const ordered = cell === "GRU" && !attributes.linear_before_reset;
      if (T === 1 && !lengths && !ordered) {
        const [Y, Yc] = build.applyAll(recurrentStep, [X, W, recurrent, B, initialH, initialC], all);
        const Yh = reshapeTo(build, Y!, stateShape);
        return Yc ? [Y!, Yh, Yc] : [Y!, Yh];
      }
      const gates = hoisted(build, geometry, attributes, X!, W!, B);
      const bias = keepsBias(cell, attributes) ? B : undefined;
      return build.applyAll(recurrentSequence, [gates, recurrent, bias, lengths, initialH, initialC], all);
    },
    cases,
  });
}

/** What a case varies; every other extent follows. */
interface CaseShape extends Partial<RecurrentAttributes> {
  readonly cell: Cell;
  readonly T?: number;
  readonly B?: number;
  readonly I?: number;
  readonly H?: number;
  readonly with?: readonly ("B" | "lengths" | "h" | "c" | "P")[];
  readonly why?: string;
}

/** Every operand a case may have. Weights are small: the errors of a long sequence grow with the products of their sums. */
function operandsOf({ cell, T = 3, B = 2, I = 3, H = 5, layout, direction, with: there = [] }: CaseShape) {
  const D = direction === "bidirectional" ? 2 : 1;
  const K = cells[cell].gates;
  const inOrder = (first: number, second: number): Shape => (layout === 1 ? [second, first] : [first, second]);
  const weight = (...shape: number[]): CaseInput => ({ shape, low: -0.5, high: 0.5 });
  const state = [...inOrder(D, B), H];
  const optional = (name: "B" | "lengths" | "h" | "c" | "P", input: CaseInput): CaseInput | undefined =>
    there.includes(name) ? input : undefined;
  return {
    X: [...inOrder(T, B), I],
    gates: [...inOrder(T, B), D * K * H],
    W: weight(D, K * H, I),
    R: weight(D, K * H, H),
    packedR: weight(D * K * H * H + D * 3 * H),
    B: optional("B", weight(D, 2 * K * H)),
    lengths: optional("lengths", { shape: [B], dtype: "int32", low: 0, high: T + 1 }),
    h: optional("h", state),
    c: optional("c", state),
    P: optional("P", weight(D, 3 * H)),
  };
}

/** The attributes among the fields of a case. */
function attributesOf(shape: CaseShape): Partial<RecurrentAttributes> {
  return Object.fromEntries(Object.entries(shape).filter(([name]) => name in recurrentDefaults));
}

function because({ why }: CaseShape): { why?: string } {
  return why === undefined ? {} : { why };
}

/* @__NO_SIDE_EFFECTS__ */
function networkCase(shape: CaseShape): OperatorCase<RecurrentAttributes> {
  const { X, W, R, B, lengths, h, c, P } = operandsOf(shape);
  const inputs = shape.cell === "LSTM" ? [X, W, R, B, lengths, h, c, P] : [X, W, R, B, lengths, h];
  return { inputs, attributes: attributesOf(shape), ...because(shape) };
}

/* @__NO_SIDE_EFFECTS__ */
function sequenceCase(shape: CaseShape): OperatorCase<CellAttributes> {
  const { gates, R, packedR, B, lengths, h, c, P } = operandsOf(shape);
  return {
    inputs: [gates, P ? packedR : R, B, lengths, h, c],
    attributes: { ...attributesOf(shape), cell: shape.cell, peephole: P ? 1 : 0 },
    ...because(shape),
  };
}

/* @__NO_SIDE_EFFECTS__ */
function stepCase(shape: CaseShape): OperatorCase<CellAttributes> {
  const { X, W, R, packedR, B, h, c, P } = operandsOf({ T: 1, ...shape });
  return {
    inputs: [X, W, P ? packedR : R, B, h, c],
    attributes: { ...attributesOf(shape), cell: shape.cell, peephole: P ? 1 : 0 },
    ...because(shape),
  };
}

/* @__NO_SIDE_EFFECTS__ */
function sequenceCases(): OperatorCase<CellAttributes>[] {
  const everyActivation = ["relu", "affine", "leakyrelu,thresholdedrelu", "scaledtanh,hardsigmoid", "elu,softsign"];
  const shapes: readonly CaseShape[] = [
    { cell: "LSTM" },
    { cell: "RNN", with: ["h"] },
    { cell: "GRU", with: ["h"] },
    { cell: "GRU", linear_before_reset: 1, with: ["B", "h"] },
    { cell: "GRU", linear_before_reset: 1, H: 16, T: 2 },
    { cell: "LSTM", direction: "reverse", with: ["h", "c"] },
    {
      cell: "LSTM",
      direction: "bidirectional",
      T: 5,
      B: 3,
      with: ["lengths", "h", "c", "P"],
      why: "as many operands as a device binds",
    },
    { cell: "GRU", direction: "bidirectional", T: 4, B: 3, with: ["lengths", "h"] },
    {
      cell: "GRU",
      direction: "bidirectional",
      linear_before_reset: 1,
      layout: 1,
      T: 4,
      B: 3,
      with: ["B", "lengths", "h"],
    },
    { cell: "RNN", direction: "bidirectional", layout: 1, with: ["lengths"] },
    { cell: "LSTM", layout: 1, direction: "bidirectional", with: ["h", "c"] },
    { cell: "LSTM", H: 16, clip: 0.2, with: ["h", "c", "P"] },
    { cell: "LSTM", input_forget: 1, with: ["h", "c", "P"] },
    { cell: "GRU", clip: 0.3, with: ["h"] },
    { cell: "RNN", clip: 0.25, with: ["h"] },
    { cell: "LSTM", H: 1, B: 1, T: 1 },
    { cell: "LSTM", H: 33, T: 4, B: 1, with: ["h", "c"] },
    { cell: "LSTM", H: 64, T: 2, with: ["h"] },
    { cell: "GRU", H: 67, T: 2, B: 1, with: ["h"], why: "just past a workgroup" },
    { cell: "RNN", H: 257, T: 2, B: 1, with: ["h"] },
    { cell: "GRU", H: 300, T: 1, B: 1, with: ["h"], why: "more units than a workgroup has threads" },
    { cell: "LSTM", H: 300, T: 1, B: 1, with: ["h", "c"] },
    { cell: "LSTM", H: 128, T: 1, B: 1, with: ["h", "c"], why: "streaming speech models" },
    { cell: "GRU", H: 16, T: 33, B: 1, direction: "bidirectional" },
    ...everyActivation.map(
      (activations): CaseShape => ({
        cell: "RNN",
        activations: activations.includes(",") ? activations : `${activations},softplus`,
        direction: "bidirectional",
        activation_alpha: [0.5],
        activation_beta: [0.25],
        with: ["h"],
      }),
    ),
    {
      cell: "LSTM",
      activations: "HardSigmoid,Softsign,Relu,Sigmoid,Tanh,Elu",
      direction: "bidirectional",
      activation_alpha: [0.3, 0.5],
      with: ["h", "c"],
    },
    { cell: "LSTM", T: 0, with: ["h", "c"], why: "no steps" },
    { cell: "GRU", B: 0 },
  ];
  return shapes.map(sequenceCase);
}

/* @__NO_SIDE_EFFECTS__ */
function stepCases(): OperatorCase<CellAttributes>[] {
  const shapes: readonly CaseShape[] = [
    { cell: "LSTM" },
    { cell: "LSTM", H: 128, I: 128, B: 1, with: ["B", "h", "c"], why: "streaming speech models" },
    { cell: "LSTM", H: 16, I: 5, with: ["B", "h", "c", "P"] },
    { cell: "LSTM", layout: 1, direction: "bidirectional", B: 3, with: ["B", "h", "c"] },
    { cell: "LSTM", direction: "reverse", clip: 0.3, input_forget: 1, H: 4, I: 8, with: ["c"] },
    { cell: "GRU", linear_before_reset: 1, H: 33, with: ["B", "h"] },
    { cell: "GRU", linear_before_reset: 1, direction: "bidirectional", H: 8, I: 4 },
    { cell: "RNN", H: 65, I: 17, with: ["B", "h"] },
    { cell: "RNN", H: 1, I: 1, B: 1, activations: "Relu" },
    { cell: "RNN", B: 0 },
  ];
  return shapes.map(stepCase);
}

/** Cases of a whole network: each way through the decomposition, and each of ONNX's options once. */
/* @__NO_SIDE_EFFECTS__ */
function networkCases(cell: Cell, extra: readonly CaseShape[]): OperatorCase<RecurrentAttributes>[] {
  const common: readonly CaseShape[] = [
    { cell },
    { cell, with: ["B"] },
    { cell, T: 1, with: ["B", "h"] },
    { cell, direction: "bidirectional", T: 4, B: 3, with: ["B", "lengths", "h"] },
    { cell, layout: 1, direction: "reverse", with: ["B"] },
    ...extra,
  ];
  return common.map(networkCase);
}

/**
 * RNN (ONNX): H_t = f(X_t·Wᵀ + H_{t-1}·Rᵀ + Wb + Rb). X [T, B, I], W [D, H, I], R [D, H, H], B [D, 2·H], sequence_lens [B],
 * initial_h [D, B, H] → Y [T, D, B, H], Y_h [D, B, H]. float32. Throws ShapeError where these do not fit.
 */
export const rnn = defineNetwork("RNN", networkCases("RNN", [{ cell: "RNN", activations: "Relu", clip: 0.5 }]));

/** LSTM (ONNX), gates in the order i, o, f, c; as {@link rnn} with 4·H rows a weight, initial_c, peepholes P [D, 3·H] and Y_c. */
export const lstm = defineNetwork(
  "LSTM",
  networkCases("LSTM", [
    { cell: "LSTM", with: ["B", "lengths", "h", "c", "P"] },
    { cell: "LSTM", T: 1, with: ["B", "h", "c", "P"] },
    { cell: "LSTM", input_forget: 1, clip: 0.5, with: ["c"] },
  ]),
);

/** GRU (ONNX), gates in the order z, r, h; as {@link rnn} with 3·H rows a weight. */
export const gru = defineNetwork(
  "GRU",
  networkCases("GRU", [
    { cell: "GRU", linear_before_reset: 1, T: 1, with: ["B", "h"] },
    { cell: "GRU", linear_before_reset: 1, with: ["B", "h"] },
  ]),
);
