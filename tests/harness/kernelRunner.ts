// Runs kernels on their own, the way the runtime would, but in a minefield: every output lies between guard words that
// must survive bit for bit, and is filled with a NaN pattern first, so that an element nobody wrote shows as one. Many
// kernels share one submit and one readback, and equal WGSL is compiled once.

import { dtypes, type DType, type TypedArray } from "../../src/core/dtype.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { pack, storageBytes, unpack, type Storage } from "../../src/core/storage.ts";
import type { TensorData } from "../../src/core/tensorData.ts";
import type { Gpu } from "../../src/device/gpu.ts";
import type { GpuPipeline } from "../../src/device/pipelines.ts";
import type { Operator } from "../../src/ops/operator.ts";
import { assemble, type AssembledKernel } from "../../shaders/assemble.ts";
import { withStorage } from "../../shaders/storage.ts";
import type { AnyStrategy, KernelProblem, Parameters } from "../../shaders/strategy.ts";

const WORD_BYTES = 4;
const GUARD_BYTES = 256; // also the alignment a storage binding's offset needs
const GUARD_WORDS = GUARD_BYTES / WORD_BYTES;
const GUARD_WORD = 0x7fc0beef;
const UNWRITTEN_WORD = 0x7fc0dead;
const UNWRITTEN_HALF = 0x7dad;
const BATCH_BYTES = 64 * 2 ** 20;
const BATCH_TASKS = 256;

/** One strategy with one parameter set on one problem. */
export interface KernelTask {
  readonly operator: Operator;
  readonly strategy: AnyStrategy;
  readonly problem: KernelProblem;
  readonly params: Parameters;
  /** Values of the problem's inputs. */
  readonly inputs: readonly (TensorData | undefined)[];
  /** Values of the epilogue's inputs 1 …, if there is one. */
  readonly extras?: readonly TensorData[];
  /** Values of the prologue's inputs, if there is one; it stands for the problem's first. */
  readonly made?: readonly TensorData[];
  /** How tensors that are only read are stored; words where it says nothing. */
  readonly storageOf?: (tensor: TensorData) => Storage | undefined;
  /** Outputs of type float16 are arrays of halves; the device has `shader-f16`. */
  readonly halfOutputs?: boolean;
}

/** The outputs, or what went wrong before there were any. */
export type KernelResult = { readonly outputs: readonly TypedArray[] } | { readonly failure: string };

/** `MatMul/tiled {"tile":16}`, for messages. */
export function taskLabel({
  operator,
  strategy,
  params,
}: Pick<KernelTask, "operator" | "strategy" | "params">): string {
  return `${operator.name}/${strategy.name} ${JSON.stringify(params)}`;
}

/** Runs all tasks; results come in their order. */
export async function runKernels(gpu: Gpu, tasks: readonly KernelTask[]): Promise<KernelResult[]> {
  const results: KernelResult[] = [];
  let batch: KernelTask[] = [];
  let batchBytes = 0;
  const flush = async (): Promise<void> => {
    results.push(...(await runBatch(gpu, batch)));
    batch = [];
    batchBytes = 0;
  };
  for (const task of tasks) {
    batch.push(task);
    batchBytes += [...task.problem.inputs, ...task.problem.outputs].reduce(
      (sum, type) => sum + (type ? sizeOf(type.shape) * WORD_BYTES : 0),
      0,
    );
    if (batch.length >= BATCH_TASKS || batchBytes >= BATCH_BYTES) await flush();
  }
  await flush();
  return results;
}

interface Output {
  readonly buffer: GPUBuffer;
  readonly dtype: DType;
  readonly storage: Storage | undefined;
  readonly count: number;
}

/** Compiles all tasks' kernels and runs none: for devices that cannot. Returns a line for each that does not compile. */
export async function compileKernels(gpu: Gpu, tasks: readonly KernelTask[]): Promise<string[]> {
  const prepared = await Promise.all(tasks.map((task) => prepare(gpu, task)));
  return prepared.flatMap((result, i) => ("failure" in result ? [`${taskLabel(tasks[i]!)}: ${result.failure}`] : []));
}

