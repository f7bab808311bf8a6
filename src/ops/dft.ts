// Discrete Fourier transforms as products with a matrix of sines and cosines, which MatMul and Conv already run well; the
// matrices are constants of the plan. A few thousand points are one product. Longer transforms are split into two of
// coprime-or-not factors N = N₁·N₂ (Cooley and Tukey 1965) whose twiddle factors are part of the first one's matrices, so
// that a split costs two transpositions and no arithmetic of its own.

import { ShapeError, UnsupportedError } from "../core/errors.ts";
import { storeValues } from "../core/dtype.ts";
import { formatShape, normalizeAxis, sizeOf, type Shape, type TensorType } from "../core/shape.ts";
import { mul } from "./binary.ts";
import { formatInputs, requireDType, requireInputs } from "./check.ts";
import { conv } from "./conv.ts";
import { matMul } from "./matmul.ts";
import { defineOperator, summationBound, type Builder, type Operand, type Operator } from "./operator.ts";
import { reshapeTo } from "./reshape.ts";
import { pad, sliceAxis } from "./slice.ts";
import { transpose } from "./transpose.ts";

export type DFTAttributes = {
  /** The axis of the samples; the last axis holds real and imaginary parts. */
  readonly axis: number;
  /** Points of the transform: longer signals are cut, shorter ones continued with zeros. 0: as many as there are samples. */
  readonly dft_length: number;
  readonly inverse: number;
  /** 1: of a spectrum that is symmetric only the first half, floor(N/2) + 1 frequencies; an inverse then takes that half. */
  readonly onesided: number;
};

export type STFTAttributes = {
  readonly frame_length: number;
  readonly frame_step: number;
  readonly onesided: number;
};

/** Largest matrix of one product, in elements: 2048 real or 1448 complex points. */
const MATRIX_LIMIT = 2 ** 23;
/** Largest factor that is split off at once. */
const RADIX_LIMIT = 16;

/** One transform: how samples and frequencies are laid out. */
interface Transform {
  /** Points. */
  readonly N: number;
  /** Places along the axis before and after, and numbers each (1: real, 2: complex). */
  readonly from: number;
  readonly to: number;
  readonly partsIn: number;
  readonly partsOut: number;
  readonly inverse: boolean;
  /** The inverse of a half: each frequency but the first and, of an even number, the last, stands for two. */
  readonly fromHalf: boolean;
}

function transformOf(shape: Shape, axis: number, attributes: DFTAttributes): Transform {
  const inverse = attributes.inverse !== 0;
  const onesided = attributes.onesided !== 0;
  const from = shape[axis]!;
  const fromHalf = inverse && onesided;
  const N = attributes.dft_length || (fromHalf ? 2 * (from - 1) : from);
  const to = onesided && !inverse ? Math.floor(N / 2) + 1 : N;
  return { N, from, to, partsIn: shape.at(-1)!, partsOut: fromHalf ? 1 : 2, inverse, fromHalf };
}

/** Cosine and sine of `step` N-ths of a turn; exact at quarters, so that what cancels does so exactly. */
function turn(step: number, N: number): readonly [cos: number, sin: number] {
  const quarters = 4 * (step % N);
  const angle = ((quarters % N) / N) * (Math.PI / 2);
  const [c, s] = angle === 0 ? [1, 0] : [Math.cos(angle), Math.sin(angle)];
  switch (Math.floor(quarters / N)) {
    case 0:
      return [c, s];
    case 1:
      return [-s, c];
    case 2:
      return [-c, -s];
    default:
      return [s, -c];
  }
}

/** What part `p` of sample `i` adds to part `q` of frequency `k`, as float32. */
function coefficient(t: Transform, i: number, p: number, k: number, q: number): number {
  const used = t.fromHalf ? Math.floor(t.N / 2) + 1 : t.N;
  if (i >= used) return 0;
  const [cos, sine] = turn(i * k, t.N);
  const sin = t.inverse ? sine : -sine;
  const value = p === q ? cos : p === 0 ? sin : -sin;
  const weight = t.fromHalf && i > 0 && 2 * i < t.N ? 2 : 1;
  return Math.fround((value * weight) / (t.inverse ? t.N : 1)) + 0; // no -0
}

