// What the page and its worker say to each other. Problems travel as names and numbers, never as objects of the engine.

import type { Field, Standing, Trial, VariantName } from "../../bench/kernels/lab.ts";

export type {
  Check,
  Complaint,
  Field,
  Refusal,
  Standing,
  Timing,
  Trial,
  Variant,
  VariantName,
} from "../../bench/kernels/lab.ts";

/** A problem as the form and the address bar have it. */
export interface Choice {
  /** Key of `problems`, e.g. `MatMul`. */
  readonly operator: string;
  /** Extents by name, e.g. `{ M: 512, N: 512, K: 512 }`. */
  readonly dimensions: Readonly<Record<string, number>>;
  readonly dtype: "float32" | "float16";
}

/** What the adapter can do at best, measured on the spot. */
export interface Ceilings {
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
}

export type Task = "race" | "source" | "try" | "sweep";

export type Request =
  | { readonly type: "open" }
  | { readonly type: "race"; readonly choice: Choice; readonly rounds: number }
  | { readonly type: "source"; readonly choice: Choice; readonly variant: VariantName }
  | {
      readonly type: "try";
      readonly choice: Choice;
      readonly variant: VariantName;
      readonly wgsl: string;
      readonly rounds: number;
    }
  | { readonly type: "sweep"; readonly choice: Choice; readonly dimension: string; readonly values: readonly number[] }
  | { readonly type: "cancel" };

export type Reply =
  | { readonly type: "ready"; readonly adapter: string; readonly software: boolean }
  | { readonly type: "unavailable"; readonly message: string }
  | { readonly type: "ceilings"; readonly ceilings: Ceilings }
  | { readonly type: "field"; readonly field: Field }
  | { readonly type: "standing"; readonly id: number; readonly standing: Standing }
  | { readonly type: "source"; readonly variant: VariantName; readonly wgsl: string }
  | { readonly type: "tried"; readonly trial: Trial }
  | { readonly type: "cell"; readonly value: number; readonly strategy: string; readonly timeMs: number }
  | { readonly type: "progress"; readonly task: Task; readonly text: string; readonly share: number }
  | {
      readonly type: "ended";
      readonly task: Task;
      readonly outcome: "done" | "cancelled" | "failed";
      readonly message: string;
    };
