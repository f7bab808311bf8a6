// Spectra, windows and mel filters. Lengths, steps and axes are part of the plan; windows and filters, which depend on
// nothing else, are constants of it.

import { storeValues, type DType } from "../../../core/dtype.ts";
import type { TensorData } from "../../../core/tensorData.ts";
import { dft, stft } from "../../../ops/dft.ts";
import type { Call, Handler, Handlers } from "../handler.ts";

/** The first element of input i. */
function scalar(call: Call, i: number): number | undefined {
  return call.numbers(i)?.[0];
}

/** A scalar that has no default. */
function required(call: Call, i: number): number {
  const value = scalar(call, i);
  if (value === undefined) throw call.malformed(`input ${i} is missing`);
  return value;
}

function stored(values: Float64Array, shape: readonly number[], dtype: DType, who: string): TensorData {
  return { dtype, shape, data: storeValues(values, dtype, who) };
}

/**
 * Σ_k coefficients[k] · cos(2π·k·n/N) for n = 0 … size - 1; N is the size, or one less for a symmetric window. Summed from
 * the last, which makes 1 of Blackman's 0.08 + 0.5 + 0.42.
 */
function cosineWindow(coefficients: readonly number[]): Handler {
  return (call) => {
    const size = required(call, 0);
    const period = call.int("periodic", 1) === 0 ? size - 1 : size;
    const values = Float64Array.from({ length: size }, (_, n) =>
      coefficients.reduceRight((sum, c, k) => sum + c * Math.cos((2 * Math.PI * k * n) / Math.max(1, period)), 0),
    );
    return call.build.constant(stored(values, [size], call.dtype("output_datatype", "float32"), call.node.operator));
  };
}

/** Hann's window as a square, which is exactly 0 at its ends. */
const hann: Handler = (call) => {
  const size = required(call, 0);
  const period = call.int("periodic", 1) === 0 ? size - 1 : size;
  const values = Float64Array.from({ length: size }, (_, n) => Math.sin((Math.PI * n) / Math.max(1, period)) ** 2);
  return call.build.constant(stored(values, [size], call.dtype("output_datatype", "float32"), call.node.operator));
};

const melOf = (hertz: number): number => 2595 * Math.log10(1 + hertz / 700);
const hertzOf = (mel: number): number => 700 * (10 ** (mel / 2595) - 1);

/** Triangular filters, equally wide on the mel scale: [dft_length / 2 + 1, num_mel_bins]. */
const melWeightMatrix: Handler = (call) => {
  const [bins, length, rate, low, high] = [0, 1, 2, 3, 4].map((i) => required(call, i)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const step = (melOf(high) - melOf(low)) / (bins + 2);
  const edges = Array.from({ length: bins + 2 }, (_, i) =>
    Math.floor(((length + 1) * hertzOf(melOf(low) + i * step)) / rate),
  );
  const rows = Math.floor(length / 2) + 1;
  const values = new Float64Array(rows * bins);
  for (let bin = 0; bin < bins; bin++) {
    const [left, centre, right] = edges.slice(bin, bin + 3) as [number, number, number];
    for (let row = Math.max(0, left); row < Math.min(rows, Math.max(right, centre + 1)); row++) {
      const rising = row <= centre;
      const width = rising ? centre - left : right - centre;
      const weight = rising ? row - left : right - row;
      // The falling side, when there is one, has the last word on the centre; both give 1 there.
      values[row * bins + bin] = width === 0 ? 1 : weight / width;
    }
  }
  return call.build.constant(
    stored(values, [rows, bins], call.dtype("output_datatype", "float32"), call.node.operator),
  );
};

export const signal: Handlers = {
  BlackmanWindow: cosineWindow([0.42, -0.5, 0.08]),
  DFT: (call) => {
    const isInput = call.opset >= 20;
    const axis = isInput ? (scalar(call, 2) ?? -2) : call.int("axis", 1);
    return call.build.apply(dft, [call.operand(0)], {
      axis,
      dft_length: scalar(call, 1) ?? 0,
      inverse: call.int("inverse", 0),
      onesided: call.int("onesided", 0),
    });
  },
  HammingWindow: cosineWindow([25 / 46, -21 / 46]),
  HannWindow: hann,
  MelWeightMatrix: melWeightMatrix,
  STFT: (call) =>
    call.build.apply(stft, [call.operand(0), call.optional(2)], {
      frame_length: scalar(call, 3) ?? 0,
      frame_step: required(call, 1),
      onesided: call.int("onesided", 1),
    }),
};
