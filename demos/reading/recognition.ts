// Reading one line of text: how large the network wants to see it, and what its answer says. The answer gives, for every
// few columns of pixels, the probability of each character and of a blank; a character is read where the likeliest one
// changes, so that a blank between two equal letters keeps them apart (connectionist temporal classification).

import { heightOf, widthOf, type Box, type Normalisation } from "./picture.ts";

/** Bytes become −1 to 1. */
export const RECOGNITION: Normalisation = { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] };

/** Pixels. */
export const LINE_HEIGHT = 48;
/** Widths are rounded up to multiples of this, so that few plans serve all lines. */
const WIDTH_STEP = 64;
/** Longer lines are squeezed. */
const MAX_WIDTH = 1024;

/** A line's width at the height of 48, and the width with what is left empty at its right. */
export function lineWidths(box: Box): { readonly width: number; readonly paddedWidth: number } {
  const width = Math.min(MAX_WIDTH, Math.max(1, Math.round((LINE_HEIGHT * widthOf(box)) / heightOf(box))));
  return { width, paddedWidth: Math.ceil(width / WIDTH_STEP) * WIDTH_STEP };
}

/** The network's classes: the blank, the list's characters, and the space. */
export function alphabet(list: string): string[] {
  return ["", ...list.split("\n").filter((line) => line !== ""), " "];
}

export interface Reading {
  readonly text: string;
  /** Mean probability of the characters read, 0 to 1; 0 where there are none. */
  readonly confidence: number;
}

/** Reads the likeliest class of every step: [steps, characters.length] probabilities. Class 0 is the blank. */
export function decode(probabilities: ArrayLike<number>, characters: readonly string[]): Reading {
  const classes = characters.length;
  if (probabilities.length % classes !== 0)
    throw new Error(`${probabilities.length} probabilities do not belong to ${classes} characters`);
  let text = "";
  let [sum, count, previous] = [0, 0, 0];
  for (let first = 0; first < probabilities.length; first += classes) {
    let best = 0;
    for (let i = 1; i < classes; i++) if (probabilities[first + i]! > probabilities[first + best]!) best = i;
    if (best !== 0 && best !== previous) {
      text += characters[best]!;
      sum += probabilities[first + best]!;
      count++;
    }
    previous = best;
  }
  return { text: text.trim(), confidence: count === 0 ? 0 : sum / count };
}
