// A plan made ready on a GPU. Everything is created here, once: bind groups, one uniform buffer, the list of commands.
// A run writes inputs, encodes that list and submits it together with the read-back copies: one submit, nothing created.

import { dtypes } from "../../core/dtype.ts";
import { UsageError, throwIfAborted } from "../../core/errors.ts";
import { sizeOf } from "../../core/shape.ts";
import type { TensorData } from "../../core/tensorData.ts";
import type { Gpu } from "../../device/gpu.ts";
import type { GpuPipeline } from "../../device/pipelines.ts";
import type { Compiled } from "../../scheduler/schedule.ts";
import { checkInputs, checkOutputs } from "../executor.ts";
import type { Executable, Inputs, Outputs, RunOptions, StepTimes, TracedStep } from "../executor.ts";
import type { StepwiseParts } from "./stepwise.ts";
import { layOutUniforms, type UniformBlocks } from "./uniforms.ts";

type GpuBuffer = ReturnType<Gpu["createBuffer"]>;
type BindGroup = ReturnType<Gpu["bindGroup"]>;
type Encoder = Parameters<Parameters<Gpu["submit"]>[1]>[0];
type Pass = ReturnType<Encoder["beginComputePass"]>;

interface DispatchCommand {
  readonly kind: "dispatch";
  readonly pipeline: GpuPipeline["pipeline"];
  readonly storage: BindGroup;
  readonly uniforms: BindGroup | undefined;
  readonly uniformOffset: readonly [number];
  readonly workgroups: readonly [number, number, number];
}

interface CopyCommand {
  readonly kind: "copy";
  readonly from: GpuBuffer;
  readonly fromBytes: number;
  readonly to: GpuBuffer;
  readonly toBytes: number;
  readonly sizeBytes: number;
}

type Command = DispatchCommand | CopyCommand;

/** Steps per submit on the first run: the GPU starts early, and no single submit holds the page. */
const FIRST_RUN_CHUNK = 16;
/** Runs whose results may be on their way back at once with nothing created, if those are small. */
const OVERLAPPING_READS = 3;
const SMALL_READ_BYTES = 65536;
/** Sets of caller's buffers whose bind groups are kept. */
const KEPT_BINDINGS = 8;

export class GpuExecutable implements Executable {
  private readonly commands: readonly Command[];
  private readonly uniforms: UniformBlocks | undefined;
  private readonly uniformBuffer: GpuBuffer | undefined;
  private readonly uniformGroup: BindGroup | undefined;
  /** Commands for caller's buffers, by the identity of those buffers, least recently used first. */
  private readonly external = new Map<string, readonly Command[]>();
  private readonly identities = new WeakMap<GpuBuffer, number>();
  private nextIdentity = 0;
  private hasRun = false;
  private disposed = false;

  constructor(
    private readonly gpu: Gpu,
    readonly compiled: Compiled,
    private readonly pipelines: readonly GpuPipeline[],
    private readonly buffers: readonly GpuBuffer[],
    private readonly releaseConstant: (buffer: GpuBuffer) => void,
  ) {
    this.uniforms = layOutUniforms(compiled.plan, gpu);
    if (this.uniforms) {
      this.uniformBuffer = gpu.createBuffer(this.uniforms.data.byteLength, "uniform", "uniforms");
      gpu.write(this.uniformBuffer, this.uniforms.data);
      const pipeline = pipelines.find(({ layout }) => layout.uniform)!;
      const entry = { binding: 0, buffer: this.uniformBuffer, offset: 0, size: this.uniforms.blockBytes };
      this.uniformGroup = gpu.bindGroup(pipeline, 1, [entry], "uniforms");
    }
    this.commands = this.makeCommands(buffers);
  }

  async run(inputs: Inputs, { outputs, signal }: RunOptions = {}): Promise<Outputs> {
    const { plan } = this.compiled;
    this.check();
    throwIfAborted(signal);
    const names = checkOutputs(plan, outputs);
    this.write(inputs);
    this.gpu.currentStep =
      plan.steps.length > 0 ? `${plan.stepName(0)} … ${plan.stepName(plan.steps.length - 1)}` : undefined;
    if (!this.hasRun) this.reserveReads(names);
    const first = this.hasRun ? 0 : this.submitChunks();
    this.hasRun = true;
    if (names.length === 0) {
      this.gpu.submit("run", (encoder) => this.encodeCommands(encoder, this.commands, first));
      return {};
    }
    const encoder = this.gpu.device.createCommandEncoder({ label: "run" });
    this.encodeCommands(encoder, this.commands, first);
    const values = names.map((name) => plan.outputs[name]!);
    const contents = await this.read(values, encoder);
    return Object.fromEntries(names.map((name, i) => [name, contents[i]!]));
  }

