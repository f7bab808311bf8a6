// The reference backend: carries out the very same plan, buffer for buffer and step for step, with the operators'
// float64 references. Results are rounded to the stored type where a step writes memory, as on the GPU.

import { dtypes, storeValues, type DType, type TypedArray } from "../../core/dtype.ts";
import { UsageError, throwIfAborted } from "../../core/errors.ts";
import { pacer, pause } from "../../core/pause.ts";
import { sizeOf } from "../../core/shape.ts";
import type { TensorData } from "../../core/tensorData.ts";
import type { Variable } from "../../graph/variable.ts";
import { evaluateReference } from "../../ops/evaluate.ts";
import type { Numbers, ReferenceInput } from "../../ops/operator.ts";
import type { DispatchStep } from "../../scheduler/plan.ts";
import type { Compiled } from "../../scheduler/schedule.ts";
import { checkInputs, checkOutputs } from "../executor.ts";
import type {
  Executable,
  Executor,
  Inputs,
  Outputs,
  PrepareOptions,
  RunOptions,
  StepTimes,
  TracedStep,
} from "../executor.ts";

/** Milliseconds of reference work between two chances for timers and signals. */
const BREATHE_MS = 50;
const WORD_BYTES = 4;

export class CpuExecutor implements Executor {
  private readonly store = new Map<Variable, ArrayBuffer>();
  private lastTurn: Promise<unknown> = Promise.resolve();

  async prepare(compiled: Compiled, { signal }: PrepareOptions = {}): Promise<Executable> {
    const contents = (variable: Variable, sizeBytes: number): ArrayBuffer => this.contents(variable, sizeBytes);
    const constants = new Map<number, TypedArray>();
    for (const [index, constant] of compiled.constants) {
      throwIfAborted(signal);
      constants.set(index, constant.read ? await constant.read(0, sizeOf(constant.shape)) : constant.data);
    }
    return new CpuExecutable(compiled, constants, contents, (work) => this.inTurn(work));
  }

  /** Like a GPU's queue: work that overlaps is carried out in the order in which it was asked for. */
  private inTurn<T>(work: () => T | Promise<T>): Promise<T> {
    const turn = this.lastTurn.then(work);
    this.lastTurn = turn.catch(() => undefined);
    return turn;
  }

  pull(variables: Iterable<Variable>): Promise<void> {
    const wanted = [...variables];
    return this.inTurn(() => this.readBack(wanted));
  }

  private readBack(variables: readonly Variable[]): void {
    for (const variable of variables) {
      const buffer = this.store.get(variable);
      if (!buffer) continue;
      const data = dtypes[variable.dtype].view(buffer.slice(0), 0, sizeOf(variable.shape));
      variable.data = { dtype: variable.dtype, shape: variable.shape, data };
    }
  }

  push(variables: Iterable<Variable>): void {
    const contents = [...variables].map((variable) => ({ variable, data: variable.data.data.slice() }));
    void this.inTurn(() => {
      for (const { variable, data } of contents) {
        const buffer = this.store.get(variable);
        if (buffer) viewOf(buffer, variable).set(data);
      }
    });
  }

  release(variables: Iterable<Variable>): void {
    for (const variable of variables) this.store.delete(variable);
  }

  idle(): Promise<void> {
    return this.inTurn(() => undefined);
  }

  dispose(): void {
    this.store.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private contents(variable: Variable, sizeBytes: number): ArrayBuffer {
    let buffer = this.store.get(variable);
    if (!buffer) {
      buffer = new ArrayBuffer(sizeBytes);
      viewOf(buffer, variable).set(variable.data.data);
      this.store.set(variable, buffer);
    }
    return buffer;
  }
}

class CpuExecutable implements Executable {
  private readonly buffers: ArrayBuffer[];
  private readonly variables: ReadonlySet<number>;
  /** Elements are words here, whatever a GPU stores: places that are packed half as densely leave room for them. */
  private readonly spacing: 1 | 2;
  private disposed = false;

  constructor(
    readonly compiled: Compiled,
    constants: ReadonlyMap<number, TypedArray>,
    contents: (variable: Variable, sizeBytes: number) => ArrayBuffer,
    private readonly inTurn: <T>(work: () => T | Promise<T>) => Promise<T>,
  ) {
    const { plan, variables } = compiled;
    this.variables = new Set(variables.keys());
    this.spacing = plan.values.some(({ storage }) => storage === "half") ? 2 : 1;
    const sizes = plan.buffers.map(({ sizeBytes }) => sizeBytes);
    for (const { shape, buffer, offsetBytes = 0 } of plan.values)
      if (buffer !== undefined)
        sizes[buffer] = Math.max(sizes[buffer]!, offsetBytes * this.spacing + sizeOf(shape) * WORD_BYTES);
    this.buffers = sizes.map((sizeBytes, index) => {
      const variable = variables.get(index);
      return variable ? contents(variable, sizeBytes) : new ArrayBuffer(sizeBytes);
    });
    for (const [index, constant] of compiled.constants)
      viewOf(this.buffers[index]!, constant).set(constants.get(index)!);
  }

