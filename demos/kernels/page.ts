// The page: takes a problem, has the worker race its variants, and shows what comes in. Everything slow happens in the
// worker, so the page stays at ease while kernels run.

import "../shared/theme.ts";
import { heatMap, type HeatCell } from "../../bench/charts/heatMap.ts";
import { roofline } from "../../bench/charts/roofline.ts";
import { element, make, pairs } from "../shared/dom.ts";
import { bytes, count, milliseconds, percent, short } from "../shared/format.ts";
import { cssColor } from "../shared/theme.ts";
import { addressOf, choiceOf } from "./address.ts";
import type { Editor } from "./editor.ts";
import { firstOperator, problems } from "./problems.ts";
import type { Choice, Complaint, Reply, Request, Task, Trial, VariantName } from "./protocol.ts";
import {
  gigabytesOf,
  gflopsOf,
  labelOf,
  ranked,
  toCsv,
  toJson,
  toPicture,
  type Entry,
  type Results,
} from "./results.ts";

/** A worker that does not answer a wish to cancel within this is replaced. */
const PATIENCE_MS = 5000;

const form = element("problem") as HTMLFormElement;
const operatorField = element("operator") as HTMLSelectElement;
const presetField = element("preset") as HTMLSelectElement;
const dtypeField = element("dtype") as HTMLSelectElement;
const roundsField = element("rounds") as HTMLInputElement;
const runButton = element("run") as HTMLButtonElement;
const cancelButton = element("cancel") as HTMLButtonElement;
const progressBar = element("progress") as HTMLProgressElement;
const sweepForm = element("sweep-form") as HTMLFormElement;
const sweepField = element("sweep-dimension") as HTMLSelectElement;
const sweepValues = element("sweep-values") as HTMLInputElement;
const sweepButton = element("sweep") as HTMLButtonElement;
const tryButton = element("try") as HTMLButtonElement;
const resetButton = element("reset") as HTMLButtonElement;

let worker: Worker | undefined;
let isReady = false;
let adapter = "";
let busy: Task | undefined;
let giveUp: ReturnType<typeof setTimeout> | undefined;
let results: Results | undefined;
let cells: HeatCell[] = [];
let editor: Editor | undefined;
let opened: VariantName | undefined;
let originalText = "";

// ---- the worker

function open(): void {
  worker?.terminate();
  worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }: MessageEvent<Reply>) => receive(data));
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    unavailable("The worker stopped", event.message || "It could not be started.");
  });
  element("notice").hidden = true;
  element("adapter-name").textContent = "Looking for a GPU…";
  document.body.dataset["state"] = "loading";
  isReady = false;
  send({ type: "open" });
}

function send(request: Request): void {
  worker?.postMessage(request);
}

function receive(reply: Reply): void {
  switch (reply.type) {
    case "ready":
      adapter = reply.adapter;
      element("adapter-name").textContent =
        `${adapter}${reply.software ? ": a CPU does the GPU’s work, so this is slow" : ""}`;
      document.body.dataset["state"] = "ready";
      isReady = true;
      refresh();
      break;
    case "unavailable":
      unavailable("This browser gives no access to WebGPU", reply.message);
      break;
    case "ceilings":
      if (results) results = { ...results, ceilings: reply.ceilings };
      showRoofline();
      break;
    case "field": {
      const { variants, ...field } = reply.field;
      if (results) results = { ...results, ...field, entries: variants };
      showFigures();
      showEntries();
      showRefusals();
      break;
    }
    case "standing":
      update(reply.id, reply.standing);
      break;
    case "source":
      void showSource(reply.variant, reply.wgsl);
      break;
    case "tried":
      showOutcome(reply.trial);
      break;
    case "cell":
      cells.push({ row: reply.strategy, column: String(reply.value), timeMs: reply.timeMs });
      element("heat-map").innerHTML = heatMap(cells, `${sweepField.value} =`);
      break;
    case "progress":
      progressBar.value = reply.share;
      told(reply.text);
      break;
    case "ended":
      ended(reply.message, reply.outcome === "failed");
      break;
  }
}

function unavailable(title: string, text: string): void {
  worker?.terminate();
  worker = undefined;
  isReady = false;
  element("adapter-name").textContent = "No GPU to measure";
  element("notice-title").textContent = title;
  element("notice-text").textContent = text;
  element("notice").hidden = false;
  document.body.dataset["state"] = "unavailable";
  ended("", false);
}