  /**
   * Encodes the whole plan into the caller's encoder: no submit, no read-back, no stall. `inputs` and `outputs` name the
   * caller's own buffers (usage STORAGE, and COPY_DST for outputs that are not computed in place); those left out use the
   * model's. The same buffers again create nothing.
   *
   * @throws UsageError for unknown names and buffers that are too small.
   */
  encode(
    encoder: Encoder,
    inputs: Readonly<Record<string, GpuBuffer>> = {},
    outputs: Readonly<Record<string, GpuBuffer>> = {},
  ): void {
    this.check();
    const { plan } = this.compiled;
    const buffers = [...this.buffers];
    const copies: CopyCommand[] = [];
    const external: GpuBuffer[] = [];
    const place = (kind: "input" | "output", name: string, id: number | undefined, buffer: GpuBuffer): void => {
      if (id === undefined) throw new UsageError(`encode: there is no ${kind} "${name}"`);
      const { buffer: index } = plan.values[id]!;
      const sizeBytes = this.sizeBytesOf(id);
      if (buffer.size < sizeBytes)
        throw new UsageError(
          `encode: the buffer for ${kind} "${name}" has ${buffer.size} bytes, ${sizeBytes} are needed`,
        );
      external.push(buffer);
      if (plan.buffers[index!]!.kind === kind) buffers[index!] = buffer;
      else copies.push({ kind: "copy", from: buffers[index!]!, fromBytes: 0, to: buffer, toBytes: 0, sizeBytes });
    };
    for (const [name, buffer] of Object.entries(inputs)) place("input", name, plan.inputs[name], buffer);
    for (const [name, buffer] of Object.entries(outputs)) place("output", name, plan.outputs[name], buffer);
    const key = `${Object.keys(inputs).join()};${Object.keys(outputs).join()};${external.map((buffer) => this.identity(buffer)).join()}`;
    this.encodeCommands(
      encoder,
      external.length === 0 ? this.commands : this.externalCommands(key, buffers, copies),
      0,
    );
  }

  async trace(inputs: Inputs, visit: (step: TracedStep) => void | Promise<void>, signal?: AbortSignal): Promise<void> {
    this.check();
    const { trace } = await import("./stepwise.ts");
    return trace(this.parts(), inputs, visit, signal);
  }

