// What carries a plan out. There are two: gpu/ and cpu/ (the float64 reference); engine, trainer and verify see only this.

import { dtypes, storeValues, type TypedArray } from "../core/dtype.ts";
import { DTypeError, ShapeError, UsageError } from "../core/errors.ts";
import { formatShape, sizeOf } from "../core/shape.ts";
import type { TensorData } from "../core/tensorData.ts";
import type { Variable } from "../graph/variable.ts";
import type { Plan, PlanKernel } from "../scheduler/plan.ts";
import type { Compiled } from "../scheduler/schedule.ts";

/** Values for a plan's inputs, by name. Plain arrays are accepted for convenience. */
export type Inputs = Readonly<Record<string, TypedArray | TensorData | readonly number[]>>;
export type Outputs = Record<string, TensorData>;

/** Called as compiling goes on: steps that are planned, kernels that are ready, bytes of constants that are uploaded. */
export type OnCompileProgress = (done: number, total: number, stage: "plan" | "compile" | "upload") => void;

export interface PrepareOptions {
  readonly onProgress?: OnCompileProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface RunOptions {
  /** Outputs to read back; all when left out. `[]` returns as soon as the work is queued. */
  readonly outputs?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One step as it was carried out: what it read and what it wrote. */
export interface TracedStep {
  readonly index: number;
  readonly inputs: readonly TensorData[];
  readonly outputs: readonly TensorData[];
}

/** Time of one step, from timestamp queries (GPU) or the clock (CPU). */
interface StepTime {
  readonly index: number;
  readonly timeMs: number;
}

export interface StepTimes {
  /** Undefined where the adapter has no timestamp queries; `reason` then says so. */
  readonly steps: readonly StepTime[] | undefined;
  readonly reason?: string;
}

/** A plan made ready on one backend. */
export interface Executable extends Disposable {
  readonly compiled: Compiled;
  run(inputs: Inputs, options?: RunOptions): Promise<Outputs>;
  /** Runs step by step, calling `visit` after each. Variables are left as they were. */
  trace(inputs: Inputs, visit: (step: TracedStep) => void | Promise<void>, signal?: AbortSignal): Promise<void>;
  /** Median time of each step over `repeats` runs. Variables are left as they were. */
  time(inputs: Inputs, repeats: number): Promise<StepTimes>;
  dispose(): void;
}

/** A backend: prepares plans and keeps the contents of variables between runs. */
export interface Executor extends Disposable {
  prepare(compiled: Compiled, options?: PrepareOptions): Promise<Executable>;
  /** Starts on a kernel of a plan that is still being made. */
  compile?(kernel: PlanKernel, stepName: string): void;
  /** Reads the current contents of variables back into their `data`. */
  pull(variables: Iterable<Variable>): Promise<void>;
  /** Replaces the contents of variables by their `data`. */
  push(variables: Iterable<Variable>): void;
  /** Forgets variables and frees what held them. */
  release(variables: Iterable<Variable>): void;
  /** Resolves when all queued work is done. */
  idle(): Promise<void>;
  dispose(): void;
}

/** Checks the inputs of a run against the plan and returns them as typed arrays in the stored type. */
export function checkInputs(plan: Plan, inputs: Inputs): Map<string, TypedArray> {
  const checked = new Map<string, TypedArray>();
  for (const name of Object.keys(inputs))
    if (!(name in plan.inputs))
      throw new UsageError(
        `run: there is no input "${name}"; this model takes ${Object.keys(plan.inputs).join(", ") || "none"}`,
      );
  for (const [name, id] of Object.entries(plan.inputs)) {
    const { dtype, shape } = plan.values[id]!;
    const given = inputs[name];
    if (given === undefined) throw new UsageError(`run: input "${name}" (${dtype} ${formatShape(shape)}) is missing`);
    const isTensor = "shape" in given;
    if (isTensor && given.dtype !== dtype)
      throw new DTypeError(`run: input "${name}" is ${given.dtype}, expected ${dtype}`);
    const data = isTensor ? given.data : given;
    if (data.length !== sizeOf(shape) || (isTensor && sizeOf(given.shape) !== sizeOf(shape)))
      throw new ShapeError(
        `run: input "${name}" has ${data.length} elements, expected ${sizeOf(shape)} for ${formatShape(shape)}`,
      );
    checked.set(name, toStored(data, dtype, name));
  }
  return checked;
}

function toStored(data: TypedArray | readonly number[], dtype: TensorData["dtype"], name: string): TypedArray {
  const stored = dtypes[dtype].create(0).constructor;
  if (ArrayBuffer.isView(data)) {
    if (data.constructor !== stored)
      throw new DTypeError(
        `run: input "${name}" is a ${data.constructor.name}, expected a ${stored.name} for ${dtype}`,
      );
    return data;
  }
  return storeValues(data, dtype, `run: input "${name}"`);
}

/** Names of the outputs to read. Throws {@link UsageError} on one the plan does not have. */
export function checkOutputs(plan: Plan, names: readonly string[] | undefined): readonly string[] {
  for (const name of names ?? [])
    if (!(name in plan.outputs))
      throw new UsageError(`run: there is no output "${name}"; this model has ${Object.keys(plan.outputs).join(", ")}`);
  return names ?? Object.keys(plan.outputs);
}
