// The worker: owns the engine, the digits and the network, so that nothing here can hold up the page. Requests lie in an inbox
// and are handled one after another; while training runs, it looks into the inbox after every step.

import {
  DeviceUnavailableError,
  Trainer,
  adamW,
  createEngine,
  crossEntropy,
  initialize,
  subset,
  summary,
  type Dataset,
  type Engine,
} from "neurite";
import { loadDigits } from "./data.ts";
import { WEIGHT_DECAY, createNetwork, type Network } from "./network.ts";
import { SIDE } from "./normalise.ts";
import type { Filters, OpenOptions, Reply, Request, Sample, Settings, StepPoint } from "./protocol.ts";
import { risingAndFalling } from "./schedule.ts";
import { shifted } from "./shift.ts";

const REPORT_MS = 50; // between reports of progress
const FILTERS_MS = 400; // between pictures of the filters
const SPEED_STEPS = 20; // the speed shown is about these steps' mean
const TEST_BATCH = 200; // digits
const MAX_MISTAKES = 10;
/** Digits to train on when the CPU reference does the work. */
const CPU_LIMIT = 640;
const PIXELS = SIDE * SIDE;
const CLASSES = 10;

type ReadRequest = Extract<Request, { type: "read" }>;

const post = (reply: Reply): void => self.postMessage(reply);

/** Requests that nobody has looked at yet. */
class Inbox {
  private requests: Request[] = [];
  private wake: () => void = () => undefined;
  private readonly channel = new MessageChannel();
  private polled: () => void = () => undefined;

  constructor() {
    this.channel.port1.addEventListener("message", () => this.polled());
    this.channel.port1.start();
    self.addEventListener("message", ({ data }: MessageEvent<Request>) => {
      // Of several digits to read only the newest is of interest.
      if (data.type === "read") this.requests = this.requests.filter(({ type }) => type !== "read");
      this.requests.push(data);
      this.wake();
    });
  }

  async next(): Promise<Request> {
    while (this.requests.length === 0) await new Promise<void>((resolve) => (this.wake = resolve));
    return this.requests.shift()!;
  }

  /** The next one if there is one. Lets messages in first, by way of one of its own: a timer would take 4 ms. */
  async poll(): Promise<Request | undefined> {
    await new Promise<void>((resolve) => {
      this.polled = resolve;
      this.channel.port2.postMessage(undefined);
    });
    return this.requests.shift();
  }
}

class Session {
  private readonly network: Network;
  private trainer: Trainer;

  constructor(
    private readonly engine: Engine,
    private readonly seed: number,
    private readonly train: Dataset,
    private readonly test: Dataset,
  ) {
    this.network = createNetwork(seed);
    this.trainer = this.newTrainer();
  }

  async greet(): Promise<void> {
    const { engine, network, train, test } = this;
    post({
      type: "ready",
      adapter: engine.name,
      backend: engine.backend,
      software: engine.adapter?.isSoftware ?? true,
      parameterCount: summary(network.net, [1, 1, SIDE, SIDE]).parameters,
      trainCount: train.length,
      testCount: test.length,
      samples: await this.samples(),
      filters: this.filters(),
    });
  }

  async read({ picture }: ReadRequest): Promise<void> {
    const { data } = await this.trainer.predict({ dtype: "float32", shape: [1, 1, SIDE, SIDE], data: picture });
    post({ type: "read", probabilities: softmaxOf(data) });
  }

  reset(): void {
    const { net } = this.network;
    this.trainer.dispose();
    initialize(net, this.seed);
    this.engine.push(net.parameters());
    this.trainer = this.newTrainer();
    post({ type: "reset", filters: this.filters() });
  }

