// The page: shows what the worker reports and sends it what the visitor asks for. All computing happens in the worker, so
// the page stays at ease however slow the adapter is. URL parameters: epochs, batch, lr, limit, seed, backend.

import "../shared/theme.ts";
import { onThemeChange } from "../shared/theme.ts";
import { Chart } from "./charts.ts";
import { SIDE } from "./normalise.ts";
import { Pad } from "./pad.ts";
import { paintDigit, paintFilter, paintResponse } from "./pictures.ts";
import type { Filters, OpenOptions, Progress, Ready, Reply, Request, Sample } from "./protocol.ts";

type State = "loading" | "ready" | "training" | "paused" | "done" | "error" | "unavailable";

const element = (id: string): HTMLElement => document.getElementById(id)!;
const number = new Intl.NumberFormat("en");
const percent = (share: number, digits = 1): string => `${(100 * share).toFixed(digits)} %`;

const button = (id: string): HTMLButtonElement => element(id) as HTMLButtonElement;
const [start, pause, stop, reset] = [button("start"), button("pause"), button("stop"), button("reset")];
const [epochs, rate] = [element("epochs") as HTMLInputElement, element("rate") as HTMLInputElement];
const batch = element("batch") as HTMLSelectElement;
const progressBar = element("progress") as HTMLProgressElement;
const seen = element("seen") as HTMLCanvasElement;

const lossChart = new Chart(element("loss-chart"), {
  name: "Loss",
  color: "--warm",
  format: (value) => String(Number(value.toFixed(2))),
});
const accuracyChart = new Chart(element("accuracy-chart"), {
  name: "Accuracy",
  color: "--accent",
  format: (value) => `${Math.round(100 * value)} %`,
  max: 1,
});

let worker: Worker | undefined;
let state: State = "loading";
let facts: Ready | undefined;
let filters: Filters | undefined;
let picture: Float32Array | undefined; // what is on the pad
let reading: Float32Array | undefined; // its probabilities
let announceTimer: ReturnType<typeof setTimeout> | undefined;
let announceNext = false; // the drawing has come to rest before it was read

// ---- settings from the URL

const parameters = new URLSearchParams(location.search);
const wholeNumber = (name: string): number | undefined => {
  const value = Number(parameters.get(name) ?? NaN);
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
};
const options: OpenOptions = {
  backend: parameters.get("backend") === "cpu" ? "cpu" : "gpu",
  seed: wholeNumber("seed") ?? 1,
  limit: wholeNumber("limit"),
};
epochs.value = String(wholeNumber("epochs") ?? epochs.value);
rate.value = parameters.get("lr") ?? rate.value;
const wishedBatch = wholeNumber("batch");
if (wishedBatch) {
  if (![...batch.options].some(({ text }) => text === String(wishedBatch))) batch.add(new Option(String(wishedBatch)));
  batch.value = String(wishedBatch);
}

// ---- the worker

function open(wish: OpenOptions): void {
  worker?.terminate();
  worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }: MessageEvent<Reply>) => receive(data));
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    fail(event.message || "The worker could not be started.");
  });
  element("notice").hidden = true;
  element("adapter-name").textContent = "Looking for a GPU…";
  facts = undefined;
  forget();
  enter("loading", "Loading…");
  send({ type: "open", ...wish });
}

function send(request: Request): void {
  worker?.postMessage(request);
}

