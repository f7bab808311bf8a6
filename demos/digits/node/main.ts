// `npm start`: trains the digits demo's network in Node and tells how well it reads, how fast it learned, which kernels
// took the time and how far the GPU is from the CPU reference. `npm start -- --help` lists the options.

import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import {
  Trainer,
  adamW,
  createEngine,
  crossEntropy,
  encodeSafetensors,
  summary,
  type Batch,
  type Dataset,
  type Engine,
} from "neurite";
import { loadDigits } from "../data.ts";
import { WEIGHT_DECAY, createNetwork } from "../network.ts";
import { SIDE } from "../normalise.ts";
import { risingAndFalling } from "../schedule.ts";
import { shifted } from "../shift.ts";
import { OptionError, readOptions, usage, type Options } from "./options.ts";
import { ProgressView, bold, count, dim, duration, green, line, percent, printDigits, red } from "./terminal.ts";

const PEAK_LEARNING_RATE = 5e-3;
const WEIGHTS_FILE = path.join("runs", "digits.safetensors");
const PIXELS = SIDE * SIDE;
const CLASSES = 10;
const TEST_BATCH = 200; // digits; divides the test set
const TOP_KERNELS = 5;
const SHOWN_DIGITS = 6;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

interface TopKernel {
  readonly step: string;
  readonly strategy: string;
  readonly timeMs: number;
  readonly gflops: number;
}

/** Everything that is printed, for `--json`. */
interface Figures {
  readonly adapter: string;
  readonly software: boolean;
  readonly backend: string;
  readonly epochs: number;
  readonly batch: number;
  readonly seed: number;
  readonly steps: number;
  readonly parameters: number;
  readonly trainExamples: number;
  readonly testExamples: number;
  readonly testAccuracy: number;
  readonly trainingMs: number;
  readonly msPerStep: number;
  readonly examplesPerSecond: number;
  /** Undefined where kernels cannot be timed. */
  readonly topKernels: readonly TopKernel[] | undefined;
  readonly gpuMsPerStep: number | undefined;
  readonly maxError: number;
  readonly maxErrorOverBound: number;
  readonly verified: boolean;
  /** Of every step. */
  readonly lossHistory: readonly number[];
  readonly weights: string;
}