  /** Trains, and answers what comes into the inbox meanwhile. */
  async fit({ epochs, batchSize, learningRate }: Settings, inbox: Inbox): Promise<void> {
    const { trainer, train } = this;
    const steps = epochs * Math.floor(train.length / batchSize);
    const schedule = risingAndFalling(learningRate, steps);
    const stepsBefore = trainer.steps;
    trainer.learningRate = (step) => schedule(step - stepsBefore);

    let ending: "done" | "stopped" | "reset" = "done";
    let points: StepPoint[] = [];
    let sinceEpoch = { epoch: 0, steps: 0, accuracy: 0 };
    let msPerStep: number | undefined;
    let [stepMs, reportMs, filtersMs] = [performance.now(), 0, performance.now()];
    const onProgress = (done: number, total: number): void => {
      post({ type: "loading", what: `Preparing the kernels: ${done} of ${total}` });
      stepMs = performance.now();
    };
    for await (const event of trainer.fit(shifted(train, this.seed), {
      epochs,
      batchSize,
      dropLast: true,
      onProgress,
    })) {
      const { epoch, step } = event;
      if (event.type === "epoch") {
        if (step < steps) await this.report();
        stepMs = performance.now();
        continue;
      }
      // The trainer tells the mean over the epoch so far; what this step's batch adds to it is this batch's own.
      if (epoch !== sinceEpoch.epoch) sinceEpoch = { epoch, steps: 0, accuracy: 0 };
      const [mean, before] = [event.accuracy ?? 0, sinceEpoch.accuracy];
      points.push({ loss: event.loss, accuracy: mean + (mean - before) * sinceEpoch.steps });
      sinceEpoch = { epoch, steps: sinceEpoch.steps + 1, accuracy: mean };

      const nowMs = performance.now();
      msPerStep = msPerStep === undefined ? nowMs - stepMs : msPerStep + (nowMs - stepMs - msPerStep) / SPEED_STEPS;
      if (nowMs - reportMs >= REPORT_MS || step === steps) {
        const examplesPerSecond = (1000 * batchSize) / msPerStep;
        post({
          type: "progress",
          epoch,
          epochs,
          step,
          steps,
          points,
          msPerStep,
          examplesPerSecond,
          etaMs: (steps - step) * msPerStep,
        });
        points = [];
        reportMs = nowMs;
      }
      if (nowMs - filtersMs >= FILTERS_MS) {
        await this.postFilters();
        filtersMs = performance.now();
      }
      const wish = await this.attend(inbox);
      if (wish !== undefined) {
        ending = wish;
        break;
      }
      stepMs = performance.now(); // what was done beside the step is not counted
    }
    if (ending === "reset") {
      this.reset();
      return;
    }
    await this.report();
    post({ type: ending });
  }

  /** Handles what has come in between two steps; stays while training is paused. */
  private async attend(inbox: Inbox): Promise<"stopped" | "reset" | undefined> {
    let paused = false;
    for (;;) {
      const request = paused ? await inbox.next() : await inbox.poll();
      switch (request?.type) {
        case "stop":
          return "stopped";
        case "reset":
          return "reset";
        case "pause":
          paused = true;
          await this.postFilters();
          post({ type: "paused" });
          break;
        case "resume":
          paused = false;
          post({ type: "training" });
          break;
        case "read":
          await this.read(request);
          break;
        case "open":
        case "train":
        case undefined:
          if (!paused) return undefined;
      }
    }
  }

  /** Reads the whole test set: the share that is right, and the first mistakes. */
  private async report(): Promise<void> {
    await this.postFilters();
    post({ type: "testing" });
    const { test } = this;
    const batchSize = largestDivisor(test.length, TEST_BATCH);
    const mistakes: Sample[] = [];
    let right = 0;
    for (let first = 0; first < test.length; first += batchSize) {
      const { x, y } = await test.batch(Uint32Array.from({ length: batchSize }, (_, i) => first + i));
      const { data } = await this.trainer.predict(x);
      for (let i = 0; i < batchSize; i++) {
        const read = indexOfMax(data.subarray(i * CLASSES, (i + 1) * CLASSES));
        if (read === y.data[i]) right++;
        else if (mistakes.length < MAX_MISTAKES)
          mistakes.push({ picture: pictureOf(x.data, i), label: y.data[i]!, misread: read });
      }
    }
    post({ type: "tested", accuracy: right / test.length, mistakes });
  }

