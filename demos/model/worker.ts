// The worker: owns the engine and the model, so that nothing here can hold up the page. Jobs wait in a queue; a request to
// cancel, or to look at a node, is answered as it comes in.

import {
  DeviceUnavailableError,
  createEngine,
  decodeModel,
  NeuriteError,
  type Engine,
  type OnnxInputs,
  type OnnxModel,
  type ProfileReport,
} from "neurite";
import { Contents, attributeText, fullName, modelFacts, typeOf } from "./facts.ts";
import { namedExtents, randomInputs } from "./inputs.ts";
import { PlanIndex, planFacts } from "./planFacts.ts";
import type { NodeFacts, Reply, Request, SampleName, Settings, StepTime, Task } from "./protocol.ts";
import { sample } from "./samples.ts";
import { weightFacts } from "./weights.ts";

const PROFILE_RUNS = 5;
const MAX_FILE_BYTES = 2 ** 31;

type Job = Extract<Request, { type: Task }>;

const post = (reply: Reply): void => self.postMessage(reply);

/** A model whose file has been read. */
class Session {
  private compiled: { readonly key: string; readonly model: OnnxModel } | undefined;
  private index: PlanIndex | undefined;

  constructor(
    private readonly bytes: Uint8Array<ArrayBuffer>,
    private readonly contents: Contents,
  ) {}

  async plan(engine: Engine, settings: Settings, signal: AbortSignal): Promise<void> {
    await this.ready(engine, settings, "plan", signal);
  }

  /** Runs over and over; each step's time is its median. */
  async profile(engine: Engine, settings: Settings, signal: AbortSignal): Promise<void> {
    const { model, inputs } = await this.ready(engine, settings, "profile", signal);
    const runs: (readonly ProfileReport[])[] = [];
    while (runs.length < PROFILE_RUNS) {
      const share = runs.length / PROFILE_RUNS;
      post({ type: "progress", task: "profile", text: `Run ${runs.length + 1} of ${PROFILE_RUNS}`, share });
      runs.push(await model.profile(inputs, { repeats: 1 }));
      await breathe(signal);
      if (runs[0]!.some(({ steps }) => !steps)) break; // no times here, and none will come
    }
    const [first] = runs;
    const untimed = first!.find(({ steps }) => !steps);
    const steps = first!.flatMap(({ steps: timed }, segment) =>
      (timed ?? []).map(({ name, strategy, flops }, i): StepTime => {
        const timeMs = median(runs.map((reports) => reports[segment]!.steps![i]!.timeMs));
        return { name, strategy, timeMs, flops, gflops: timeMs > 0 ? flops / timeMs / 1e6 : 0 };
      }),
    );
    post({
      type: "profile",
      adapter: engine.name,
      steps: untimed ? undefined : steps,
      reason: untimed?.reason ?? "",
      repeats: runs.length,
    });
  }

  async verify(engine: Engine, settings: Settings, signal: AbortSignal): Promise<void> {
    const { model, inputs } = await this.ready(engine, settings, "verify", signal);
    const reports = await model.verify(inputs, {
      signal,
      onProgress: (done, total) =>
        post({ type: "progress", task: "verify", text: `Step ${done} of ${total}`, share: done / total }),
    });
    const steps = reports.flatMap((report) =>
      report.steps.map(({ name, strategy, maxError, maxErrorOverBound, passed, worst }) => ({
        name,
        strategy,
        maxError,
        errorOverBound: maxErrorOverBound,
        passed,
        worst: worst
          ? `element ${worst.index} of ${worst.output} is ${worst.actual}, expected ${worst.expected} ± ${worst.bound.toExponential(1)}`
          : "",
      })),
    );
    post({ type: "verify", adapter: engine.name, steps, hostNodes: model.hostNodes });
  }

  node(box: number): NodeFacts {
    const { boxes, weights } = this.contents;
    const source = boxes[box]!;
    if (source.kind !== "node") {
      const { info } = source;
      const shown = { name: info.name, type: typeOf(info) };
      return {
        box,
        title: source.kind === "input" ? "Input" : "Output",
        name: info.name,
        inputs: source.kind === "output" ? [shown] : [],
        outputs: source.kind === "input" ? [shown] : [],
        attributes: [],
        weights: [],
        steps: [],
      };
    }
    const { node, label } = source;
    const { index } = this;
    const held = [...new Set(node.inputs)].flatMap((name) => {
      const tensor = weights.get(name);
      return tensor ? [weightFacts(name, tensor)] : [];
    });
    const steps = index?.stepsOf(label) ?? [];
    return {
      box,
      title: fullName(node),
      name: label,
      inputs: node.inputs
        .filter((name) => name !== "" && !weights.has(name))
        .map((name) => ({ name, type: this.typeOfValue(name) })),
      outputs: node.outputs.filter((name) => name !== "").map((name) => ({ name, type: this.typeOfValue(name) })),
      attributes: [...node.attributes].map(([name, attribute]) => ({ name, value: attributeText(attribute) })),
      weights: held,
      steps:
        index && steps.length === 0 ? ["None: it was computed beforehand, or became part of another node."] : steps,
    };
  }

