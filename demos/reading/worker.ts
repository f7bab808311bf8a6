// The worker: owns the engine and the networks, so that nothing here can hold up the page. A picture goes through the
// detector, which finds lines of text, and each line through the recogniser. Networks are loaded with the first picture.

import { DeviceUnavailableError, createEngine, type Engine, type OnnxModel } from "neurite";
import { DETECTION, findBoxes, searchSize } from "./detection.ts";
import { charactersUrl, detectorUrl, directionUrl, recogniserUrl } from "./models.ts";
import { cutOut, scaled, upsideDown, wholeOf, type Box, type Picture } from "./picture.ts";
import type { JobReply, OpenOptions, Reply, Request, Stage } from "./protocol.ts";
import { LINE_HEIGHT, RECOGNITION, alphabet, decode, lineWidths, type Reading } from "./recognition.ts";

type ReadRequest = Extract<Request, { type: "read" }>;

/** The longer side at which a picture is searched, in pixels. */
const SEARCH_LIMIT = 640;
const SLOW_SEARCH_LIMIT = 320;
/** The classifier of directions sees the beginning of a line, at this width. */
const DIRECTION_WIDTH = 192;
/** Lines are only turned when it is this sure that they stand on their head. */
const DIRECTION_THRESHOLD = 0.9;

const post = (reply: Reply, transfer: Transferable[] = []): void => self.postMessage(reply, { transfer });
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
const lines = (count: number): string => (count === 1 ? "1 line" : `${count} lines`);

/** One picture's way through the stages, and the time each takes. */
class Job {
  /** Says again what was done before kernels had to be prepared for it. */
  resume: () => void = () => undefined;
  private readonly ms: Record<Stage, number> = { load: 0, prepare: 0, find: 0, read: 0 };

  constructor(
    private readonly id: number,
    readonly signal: AbortSignal,
  ) {}

  reply(reply: JobReply, transfer?: Transferable[]): void {
    post({ ...reply, job: this.id }, transfer);
  }

  /** Says how far a stage is. `ms`: time that is not counted yet. */
  tell(stage: Stage, what: string, share?: number, ms = 0): void {
    if (stage !== "prepare") this.resume = () => this.tell(stage, what, share, ms);
    this.reply({ type: "stage", stage, what, share, ms: this.ms[stage] + ms });
  }

  /** Counts the time that `work` takes as the stage's, less what it spent on preparing kernels. */
  async timed<T>(stage: Stage, work: () => Promise<T>): Promise<T> {
    const startMs = performance.now();
    const preparedMs = this.ms.prepare;
    const result = await work();
    this.ms[stage] += performance.now() - startMs - (this.ms.prepare - preparedMs);
    return result;
  }

  addPreparation(ms: number): void {
    this.ms.prepare += ms;
  }

  get hasPrepared(): boolean {
    return this.ms.prepare > 0;
  }
}

/** A network that takes pictures [1, 3, height, width] and has one output. */
class Network {
  private onKernel: (done: number, total: number) => void = () => undefined;
  private readonly shapes = new Set<string>();
  private model!: OnnxModel;
  /** The file's size. */
  bytes = 0;

  static load(engine: Engine, url: URL, name: string, job: Job): Promise<Network> {
    const network = new Network();
    return job.timed("load", async () => {
      const startMs = performance.now();
      network.model = await engine.load(url, {
        signal: job.signal,
        onProgress({ stage, done, total = 0 }) {
          if (stage === "compile") {
            network.onKernel(done, total);
            return;
          }
          if (stage !== "read") return;
          network.bytes = done;
          const what = total > 0 ? `${megabytes(done)} of ${megabytes(total)} MB` : `${megabytes(done)} MB`;
          job.tell("load", `${name}, ${what}`, total > 0 ? done / total : undefined, performance.now() - startMs);
        },
      });
      return network;
    });
  }

  async run(data: Float32Array, height: number, width: number, job: Job): Promise<Float32Array> {
    const key = `${width} × ${height}`;
    const isNew = !this.shapes.has(key);
    const startMs = performance.now();
    let preparedMs = startMs;
    if (isNew) job.tell("prepare", `planning for ${key}`);
    this.onKernel = (done, total) => {
      preparedMs = performance.now();
      job.tell("prepare", `${done} of ${total} kernels for ${key}`, done / total, preparedMs - startMs);
      if (done === total) job.resume();
    };
    const [input, output] = [this.model.inputs[0]!, this.model.outputs[0]!];
    const inputs = { [input.name]: { shape: [1, 3, height, width], data } };
    const results = await this.model.run(inputs, { signal: job.signal });
    job.addPreparation(preparedMs - startMs);
    this.shapes.add(key);
    return results[output.name]!.data as Float32Array;
  }
}

class Reader {
  private detector: Network | undefined;
  private recogniser: Network | undefined;
  private direction: Network | undefined;
  private characters: readonly string[] | undefined;

  constructor(
    private readonly engine: Engine,
    private readonly limit: number,
  ) {}