/** The matrix [from · partsIn, to · partsOut] of a transform. */
function matrixOf(t: Transform): Float32Array {
  const { from, to, partsIn, partsOut } = t;
  const values = new Float32Array(from * partsIn * to * partsOut);
  let at = 0;
  for (let i = 0; i < from; i++)
    for (let p = 0; p < partsIn; p++)
      for (let k = 0; k < to; k++) for (let q = 0; q < partsOut; q++) values[at++] = coefficient(t, i, p, k, q);
  return values;
}

/** Values and terms of a transform of lines: `line(i, p)` is part p of sample i. */
function transformLine(
  t: Transform,
  line: (i: number, p: number) => number,
  put: (k: number, q: number, value: number, terms: number) => void,
): void {
  for (let k = 0; k < t.to; k++)
    for (let q = 0; q < t.partsOut; q++) {
      let sum = 0;
      let terms = 0;
      for (let i = 0; i < t.from; i++)
        for (let p = 0; p < t.partsIn; p++) {
          const term = coefficient(t, i, p, k, q) * line(i, p);
          sum += term;
          terms += Math.abs(term);
        }
      put(k, q, sum, terms);
    }
}

function requireParts(who: string, type: TensorType): void {
  requireDType(who, "input", type, "float");
  const parts = type.shape.at(-1);
  if (type.shape.length < 2 || (parts !== 1 && parts !== 2))
    throw new ShapeError(`${who}: expected [.., samples, .., 1 or 2], got ${formatShape(type.shape)}`);
}

function axisOf(shape: Shape, axis: number): number {
  const at = normalizeAxis(axis, shape.length, "DFT");
  if (at === shape.length - 1) throw new ShapeError("DFT: the last axis holds real and imaginary parts, not samples");
  return at;
}

/**
 * DFT (ONNX, with axis and dft_length as attributes): input [.., samples, .., 1 or 2] (real or complex) →
 * [.., frequencies, .., 2]; the inverse of a half spectrum gives [.., N, .., 1]. A float type. A composition: a product up to
 * some 2,000 points, beyond that several; throws UnsupportedError if a long transform has no factor of at most 16.
 */