function receive(reply: Reply): void {
  switch (reply.type) {
    case "loading":
      tell(reply.what);
      break;
    case "ready":
      ready(reply);
      break;
    case "training":
      enter("training", "Training goes on");
      break;
    case "progress":
      showProgress(reply);
      break;
    case "filters":
      showFilters(reply.filters);
      break;
    case "testing":
      tell(`Testing on ${number.format(facts?.testCount ?? 0)} digits it has never seen…`);
      break;
    case "tested":
      showTest(reply.accuracy, reply.mistakes);
      break;
    case "paused":
      enter("paused", "Paused. The digit on the pad can still be read.");
      break;
    case "done":
    case "stopped": {
      const end = reply.type === "done" ? "Training is done" : "Training was stopped";
      enter("done", `${end}: ${element("test-accuracy").textContent} of the test digits are read right.`);
      break;
    }
    case "reset":
      forget();
      showFilters(reply.filters);
      enter("ready", "A fresh network, with random weights.");
      break;
    case "read":
      showReading(reply.probabilities);
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
  const running = state === "training" || state === "paused";
  start.disabled = !(state === "ready" || state === "done");
  start.textContent = state === "done" ? "Train more" : "Start";
  pause.disabled = !running;
  pause.textContent = state === "paused" ? "Resume" : "Pause";
  stop.disabled = !running;
  reset.disabled = !(running || state === "done");
  for (const field of [epochs, batch, rate]) field.disabled = running;
  tell(message);
  element("status").textContent = message;
}

/** Says what is going on, to those who see it. */
function tell(message: string): void {
  element("progress-text").textContent = message;
}

function ready(found: Ready): void {
  facts = found;
  const slow = found.software ? ": a CPU does the GPU's work, so this is slow" : "";
  element("adapter-name").textContent = `${found.adapter}${slow}`;
  showSamples(element("sample-list"), found.samples);
  showFilters(found.filters);
  const { parameterCount, trainCount, testCount } = found;
  enter(
    "ready",
    `Ready: ${number.format(parameterCount)} weights, ${number.format(trainCount)} digits to learn from, ${number.format(testCount)} to be tested on.`,
  );
}

function fail(message: string): void {
  worker?.terminate();
  worker = undefined;
  if (!facts) element("adapter-name").textContent = "Not connected";
  enter("error", "Something went wrong.");
  notice("Something went wrong", `${message} Trying again starts with a fresh network.`, false);
}

function unavailable(message: string): void {
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

/** Back to how the page was before training. */
function forget(): void {
  lossChart.clear();
  accuracyChart.clear();
  progressBar.value = 0;
  for (const id of ["test-accuracy", "loss", "speed", "step-time"]) element(id).textContent = "–";
  element("mistake-list").replaceChildren();
  element("mistakes-note").textContent = "Known after the first test.";
}

// ---- what training shows

function showProgress({ epoch, epochs, step, steps, points, ...speed }: Progress): void {
  for (const { loss, accuracy } of points) {
    lossChart.add(loss);
    accuracyChart.add(accuracy);
  }
  progressBar.value = step / steps;
  element("loss").textContent = lossChart.latest?.toFixed(3) ?? "–";
  element("speed").textContent = number.format(Math.round(speed.examplesPerSecond));
  setFigure("step-time", speed.msPerStep < 10 ? speed.msPerStep.toFixed(1) : String(Math.round(speed.msPerStep)), "ms");
  if (state === "training")
    tell(
      `Epoch ${epoch} of ${epochs}, step ${number.format(step)} of ${number.format(steps)}, ${duration(speed.etaMs)} left`,
    );
}

function setFigure(id: string, value: string, unit: string): void {
  const small = document.createElement("small");
  small.textContent = unit;
  element(id).replaceChildren(`${value} `, small);
}

function duration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
}

function showTest(accuracy: number, mistakes: readonly Sample[]): void {
  element("test-accuracy").textContent = percent(accuracy);
  accuracyChart.mark(accuracy);
  lossChart.describe();
  accuracyChart.describe();
  element("status").textContent = `Test accuracy ${percent(accuracy)}`;
  showSamples(element("mistake-list"), mistakes);
  element("mistakes-note").textContent =
    mistakes.length > 0 ? "What it is, and what the network takes it for." : "None of the test digits.";
}

function showFilters(next: Filters): void {
  filters = next;
  makeFilterList(next.count);
  paintFilters();
  if (picture) send({ type: "read", picture });
}

/** Frames for `count` filters and their responses. */
function makeFilterList(count: number): void {
  const list = element("filter-list");
  while (list.childElementCount < count) {
    const item = document.createElement("li");
    for (const what of ["Weights", "Response"]) {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 1;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${what} of filter ${list.childElementCount + 1}`);
      item.append(canvas);
    }
    list.append(item);
  }
}

function paintFilters(): void {
  if (!filters) return;
  const shown = picture ?? facts?.samples[0]?.picture;
  for (const [index, item] of [...element("filter-list").children].entries()) {
    const [weights, response] = item.querySelectorAll("canvas");
    paintFilter(weights!, filters, index);
    paintResponse(response!, filters, index, shown);
  }
}

function showSamples(list: HTMLElement, samples: readonly Sample[]): void {
  list.replaceChildren(
    ...samples.map((sample) => {
      const button = document.createElement("button");
      button.type = "button";
      button.disabled = !facts; // a placeholder
      const canvas = document.createElement("canvas");
      paintDigit(canvas, sample.picture);
      pictures.set(canvas, sample.picture);
      button.append(canvas);
      if (sample.misread === undefined) {
        button.setAttribute("aria-label", `A ${sample.label}`);
      } else {
        button.setAttribute("aria-label", `A ${sample.label}, taken for a ${sample.misread}`);
        const wrong = document.createElement("b");
        wrong.textContent = String(sample.misread);
        button.append(`${sample.label}→`, wrong);
      }
      button.addEventListener("click", () => pad.load(sample.picture));
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
}

/** Digits to repaint when the colours change. */
const pictures = new WeakMap<HTMLCanvasElement, Float32Array>();

// ---- drawing and reading

const bars = Array.from({ length: 10 }, (_, digit) => {
  const item = document.createElement("li");
  const [name, bar, value] = [0, 1, 2].map(() => document.createElement("span")) as [
    HTMLElement,
    HTMLElement,
    HTMLElement,
  ];
  name.textContent = String(digit);
  bar.className = "bar";
  bar.setAttribute("role", "meter");
  bar.setAttribute("aria-label", `Probability of ${digit}`);
  bar.setAttribute("aria-valuemin", "0");
  bar.setAttribute("aria-valuemax", "100");
  item.append(name, bar, value);
  element("bars").append(item);
  return { item, bar, value };
});

function showReading(probabilities: Float32Array | undefined): void {
  reading = picture && probabilities;
  const best = reading?.reduce((top, share, digit, all) => (share > all[top]! ? digit : top), 0);
  bars.forEach(({ item, bar, value }, digit) => {
    const share = reading?.[digit] ?? 0;
    item.classList.toggle("best", digit === best);
    bar.style.setProperty("--share", share.toFixed(4));
    bar.setAttribute("aria-valuenow", (100 * share).toFixed(1));
    bar.setAttribute("aria-valuetext", percent(share));
    value.textContent = reading ? percent(share) : "–";
  });
  element("guess").textContent = best === undefined ? "?" : String(best);
  element("certainty").textContent =
    best === undefined ? "Nothing drawn yet" : `${certainty(reading![best]!)}, ${percent(reading![best]!)}`;
  if (reading) announceReading();
}

function announceReading(): void {
  if (announceNext) announce(`It reads ${element("guess").textContent}: ${element("certainty").textContent}`);
  announceNext = false;
}

function certainty(share: number): string {
  if (share > 0.95) return "Certain";
  if (share > 0.7) return "Rather sure";
  return share > 0.4 ? "Perhaps" : "No idea";
}

const pad = new Pad(element("pad") as HTMLCanvasElement);
pad.onChange = (next) => {
  picture = next;
  element("pad-hint").hidden = next !== undefined;
  paintDigit(seen, next);
  paintFilters();
  if (next) send({ type: "read", picture: next });
  else showReading(undefined);

  // Spoken once the drawing has come to rest, not with every stroke.
  clearTimeout(announceTimer);
  announceNext = false;
  announceTimer = setTimeout(() => {
    announceNext = next !== undefined;
    if (reading) announceReading();
  }, 1200);
};
pad.onMessage = announce;
element("clear").addEventListener("click", () => pad.clear());
showReading(undefined);

function announce(message: string): void {
  element("reading").textContent = message;
}

// ---- controls

element("settings").addEventListener("submit", (event) => {
  event.preventDefault();
  if (start.disabled || !facts) return;
  const settings = { epochs: Number(epochs.value), batchSize: Number(batch.value), learningRate: Number(rate.value) };
  const steps = settings.epochs * Math.floor(facts.trainCount / settings.batchSize);
  lossChart.plan(steps);
  accuracyChart.plan(steps);
  enter("training", "Preparing the kernels…");
  send({ type: "train", ...settings });
});
pause.addEventListener("click", () => {
  const resume = state === "paused";
  pause.disabled = true; // until the worker has done so
  send({ type: resume ? "resume" : "pause" });
});
stop.addEventListener("click", () => {
  stop.disabled = pause.disabled = true;
  tell("Stopping after this step…");
  send({ type: "stop" });
});
reset.addEventListener("click", () => {
  reset.disabled = stop.disabled = pause.disabled = true;
  send({ type: "reset" });
});
element("notice-retry").addEventListener("click", () => open(options));
element("notice-cpu").addEventListener("click", () => open({ ...options, backend: "cpu" }));

onThemeChange(() => {
  paintDigit(seen, picture);
  for (const canvas of document.querySelectorAll<HTMLCanvasElement>(".sample-list canvas"))
    paintDigit(canvas, pictures.get(canvas));
  paintFilters();
});

makeFilterList(8);
showSamples(
  element("sample-list"),
  Array.from({ length: 20 }, () => ({ picture: new Float32Array(SIDE * SIDE), label: 0 })),
);
open(options);
