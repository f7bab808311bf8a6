// What the page and its worker say to each other. The worker owns the engine and the model; the page owns what is seen. Jobs
// (load, plan, profile, verify) run one at a time; each ends with one `ended`. Looking at a node is answered at once.

/** Models that come with the page. */
export type SampleName = "digits" | "direction";

/** What takes a while, can be watched and can be stopped. */
export type Task = "load" | "plan" | "profile" | "verify";

/** With what a model is planned and run. */
export interface Settings {
  /** Values of the fields for open extents, by their key. */
  readonly extents: Readonly<Record<string, string>>;
  /** Inputs are drawn at random from it. */
  readonly seed: number;
}

export type Request =
  | { readonly type: "open"; readonly backend: "gpu" | "cpu" }
  | { readonly type: "load"; readonly source: Blob | SampleName }
  | { readonly type: "plan" | "profile" | "verify"; readonly settings: Settings }
  | { readonly type: "node"; readonly box: number }
  | { readonly type: "cancel" };

export type BoxKind = "input" | "output" | "heavy" | "pointwise" | "movement" | "other";

/** A node as it is drawn; x and y are its centre, in the drawing's pixels. */
export interface Box {
  readonly label: string;
  readonly name: string;
  readonly kind: BoxKind;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  /** Shapes of its parameters, in a few characters; "" where it has none. */
  readonly detail: string;
}

export interface Drawing {
  readonly boxes: readonly Box[];
  /** From box, to box, and the points passed on the way, x and y in turn. */
  readonly edges: readonly { readonly from: number; readonly to: number; readonly points: readonly number[] }[];
  readonly width: number;
  readonly height: number;
}

/** An input or output as the file declares it. */
export interface Declared {
  readonly name: string;
  readonly dtype: string;
  readonly shape: string;
}

/** A field to be filled in before the shapes are known. */
export interface OpenExtent {
  readonly key: string;
  readonly label: string;
  readonly kind: "extent" | "shape";
  readonly value: string;
}

/** What is known of a model without running it. */
export interface ModelFacts {
  readonly sizeBytes: number;
  readonly nodes: number;
  readonly parameters: number;
  readonly parameterBytes: number;
  readonly producer: string;
  readonly opsets: string;
  readonly inputs: readonly Declared[];
  readonly outputs: readonly Declared[];
  /** The most frequent first. */
  readonly operators: readonly { readonly name: string; readonly count: number; readonly missing: boolean }[];
  readonly extents: readonly OpenExtent[];
  readonly drawing: Drawing;
}

/** A tensor's stay in memory: a box in the picture of bytes over steps. */
export interface Stay {
  readonly name: string;
  readonly shape: string;
  readonly firstStep: number;
  readonly lastStep: number;
  readonly startBytes: number;
  readonly sizeBytes: number;
}

/** What a run comes to, once shapes are known. */
export interface PlanFacts {
  readonly steps: number;
  readonly kernels: number;
  readonly flops: number;
  readonly bytes: number;
  readonly constantBytes: number;
  readonly intermediateBytes: number;
  readonly liveBytes: number;
  readonly unsharedBytes: number;
  readonly stays: readonly Stay[];
  /** Bytes of intermediates alive at each step. */
  readonly live: readonly number[];
  readonly stepNames: readonly string[];
  readonly hostNodes: readonly string[];
}

export interface StepTime {
  readonly name: string;
  readonly strategy: string;
  readonly timeMs: number;
  readonly flops: number;
  readonly gflops: number;
}

export interface StepCheck {
  readonly name: string;
  readonly strategy: string;
  readonly maxError: number;
  readonly errorOverBound: number;
  readonly passed: boolean;
  /** The worst element, in words. */
  readonly worst: string;
}

/** A stored tensor, summed up. */
export interface WeightFacts {
  readonly name: string;
  readonly type: string;
  /** Undefined where it has no numbers to sum up. */
  readonly statistics:
    | {
        readonly count: number;
        readonly min: number;
        readonly max: number;
        readonly mean: number;
        readonly deviation: number;
        /** Share of exact zeros. */
        readonly zeros: number;
        /** How many fall into each of equal parts of [min, max]. */
        readonly histogram: readonly number[];
      }
    | undefined;
}

export interface NodeFacts {
  readonly box: number;
  readonly title: string;
  readonly name: string;
  readonly inputs: readonly { readonly name: string; readonly type: string }[];
  readonly outputs: readonly { readonly name: string; readonly type: string }[];
  readonly attributes: readonly { readonly name: string; readonly value: string }[];
  readonly weights: readonly WeightFacts[];
  /** Which steps of the plan carry it out; a sentence where there are none. Empty before there is a plan. */
  readonly steps: readonly string[];
}

export type Reply =
  | { readonly type: "ready"; readonly adapter: string; readonly software: boolean }
  | { readonly type: "unavailable"; readonly message: string }
  | { readonly type: "progress"; readonly task: Task; readonly text: string; readonly share?: number }
  | { readonly type: "model"; readonly facts: ModelFacts }
  | { readonly type: "plan"; readonly facts: PlanFacts }
  | {
      readonly type: "profile";
      readonly adapter: string;
      /** Undefined where steps cannot be timed; `reason` says why. */
      readonly steps: readonly StepTime[] | undefined;
      readonly reason: string;
      readonly repeats: number;
    }
  | {
      readonly type: "verify";
      readonly adapter: string;
      readonly steps: readonly StepCheck[];
      readonly hostNodes: readonly string[];
    }
  | { readonly type: "node"; readonly facts: NodeFacts }
  | {
      readonly type: "ended";
      readonly task: Task;
      readonly outcome: "done" | "cancelled" | "failed";
      readonly message: string;
    }
  /** It is over; a new worker may do better. */
  | { readonly type: "broken"; readonly message: string };