  private async postFilters(): Promise<void> {
    await this.engine.pull(this.network.net.parameters());
    post({ type: "filters", filters: this.filters() });
  }

  private filters(): Filters {
    const { weight, bias } = this.network.firstLayer; // [count, 1, size, size], [count]
    const [count = 0, , size = 0] = weight.shape;
    return { count, size, weight: Float32Array.from(weight.data.data), bias: Float32Array.from(bias!.data.data) };
  }

  /** The first two test digits of each kind, in order. */
  private async samples(): Promise<Sample[]> {
    const { x, y } = await this.test.batch(Uint32Array.from({ length: this.test.length }, (_, i) => i));
    const all = Array.from(y.data, (label, i) => ({ label, i }));
    return [0, 1].flatMap((nth) =>
      Array.from({ length: CLASSES }, (_, digit) => all.filter(({ label }) => label === digit)[nth])
        .filter((found) => found !== undefined)
        .map(({ label, i }) => ({ label, picture: pictureOf(x.data, i) })),
    );
  }

  private newTrainer(): Trainer {
    return new Trainer(this.engine, this.network.net, {
      loss: crossEntropy(),
      optimizer: adamW({ weightDecay: WEIGHT_DECAY }),
      seed: this.seed,
    });
  }
}

/** The first `most` examples; all of them without a number. */
function first(dataset: Dataset, most: number | undefined): Dataset {
  if (!most || most >= dataset.length) return dataset;
  return subset(
    dataset,
    Uint32Array.from({ length: most }, (_, i) => i),
  );
}

function pictureOf(data: ArrayLike<number>, index: number): Float32Array {
  return Float32Array.from({ length: PIXELS }, (_, i) => data[index * PIXELS + i]!);
}

function softmaxOf(scores: ArrayLike<number>): Float32Array {
  const all = Array.from(scores);
  const largest = Math.max(...all);
  const weights = all.map((score) => Math.exp(score - largest));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return Float32Array.from(weights, (weight) => weight / sum);
}

function indexOfMax(scores: ArrayLike<number>): number {
  return Array.from(scores).reduce((best, score, i, all) => (score > all[best]! ? i : best), 0);
}

function largestDivisor(length: number, most: number): number {
  for (let size = Math.min(length, most); size > 1; size--) if (length % size === 0) return size;
  return 1;
}

async function open({ backend, seed, limit }: OpenOptions): Promise<Session | undefined> {
  let engine: Engine;
  try {
    engine = await createEngine({ backend, log: () => undefined }); // the page itself tells of a software driver
  } catch (error) {
    if (!(error instanceof DeviceUnavailableError)) throw error;
    post({ type: "unavailable", message: error.message });
    return undefined;
  }
  void engine.lost.then((reason) => fail(reason));
  post({ type: "loading", what: "Loading the digits…" });
  const most = limit ?? (backend === "cpu" ? CPU_LIMIT : undefined);
  const { train, test } = await loadDigits(seed);
  const session = new Session(engine, seed, first(train, most), first(test, most && Math.ceil(most / 4)));
  await session.greet();
  return session;
}

function fail(reason: unknown): void {
  post({ type: "failed", message: reason instanceof Error ? reason.message : String(reason) });
}

async function main(): Promise<void> {
  const inbox = new Inbox();
  let session: Session | undefined;
  for (;;) {
    const request = await inbox.next();
    if (request.type === "open") session = await open(request);
    else if (request.type === "train") await session?.fit(request, inbox);
    else if (request.type === "read") await session?.read(request);
    else if (request.type === "reset") session?.reset();
  }
}

main().catch(fail);
