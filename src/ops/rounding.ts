// Rounding to whole numbers. Flat between the steps: none passes a gradient on.

import { definePointwise, exact, monotone, unaryCases, type NoAttributes } from "./pointwise.ts";

/** Floor (ONNX): the largest integer not above x. Flat between its steps: it passes no gradient on. */
export const floor = definePointwise<NoAttributes>({
  name: "Floor",
  inputs: ["X"],
  attributes: {},
  wgsl: ([x]) => `floor(${x})`,
  evaluate: ([x]) => Math.floor(x!),
  propagate: monotone(Math.floor),
  rounding: exact,
  gradient: () => [undefined],
  cases: unaryCases(-3, 3),
});

/** Ceil (ONNX): the smallest integer not below x. Flat: it passes no gradient on. */
export const ceil = definePointwise<NoAttributes>({
  name: "Ceil",
  inputs: ["X"],
  attributes: {},
  wgsl: ([x]) => `ceil(${x})`,
  evaluate: ([x]) => Math.ceil(x!),
  propagate: monotone(Math.ceil),
  rounding: exact,
  gradient: () => [undefined],
  cases: unaryCases(-3, 3),
});

/** Round (ONNX): the nearest integer, halves to the even one. Flat: it passes no gradient on. */
export const round = definePointwise<NoAttributes>({
  name: "Round",
  inputs: ["X"],
  attributes: {},
  wgsl: ([x]) => `round(${x})`,
  evaluate: ([x]) => roundHalfToEven(x!),
  propagate: monotone(roundHalfToEven),
  rounding: exact,
  gradient: () => [undefined],
  cases: [
    ...unaryCases<NoAttributes>(-2.99, 3.01),
    { inputs: [{ shape: [64], dtype: "float16", low: -2048, high: 2048 }], why: "many halves" },
  ],
});

/** The nearest integer, halves to the even one. */
export function roundHalfToEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) || !Number.isFinite(x) ? below : below + 1;
}
