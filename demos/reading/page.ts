// The page: shows a picture and what the worker finds in it. All computing happens in the worker, so the page stays at ease
// however slow the adapter is. URL parameters: limit (longer side at which pictures are searched), backend.

import "../shared/theme.ts";
import type { Picture } from "./picture.ts";
import type { OpenOptions, Reply, Request, Stage, StageReport } from "./protocol.ts";
import type { Reading } from "./recognition.ts";
import { drawSample } from "./sample.ts";
import { View, type Layer, type Line } from "./view.ts";

type State = "loading" | "ready" | "working" | "done" | "error" | "unavailable";

/** Larger pictures are made smaller first: lines are cut out of this size. */
const MAX_SIDE = 2048;
/** A reading below this confidence is marked. */
const UNSURE = 0.7;
/** A worker that has not stopped by then is replaced. */
const CANCEL_MS = 3000;
const TICK_MS = 100;

const element = (id: string): HTMLElement => document.getElementById(id)!;
const button = (id: string): HTMLButtonElement => element(id) as HTMLButtonElement;
const [read, cancel, copy] = [button("read"), button("cancel"), button("copy")];
const anyWayUp = element("any-way-up") as HTMLInputElement;
const view = new View(element("view") as HTMLCanvasElement);

const layerNotes: Readonly<Record<Layer, string>> = {
  text: "What was read, in the place where it stands.",
  boxes: "The lines that were found; each is cut out along its box and read.",
  heat: "How probably each pixel belongs to the core of a line, as the detector sees it.",
};

const doing: Readonly<Record<Stage, string>> = {
  load: "Loading the networks",
  prepare: "Preparing kernels",
  find: "Finding lines",
  read: "Reading",
};

let worker: Worker | undefined;
let state: State = "loading";
let job = 0;
let source = drawSample();
let lines: (Line & Partial<Reading>)[] = [];
let startMs = 0;
let busy: { readonly report: StageReport; readonly atMs: number } | undefined;
let cancelTimer: ReturnType<typeof setTimeout> | undefined;
let readWhenReady = false;
let retry: () => void = () => undefined;

const parameters = new URLSearchParams(location.search);
const limit = Number(parameters.get("limit") ?? NaN);
const options: OpenOptions = {
  backend: parameters.get("backend") === "cpu" ? "cpu" : "gpu",
  limit: Number.isSafeInteger(limit) && limit > 0 ? limit : undefined,
};
let opened = options; // what the worker was last asked for

// ---- the worker

function open(wish: OpenOptions): void {
  worker?.terminate();
  worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }: MessageEvent<Reply>) => receive(data));
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    fail(event.message || "The worker could not be started.");
  });
  opened = wish;
  retry = reopen;
  element("notice").hidden = true;
  element("adapter-name").textContent = "Looking for a GPU…";
  enter("loading", "");
  send({ type: "open", ...wish });
}

const reopen = (): void => open(opened);

function send(request: Request): void {
  worker?.postMessage(request);
}

function receive(reply: Reply): void {
  if ("job" in reply && reply.job !== job) return; // about a picture that is gone
  switch (reply.type) {
    case "ready": {
      const slow = reply.software ? ": a CPU does the GPU's work, so this is slow" : "";
      element("adapter-name").textContent = `${reply.adapter}${slow}`;
      enter("ready", "Ready to read.");
      if (readWhenReady) start();
      break;
    }
    case "stage":
      busy = { report: reply, atMs: performance.now() };
      showStage(reply);
      element("result-note").textContent = `${doing[reply.stage]}: ${reply.what}`;
      break;
    case "found":
      view.setHeat(reply.map);
      lines = reply.boxes.map((box) => ({ box }));
      showLines();
      break;
    case "line": {
      const { index, box, text, confidence } = reply;
      lines[index] = { box, text, confidence };
      showLines();
      break;
    }
    case "done":
      finish();
      break;
    case "cancelled":
      stopped();
      break;
    case "unreadable":
      enter("done", "");
      element("result-note").textContent = "Not read.";
      retry = start;
      notice("This picture could not be read", reply.message, false);
      break;
    case "unavailable":
      unavailable(reply.message);
      break;
    case "failed":
      fail(reply.message);
      break;
  }
}

