// A plan run step by step, to be looked at or timed. Most pages never do, so this is loaded when first asked for.

import { throwIfAborted } from "../../core/errors.ts";
import type { TensorData } from "../../core/tensorData.ts";
import type { Gpu } from "../../device/gpu.ts";
import type { Plan } from "../../scheduler/plan.ts";
import type { Inputs, StepTimes, TracedStep } from "../executor.ts";

type GpuBuffer = ReturnType<Gpu["createBuffer"]>;
type Encoder = Parameters<Parameters<Gpu["submit"]>[1]>[0];
type Pass = ReturnType<Encoder["beginComputePass"]>;

/** What an executable lends for it. */
export interface StepwiseParts {
  readonly gpu: Gpu;
  readonly plan: Plan;
  /** Buffers of variables, whose contents are put back afterwards. */
  readonly variables: readonly GpuBuffer[];
  readonly write: (inputs: Inputs) => void;
  /** Reads values, after what `encoder` holds. */
  readonly read: (values: readonly number[], encoder?: Encoder) => Promise<TensorData[]>;
  /** Encodes one step: a dispatch into `pass`, a copy into `encoder` once the pass has ended. */
  readonly encodeStep: (encoder: Encoder, index: number, pass: Pass) => void;
}

/** See {@link Executable.trace}. */
export async function trace(
  parts: StepwiseParts,
  inputs: Inputs,
  visit: (step: TracedStep) => void | Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const { gpu, plan, write, read } = parts;
  await keepingVariables(parts, async () => {
    write(inputs);
    for (const [index, step] of plan.steps.entries()) {
      throwIfAborted(signal);
      gpu.currentStep = plan.stepName(index);
      const before = await read(step.inputs);
      const written = await gpu.scope(plan.stepName(index), () => {
        const encoder = gpu.device.createCommandEncoder({ label: plan.stepName(index) });
        encodeAlone(parts, encoder, index, {});
        return read(step.outputs, encoder);
      });
      await visit({ index, inputs: before, outputs: written });
    }
  });
}

/** See {@link Executable.time}. */
export async function time(parts: StepwiseParts, inputs: Inputs, repeats: number): Promise<StepTimes> {
  const { gpu, plan, write } = parts;
  const timer = await gpu.createTimer(plan.steps.length);
  if (!timer)
    return {
      steps: undefined,
      reason: `${gpu.adapter.name} has no timestamp-query, so single kernels cannot be timed`,
    };
  const samples = plan.steps.map((): number[] => []);
  try {
    await keepingVariables(parts, async () => {
      write(inputs);
      for (let run = 0; run < repeats; run++) {
        gpu.submit("timed run", (encoder) => {
          for (const index of plan.steps.keys()) {
            encodeAlone(parts, encoder, index, { timestampWrites: timer.passWrites(index) });
          }
          timer.resolve(encoder);
        });
        const nanoseconds = await timer.read();
        nanoseconds.forEach((ns, i) => samples[i]!.push(ns * 1e-6));
      }
    });
  } finally {
    timer.destroy();
  }
  return { steps: samples.map((times, index) => ({ index, timeMs: times.sort((a, b) => a - b)[times.length >> 1]! })) };
}

/** A step in a pass of its own. */
function encodeAlone(
  { plan, encodeStep }: StepwiseParts,
  encoder: Encoder,
  index: number,
  descriptor: NonNullable<Parameters<Encoder["beginComputePass"]>[0]>,
): void {
  const pass = encoder.beginComputePass(descriptor);
  const isCopy = plan.steps[index]!.kind === "copy";
  if (!isCopy) encodeStep(encoder, index, pass);
  pass.end();
  if (isCopy) encodeStep(encoder, index, pass);
}

async function keepingVariables({ gpu, variables }: StepwiseParts, work: () => Promise<void>): Promise<void> {
  const contents = await gpu.read(variables.map((buffer) => ({ buffer, sizeBytes: buffer.size })));
  try {
    await work();
  } finally {
    variables.forEach((buffer, i) => {
      gpu.write(buffer, new Uint8Array(contents[i]!));
    });
  }
}