// ---- tasks

function start(task: Task, request: Request): void {
  busy = task;
  told("");
  progressBar.value = 0;
  send(request);
  refresh();
}

function cancel(): void {
  send({ type: "cancel" });
  cancelButton.disabled = true;
  giveUp = setTimeout(() => {
    ended("Cancelled; the worker was replaced.", false);
    open();
  }, PATIENCE_MS);
}

function ended(message: string, isFailure: boolean): void {
  clearTimeout(giveUp);
  busy = undefined;
  told(message, isFailure);
  refresh();
}

function told(text: string, isFailure = false): void {
  element("told").textContent = text;
  element("told").classList.toggle("failed", isFailure);
}

function refresh(): void {
  const isFree = isReady && busy === undefined;
  for (const button of [runButton, sweepButton, tryButton]) button.disabled = !isFree;
  cancelButton.hidden = busy === undefined;
  cancelButton.disabled = false;
  progressBar.hidden = busy === undefined;
  element("exports").hidden = !results?.entries.some(({ timing }) => timing);
}

// ---- the problem

function extents(): Record<string, number> {
  const inputs = element("dimensions").querySelectorAll("input");
  return Object.fromEntries([...inputs].map((input) => [input.name, input.valueAsNumber]));
}

function currentChoice(): Choice {
  return {
    operator: operatorField.value,
    dimensions: extents(),
    dtype: dtypeField.value === "float16" ? "float16" : "float32",
  };
}

function showChoice({ operator, dimensions, dtype }: Choice): void {
  const problem = problems[operator]!;
  operatorField.value = operator;
  dtypeField.value = dtype;
  presetField.replaceChildren(
    make("option", { value: "" }, "…"),
    ...Object.keys(problem.presets).map((name) => make("option", { value: name }, name)),
  );
  element("dimensions").replaceChildren(
    ...problem.dimensions.map(({ name, title, minimum = 1 }) => {
      const attributes = { type: "number", name, min: String(minimum), step: "1", required: "", inputmode: "numeric" };
      const input = make("input", { ...attributes, value: String(dimensions[name]) });
      return make("label", { class: "field" }, make("span", {}, make("b", {}, name), ` ${title}`), input);
    }),
  );
  matchPreset();
  sweepField.replaceChildren(
    ...problem.dimensions.map(({ name, title }) => make("option", { value: name }, `${name} (${title.toLowerCase()})`)),
  );
  sweepField.value = (
    problem.dimensions.find(({ name }) => ["K", "C", "columns"].includes(name)) ?? problem.dimensions[0]!
  ).name;
  proposeValues();
}

/** Names the preset that the extents are those of. */
function matchPreset(): void {
  const now = extents();
  const { presets } = problems[operatorField.value]!;
  const found = Object.entries(presets).find(([, preset]) =>
    Object.entries(preset).every(([name, value]) => now[name] === value),
  );
  presetField.value = found?.[0] ?? "";
}

function proposeValues(): void {
  const value = extents()[sweepField.value] ?? 1;
  const values = [1 / 4, 1 / 2, 1, 2, 4].map((factor) => Math.max(1, Math.round(value * factor)));
  sweepValues.value = [...new Set(values)].join(", ");
}

function run(): void {
  const choice = currentChoice();
  history.replaceState(undefined, "", addressOf(choice));
  results = { choice, adapter, ceilings: undefined, flops: 0, minimumBytes: 0, entries: [], refusals: [] };
  element("results-hint").hidden = true;
  element("variants").replaceChildren();
  element("roof-panel").hidden = true;
  start("race", { type: "race", choice, rounds: roundsField.valueAsNumber || 5 });
}

// ---- results

function update(id: number, change: Partial<Entry>): void {
  if (!results) return;
  results = {
    ...results,
    entries: results.entries.map((entry) => (entry.id === id ? { ...entry, ...change } : entry)),
  };
  showEntries();
  showRoofline();
}

function showFigures(): void {
  const { flops, minimumBytes, entries } = results!;
  const figures = element("figures");
  figures.hidden = false;
  figures.replaceChildren(
    ...pairs([
      ["Operations", `${count(flops)}FLOP`],
      ["Least traffic", bytes(minimumBytes)],
      ["Variants", String(entries.length)],
    ]),
  );
}

