// What ONNX's three recurrent networks share: the geometry of their tensors, their activation functions, and one float64
// loop that steps through a sequence. The loop carries, beside every state, how far float32 arithmetic may be from it, since
// each step inherits the errors of the one before.

import { ShapeError, UnsupportedError } from "../core/errors.ts";
import { formatShape, sameShape, sizeOf, type Shape, type TensorType } from "../core/shape.ts";
import { EPSILON, summationBound, type Numbers, type Operator, type ReferenceOutput } from "./operator.ts";
import { monotone, type NoAttributes } from "./pointwise.ts";
import { sigmoid, tanh } from "./sigmoid.ts";

/** Attributes of RNN, LSTM and GRU, named as in ONNX. */
export type RecurrentAttributes = {
  /** "forward", "reverse" or "bidirectional". */
  readonly direction: string;
  /** 0: X [T, B, I], Y [T, D, B, H], states [D, B, H]. 1: X [B, T, I], Y [B, T, D, H], states [B, D, H]. */
  readonly layout: number;
  /** H; 0 takes it from R. */
  readonly hidden_size: number;
  /** Gates' inputs are kept within ±clip; 0: no limit. As in ONNX Runtime, an LSTM's h takes its cell unclipped. */
  readonly clip: number;
  /** Names of the activation functions, separated by commas, one set a direction; "" means the default ones. */
  readonly activations: string;
  /** Taken in order by the activations that have an alpha; their defaults where it is too short. */
  readonly activation_alpha: readonly number[];
  /** The same for beta. */
  readonly activation_beta: readonly number[];
  /** LSTM: the forget gate is 1 - input gate. */
  readonly input_forget: number;
  /** GRU: the reset gate is applied after the recurrent product. */
  readonly linear_before_reset: number;
};

export const recurrentDefaults: RecurrentAttributes = {
  direction: "forward",
  layout: 0,
  hidden_size: 0,
  clip: 0,
  activations: "",
  activation_alpha: [],
  activation_beta: [],
  input_forget: 0,
  linear_before_reset: 0,
};

/** Which network: gates in ONNX's order are `i o f c` (LSTM), `z r h` (GRU) and one alone (RNN). */
export type Cell = "RNN" | "LSTM" | "GRU";

/** What a cell consists of. */
export const cells: Readonly<Record<Cell, { readonly gates: number; readonly activations: readonly string[] }>> = {
  RNN: { gates: 1, activations: ["tanh"] },
  LSTM: { gates: 4, activations: ["sigmoid", "tanh", "tanh"] },
  GRU: { gates: 3, activations: ["sigmoid", "tanh"] },
};

/** Extents, and strides in elements. */
export interface RecurrentGeometry {
  readonly cell: Cell;
  /** Gates a unit, K. */
  readonly gates: number;
  /** Steps. */
  readonly T: number;
  readonly B: number;
  readonly H: number;
  /** Directions: 1 or 2. */
  readonly D: number;
  /** Whether the first direction runs backwards; the second always does. */
  readonly reverse: boolean;
  /** Gate inputs are [T, B, D·K·H], or [B, T, D·K·H] with layout 1. */
  readonly gateStrides: { readonly t: number; readonly b: number };
  readonly yStrides: { readonly t: number; readonly b: number; readonly d: number };
  readonly stateStrides: { readonly b: number; readonly d: number };
  readonly yShape: Shape;
  readonly stateShape: Shape;
}

/** Number of directions. Throws UnsupportedError on a word ONNX does not have. */
export function directionsOf(who: string, direction: string): number {
  if (direction === "bidirectional") return 2;
  if (direction === "forward" || direction === "reverse") return 1;
  throw new UnsupportedError(`${who}: direction "${direction}" is not forward, reverse or bidirectional`);
}

/** Geometry from the two leading extents of X (or of the gate inputs) and the hidden size. */
export function recurrentGeometry(
  cell: Cell,
  leading: readonly [number, number],
  H: number,
  { direction, layout }: { readonly direction: string; readonly layout: number },
): RecurrentGeometry {
  const { gates } = cells[cell];
  const D = directionsOf(cell, direction);
  const batchFirst = layout === 1;
  const [T, B] = batchFirst ? [leading[1], leading[0]] : leading;
  const row = D * gates * H;
  return {
    cell,
    gates,
    T,
    B,
    H,
    D,
    reverse: direction === "reverse",
    gateStrides: batchFirst ? { t: row, b: T * row } : { t: B * row, b: row },
    yStrides: batchFirst ? { t: D * H, b: T * D * H, d: H } : { t: D * B * H, b: H, d: B * H },
    stateStrides: batchFirst ? { b: D * H, d: H } : { b: H, d: B * H },
    yShape: batchFirst ? [B, T, D, H] : [T, D, B, H],
    stateShape: batchFirst ? [B, D, H] : [D, B, H],
  };
}