async function main(options: Options): Promise<number> {
  console.log(`\n${bold("Neurite")} · handwritten digits\n`);
  const interrupt = watchInterrupt();
  using engine = await createEngine({
    backend: options.backend,
    ...(options.device === "software" && { software: true }),
    ...((options.device === "high-performance" || options.device === "low-power") && {
      powerPreference: options.device,
    }),
    log: () => undefined, // told below
  });
  const software = engine.adapter?.isSoftware ?? true;
  line("adapter", `${engine.name}${software && engine.backend === "gpu" ? dim("  a CPU does the GPU's work") : ""}`);

  const { train, test } = await loadDigits(options.seed);
  const { net } = createNetwork(options.seed);
  const { parameters } = summary(net, [1, 1, SIDE, SIDE]);
  line("digits", `${count(train.length)} to learn from, ${count(test.length)} to be tested on`);
  line("network", `convolutional, ${count(parameters)} weights\n`);

  const { epochs, batch, seed } = options;
  const plannedSteps = epochs * Math.floor(train.length / batch);
  const optimizer = adamW({ lr: risingAndFalling(PEAK_LEARNING_RATE, plannedSteps), weightDecay: WEIGHT_DECAY });
  using trainer = new Trainer(engine, net, { loss: crossEntropy(), optimizer, seed });

  const view = new ProgressView();
  const lossHistory: number[] = [];
  let trainingMs = 0;
  let startMs = performance.now();
  for await (const event of trainer.fit(shifted(train, seed), {
    epochs,
    batchSize: batch,
    dropLast: true,
    onProgress: () => (startMs = performance.now()), // compiling is not training
  })) {
    if (event.type === "epoch") {
      view.print(
        `  epoch ${event.epoch}  loss ${event.loss.toFixed(4)}  accuracy ${percent(event.accuracy ?? 0)}  ${duration(event.timeMs)}`,
      );
      continue;
    }
    trainingMs = performance.now() - startMs;
    lossHistory.push(event.loss);
    view.show({ ...event, accuracy: event.accuracy ?? 0 });
    if (interrupt.requested) break;
  }
  view.stop();

  await trainer.sync();
  await mkdir(path.dirname(WEIGHTS_FILE), { recursive: true });
  await writeFile(WEIGHTS_FILE, encodeSafetensors(net.stateDict()));
  if (interrupt.requested) {
    console.log(
      `\n  Interrupted after step ${lossHistory.length} of ${plannedSteps}; the weights are in ${bold(WEIGHTS_FILE)}\n`,
    );
    return EXIT_INTERRUPTED;
  }

  const reading = await readTestDigits(trainer, test);
  const msPerStep = trainingMs / lossHistory.length;
  const examplesPerSecond = (1000 * batch) / msPerStep;
  console.log();
  line("accuracy", `${bold(percent(reading.accuracy))} of ${count(test.length)} test digits`);
  line("speed", `${msPerStep.toFixed(1)} ms a step of ${batch} digits, ${count(examplesPerSecond)} digits a second`);
  line("training", `${count(lossHistory.length)} steps in ${duration(trainingMs)}\n`);

  const batchAtHand = await train.batch(Uint32Array.from({ length: batch }, (_, i) => i));
  const { topKernels, gpuMsPerStep } = await reportKernels(trainer, batchAtHand);
  const check = await reportErrors(engine, trainer, await test.batch(Uint32Array.from({ length: batch }, (_, i) => i)));
  await showDigits(test, reading.read);

  line("weights", WEIGHTS_FILE);
  line("in a page", `npm run demos, then open the address it prints and choose ${bold("Digits")}`);

  if (options.json !== undefined) {
    const figures: Figures = {
      adapter: engine.name,
      software,
      backend: engine.backend,
      epochs,
      batch,
      seed,
      steps: lossHistory.length,
      parameters,
      trainExamples: train.length,
      testExamples: test.length,
      testAccuracy: reading.accuracy,
      trainingMs,
      msPerStep,
      examplesPerSecond,
      topKernels,
      gpuMsPerStep,
      ...check,
      lossHistory,
      weights: WEIGHTS_FILE,
    };
    await writeFile(options.json, `${JSON.stringify(figures, undefined, 2)}\n`);
    line("figures", options.json);
  }
  console.log();
  return 0;
}

interface Reading {
  readonly accuracy: number;
  /** For each test digit the most probable class and its probability. */
  readonly read: readonly { readonly label: number; readonly probability: number; readonly truth: number }[];
}

async function readTestDigits(trainer: Trainer, test: Dataset): Promise<Reading> {
  const read: Reading["read"][number][] = [];
  for (let first = 0; first < test.length; first += TEST_BATCH) {
    const size = Math.min(TEST_BATCH, test.length - first);
    const { x, y } = await test.batch(Uint32Array.from({ length: size }, (_, i) => first + i));
    const scores = await trainer.predict(x);
    for (let i = 0; i < size; i++) {
      const own = Array.from(scores.data.subarray(i * CLASSES, (i + 1) * CLASSES));
      const best = Math.max(...own);
      const sum = own.reduce((total, score) => total + Math.exp(score - best), 0);
      read.push({ label: own.indexOf(best), probability: 1 / sum, truth: y.data[i]! });
    }
  }
  return { accuracy: read.filter(({ label, truth }) => label === truth).length / read.length, read };
}