// ---- states

function enter(next: State, message: string): void {
  state = next;
  document.body.dataset["state"] = state;
  const isWorking = state === "working";
  read.disabled = !(state === "ready" || state === "done");
  read.textContent = state === "done" ? "Read again" : "Read it";
  cancel.disabled = !isWorking;
  anyWayUp.disabled = isWorking;
  if (!isWorking) {
    clearTimeout(cancelTimer);
    busy = undefined;
    for (const item of stageItems()) {
      const bar = item.querySelector("progress")!;
      if (bar.position < 0) bar.value = 0; // nothing sweeps to and fro any more
    }
  }
  if (message) element("status").textContent = message;
}

/** Sends the picture to the worker, as soon as there is one. */
function start(): void {
  clearTimeout(cancelTimer);
  readWhenReady = state === "loading";
  if (readWhenReady || state === "unavailable") return;
  if (state === "error") {
    readWhenReady = true;
    open(opened);
    return;
  }
  job++;
  lines = [];
  view.clear();
  showLines();
  for (const item of stageItems()) {
    item.querySelector(".stage-what")!.textContent = "";
    showTime(item, undefined, 0);
  }
  element("notice").hidden = true;
  element("result-note").textContent = "Reading…";
  startMs = performance.now();
  enter("working", "Reading the picture");
  const picture = pixelsOf(source);
  worker?.postMessage({ type: "read", job, picture, anyWayUp: anyWayUp.checked } satisfies Request, [
    picture.data.buffer,
  ]);
}

function finish(): void {
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  const count = lines.filter(({ text }) => text).length;
  const found = count === 0 ? "No text was found in this picture" : `${count} ${count === 1 ? "line" : "lines"}`;
  element("result-note").textContent = `${found}, ${seconds} s in all.`;
  lines = lines.filter(({ text }) => text);
  enter("done", `${found}. ${lines.map(({ text }) => text).join(". ")}`);
  showLines();
}

function stopped(): void {
  lines = lines.filter(({ text }) => text);
  element("result-note").textContent = "Cancelled.";
  enter("done", "Cancelled");
  showLines();
}

function fail(message: string): void {
  retry = reopen;
  worker?.terminate();
  worker = undefined;
  enter("error", "Something went wrong.");
  notice("Something went wrong", message, false);
}

function unavailable(message: string): void {
  retry = reopen;
  element("adapter-name").textContent = "No WebGPU here";
  enter("unavailable", "WebGPU is missing.");
  const [reason = message] = message.split(/[.;:] /); // the rest is advice, which the page gives at length
  notice("This browser gives no access to WebGPU", `What the engine says: ${reason}. What may help:`, true);
}

function notice(title: string, text: string, help: boolean): void {
  element("notice-title").textContent = title;
  element("notice-text").textContent = text;
  element("notice-help").hidden = !help;
  element("notice-cpu").hidden = !help;
  element("notice").hidden = false;
}

// ---- what the worker reports

function stageItems(): HTMLElement[] {
  return [...element("stages").children] as HTMLElement[];
}

function stageItem(stage: Stage): HTMLElement {
  return element("stages").querySelector<HTMLElement>(`[data-stage="${stage}"]`)!;
}

function showStage({ stage, what, share, ms }: StageReport): void {
  const item = stageItem(stage);
  item.querySelector(".stage-what")!.textContent = what;
  showTime(item, ms, share);
}

function showTime(item: HTMLElement, ms: number | undefined, share: number | undefined): void {
  item.querySelector(".stage-ms")!.textContent = ms === undefined ? "–" : duration(ms);
  const bar = item.querySelector("progress")!;
  if (share === undefined) bar.removeAttribute("value");
  else bar.value = share;
}