/** Rows keep their elements, so that bars grow and rows do not flicker. */
const rows = new Map<number, HTMLLIElement>();

function showEntries(): void {
  const { entries, flops } = results!;
  const slowest = Math.max(...entries.map(({ timing }) => timing?.medianMs ?? 0), 1e-9);
  const list = element("variants");
  if (list.childElementCount === 0) rows.clear();
  for (const entry of ranked(entries)) {
    let row = rows.get(entry.id);
    if (!row) {
      const name = make("button", { type: "button", class: "name" }, labelOf(entry));
      name.addEventListener("click", () => {
        const { strategy, params } = entry;
        if (busy === undefined)
          start("source", { type: "source", choice: results!.choice, variant: { strategy, params } });
      });
      row = make(
        "li",
        {},
        name,
        make("span", { class: "bar", "aria-hidden": "true" }),
        make("span", { class: "figure" }),
      );
      if (entry.isChosen) {
        row.classList.add("chosen");
        name.append(make("small", {}, "Neurite’s choice"));
      }
      rows.set(entry.id, row);
    }
    const [, bar, figure] = row.children as unknown as [Element, HTMLElement, HTMLElement];
    bar.style.setProperty("--share", String((entry.timing?.medianMs ?? 0) / slowest));
    figure.replaceChildren(...figuresOf(entry, flops));
    row.classList.toggle("wrong", entry.failure !== undefined || entry.check?.passed === false);
    list.append(row);
  }
  refresh();
}

function figuresOf({ timing, check, failure, trafficBytes, dispatches }: Entry, flops: number): (Node | string)[] {
  if (failure !== undefined) return [make("span", { class: "error" }, failure)];
  if (!timing) return ["waiting"];
  const rates = [
    ...(flops > 0 ? [`${short(gflopsOf(flops, timing.medianMs))} GFLOP/s`] : []),
    `${short(gigabytesOf(trafficBytes, timing.medianMs))} GB/s`,
    ...(dispatches > 1 ? [`${dispatches} dispatches`] : []),
  ];
  const spread = `${milliseconds(timing.lowMs)} to ${milliseconds(timing.highMs)} over ${timing.samples} runs`;
  const verdict =
    check &&
    (check.passed
      ? `error ${short(check.error)} of the largest, ${percent(check.errorOverBound)} of its bound`
      : `wrong: off by ${short(check.error)}`);
  return [
    make("strong", { title: spread }, milliseconds(timing.medianMs)),
    ` ${rates.join(" · ")}`,
    make("small", {}, verdict ?? "checking…"),
  ];
}

function showRoofline(): void {
  if (!results?.ceilings) return;
  const { entries, flops, ceilings } = results;
  const timed = entries.filter(({ timing }) => timing);
  if (timed.length === 0 || flops === 0) return;
  element("roof-panel").hidden = false;
  element("roofline").innerHTML = roofline(
    timed.map((entry) => ({
      label: labelOf(entry),
      gflops: gflopsOf(flops, entry.timing!.medianMs),
      flopsPerByte: flops / entry.trafficBytes,
      isChosen: entry.isChosen,
    })),
    ceilings,
  );
}

function showRefusals(): void {
  const { refusals } = results!;
  const box = element("refusals");
  box.hidden = refusals.length === 0;
  box.querySelector("summary")!.textContent =
    refusals.length === 1 ? "One strategy cannot run this" : `${refusals.length} strategies cannot run this`;
  box.querySelector("dl")!.replaceChildren(...pairs(refusals.map(({ strategy, reason }) => [strategy, reason])));
}

// ---- the editor

async function showSource(variant: VariantName, wgsl: string): Promise<void> {
  element("source-panel").hidden = false;
  if (!editor) {
    const { Editor } = await import("./editor.ts"); // a page that only races strategies does not load it
    editor ??= new Editor(element("editor"), runEdited, () => {
      resetButton.disabled = editor?.text === originalText;
    });
  }
  opened = variant;
  originalText = wgsl;
  editor.text = wgsl;
  resetButton.disabled = true;
  element("source-name").textContent = labelOf(variant);
  element("outcome").replaceChildren();
  element("source-panel").scrollIntoView({ behavior: "smooth", block: "nearest" });
}

