// What a replayed run costs the host: a plan of many dispatches that do next to nothing, encoded and submitted again and
// again. A plan of one tells what the submit itself costs; the difference is the price of a dispatch.

import { createEngine } from "../../src/engine.ts";
import type { Gpu } from "../../src/device/gpu.ts";
import { quantile } from "./statistics.ts";
import type { HostCost } from "./results.ts";

const DISPATCHES = 200;
const RUNS = 200;

/** On the device of `gpu`. */
export async function measureHostCost(gpu: Gpu): Promise<HostCost> {
  using engine = await createEngine({ device: gpu.device });
  const compile = (dispatches: number) =>
    engine.compile(
      (x) => {
        let y = x;
        for (let i = 0; i < dispatches; i++) y = y.add(i + 1);
        return y;
      },
      { x: [1] },
      { fusion: { pointwise: false }, simplify: false },
    );
  using many = await compile(DISPATCHES);
  using one = await compile(1);
  const steps = many.plan.steps.length;
  if (steps !== DISPATCHES) throw new Error(`the plan has ${steps} steps instead of ${DISPATCHES}`);
  const run = (model: typeof many): void => {
    const encoder = gpu.device.createCommandEncoder();
    model.encode(encoder);
    gpu.device.queue.submit([encoder.finish()]);
  };
  await many.run({ x: [0] });
  const objects = (): number => {
    const { buffersCreated, bindGroupsCreated, pipelinesCreated } = engine.counters!;
    return buffersCreated + bindGroupsCreated + pipelinesCreated;
  };
  const before = objects();
  const samples: number[][] = [[], []];
  for (let i = 0; i < RUNS; i++)
    for (const [which, model] of [many, one].entries()) {
      const began = performance.now();
      run(model);
      samples[which]!.push(1000 * (performance.now() - began));
      await gpu.device.queue.onSubmittedWorkDone();
    }
  // A low quantile: what else the machine does only ever adds to a sample.
  const [runUs, oneUs] = samples.map((times) => quantile(times, 0.1)!) as [number, number];
  const dispatchUs = (runUs - oneUs) / (DISPATCHES - 1);
  return { dispatches: DISPATCHES, runUs, oneUs, dispatchUs, objectsCreated: objects() - before };
}