async function reportKernels(
  trainer: Trainer,
  batch: Batch,
): Promise<{ topKernels: readonly TopKernel[] | undefined; gpuMsPerStep: number | undefined }> {
  const profile = await trainer.profile(batch);
  if (!profile.steps) {
    line("kernels", `cannot be timed: ${profile.reason ?? "no reason given"}\n`);
    return { topKernels: undefined, gpuMsPerStep: undefined };
  }
  const slowest = profile.slowest(TOP_KERNELS);
  const total = profile.totalMs!;
  console.log(`  ${dim(`the ${TOP_KERNELS} slowest of a training step's ${profile.steps.length} kernels`)}`);
  const width = Math.max(...slowest.map(({ name }) => name.length));
  const strategyWidth = Math.max(...slowest.map(({ strategy }) => strategy.length));
  for (const { name, strategy, timeMs, gflops } of slowest)
    console.log(
      `    ${name.padEnd(width)}  ${dim(strategy.padEnd(strategyWidth))}  ${timeMs.toFixed(3).padStart(8)} ms  ` +
        `${((100 * timeMs) / total).toFixed(0).padStart(3)} %  ${gflops.toFixed(2).padStart(8)} GFLOP/s`,
    );
  console.log();
  return {
    topKernels: slowest.map(({ name, strategy, timeMs, gflops }) => ({ step: name, strategy, timeMs, gflops })),
    gpuMsPerStep: total,
  };
}

async function reportErrors(
  engine: Engine,
  trainer: Trainer,
  batch: Batch,
): Promise<Pick<Figures, "maxError" | "maxErrorOverBound" | "verified">> {
  const report = await trainer.verify(batch);
  const maxErrorOverBound = Math.max(0, ...report.steps.map((step) => step.maxErrorOverBound));
  const verdict = report.passed ? green("within its bounds") : red("WRONG");
  const against = engine.backend === "gpu" ? "GPU against CPU reference" : "CPU reference against itself";
  line(
    "error",
    `${report.maxError.toExponential(2)} at most, ${percent(maxErrorOverBound)} of what is allowed: ${verdict}`,
  );
  line("", dim(`${against}, all ${report.steps.length} kernels of a training step, on one test batch`));
  const { firstFailure } = report;
  if (firstFailure) line("", `first wrong: ${firstFailure.name} by ${firstFailure.strategy}`);
  console.log();
  return { maxError: report.maxError, maxErrorOverBound, verified: report.passed };
}

/** Some test digits, the mistakes among them first to be seen: half of the places are theirs, if there are so many. */
async function showDigits(test: Dataset, read: Reading["read"]): Promise<void> {
  const places = read.map((_, i) => i);
  const wrong = places.filter((i) => read[i]!.label !== read[i]!.truth).slice(0, SHOWN_DIGITS / 2);
  const right = places.filter((i) => read[i]!.label === read[i]!.truth).slice(0, SHOWN_DIGITS - wrong.length);
  const shown = [...right, ...wrong];
  const { x } = await test.batch(Uint32Array.from(shown));
  printDigits(
    shown.map((place, i) => {
      const { label, probability, truth } = read[place]!;
      const isRight = label === truth;
      const mark = isRight ? green("right") : red("wrong");
      return {
        picture: x.data.subarray(i * PIXELS, (i + 1) * PIXELS),
        captions: [`reads ${bold(String(label))}, ${(100 * probability).toFixed(0)} % sure`, `is a ${truth}: ${mark}`],
      };
    }),
  );
}

/** Ctrl-C: the first asks training to end after the step at hand, the second ends the program. */
function watchInterrupt(): { readonly requested: boolean } {
  const interrupt = { requested: false };
  process.on("SIGINT", () => {
    if (interrupt.requested) process.exit(EXIT_INTERRUPTED);
    interrupt.requested = true;
  });
  return interrupt;
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options.help) console.log(usage);
  else process.exitCode = await main(options);
} catch (error) {
  if (error instanceof OptionError) {
    console.error(`${error.message}\n\n${usage}`);
    process.exitCode = EXIT_USAGE;
  } else {
    console.error(error instanceof Error ? `\n  ${red(error.name)}: ${error.message}` : error);
    process.exitCode = 1;
  }
}