function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(ms < 100_000 ? 1 : 0)} s`;
}

// The stage under way counts its time here; reports come only when something is done.
setInterval(() => {
  if (!busy) return;
  const { report, atMs } = busy;
  stageItem(report.stage).querySelector(".stage-ms")!.textContent = duration(report.ms + performance.now() - atMs);
}, TICK_MS);

function showLines(): void {
  view.setLines(lines);
  element("lines").replaceChildren(
    ...lines.map(({ text, confidence = 0 }, index) => {
      const item = document.createElement("li");
      const [words, sure] = [document.createElement("span"), document.createElement("span")];
      words.className = "words";
      sure.className = "sure";
      words.textContent = text ?? "…";
      sure.textContent = text === undefined ? "" : text === "" ? "nothing" : `${(100 * confidence).toFixed(1)} %`;
      if (text !== undefined) sure.title = "Mean probability of its characters";
      item.classList.toggle("waiting", text === undefined);
      item.classList.toggle("unsure", text !== undefined && confidence < UNSURE);
      item.addEventListener("pointerenter", () => view.point(index));
      item.addEventListener("pointerleave", () => view.point(undefined));
      item.append(words, sure);
      return item;
    }),
  );
  const isRead = lines.some(({ text }) => text);
  copy.disabled = !isRead;
  element("view").setAttribute(
    "aria-label",
    isRead ? `The picture, with ${lines.length} lines marked; the list has their text` : "The picture",
  );
}

// ---- pictures

/** Takes a file as the picture and reads it. */
async function take(file: Blob | undefined): Promise<void> {
  if (!file) return;
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    retry = () => (element("notice").hidden = true);
    notice("This is no picture that the browser can open", "PNG, JPEG, WebP, GIF and AVIF mostly work.", false);
    return;
  }
  const scale = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d")!;
  context.fillStyle = "#fff"; // behind what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  show(canvas);
  start();
}

function show(canvas: HTMLCanvasElement): void {
  source = canvas;
  view.show(canvas);
  lines = [];
  showLines();
  element("result-note").textContent = "Nothing read yet.";
}

function pixelsOf(canvas: HTMLCanvasElement): Picture & { readonly data: Uint8ClampedArray<ArrayBuffer> } {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d")!.getImageData(0, 0, width, height);
  return { width, height, data: new Uint8ClampedArray(data) };
}

// ---- controls

read.addEventListener("click", start);
cancel.addEventListener("click", () => {
  cancel.disabled = true;
  element("result-note").textContent = "Cancelling…";
  send({ type: "cancel" });
  cancelTimer = setTimeout(() => {
    open(opened);
    stopped();
    enter("loading", "");
  }, CANCEL_MS);
});
button("sample").addEventListener("click", () => {
  show(drawSample());
  start();
});
for (const id of ["file", "camera"]) {
  const input = element(id) as HTMLInputElement;
  input.addEventListener("change", () => {
    void take(input.files?.[0]);
    input.value = ""; // so that the same file can be chosen again
  });
}
for (const radio of document.querySelectorAll<HTMLInputElement>("#views input")) {
  const choose = (): void => {
    if (!radio.checked) return;
    const layer = radio.value as Layer;
    view.setLayer(layer);
    element("view-note").textContent = layerNotes[layer];
  };
  radio.addEventListener("change", choose);
  choose(); // browsers keep a choice over a reload
}
copy.addEventListener("click", () => {
  const text = lines.map((line) => line.text ?? "").join("\n");
  navigator.clipboard.writeText(text).then(
    () => said(copy, "Copied"),
    () => said(copy, "Not allowed"),
  );
});

/** Says a word on a button for a moment. */
function said(target: HTMLElement, word: string): void {
  target.textContent = word;
  setTimeout(() => (target.textContent = "Copy"), 1500);
}

document.addEventListener("paste", (event) => void take(pictureIn(event.clipboardData)));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  element("sheet").classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) element("sheet").classList.remove("dropping"); // it has left the page
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  element("sheet").classList.remove("dropping");
  void take(pictureIn(event.dataTransfer) ?? event.dataTransfer?.files[0]);
});

function pictureIn(data: DataTransfer | null): File | undefined {
  return [...(data?.files ?? [])].find(({ type }) => type.startsWith("image/"));
}

element("notice-retry").addEventListener("click", () => retry());
element("notice-cpu").addEventListener("click", () => open({ ...options, backend: "cpu" }));

show(source);
open(options);