  async read({ picture, anyWayUp }: ReadRequest, job: Job): Promise<void> {
    await this.load(anyWayUp, job);
    const boxes = await this.find(picture, job);
    for (const [index, found] of boxes.entries()) {
      job.tell("read", `line ${index + 1} of ${boxes.length}`, index / boxes.length);
      await job.timed("read", async () => {
        const box = anyWayUp && (await this.isUpsideDown(picture, found, job)) ? upsideDown(found) : found;
        job.reply({ type: "line", index, box, ...(await this.readLine(picture, box, job)) });
      });
    }
    job.tell("read", lines(boxes.length), 1);
    if (!job.hasPrepared) job.tell("prepare", "all there", 1);
  }

  private async load(anyWayUp: boolean, job: Job): Promise<void> {
    const { engine } = this;
    const bytesBefore = this.bytes;
    this.detector ??= await Network.load(engine, detectorUrl, "detector", job);
    this.recogniser ??= await Network.load(engine, recogniserUrl, "recogniser", job);
    if (anyWayUp) this.direction ??= await Network.load(engine, directionUrl, "direction", job);
    this.characters ??= await fetchCharacters(job.signal);
    const bytes = this.bytes - bytesBefore;
    job.tell("load", bytes === 0 ? "all there" : `${megabytes(bytes)} MB`, 1);
  }

  /** Of the networks that are loaded. */
  private get bytes(): number {
    return [this.detector, this.recogniser, this.direction].reduce((sum, network) => sum + (network?.bytes ?? 0), 0);
  }

  private async find(picture: Picture, job: Job): Promise<readonly Box[]> {
    const { width, height } = searchSize(picture, this.limit);
    job.tell("find", `at ${width} × ${height}`);
    const { map, boxes } = await job.timed("find", async () => {
      const input = cutOut(picture, wholeOf(picture), width, height, DETECTION);
      const map = { width, height, data: await this.detector!.run(input, height, width, job) };
      return { map, boxes: findBoxes(map).map((box) => scaled(box, picture.width / width, picture.height / height)) };
    });
    const heat = Uint8Array.from(map.data, (probability) => Math.round(255 * probability));
    job.reply({ type: "found", map: { width, height, data: heat }, boxes }, [heat.buffer]);
    job.tell("find", `${lines(boxes.length)} at ${width} × ${height}`, 1);
    return boxes;
  }

  private async readLine(picture: Picture, box: Box, job: Job): Promise<Reading> {
    const { width, paddedWidth } = lineWidths(box);
    const input = cutOut(picture, box, width, LINE_HEIGHT, RECOGNITION, paddedWidth);
    return decode(await this.recogniser!.run(input, LINE_HEIGHT, paddedWidth, job), this.characters!);
  }

  private async isUpsideDown(picture: Picture, box: Box, job: Job): Promise<boolean> {
    const width = Math.min(DIRECTION_WIDTH, lineWidths(box).width);
    const input = cutOut(picture, box, width, LINE_HEIGHT, RECOGNITION, DIRECTION_WIDTH);
    const [, turned = 0] = await this.direction!.run(input, LINE_HEIGHT, DIRECTION_WIDTH, job);
    return turned > DIRECTION_THRESHOLD;
  }
}

async function fetchCharacters(signal: AbortSignal): Promise<readonly string[]> {
  const response = await fetch(charactersUrl, { signal });
  if (!response.ok) throw new Error(`${charactersUrl.href} answered ${response.status} ${response.statusText}`);
  return alphabet(await response.text());
}

let reader: Promise<Reader | undefined> = Promise.resolve(undefined);
let current: AbortController | undefined;
let queue: Promise<void> = Promise.resolve();

async function open({ backend, limit }: OpenOptions): Promise<Reader | undefined> {
  try {
    const engine = await createEngine({ backend, log: () => undefined }); // the page itself tells of a software driver
    void engine.lost.then((reason) => fail(reason));
    const software = engine.adapter?.isSoftware ?? true;
    post({ type: "ready", adapter: engine.name, software });
    return new Reader(engine, limit ?? (software ? SLOW_SEARCH_LIMIT : SEARCH_LIMIT));
  } catch (error) {
    if (error instanceof DeviceUnavailableError) post({ type: "unavailable", message: error.message });
    else fail(error);
    return undefined;
  }
}

async function read(request: ReadRequest, signal: AbortSignal): Promise<void> {
  const job = new Job(request.job, signal);
  try {
    signal.throwIfAborted();
    await (await reader)?.read(request, job);
    job.reply({ type: "done" });
  } catch (error) {
    job.reply(signal.aborted ? { type: "cancelled" } : { type: "unreadable", message: messageOf(error) });
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const fail = (reason: unknown): void => post({ type: "failed", message: messageOf(reason) });

self.addEventListener("message", ({ data: request }: MessageEvent<Request>) => {
  switch (request.type) {
    case "open":
      reader = open(request);
      break;
    case "read": {
      current?.abort();
      const controller = (current = new AbortController());
      queue = queue.then(() => read(request, controller.signal));
      break;
    }
    case "cancel":
      current?.abort();
      break;
  }
});
