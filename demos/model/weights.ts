// Stored tensors, summed up: how many numbers, how they are spread.

import { isStoredDType, naturalElements, type TensorProto } from "neurite";
import type { WeightFacts } from "./protocol.ts";

const BINS = 24;

export function weightFacts(name: string, tensor: TensorProto): WeightFacts {
  return { name, type: `${tensor.dtype} [${tensor.shape.join(", ")}]`, statistics: statistics(tensor) };
}

function statistics({ dtype, bytes, external }: TensorProto): WeightFacts["statistics"] {
  if (!isStoredDType(dtype) || external || bytes.length === 0) return undefined;
  const elements = naturalElements(bytes, dtype);
  const count = elements.length;
  let [min, max, sum, zeros] = [Infinity, -Infinity, 0, 0];
  for (let i = 0; i < count; i++) {
    const value = Number(elements[i]);
    if (value < min) min = value;
    if (value > max) max = value;
    if (value === 0) zeros++;
    sum += value;
  }
  const mean = sum / count;
  const histogram = new Array<number>(BINS).fill(0);
  const perBin = max > min ? BINS / (max - min) : 0;
  let squares = 0;
  for (let i = 0; i < count; i++) {
    const value = Number(elements[i]);
    squares += (value - mean) ** 2;
    const bin = Math.min(BINS - 1, Math.floor((value - min) * perBin));
    if (bin >= 0) histogram[bin]!++;
  }
  return { count, min, max, mean, deviation: Math.sqrt(squares / count), zeros: zeros / count, histogram };
}