  async run(inputs: Inputs, { outputs, signal }: RunOptions = {}): Promise<Outputs> {
    this.check();
    throwIfAborted(signal);
    const names = checkOutputs(this.compiled.plan, outputs);
    // Copied, because the caller may change them before their turn comes.
    const written = [...checkInputs(this.compiled.plan, inputs)].map(([name, data]) => [name, data.slice()] as const);
    return this.inTurn(() => this.runNow(written, names, signal));
  }

  private async runNow(
    inputs: Iterable<readonly [name: string, data: TypedArray]>,
    outputs: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<Outputs> {
    const { plan } = this.compiled;
    this.write(inputs);
    const breathe = pacer(signal, BREATHE_MS);
    for (let index = 0; index < plan.steps.length; index++) {
      this.carryOut(index);
      await breathe();
    }
    return Object.fromEntries(outputs.map((name) => [name, this.read(plan.outputs[name]!)]));
  }

  async trace(inputs: Inputs, visit: (step: TracedStep) => void | Promise<void>, signal?: AbortSignal): Promise<void> {
    await this.keepingVariables(async () => {
      this.write(checkInputs(this.compiled.plan, inputs));
      for (const [index, step] of this.compiled.plan.steps.entries()) {
        throwIfAborted(signal);
        const read = step.inputs.map((id) => this.read(id));
        this.carryOut(index);
        await visit({ index, inputs: read, outputs: step.outputs.map((id) => this.read(id)) });
      }
    });
  }

  async time(inputs: Inputs, repeats: number): Promise<StepTimes> {
    const { plan } = this.compiled;
    const samples = plan.steps.map((): number[] => []);
    await this.keepingVariables(async () => {
      for (let run = 0; run < repeats; run++) {
        this.write(checkInputs(plan, inputs));
        for (const index of plan.steps.keys()) {
          const start = performance.now();
          this.carryOut(index);
          samples[index]!.push(performance.now() - start);
        }
        await pause();
      }
    });
    return {
      steps: samples.map((times, index) => ({ index, timeMs: times.sort((a, b) => a - b)[times.length >> 1]! })),
    };
  }

  dispose(): void {
    this.disposed = true;
    this.buffers.length = 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Takes a turn that leaves variables as they were. */
  private keepingVariables(work: () => Promise<void>): Promise<void> {
    return this.inTurn(async () => {
      const saved = [...this.variables].map((index) => [index, this.buffers[index]!.slice(0)] as const);
      try {
        await work();
      } finally {
        for (const [index, bytes] of saved) new Uint8Array(this.buffers[index]!).set(new Uint8Array(bytes));
      }
    });
  }

  private check(): void {
    if (this.disposed) throw new UsageError("run: this model has been disposed");
  }

  private write(inputs: Iterable<readonly [name: string, data: TypedArray]>): void {
    this.check();
    for (const [name, data] of inputs) this.view(this.compiled.plan.inputs[name]!).set(data);
  }

  private carryOut(index: number): void {
    const step = this.compiled.plan.steps[index]!;
    if (step.kind === "copy") {
      const { from, to } = step;
      const bytes = new Uint8Array(this.buffers[from.buffer]!, from.offsetBytes * this.spacing, to.sizeBytes);
      new Uint8Array(this.buffers[to.buffer]!).set(bytes, to.offsetBytes * this.spacing);
      return;
    }
    const results = this.evaluate(step);
    for (const id of step.outputs) this.view(id).set(results.get(id)!);
  }

  /**
   * Results of every node of the step, by value: float64 where they only round or wrap to a word when the step stores them,
   * and what their types can hold where kernels, too, narrow them after each operation.
   */
  private evaluate(step: DispatchStep): Map<number, Numbers> {
    const { plan, operators } = this.compiled;
    const results = new Map<number, Numbers>();
    const operand = (id: number): ReferenceInput => {
      const { dtype, shape, literal } = plan.values[id]!;
      const data = results.get(id) ?? (literal === undefined ? this.view(id) : Float64Array.of(literal));
      return { dtype, shape, data };
    };
    for (const node of step.nodes) {
      const inputs = node.inputs.map((id) => (id === null ? undefined : operand(id)));
      const outputs = node.outputs.map((id) => plan.values[id]!);
      const references = evaluateReference(operators.get(node.operator)!, inputs, {
        inputs,
        outputs,
        attributes: node.attributes,
      });
      node.outputs.forEach((id, i) => {
        const { values } = references[i]!;
        const { dtype } = plan.values[id]!;
        results.set(id, isWord(dtype) ? values : storeValues(values, dtype, node.name));
      });
    }
    return results;
  }

  private view(id: number): TypedArray {
    const value = this.compiled.plan.values[id]!;
    return viewOf(this.buffers[value.buffer!]!, value, (value.offsetBytes ?? 0) * this.spacing);
  }

  private read(id: number): TensorData {
    const { dtype, shape } = this.compiled.plan.values[id]!;
    return { dtype, shape, data: this.view(id).slice() };
  }
}

/** True for types that fill a word: storing does all that is to be done. */
const isWord = (dtype: DType): boolean =>
  dtype === "float32" || dtype === "int32" || dtype === "uint32" || dtype === "bool";

function viewOf(
  buffer: ArrayBuffer,
  { dtype, shape }: Pick<TensorData, "dtype" | "shape">,
  offsetBytes = 0,
): TypedArray {
  return dtypes[dtype].view(buffer, offsetBytes, sizeOf(shape));
}