/** Throws ShapeError unless `type` is absent or has `shape`. */
export function requireShape(who: string, name: string, type: TensorType | undefined, shape: Shape): void {
  if (type && !sameShape(type.shape, shape))
    throw new ShapeError(`${who}: ${name} must be ${formatShape(shape)}, got ${formatShape(type.shape)}`);
}

/** An activation function with its constants. */
export interface Activation {
  /** WGSL expression of its value at `x`, the name of a variable. */
  wgsl(x: string): string;
  readonly helpers: readonly string[];
  evaluate(x: number): number;
  /** How far the result moves when x moves by up to `error`. */
  propagate(x: number, error: number): number;
  /** Absolute rounding error of one evaluation at exact x. */
  rounding(x: number, result: number): number;
}

interface ActivationDefinition {
  /** Default alpha; absent where the function has none. */
  readonly alpha?: number;
  readonly beta?: number;
  wgsl(x: string, alpha: string, beta: string): string;
  helpers?(): readonly string[];
  evaluate(x: number, alpha: number, beta: number): number;
  /** Rounding errors in units of ε; default 4·|result|. */
  ulps?(x: number, result: number, alpha: number, beta: number): number;
}

/** An elementwise operator of the graph used as an activation. */
const wgslOf = ({ pointwise }: Operator<NoAttributes>, x: string): string =>
  pointwise!.wgsl([x], {}, [{ dtype: "float32", shape: [] }]);
const ulpsOf = ({ pointwise }: Operator<NoAttributes>, x: number): number =>
  pointwise!.rounding!([x], pointwise!.evaluate([x], {}), {}) / EPSILON;
const helpersOf = ({ pointwise }: Operator<NoAttributes>): readonly string[] => pointwise!.helpers ?? [];

/** ONNX's list, by lower-case name. */
const activations: Readonly<Record<string, ActivationDefinition>> = {
  relu: { wgsl: (x) => `max(${x}, 0.0)`, evaluate: (x) => Math.max(x, 0) },
  tanh: {
    wgsl: (x) => wgslOf(tanh, x),
    helpers: () => helpersOf(tanh),
    evaluate: (x) => Math.tanh(x),
    ulps: (x) => ulpsOf(tanh, x),
  },
  sigmoid: {
    wgsl: (x) => wgslOf(sigmoid, x),
    helpers: () => helpersOf(sigmoid),
    evaluate: (x) => sigmoid.pointwise!.evaluate([x], {}),
    ulps: (x) => ulpsOf(sigmoid, x),
  },
  affine: {
    alpha: 1,
    beta: 0,
    wgsl: (x, alpha, beta) => `(${alpha} * ${x} + ${beta})`,
    evaluate: (x, alpha, beta) => alpha * x + beta,
    ulps: (x, _, alpha, beta) => 4 * (Math.abs(alpha * x) + Math.abs(beta)),
  },
  leakyrelu: {
    alpha: 0.01,
    wgsl: (x, alpha) => `select(${x}, ${alpha} * ${x}, ${x} < 0.0)`,
    evaluate: (x, alpha) => (x < 0 ? alpha * x : x),
  },
  thresholdedrelu: {
    alpha: 1,
    wgsl: (x, alpha) => `select(0.0, ${x}, ${x} >= ${alpha})`,
    evaluate: (x, alpha) => (x >= alpha ? x : 0),
  },
  scaledtanh: {
    alpha: 1,
    beta: 1,
    wgsl: (x, alpha, beta) => `(${alpha} * ${wgslOf(tanh, `(${beta} * ${x})`)})`,
    helpers: () => helpersOf(tanh),
    evaluate: (x, alpha, beta) => alpha * Math.tanh(beta * x),
    ulps: (x, result, alpha, beta) =>
      Math.abs(alpha) * (ulpsOf(tanh, beta * x) + 2 * Math.abs(beta * x)) + 4 * Math.abs(result),
  },
  hardsigmoid: {
    alpha: 0.2,
    beta: 0.5,
    wgsl: (x, alpha, beta) => `clamp(${alpha} * ${x} + ${beta}, 0.0, 1.0)`,
    evaluate: (x, alpha, beta) => Math.min(Math.max(alpha * x + beta, 0), 1),
    ulps: (x, _, alpha, beta) => 4 * (Math.abs(alpha * x) + Math.abs(beta)),
  },
  elu: {
    alpha: 1,
    wgsl: (x, alpha) => `select(${x}, ${alpha} * (exp(min(${x}, 0.0)) - 1.0), ${x} < 0.0)`,
    evaluate: (x, alpha) => (x < 0 ? alpha * Math.expm1(x) : x),
    ulps: (x, result, alpha) => (x < 0 ? Math.abs(alpha) * (Math.exp(x) * (3 - 2 * x) + 1) + 4 * Math.abs(result) : 0),
  },
  softsign: {
    wgsl: (x) => `(${x} / (1.0 + abs(${x})))`,
    evaluate: (x) => x / (1 + Math.abs(x)),
    ulps: (_, y) => 8 * Math.abs(y),
  },
  softplus: {
    // log(1 + e^x) without overflow.
    wgsl: (x) => `(max(${x}, 0.0) + log(1.0 + exp(-abs(${x}))))`,
    evaluate: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    ulps: (x, result) => 8 + 3 * Math.exp(-Math.abs(x)) * (3 + 2 * Math.abs(x)) + 4 * Math.abs(result),
  },
};