async function runBatch(gpu: Gpu, tasks: readonly KernelTask[]): Promise<KernelResult[]> {
  const buffers: GPUBuffer[] = [];
  const inputBuffers = new Map<TensorData, Map<Storage | undefined, GPUBuffer>>();
  const makeBuffer = (
    sizeBytes: number,
    kind: "storage" | "uniform",
    label: string,
    contents: TypedArray | Uint8Array,
  ): GPUBuffer => {
    const buffer = gpu.createBuffer(sizeBytes, kind, label);
    buffers.push(buffer);
    gpu.write(buffer, contents);
    return buffer;
  };
  const inputBuffer = (tensor: TensorData, storage: Storage | undefined): GPUBuffer => {
    let made = inputBuffers.get(tensor);
    if (!made) inputBuffers.set(tensor, (made = new Map<Storage | undefined, GPUBuffer>()));
    let buffer = made.get(storage);
    if (!buffer) {
      const contents = storage ? pack(tensor.data, storage) : tensor.data;
      buffer = makeBuffer(bindingBytes(tensor.data.length, storage), "storage", "input", contents);
      made.set(storage, buffer);
    }
    return buffer;
  };

  const prepared = await Promise.all(tasks.map((task) => prepare(gpu, task)));
  const outputsOf = new Map<KernelTask, Output[]>();
  const encodings: ((pass: GPUComputePassEncoder) => void)[] = [];
  prepared.forEach((kernel, i) => {
    if ("failure" in kernel) return;
    const task = tasks[i]!;
    const { assembled, pipeline } = kernel;
    const outputs = task.problem.outputs.map(({ shape }, index): Output => {
      const count = sizeOf(shape);
      const overwritten = task.problem.inPlace?.[index];
      const storage = outputStorage(task, index);
      const words = minefield(count, storage, overwritten === undefined ? undefined : task.inputs[overwritten]!.data);
      const buffer = makeBuffer(words.byteLength, "storage", "output", words);
      return { buffer, dtype: storedType(task, index), storage, count };
    });
    outputsOf.set(task, outputs);
    const entries = assembled.operands.map(({ kind, index }, binding) => {
      if (kind === "output") {
        const { buffer, count, storage } = outputs[index]!;
        // The guards behind it are bound with it: past a binding's end WebGPU would clamp the stray write and hide it.
        return { binding, buffer, offset: GUARD_BYTES, size: bindingBytes(count, storage) + GUARD_BYTES };
      }
      const tensor = operandOf(task, kind, index);
      const storage = task.storageOf?.(tensor);
      return { binding, buffer: inputBuffer(tensor, storage), size: bindingBytes(tensor.data.length, storage) };
    });
    const storage = gpu.bindGroup(pipeline, 0, entries, taskLabel(task));
    const uniforms = uniformBindings(gpu, pipeline, assembled, (words) =>
      makeBuffer(words.byteLength, "uniform", "uniforms", words),
    );
    encodings.push((pass) => {
      pass.setPipeline(pipeline.pipeline);
      pass.setBindGroup(0, storage);
      if (uniforms) pass.setBindGroup(1, uniforms, [0]);
      pass.dispatchWorkgroups(...assembled.workgroups);
    });
  });

  try {
    gpu.submit("kernels under test", (encoder) => {
      const pass = encoder.beginComputePass();
      for (const encode of encodings) encode(pass);
      pass.end();
    });
    const all = [...outputsOf.values()].flat();
    const read = await gpu.read(all.map(({ buffer }) => ({ buffer, sizeBytes: buffer.size })));
    const bytesOf = new Map(all.map((output, i) => [output.buffer, read[i]!]));
    return prepared.map((kernel, i) => {
      if ("failure" in kernel) return kernel;
      return collect(outputsOf.get(tasks[i]!)!, (output) => bytesOf.get(output.buffer)!);
    });
  } finally {
    for (const buffer of buffers) gpu.destroyBuffer(buffer);
  }
}

/** Exact size of a binding of `count` elements; there are no empty bindings, and a vec4 needs room for one. */
function bindingBytes(count: number, storage?: Storage): number {
  if (count === 0) return 4 * WORD_BYTES;
  return storage ? storageBytes(count, storage) : count * WORD_BYTES;
}

function operandOf(
  { inputs, extras, made }: KernelTask,
  kind: "input" | "prologue" | "extra",
  index: number,
): TensorData {
  if (kind === "prologue") return made![index]!;
  return kind === "input" ? inputs[index]! : extras![index - 1]!;
}

/** Element type that is stored for output `index`: an epilogue may change it. */
function storedType({ operator, problem }: KernelTask, index: number): DType {
  const { program } = problem;
  if (operator.name === "Pointwise" || !program) return problem.outputs[index]!.dtype;
  return program.instructions[program.outputs[index]!]!.type.dtype;
}

function outputStorage(task: KernelTask, index: number): Storage | undefined {
  return task.halfOutputs && storedType(task, index) === "float16" ? "half" : undefined;
}

