// The command line of `npm start`, checked: every wrong value is told with what was expected.

import { parseArgs } from "node:util";

export interface Options {
  readonly epochs: number;
  readonly batch: number;
  readonly seed: number;
  readonly backend: "gpu" | "cpu";
  readonly device: (typeof devices)[number];
  /** File for the figures, if any. */
  readonly json: string | undefined;
  readonly help: boolean;
}

/** A command line that makes no sense. */
export class OptionError extends Error {}

const devices = ["auto", "software", "high-performance", "low-power"] as const;
const backends = ["gpu", "cpu"] as const;

export const usage = `Trains a small convolutional network on handwritten digits (MNIST), and shows how well and how fast.

  npm start -- [options]

  --epochs N      times through the training digits (default 8)
  --batch N       digits a step, 1 to 1000 (default 32)
  --seed N        of weights, order and dropout (default 1)
  --backend NAME  gpu, or cpu: the float64 reference, slow (default gpu)
  --device NAME   auto, software, high-performance or low-power (default auto)
  --json FILE     also writes every figure to FILE
  --help          this text

Ctrl-C finishes the current step, saves the weights and exits; a second Ctrl-C exits at once.
`;

/** Throws {@link OptionError}. */
export function readOptions(args: string[]): Options {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      strict: true,
      allowPositionals: false,
      options: {
        epochs: { type: "string", default: "8" },
        batch: { type: "string", default: "32" },
        seed: { type: "string", default: "1" },
        backend: { type: "string", default: "gpu" },
        device: { type: "string", default: "auto" },
        json: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    throw new OptionError(error instanceof Error ? error.message : String(error));
  }
  if (values.json === "") throw new OptionError("--json: expected the name of a file");
  return {
    epochs: whole("epochs", values.epochs, 1, 1000),
    batch: whole("batch", values.batch, 1, 1000),
    seed: whole("seed", values.seed, 0, 2 ** 32 - 1),
    backend: oneOf("backend", values.backend, backends),
    device: oneOf("device", values.device, devices),
    json: values.json,
    help: values.help,
  };
}

function whole(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max)
    throw new OptionError(`--${name}: expected a whole number from ${min} to ${max}, got "${text}"`);
  return value;
}

function oneOf<T extends string>(name: string, text: string, names: readonly T[]): T {
  const found = names.find((each) => each === text);
  if (found === undefined) throw new OptionError(`--${name}: expected ${names.join(" or ")}, got "${text}"`);
  return found;
}