  async time(inputs: Inputs, repeats: number): Promise<StepTimes> {
    this.check();
    const { time } = await import("./stepwise.ts");
    return time(this.parts(), inputs, repeats);
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    const { plan, variables, constants } = this.compiled;
    plan.buffers.forEach((_, index) => {
      if (variables.has(index)) return;
      if (constants.has(index)) this.releaseConstant(this.buffers[index]!);
      else this.gpu.destroyBuffer(this.buffers[index]!);
    });
    if (this.uniformBuffer) this.gpu.destroyBuffer(this.uniformBuffer);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** What running step by step works with. */
  private parts(): StepwiseParts {
    return {
      gpu: this.gpu,
      plan: this.compiled.plan,
      variables: [...this.compiled.variables.keys()].map((index) => this.buffers[index]!),
      write: (inputs) => {
        this.write(inputs);
      },
      read: (values, encoder) => this.read(values, encoder),
      encodeStep: (encoder, index, pass) => {
        const command = this.commands[index]!;
        if (command.kind === "copy") copy(encoder, command);
        else dispatch(pass, command);
      },
    };
  }

  private check(): void {
    if (this.disposed) throw new UsageError("run: this model has been disposed");
    this.gpu.throwIfLost();
  }

  private makeCommands(buffers: readonly GpuBuffer[]): Command[] {
    const { plan } = this.compiled;
    return plan.steps.map((step, index): Command => {
      if (step.kind === "copy") {
        const { from, to } = step;
        const { sizeBytes, offsetBytes } = to;
        const source = { from: buffers[from.buffer]!, fromBytes: from.offsetBytes };
        return { kind: "copy", ...source, to: buffers[to.buffer]!, toBytes: offsetBytes, sizeBytes };
      }
      const pipeline = this.pipelines[step.kernel]!;
      const entries = step.bindings.map(({ buffer, offsetBytes, sizeBytes }, binding) => ({
        binding,
        buffer: buffers[buffer]!,
        offset: offsetBytes,
        size: Math.min(sizeBytes, buffers[buffer]!.size - offsetBytes), // a caller's buffer may end sooner
      }));
      return {
        kind: "dispatch",
        pipeline: pipeline.pipeline,
        storage: this.gpu.bindGroup(pipeline, 0, entries, plan.stepName(index)),
        uniforms: step.uniforms.length > 0 ? this.uniformGroup : undefined,
        uniformOffset: [this.uniforms?.offsets[index] ?? 0],
        workgroups: step.workgroups,
      };
    });
  }

  private externalCommands(
    key: string,
    buffers: readonly GpuBuffer[],
    copies: readonly CopyCommand[],
  ): readonly Command[] {
    const commands = this.external.get(key) ?? [...this.makeCommands(buffers), ...copies];
    this.external.delete(key);
    this.external.set(key, commands);
    if (this.external.size > KEPT_BINDINGS) this.external.delete(this.external.keys().next().value!);
    return commands;
  }

  private identity(buffer: GpuBuffer): number {
    let identity = this.identities.get(buffer);
    if (identity === undefined) {
      identity = this.nextIdentity++;
      this.identities.set(buffer, identity);
    }
    return identity;
  }

  private sizeBytesOf(id: number): number {
    const { shape, dtype, storage } = this.compiled.plan.values[id]!;
    const count = sizeOf(shape);
    return storage ? this.compiled.packing!.storageBytes(count, storage) : count * dtypes[dtype].sizeBytes;
  }

  private write(inputs: Inputs): void {
    const { plan } = this.compiled;
    for (const [name, data] of checkInputs(plan, inputs)) {
      const { buffer, storage } = plan.values[plan.inputs[name]!]!;
      const target = this.buffers[buffer!]!;
      this.gpu.write(target, storage ? this.compiled.packing!.packFor(target, data, storage) : data);
    }
  }

  /** Small results are often read while the next runs are under way: staging for that is made with the first run. */
  private reserveReads(names: readonly string[]): void {
    const { plan } = this.compiled;
    const sizeBytes = names.reduce((sum, name) => sum + this.sizeBytesOf(plan.outputs[name]!), 0);
    if (sizeBytes > 0 && sizeBytes <= SMALL_READ_BYTES) this.gpu.reserveReads(sizeBytes, OVERLAPPING_READS);
  }

  /** Submits all but the last chunk of the commands, chunk by chunk; returns how many went. */
  private submitChunks(): number {
    let first = 0;
    for (; first + FIRST_RUN_CHUNK < this.commands.length; first += FIRST_RUN_CHUNK) {
      this.gpu.currentStep = this.compiled.plan.stepName(first);
      this.gpu.submit("first run", (encoder) =>
        this.encodeCommands(encoder, this.commands.slice(first, first + FIRST_RUN_CHUNK), 0),
      );
    }
    return first;
  }

  private encodeCommands(encoder: Encoder, commands: readonly Command[], first: number): void {
    let pass: Pass | undefined;
    for (let i = first; i < commands.length; i++) {
      const command = commands[i]!;
      if (command.kind === "copy") {
        pass?.end();
        pass = undefined;
        copy(encoder, command);
        continue;
      }
      pass ??= encoder.beginComputePass();
      dispatch(pass, command);
    }
    pass?.end();
  }

  private async read(values: readonly number[], encoder?: Encoder): Promise<TensorData[]> {
    const { plan } = this.compiled;
    const types = values.map((id) => plan.values[id]!);
    const sources = types.map(({ buffer, offsetBytes = 0 }, i) => ({
      buffer: this.buffers[buffer!]!,
      offsetBytes,
      sizeBytes: this.sizeBytesOf(values[i]!),
    }));
    const contents = await this.gpu.read(sources, encoder);
    return types.map(({ dtype, shape, storage }, i) => {
      const bytes = contents[i]!;
      const data = storage
        ? this.compiled.packing!.unpack(bytes, storage, dtype, sizeOf(shape))
        : dtypes[dtype].view(bytes);
      return { dtype, shape, data };
    });
  }
}

function copy(encoder: Encoder, { from, fromBytes, to, toBytes, sizeBytes }: CopyCommand): void {
  encoder.copyBufferToBuffer(from, fromBytes, to, toBytes, sizeBytes);
}

function dispatch(pass: Pass, { pipeline, storage, uniforms, uniformOffset, workgroups }: DispatchCommand): void {
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, storage);
  if (uniforms) pass.setBindGroup(1, uniforms, uniformOffset);
  pass.dispatchWorkgroups(...workgroups);
}