function runEdited(): void {
  if (!editor || !opened || !results || busy !== undefined || !isReady) return;
  element("outcome").replaceChildren(make("p", {}, "Running…"));
  const rounds = roundsField.valueAsNumber || 5;
  start("try", { type: "try", choice: results.choice, variant: opened, wgsl: editor.text, rounds });
}

function showOutcome({ complaints, original, edited }: Trial): void {
  editor?.complain(complaints);
  const parts: HTMLElement[] = [];
  if (original?.timing && edited?.timing) {
    const [before, now] = [original.timing.medianMs, edited.timing.medianMs];
    const comparison = now <= before ? `${short(before / now)} × as fast` : `${short(now / before)} × slower`;
    const times = `: ${milliseconds(now)}, the original ${milliseconds(before)} in turns with it.`;
    parts.push(make("p", {}, make("strong", {}, comparison), times));
  }
  const { check, failure } = edited ?? {};
  if (failure !== undefined) parts.push(make("p", { class: "error" }, failure));
  else if (check?.passed)
    parts.push(make("p", {}, `Right: the largest error is ${percent(check.errorOverBound)} of its bound.`));
  else if (check)
    parts.push(
      make("p", { class: "error" }, `Wrong: an element is off by ${short(check.errorOverBound)} times its bound.`),
    );
  if (complaints.length > 0) parts.push(make("ul", { class: "complaints" }, ...complaints.map(complaintLine)));
  element("outcome").replaceChildren(...parts);
}

const complaintLine = ({ severity, line, column, text }: Complaint): HTMLElement =>
  make("li", { class: severity }, make("b", {}, line > 0 ? `Line ${line}, column ${column}` : severity), ` ${text}`);

// ---- out of the page

function download(name: string, contents: Blob): void {
  const link = make("a", { download: name, href: URL.createObjectURL(contents) });
  link.click();
  setTimeout(() => {
    URL.revokeObjectURL(link.href);
  }, 10_000);
}

const fileName = (extension: string): string =>
  `${results!.choice.operator}-${Object.values(results!.choice.dimensions).join("x")}.${extension}`;

element("export-json").addEventListener("click", () => {
  download(fileName("json"), new Blob([toJson(results!)], { type: "application/json" }));
});
element("export-csv").addEventListener("click", () => {
  download(fileName("csv"), new Blob([toCsv(results!)], { type: "text/csv" }));
});
element("export-png").addEventListener("click", () => {
  const colours = {
    ink: cssColor("--ink"),
    muted: cssColor("--muted"),
    accent: cssColor("--accent"),
    line: cssColor("--line-strong"),
    surface: cssColor("--surface"),
  };
  toPicture(results!, colours).toBlob((blob) => {
    if (blob) download(fileName("png"), blob);
  });
});
element("share").addEventListener("click", () => {
  const link = new URL(addressOf(results!.choice), location.href).href;
  void navigator.clipboard.writeText(link).then(
    () => {
      told("Link copied.");
    },
    () => {
      told(link);
    },
  );
});

// ---- wiring

operatorField.replaceChildren(
  ...Object.entries(problems).map(([name, { title }]) => make("option", { value: name }, `${name} · ${title}`)),
);
operatorField.addEventListener("change", () => {
  showChoice(choiceOf(new URLSearchParams({ op: operatorField.value, dtype: dtypeField.value }), firstOperator));
});
presetField.addEventListener("change", () => {
  const preset = problems[operatorField.value]!.presets[presetField.value];
  if (preset) showChoice({ ...currentChoice(), dimensions: preset });
});
element("dimensions").addEventListener("input", () => {
  matchPreset();
  proposeValues();
});
sweepField.addEventListener("change", proposeValues);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
sweepForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const values = [...new Set(sweepValues.value.split(/[\s,;]+/).map(Number))].filter(
    (value) => Number.isInteger(value) && value > 0,
  );
  if (values.length === 0) {
    told("A sweep needs whole numbers of 1 and more, like 64, 128, 256.", true);
    return;
  }
  cells = [];
  element("heat-map").replaceChildren();
  start("sweep", { type: "sweep", choice: currentChoice(), dimension: sweepField.value, values });
});
cancelButton.addEventListener("click", cancel);
tryButton.addEventListener("click", runEdited);
resetButton.addEventListener("click", () => {
  if (editor) editor.text = originalText;
});
element("notice-retry").addEventListener("click", open);

showChoice(choiceOf(new URLSearchParams(location.search), firstOperator));
open();