/** Guards, the output's elements (poison, or what an in-place kernel finds there), guards. */
function minefield(count: number, storage?: Storage, initial?: TypedArray): Uint32Array<ArrayBuffer> {
  const boundWords = bindingBytes(count, storage) / WORD_BYTES;
  const words = new Uint32Array(GUARD_WORDS + boundWords + GUARD_WORDS).fill(GUARD_WORD);
  if (storage) {
    new Uint16Array(words.buffer, GUARD_BYTES, count).fill(UNWRITTEN_HALF);
    return words;
  }
  words.fill(UNWRITTEN_WORD, GUARD_WORDS, GUARD_WORDS + count);
  if (initial) words.set(new Uint32Array(initial.buffer, initial.byteOffset, count), GUARD_WORDS);
  return words;
}

interface Prepared {
  readonly assembled: AssembledKernel;
  readonly pipeline: GpuPipeline;
}

async function prepare(gpu: Gpu, task: KernelTask): Promise<Prepared | { failure: string }> {
  try {
    const assembled = stored(assemble(task.operator, task.strategy, task.problem, task.params), task);
    const pipeline = await gpu.pipeline(assembled.wgsl, taskLabel(task), {
      storage: assembled.storage,
      uniform: assembled.uniforms.length > 0,
    });
    return { assembled, pipeline };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

/** The kernel on operands in their storage. */
function stored(kernel: AssembledKernel, task: KernelTask): AssembledKernel {
  if (!task.storageOf && !task.halfOutputs) return kernel;
  const bindings = kernel.operands.map(({ kind, index }) => {
    const tensor = kind === "output" ? undefined : operandOf(task, kind, index);
    const storage = tensor ? task.storageOf?.(tensor) : outputStorage(task, index);
    return storage && { storage, dtype: tensor?.dtype ?? storedType(task, index) };
  });
  return withStorage(kernel, bindings);
}

function uniformBindings(
  gpu: Gpu,
  pipeline: GpuPipeline,
  { uniforms }: AssembledKernel,
  makeBuffer: (words: Uint32Array) => GPUBuffer,
): GPUBindGroup | undefined {
  if (uniforms.length === 0) return undefined;
  const words = new Uint32Array(Math.ceil(uniforms.length / 4) * 4);
  const view = new DataView(words.buffer);
  uniforms.forEach(({ type, value }, i) => {
    const offsetBytes = i * WORD_BYTES;
    if (type === "f32") view.setFloat32(offsetBytes, value, true);
    else if (type === "i32") view.setInt32(offsetBytes, value, true);
    else view.setUint32(offsetBytes, value, true);
  });
  return gpu.bindGroup(pipeline, 1, [{ binding: 0, buffer: makeBuffer(words), size: words.byteLength }], "uniforms");
}

function collect(outputs: readonly Output[], bytesOf: (output: Output) => ArrayBuffer): KernelResult {
  const arrays: TypedArray[] = [];
  for (const [number, output] of outputs.entries()) {
    const { dtype, storage, count } = output;
    const bytes = bytesOf(output);
    const mines = minefield(count, storage).buffer;
    const view = (buffer: ArrayBuffer): Uint16Array | Uint32Array =>
      storage ? new Uint16Array(buffer) : new Uint32Array(buffer);
    const [after, before] = [view(bytes), view(mines)];
    const first = GUARD_BYTES / after.BYTES_PER_ELEMENT;
    for (let i = 0; i < before.length; i++) {
      const inside = i >= first && i < first + count;
      if (inside && after[i] === (storage ? UNWRITTEN_HALF : UNWRITTEN_WORD))
        return { failure: `output ${number}: element ${i - first} of ${count} was never written` };
      if (!inside && after[i] !== before[i])
        return { failure: `output ${number} of ${count} elements: element ${i - first} outside it was overwritten` };
    }
    arrays.push(
      storage ? unpack(bytes.slice(GUARD_BYTES), storage, dtype, count) : dtypes[dtype].view(bytes, GUARD_BYTES, count),
    );
  }
  return { outputs: arrays };
}

/**
 * First element that is further from the reference than its bound, in words, or undefined. The reference is float64: a
 * float32 result is compared with its nearest float32, so an exact bound of 0 means bit equality (but 0 equals -0).
 */
export function firstError(actual: TypedArray, values: Float64Array, bounds: Float64Array): string | undefined {
  if (actual.length !== values.length) return `${actual.length} elements instead of ${values.length}`;
  const isFloat = actual instanceof Float32Array;
  for (let i = 0; i < values.length; i++) {
    const expected = isFloat ? Math.fround(values[i]!) : values[i]!;
    const got = actual[i]!;
    if (Object.is(got, expected) || got === expected) continue;
    const error = Math.abs(got - values[i]!);
    if (!(error <= bounds[i]!))
      return `element ${i} is ${got} instead of ${expected}: off by ${error.toExponential(2)}, allowed ${bounds[i]!.toExponential(2)}`;
  }
  return undefined;
}