export const dft: Operator<DFTAttributes> = defineOperator<DFTAttributes>({
  name: "DFT",
  inputs: ["input"],
  outputs: ["output"],
  attributes: { axis: -2, dft_length: 0, inverse: 0, onesided: 0 },
  infer: (inputs, attributes) => {
    const [input] = requireInputs("DFT", ["input"], inputs);
    requireParts("DFT", input!);
    const axis = axisOf(input!.shape, attributes.axis);
    const { N, to, partsOut } = transformOf(input!.shape, axis, attributes);
    if (!Number.isInteger(N) || N < 1) throw new ShapeError(`DFT: ${N} points, there must be at least 1`);
    return [{ dtype: input!.dtype, shape: [...input!.shape.slice(0, -1), partsOut].with(axis, to) }];
  },
  reference: ([input], { attributes, outputs }) => {
    const axis = axisOf(input!.shape, attributes.axis);
    const t = transformOf(input!.shape, axis, attributes);
    const inner = sizeOf(input!.shape.slice(axis + 1, -1));
    const values = new Float64Array(sizeOf(outputs[0]!.shape));
    const terms = new Float64Array(values.length);
    for (let outer = 0; outer < sizeOf(input!.shape.slice(0, axis)); outer++)
      for (let j = 0; j < inner; j++)
        transformLine(
          t,
          (i, p) => input!.data[((outer * t.from + i) * inner + j) * t.partsIn + p]!,
          (k, q, value, magnitude) => {
            const at = ((outer * t.to + k) * inner + j) * t.partsOut + q;
            values[at] = value;
            terms[at] = magnitude;
          },
        );
    return [{ values, terms }];
  },
  errorBound: ({ inputs, attributes }) => {
    const { shape } = inputs[0]!;
    return summationBound(2 * shape[axisOf(shape, attributes.axis)]!);
  },
  flops: ({ inputs, outputs, attributes }) => {
    const { shape } = inputs[0]!;
    return 2 * shape[axisOf(shape, attributes.axis)]! * shape.at(-1)! * sizeOf(outputs[0]!.shape);
  },
  cases: [
    { inputs: [[1, 10, 3, 1]], attributes: { axis: 1 } },
    { inputs: [[2, 7, 2]] },
    { inputs: [[2, 3, 12, 1]], attributes: { axis: 2, onesided: 1 } },
    { inputs: [[2, 9, 1]], attributes: { onesided: 1, dft_length: 5 }, why: "cut" },
    { inputs: [[2, 9, 2]], attributes: { dft_length: 16 }, why: "continued with zeros" },
    { inputs: [[1, 10, 3, 2]], attributes: { axis: 1, inverse: 1 } },
    { inputs: [[1, 6, 3, 2]], attributes: { axis: -3, inverse: 1, onesided: 1 } },
    { inputs: [[2, 6, 2]], attributes: { inverse: 1, onesided: 1, dft_length: 7 }, why: "an odd number of points" },
    { inputs: [[3, 1]], attributes: { axis: 0 } },
    { inputs: [[0, 4, 1]] },
  ],
  decompose: (build, [input], attributes) => {
    const axis = axisOf(input!.shape, attributes.axis);
    const last = input!.shape.length - 1;
    // The samples' axis next to the parts, and back.
    const order = input!.shape.map((_, i) => i).filter((i) => i !== axis && i !== last);
    const perm = [...order, axis, last];
    const x = permute(build, input!, perm);
    const t = transformOf(input!.shape, axis, attributes);
    const lines = sizeOf(x.shape.slice(0, -2));
    const y = transformed(build, reshapeTo(build, x, [lines, t.from, t.partsIn]), t, MATRIX_LIMIT);
    const full = reshapeTo(build, y, [...x.shape.slice(0, -2), t.to, t.partsOut]);
    return [
      permute(
        build,
        full,
        perm.map((_, i) => perm.indexOf(i)),
      ),
    ];
  },
});

function permute(build: Builder, x: Operand, perm: readonly number[]): Operand {
  return perm.every((axis, i) => axis === i) ? x : build.apply(transpose, [x], { perm });
}

/** A constant of an operand's element type. */
function constantLike(build: Builder, like: Operand, values: Float32Array, shape: Shape): Operand {
  return build.constant({ dtype: like.dtype, shape, data: storeValues(values, like.dtype, "DFT") });
}

/** x [lines, from, partsIn] → [lines, to, partsOut] by products with matrices of at most `limit` elements. */
export function transformed(build: Builder, x: Operand, t: Transform, limit: number): Operand {
  const { N, from, to, partsIn, partsOut, inverse, fromHalf } = t;
  const lines = x.shape[0]!;
  const rows = from * partsIn;
  const columns = to * partsOut;
  if (rows * columns <= limit) {
    const matrix = constantLike(build, x, matrixOf(t), [rows, columns]);
    const product = build.apply(matMul, [reshapeTo(build, x, [lines, rows]), matrix]);
    return reshapeTo(build, product, [lines, to, partsOut]);
  }

  // Every sample there, and all frequencies: what a split works on. The result is cut afterwards.
  const used = fromHalf ? Math.floor(N / 2) + 1 : N;
  let samples = from > used ? sliceAxis(build, x, 1, 0, used) : x;
  if (fromHalf) {
    const weights = Float32Array.from({ length: samples.shape[1]! }, (_, k) => (k > 0 && 2 * k < N ? 2 : 1));
    samples = build.apply(mul, [samples, constantLike(build, x, weights, [weights.length, 1])]);
  }
  const missing = N - samples.shape[1]!;
  if (missing > 0) samples = build.apply(pad, [samples], { pads: [0, 0, 0, 0, missing, 0] });
  let y = split(build, samples, { N, from: N, to: N, partsIn, partsOut: 2, inverse, fromHalf: false }, limit);
  if (to < N) y = sliceAxis(build, y, 1, 0, to);
  return partsOut < 2 ? sliceAxis(build, y, 2, 0, 1) : y;
}