/** A literal of WGSL type f32. */
const literal = (value: number): string => {
  const text = String(Math.fround(value));
  return `(${/[.e]/.test(text) ? text : `${text}.0`})`;
};

/** The activation functions of every direction, in ONNX's order (f; f g; f g h), with their constants. */
export function activationsOf(cell: Cell, attributes: RecurrentAttributes): readonly (readonly Activation[])[] {
  const usual = cells[cell].activations;
  const D = directionsOf(cell, attributes.direction);
  const given = attributes.activations === "" ? usual : attributes.activations.toLowerCase().split(",");
  const names = given.length === usual.length && D === 2 ? [...given, ...given] : given;
  if (names.length !== usual.length * D)
    throw new ShapeError(`${cell}: expected ${usual.length * D} activations, got "${attributes.activations}"`);
  let alphas = 0;
  let betas = 0;
  const all = names.map((name): Activation => {
    const definition = Object.hasOwn(activations, name) ? activations[name] : undefined;
    if (!definition) throw new UnsupportedError(`${cell}: activation "${name}" is not known`);
    const take = (values: readonly number[], at: number, usually: number): number => Math.fround(values[at] ?? usually);
    const alpha = definition.alpha === undefined ? 0 : take(attributes.activation_alpha, alphas++, definition.alpha);
    const beta = definition.beta === undefined ? 0 : take(attributes.activation_beta, betas++, definition.beta);
    const evaluate = (x: number): number => definition.evaluate(x, alpha, beta);
    const move = monotone(evaluate);
    return {
      wgsl: (x) => definition.wgsl(x, literal(alpha), literal(beta)),
      helpers: definition.helpers?.() ?? [],
      evaluate,
      propagate: (x, error) => move([x], [error]),
      rounding: (x, result) =>
        EPSILON * (definition.ulps ? definition.ulps(x, result, alpha, beta) : 4 * Math.abs(result)),
    };
  });
  return Array.from({ length: D }, (_, d) => all.slice(d * usual.length, (d + 1) * usual.length));
}

/** A number and how far float32 arithmetic may be from it. */
interface Doubtful {
  readonly value: number;
  readonly error: number;
}

const sure = (value: number): Doubtful => ({ value, error: 0 });

function times(a: Doubtful, b: Doubtful): Doubtful {
  const value = a.value * b.value;
  const error = Math.abs(a.value) * b.error + Math.abs(b.value) * a.error + a.error * b.error;
  return { value, error: error + EPSILON * Math.abs(value) };
}

function plus(a: Doubtful, b: Doubtful): Doubtful {
  return { value: a.value + b.value, error: a.error + b.error + EPSILON * (Math.abs(a.value) + Math.abs(b.value)) };
}

/** Values with their errors, as the loop below reads and writes them. */
export interface DoubtfulArray {
  readonly values: ArrayLike<number>;
  /** Absent: exact. */
  readonly errors?: Float64Array;
}

/** Operands of {@link runRecurrence}. Shapes are ONNX's. */
export interface RecurrentOperands {
  /** X·Wᵀ + bias, [T, B, D·K·H] (layout 1: [B, T, D·K·H]); of a GRU with linear_before_reset without Rb of the last gate. */
  readonly gates: DoubtfulArray;
  /** [D, K·H, H] */
  readonly R: Numbers;
  /** [D, 2·K·H]; only read by a GRU with linear_before_reset. */
  readonly bias: Numbers | undefined;
  /** [D, 3·H], in the order i, o, f. */
  readonly P: ArrayLike<number> | undefined;
  /** [B] */
  readonly lengths: Numbers | undefined;
  readonly initialH: Numbers | undefined;
  readonly initialC: Numbers | undefined;
}

/**
 * Steps through a sequence: Y, Y_h and, of an LSTM, Y_c. Steps past a sequence's length output 0; a sequence of length 0 ends
 * in a state of 0, as in ONNX Runtime.
 */
