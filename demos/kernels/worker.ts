// The worker: owns the lab, so that nothing it measures can hold up the page. One task at a time; a wish to cancel is heard
// between samples.

import { KernelLab, type LabProblem } from "../../bench/kernels/lab.ts";
import { problems } from "./problems.ts";
import type { Choice, Reply, Request, Task } from "./protocol.ts";

const post = (reply: Reply): void => self.postMessage(reply);

let opening: Promise<KernelLab> | undefined;
let aborter = new AbortController();

function problemOf({ operator, dimensions, dtype }: Choice): LabProblem {
  const { operands, constants = [] } = problems[operator]!;
  return { operator, dtype, constants, ...operands(dimensions) };
}

/** Carries a task out and says how it ended, whatever happened. */
async function carryOut(task: Task, work: (lab: KernelLab, signal: AbortSignal) => Promise<void>): Promise<void> {
  aborter = new AbortController();
  const { signal } = aborter;
  try {
    await work(await opening!, signal);
    post({ type: "ended", task, outcome: "done", message: "" });
  } catch (error) {
    const message = signal.aborted ? "Cancelled." : messageOf(error);
    post({ type: "ended", task, outcome: signal.aborted ? "cancelled" : "failed", message });
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const progressOf =
  (task: Task) =>
  (text: string, share: number): void => {
    post({ type: "progress", task, text, share });
  };

async function open(): Promise<void> {
  try {
    opening = KernelLab.open();
    const { name, isSoftware } = (await opening).adapter;
    post({ type: "ready", adapter: name, software: isSoftware });
  } catch (error) {
    post({ type: "unavailable", message: messageOf(error) });
  }
}

self.addEventListener("message", ({ data: request }: MessageEvent<Request>) => {
  switch (request.type) {
    case "open":
      void open();
      break;
    case "race":
      void carryOut("race", (lab, signal) =>
        lab.race(problemOf(request.choice), request.rounds, {
          signal,
          onProgress: progressOf("race"),
          onCeilings: ({ gflops, gigabytesPerSecond }) => {
            post({ type: "ceilings", ceilings: { gflops, gigabytesPerSecond } });
          },
          onField: (field) => {
            post({ type: "field", field });
          },
          onStanding: (id, standing) => {
            post({ type: "standing", id, standing });
          },
        }),
      );
      break;
    case "source":
      void carryOut("source", async (lab) => {
        const { choice, variant } = request;
        post({ type: "source", variant, wgsl: await lab.source(problemOf(choice), variant) });
      });
      break;
    case "try":
      void carryOut("try", async (lab, signal) => {
        const { choice, variant, wgsl, rounds } = request;
        const watch = { signal, onProgress: progressOf("try") };
        post({ type: "tried", trial: await lab.try(problemOf(choice), variant, wgsl, rounds, watch) });
      });
      break;
    case "sweep":
      void carryOut("sweep", (lab, signal) => {
        const { choice, dimension, values } = request;
        const at = (value: number): LabProblem =>
          problemOf({ ...choice, dimensions: { ...choice.dimensions, [dimension]: value } });
        return lab.sweep(values.map(at), { signal, onProgress: progressOf("sweep") }, (place, strategy, timeMs) => {
          post({ type: "cell", value: values[place]!, strategy, timeMs });
        });
      });
      break;
    case "cancel":
      aborter.abort();
      break;
  }
});