/** A complete transform x [lines, N, parts] → [lines, N, 2] as N₁ interleaved ones of N₂ points, sample N₂·a + b. */
function split(build: Builder, x: Operand, t: Transform, limit: number): Operand {
  const { N, partsIn, inverse } = t;
  const lines = x.shape[0]!;
  const radices = Array.from({ length: RADIX_LIMIT - 1 }, (_, i) => RADIX_LIMIT - i).filter(
    (n) => N % n === 0 && n < N,
  );
  const N1 = radices.find((n) => 2 * partsIn * N * n <= limit) ?? radices.at(-1);
  if (N1 === undefined)
    throw new UnsupportedError(`DFT: ${N} points have no factor up to ${RADIX_LIMIT} and are too many for one product`);
  const N2 = N / N1;

  // For each b, over a: frequency k1 of N₁ points, turned by b·k1 N-ths. The inverse's 1/N is shared by both steps.
  const matrices = new Float32Array(N2 * N1 * partsIn * N1 * 2);
  const first: Transform = { ...t, fromHalf: false };
  let at = 0;
  for (let b = 0; b < N2; b++)
    for (let a = 0; a < N1; a++)
      for (let p = 0; p < partsIn; p++)
        for (let k = 0; k < N1; k++)
          for (let q = 0; q < 2; q++) matrices[at++] = coefficient(first, N2 * a + b, p, k, q) * (inverse ? N2 : 1);
  const twiddles = constantLike(build, x, matrices, [N2, N1 * partsIn, N1 * 2]);
  const byB = permute(build, reshapeTo(build, x, [lines, N1, N2, partsIn]), [2, 0, 1, 3]);
  const inner = build.apply(matMul, [reshapeTo(build, byB, [N2, lines, N1 * partsIn]), twiddles]);
  const byK = permute(build, reshapeTo(build, inner, [N2, lines, N1, 2]), [1, 2, 0, 3]);

  // For each k1, over b: frequency k1 + N₁·k2.
  const rest = { N: N2, from: N2, to: N2, partsIn: 2, partsOut: 2, inverse, fromHalf: false };
  const outer = transformed(build, reshapeTo(build, byK, [lines * N1, N2, 2]), rest, limit);
  return reshapeTo(build, permute(build, reshapeTo(build, outer, [lines, N1, N2, 2]), [0, 2, 1, 3]), [lines, N, 2]);
}

/** How a short-time transform cuts its signal. */
function framesOf(inputs: readonly (TensorType | undefined)[], attributes: STFTAttributes) {
  const [signal, window] = inputs;
  const { frame_step: step, onesided } = attributes;
  const [lines, samples, parts] = signal!.shape as [number, number, number];
  const N = attributes.frame_length || (window?.shape[0] ?? samples);
  const from = window?.shape[0] ?? N;
  const to = onesided !== 0 ? Math.floor(N / 2) + 1 : N;
  const frames = Math.floor((samples - N) / step) + 1;
  const t: Transform = { N, from, to, partsIn: parts, partsOut: 2, inverse: false, fromHalf: false };
  return { lines, samples, parts, frames, step, t };
}

/**
 * STFT (ONNX, with frame_step and frame_length as attributes): signal [B, samples, 1 or 2] cut into frames `frame_step` apart,
 * each times window [frame_length] (absent: 1) and transformed → [B, frames, frequencies, 2]. A float type. A composition: a
 * convolution whose filters are the windowed waves.
 */