export function runRecurrence(
  geometry: RecurrentGeometry,
  attributes: RecurrentAttributes,
  operands: RecurrentOperands,
): ReferenceOutput[] {
  const { cell, gates: K, T, B, H, D, gateStrides, yStrides, stateStrides } = geometry;
  const { gates, R, bias, P, lengths } = operands;
  const functions = activationsOf(cell, attributes);
  const clip = attributes.clip > 0 ? Math.fround(attributes.clip) : Infinity;
  const output = (size: number): { values: Float64Array; terms: Float64Array } => ({
    values: new Float64Array(size),
    terms: new Float64Array(size),
  });
  const Y = output(sizeOf(geometry.yShape));
  const lastH = output(sizeOf(geometry.stateShape));
  const lastC = output(sizeOf(geometry.stateShape));
  const put = (target: typeof Y, index: number, { value, error }: Doubtful): void => {
    target.values[index] = value;
    target.terms[index] = error / EPSILON;
  };

  for (let d = 0; d < D; d++)
    for (let b = 0; b < B; b++) {
      const activate = (which: number, x: Doubtful, limit = clip): Doubtful => {
        const f = functions[d]![which]!;
        const at = Math.min(Math.max(x.value, -limit), limit);
        const value = f.evaluate(at);
        return { value, error: f.propagate(at, x.error) + f.rounding(at, value) };
      };
      const stateAt = b * stateStrides.b + d * stateStrides.d;
      const initial = (state: Numbers | undefined): Doubtful[] =>
        Array.from({ length: H }, (_, j) => sure(state ? state[stateAt + j]! : 0));
      let h = initial(operands.initialH);
      let c = initial(operands.initialC);

      /** Σₖ R[row, k] · vector[k] with `extra` added. */
      const product = (row: number, vector: readonly Doubtful[], extra: Doubtful): Doubtful => {
        let { value, error } = extra;
        let magnitude = Math.abs(value);
        const base = (d * K * H + row) * H;
        for (let k = 0; k < H; k++) {
          const weight = R[base + k]!;
          const term = weight * vector[k]!.value;
          value += term;
          magnitude += Math.abs(term);
          error += Math.abs(weight) * vector[k]!.error;
        }
        return { value, error: error + EPSILON * summationBound(H + 1) * magnitude };
      };

      const length = lengths ? Math.min(Math.max(lengths[b]!, 0), T) : T;
      for (let step = 0; step < length; step++) {
        const t = geometry.reverse || d === 1 ? length - 1 - step : step;
        const gateAt = t * gateStrides.t + b * gateStrides.b + d * K * H;
        const input = (row: number): Doubtful => ({
          value: gates.values[gateAt + row]!,
          error: gates.errors?.[gateAt + row] ?? 0,
        });
        const before = h;
        const gate = (which: number, j: number): Doubtful => product(which * H + j, before, input(which * H + j));

        if (cell === "RNN") h = before.map((_, j) => activate(0, gate(0, j)));
        else if (cell === "GRU") {
          const z = before.map((_, j) => activate(0, gate(0, j)));
          const r = before.map((_, j) => activate(0, gate(1, j)));
          const reset = before.map((state, j) => times(r[j]!, state));
          h = before.map((state, j) => {
            const row = 2 * H + j;
            const candidate = attributes.linear_before_reset
              ? plus(input(row), times(r[j]!, product(row, before, sure(bias ? bias[d * 6 * H + 5 * H + j]! : 0))))
              : product(row, reset, input(row));
            const keep = z[j]!;
            return plus(
              times(plus(sure(1), { ...keep, value: -keep.value }), activate(1, candidate)),
              times(keep, state),
            );
          });
        } else {
          const peephole = (which: number, state: Doubtful, j: number): Doubtful =>
            P ? times(sure(P[d * 3 * H + which * H + j]!), state) : sure(0);
          const states = before.map((_, j) => {
            const was = c[j]!;
            const i = activate(0, plus(gate(0, j), peephole(0, was, j)));
            const f = attributes.input_forget
              ? plus(sure(1), { ...i, value: -i.value })
              : activate(0, plus(gate(2, j), peephole(2, was, j)));
            const now = plus(times(f, was), times(i, activate(1, gate(3, j))));
            const o = activate(0, plus(gate(1, j), peephole(1, now, j)));
            return { c: now, h: times(o, activate(2, now, Infinity)) };
          });
          c = states.map((state) => state.c);
          h = states.map((state) => state.h);
        }
        const yAt = t * yStrides.t + b * yStrides.b + d * yStrides.d;
        h.forEach((state, j) => put(Y, yAt + j, state));
      }
      if (length === 0) continue;
      h.forEach((state, j) => put(lastH, stateAt + j, state));
      c.forEach((state, j) => put(lastC, stateAt + j, state));
    }
  return cell === "LSTM" ? [Y, lastH, lastC] : [Y, lastH];
}
