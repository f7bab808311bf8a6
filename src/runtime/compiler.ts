// What compiles graphs and keeps their variables, as the rooms below the engine see it: the trainer and the ONNX importer
// work on any Compiler, and the Engine is one.

import type { Graph } from "../graph/graph.ts";
import type { Variable } from "../graph/variable.ts";
import type { ScheduleOptions } from "../scheduler/schedule.ts";
import type { Executor, OnCompileProgress } from "./executor.ts";
import type { Model } from "./model.ts";

/** How a graph is compiled: strategies forced by name, what is fused, whether buffers are shared. */
export interface CompileOptions
  extends Pick<ScheduleOptions, "strategies" | "fusion" | "reuseBuffers" | "narrowStorage"> {
  readonly onProgress?: OnCompileProgress | undefined;
  readonly signal?: AbortSignal | undefined;
  /**
   * Runs that a kernel's time to compile is weighed against; `Infinity` where only the runs' speed counts. Default 30 on a
   * software adapter, 300 on a GPU.
   */
  readonly expectedRuns?: number | undefined;
  /** Fold constants and drop dead and repeated nodes. Default true. */
  readonly simplify?: boolean | undefined;
}

/** Compiles graphs and keeps their variables. An Engine is one. */
export interface Compiler {
  /** One line for people: the adapter's name, or that this is the CPU reference. */
  readonly name: string;
  /** @internal */
  readonly executor: Executor;
  compileGraph(graph: Graph, options?: CompileOptions): Promise<Model>;
  pull(variables: Iterable<Variable>): Promise<void>;
  push(variables: Iterable<Variable>): void;
}
