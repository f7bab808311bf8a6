// What the page and its worker say to each other. The worker owns the engine, the data and the network; the page owns what
// is seen. The page sends requests, the worker answers with any number of replies.

export interface Settings {
  readonly epochs: number;
  readonly batchSize: number;
  readonly learningRate: number;
}

export interface OpenOptions {
  readonly backend: "gpu" | "cpu";
  readonly seed: number;
  /** Digits to train on; a quarter as many are tested. All when left out. */
  readonly limit?: number | undefined;
}

export type Request =
  | ({ readonly type: "open" } & OpenOptions)
  | ({ readonly type: "train" } & Settings)
  | { readonly type: "pause" | "resume" | "stop" | "reset" }
  /** Read a digit of 28 × 28 pixels, 0 to 1. Only the newest request is answered. */
  | { readonly type: "read"; readonly picture: Float32Array };

/** A digit of the test set. */
export interface Sample {
  readonly picture: Float32Array;
  readonly label: number;
  /** What the network takes it for, where that is wrong. */
  readonly misread?: number;
}

/** First layer. weight [count, size, size], bias [count]. */
export interface Filters {
  readonly count: number;
  readonly size: number;
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** One training step. */
export interface StepPoint {
  readonly loss: number;
  /** Share of the batch that was read right. */
  readonly accuracy: number;
}

/** How far training is. `step` counts from 1 to `steps`, over all epochs. */
export interface Progress {
  readonly epoch: number;
  readonly epochs: number;
  readonly step: number;
  readonly steps: number;
  readonly examplesPerSecond: number;
  readonly msPerStep: number;
  readonly etaMs: number;
  /** The steps since the last report. */
  readonly points: readonly StepPoint[];
}

/** The worker is ready to train. */
export interface Ready {
  readonly adapter: string;
  readonly backend: "gpu" | "cpu";
  /** A CPU does the work of a GPU. */
  readonly software: boolean;
  readonly parameterCount: number;
  readonly trainCount: number;
  readonly testCount: number;
  readonly samples: readonly Sample[];
  readonly filters: Filters;
}

export type Reply =
  | { readonly type: "loading"; readonly what: string }
  | ({ readonly type: "ready" } & Ready)
  | ({ readonly type: "progress" } & Progress)
  | { readonly type: "filters"; readonly filters: Filters }
  | { readonly type: "testing" }
  | { readonly type: "tested"; readonly accuracy: number; readonly mistakes: readonly Sample[] }
  | { readonly type: "training" | "paused" | "done" | "stopped" }
  | { readonly type: "reset"; readonly filters: Filters }
  | { readonly type: "read"; readonly probabilities: Float32Array }
  /** No WebGPU here. */
  | { readonly type: "unavailable"; readonly message: string }
  /** It is over; a new worker may do better. */
  | { readonly type: "failed"; readonly message: string };