  dispose(): void {
    this.compiled?.model.dispose();
    this.compiled = undefined;
  }

  /** "" before there is a plan, and for values that the plan has no need of. */
  private typeOfValue(name: string): string {
    for (const source of this.contents.boxes) {
      if (source.kind === "input" && source.info.name === name) return typeOf(source.info);
      if (source.kind !== "node") continue;
      const output = source.node.outputs.indexOf(name);
      if (output >= 0) return this.index?.typesOf(source.label)?.[output] ?? "";
    }
    return "";
  }

  /** The model for these extents; its plan is told once. */
  private async ready(
    engine: Engine,
    settings: Settings,
    task: Task,
    signal: AbortSignal,
  ): Promise<{ readonly model: OnnxModel; readonly inputs: OnnxInputs }> {
    const { fed, proto } = this.contents;
    const inputs = randomInputs(proto.graph.inputs, settings, (name) => proto.graph.initializers.has(name));
    const key = JSON.stringify(settings.extents);
    if (this.compiled?.key === key) return { model: this.compiled.model, inputs };
    this.dispose();
    post({ type: "progress", task, text: "Making the plan…" });
    const model = await engine.load(this.bytes, {
      dims: namedExtents(fed, settings),
      signal,
      onProgress: ({ stage, done, total }) => {
        if (stage === "compile")
          post({
            type: "progress",
            task,
            text: `Kernel ${done} of ${total ?? "?"}`,
            ...(total !== undefined && { share: done / total }),
          });
      },
    });
    try {
      // Where shapes depend on values, only a run brings them out.
      if (model.plans.length === 0) await model.run(inputs, { signal });
      signal.throwIfAborted();
    } catch (error) {
      model.dispose();
      throw error;
    }
    this.compiled = { key, model };
    this.index = new PlanIndex(
      model.plans,
      new Set(this.contents.boxes.flatMap((box) => (box.kind === "node" ? [box.label] : []))),
    );
    post({ type: "plan", facts: planFacts(model.plans, model.hostNodes) });
    return { model, inputs };
  }
}

let engine: Engine | undefined;
let session: Session | undefined;
let running: AbortController | undefined;
let queue: Promise<unknown> = Promise.resolve();

async function open(backend: "gpu" | "cpu"): Promise<void> {
  try {
    const opened = await createEngine({ backend, log: () => undefined }); // the page itself tells of a software driver
    void opened.lost.then((reason) => post({ type: "broken", message: messageOf(reason) }));
    engine = opened;
    post({ type: "ready", adapter: opened.name, software: opened.adapter?.isSoftware ?? true });
  } catch (error) {
    if (!(error instanceof DeviceUnavailableError)) throw error;
    post({ type: "unavailable", message: error.message });
  }
}

async function load(source: Blob | SampleName, signal: AbortSignal): Promise<void> {
  post({ type: "progress", task: "load", text: "Reading the file…" });
  const given = typeof source === "string" ? sample(source) : { source, extents: {} };
  const bytes = await read(given.source, signal);
  if (bytes.length === 0) throw new Error("The file is empty.");
  post({ type: "progress", task: "load", text: "Drawing the graph…" });
  await breathe(signal);
  const contents = new Contents(decodeModel(bytes));
  const facts = modelFacts(contents, bytes.length, given.extents);
  await breathe(signal);
  session?.dispose();
  session = new Session(bytes, contents);
  post({ type: "model", facts });
}

async function read(
  source: Blob | URL | Uint8Array<ArrayBuffer>,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  if (source instanceof Uint8Array) return source;
  if (source instanceof Blob) {
    if (source.size > MAX_FILE_BYTES) throw new Error("Files of more than 2 GiB cannot be read here.");
    return new Uint8Array(await source.arrayBuffer());
  }
  const response = await fetch(source, { signal });
  if (!response.ok) throw new Error(`The sample could not be fetched: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function carryOut(job: Job): Promise<void> {
  const { signal } = (running = new AbortController());
  const end = (outcome: "done" | "cancelled" | "failed", message = ""): void =>
    post({ type: "ended", task: job.type, outcome, message });
  try {
    if (job.type === "load") await load(job.source, signal);
    else if (!session || !engine) throw new Error("There is no model yet.");
    else await session[job.type](engine, job.settings, signal);
    end("done");
  } catch (error) {
    if (signal.aborted) end("cancelled");
    else {
      if (!(error instanceof NeuriteError)) console.warn(error);
      end("failed", messageOf(error));
    }
  } finally {
    running = undefined;
  }
}

/** Lets messages in, so that a request to cancel is heard. */
async function breathe(signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
  signal.throwIfAborted();
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}

self.addEventListener("message", ({ data }: MessageEvent<Request>) => {
  const broken = (error: unknown): void => post({ type: "broken", message: messageOf(error) });
  switch (data.type) {
    case "cancel":
      running?.abort();
      break;
    case "node":
      if (session) post({ type: "node", facts: session.node(data.box) });
      break;
    case "open":
      queue = queue.then(() => open(data.backend)).catch(broken);
      break;
    case "load":
    case "plan":
    case "profile":
    case "verify":
      queue = queue.then(() => carryOut(data)).catch(broken);
      break;
  }
});
