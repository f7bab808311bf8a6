// What the page and its worker say to each other. The worker owns the engine and the networks; the page owns the picture
// and what is seen. The page sends requests, the worker answers with any number of replies.

import type { Box, Picture } from "./picture.ts";
import type { Reading } from "./recognition.ts";

export interface OpenOptions {
  readonly backend: "gpu" | "cpu";
  /** The longer side at which pictures are searched for text; by adapter when left out. */
  readonly limit?: number | undefined;
}

/** What happens to a picture, in order. Kernels are prepared whenever a shape comes for the first time. */
export type Stage = "load" | "prepare" | "find" | "read";

export type Request =
  | ({ readonly type: "open" } & OpenOptions)
  /** Read a picture. Takes the place of one that is being read. `job` comes back with every reply to it. */
  | { readonly type: "read"; readonly job: number; readonly picture: Picture; readonly anyWayUp: boolean }
  | { readonly type: "cancel" };

/** How far a stage is. */
export interface StageReport {
  readonly stage: Stage;
  /** What happens, e.g. `3.1 of 4.7 MB`. */
  readonly what: string;
  /** 0 to 1; undefined where nobody can tell. */
  readonly share?: number | undefined;
  /** Time spent on it so far. */
  readonly ms: number;
}

/** What the detector saw: bytes, 255 for certainty. */
export interface HeatMap {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

export type JobReply =
  | ({ readonly type: "stage" } & StageReport)
  /** The lines that were found, in the picture's pixels. */
  | { readonly type: "found"; readonly map: HeatMap; readonly boxes: readonly Box[] }
  /** The box again, as it may have been turned. */
  | ({ readonly type: "line"; readonly index: number; readonly box: Box } & Reading)
  | { readonly type: "done" | "cancelled" }
  /** This picture could not be read; another one may be. */
  | { readonly type: "unreadable"; readonly message: string };

export type Reply =
  | (JobReply & { readonly job: number })
  | {
      readonly type: "ready";
      readonly adapter: string;
      /** A CPU does the work of a GPU. */
      readonly software: boolean;
    }
  /** No WebGPU here. */
  | { readonly type: "unavailable"; readonly message: string }
  /** It is over; a new worker may do better. */
  | { readonly type: "failed"; readonly message: string };