export const stft: Operator<STFTAttributes> = defineOperator<STFTAttributes>({
  name: "STFT",
  inputs: ["signal", "window"],
  required: 1,
  outputs: ["output"],
  attributes: { frame_length: 0, frame_step: 1, onesided: 1 },
  infer: (inputs, attributes) => {
    const [signal, window] = inputs;
    requireParts("STFT", signal!);
    if (window) requireDType("STFT", "window", window, [signal!.dtype]);
    if (signal!.shape.length !== 3 || (window && window.shape.length !== 1))
      throw new ShapeError(`STFT: expected signal [B, samples, 1 or 2] and window [N], got ${formatInputs(inputs)}`);
    const { lines, frames, step, t } = framesOf(inputs, attributes);
    if (frames < 1 || step < 1)
      throw new ShapeError(`STFT: no frame of ${t.N}, ${step} apart, fits into ${formatInputs(inputs)}`);
    return [{ dtype: signal!.dtype, shape: [lines, frames, t.to, 2] }];
  },
  reference: ([signal, window], { attributes, outputs }) => {
    const { lines, samples, frames, step, t } = framesOf([signal, window], attributes);
    const values = new Float64Array(sizeOf(outputs[0]!.shape));
    const terms = new Float64Array(values.length);
    for (let line = 0; line < lines; line++)
      for (let frame = 0; frame < frames; frame++)
        transformLine(
          t,
          (i, p) => {
            const at = frame * step + i;
            return at < samples ? signal!.data[(line * samples + at) * t.partsIn + p]! * (window?.data[i] ?? 1) : 0;
          },
          (k, q, value, magnitude) => {
            const at = ((line * frames + frame) * t.to + k) * 2 + q;
            values[at] = value;
            terms[at] = magnitude;
          },
        );
    return [{ values, terms }];
  },
  errorBound: ({ inputs, attributes }) => summationBound(2 * framesOf(inputs, attributes).t.from) + 1,
  flops: ({ inputs, outputs, attributes }) => {
    const { t } = framesOf(inputs, attributes);
    return 2 * t.from * t.partsIn * sizeOf(outputs[0]!.shape);
  },
  cases: [
    { inputs: [[2, 32, 1]], attributes: { frame_step: 8, frame_length: 16 } },
    { inputs: [[1, 37, 1], [16]], attributes: { frame_step: 5 } },
    { inputs: [[2, 21, 2], [7]], attributes: { frame_step: 3, frame_length: 7, onesided: 0 } },
    { inputs: [[1, 20, 1], [6]], attributes: { frame_step: 4, frame_length: 8 }, why: "zeros behind the window" },
    { inputs: [[1, 9, 1]], why: "one frame" },
  ],
  decompose: (build, [signal, window], attributes) => {
    const { lines, samples, parts, frames, step, t } = framesOf([signal, window], attributes);
    // waves [to · 2, parts, 1, from]
    const waves = new Float32Array(t.to * 2 * parts * t.from);
    let at = 0;
    for (let k = 0; k < t.to; k++)
      for (let q = 0; q < 2; q++)
        for (let p = 0; p < parts; p++) for (let i = 0; i < t.from; i++) waves[at++] = coefficient(t, i, p, k, q);
    const shape = [t.to * 2, parts, 1, t.from];
    const plain = constantLike(build, signal!, waves, shape);
    const filters = window ? build.apply(mul, [plain, window]) : plain;
    const x = reshapeTo(build, permute(build, signal!, [0, 2, 1]), [lines, parts, 1, samples]);
    const missing = Math.max(0, (frames - 1) * step + t.from - samples);
    const y = build.apply(conv, [x, filters], { strides: [1, step], pads: [0, 0, 0, missing] });
    // A window shorter than the frame leaves room for more steps than there are frames.
    const kept = y.shape[3]! > frames ? sliceAxis(build, y, 3, 0, frames) : y;
    const byFrame = permute(build, reshapeTo(build, kept, [lines, t.to * 2, frames]), [0, 2, 1]);
    return [reshapeTo(build, byFrame, [lines, frames, t.to, 2])];
  },
});
