// The page: takes a file, asks the worker about it, shows the answers. All reading and computing happens in the worker, so the
// page stays at ease. URL parameters: backend (gpu, cpu), sample (digits, direction).

import "../shared/theme.ts";
import { ErrorChart, MemoryChart } from "./charts.ts";
import { bar, element, fill, make, nextFrame, pairs } from "../shared/dom.ts";
import { bytes, count, milliseconds, percent, short } from "../shared/format.ts";
import { GraphView } from "./graphView.ts";
import { forgetNode, showNode } from "./nodePanel.ts";
import type {
  ModelFacts,
  OpenExtent,
  PlanFacts,
  Reply,
  Request,
  SampleName,
  Settings,
  StepTime,
  Task,
} from "./protocol.ts";

const TASKS = ["load", "plan", "profile", "verify"] as const;
const TIMES_SHOWN = 12;
/** A worker that does not answer a wish to cancel within this is replaced. */
const PATIENCE_MS = 3000;

const button = (id: string): HTMLButtonElement => element(id) as HTMLButtonElement;
const parameters = new URLSearchParams(location.search);
const samples = [...document.querySelectorAll<HTMLButtonElement>("[data-sample]")];
const file = element("file") as HTMLInputElement;
const form = element("settings") as HTMLFormElement;
const seed = element("seed") as HTMLInputElement;

const graph = new GraphView(element("graph") as HTMLCanvasElement);
const memoryChart = new MemoryChart(element("memory-chart") as HTMLCanvasElement);
const errorChart = new ErrorChart(element("error-chart") as HTMLCanvasElement);

let worker: Worker | undefined;
let engineReady = false;
let source: { readonly name: string; readonly from: Blob | SampleName } | undefined;
let model: ModelFacts | undefined;
let busy: Task | undefined;
/** The box that was pressed last. */
let shownNode: number | undefined;
let giveUp: ReturnType<typeof setTimeout> | undefined;

// ---- the worker

function open(backend: "gpu" | "cpu"): void {
  worker?.terminate();
  worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }: MessageEvent<Reply>) => receive(data));
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    broken(event.message || "The worker could not be started.");
  });
  element("notice").hidden = true;
  element("adapter-name").textContent = "Looking for a GPU…";
  document.body.dataset["state"] = "loading";
  engineReady = false;
  send({ type: "open", backend });
}

function send(request: Request): void {
  worker?.postMessage(request);
}

function receive(reply: Reply): void {
  switch (reply.type) {
    case "ready": {
      const slow = reply.software ? ": a CPU does the GPU's work, so this is slow" : "";
      element("adapter-name").textContent = `${reply.adapter}${slow}`;
      document.body.dataset["state"] = "ready";
      engineReady = true;
      refresh();
      // Where all shapes are known nothing has to be asked first.
      if (model && !busy && canRun()) start("plan");
      break;
    }
    case "unavailable":
      element("adapter-name").textContent = "No WebGPU here";
      document.body.dataset["state"] = "unavailable";
      notice(
        "This browser gives no access to WebGPU",
        `${reply.message.split(/[.;:] /)[0]}. Models can be looked at without it; the CPU reference can run them.`,
        true,
      );
      break;
    case "progress":
      progress(reply.task, reply.text, reply.share);
      break;
    case "model":
      shown = showModel(reply.facts);
      break;
    case "plan":
      showPlan(reply.facts);
      break;
    case "profile":
      showTimes(reply);
      break;
    case "verify":
      showChecks(reply);
      break;
    case "node":
      showNode(reply.facts);
      break;
    case "ended":
      ended(reply.task, reply.outcome, reply.message);
      break;
    case "broken":
      broken(reply.message);
      break;
  }
}

function broken(message: string): void {
  worker?.terminate();
  worker = undefined;
  engineReady = false;
  document.body.dataset["state"] = "error";
  element("adapter-name").textContent = "Not connected";
  if (busy) ended(busy, "failed", message);
  notice("Something went wrong", `${message} Trying again starts afresh.`, false);
}

function notice(title: string, text: string, offerCpu: boolean): void {
  element("notice-title").textContent = title;
  element("notice-text").textContent = text;
  element("notice-cpu").hidden = !offerCpu;
  element("notice").hidden = false;
}

/** A new worker, with the same model. */
function reopen(backend: "gpu" | "cpu"): void {
  open(backend);
  if (source) load(source.name, source.from);
}

// ---- tasks

function start(task: Exclude<Task, "load">): void {
  if (!form.reportValidity()) return;
  begin(task, "Waiting…");
  send({ type: task, settings: settings() });
}

function begin(task: Task, text: string): void {
  busy = task;
  element("load-task").toggleAttribute("data-told", task === "load");
  document.body.dataset["busy"] = task;
  progress(task, text);
  refresh();
}

function progress(task: Task, text: string, share?: number): void {
  if (busy !== task) return;
  const told = element(`${task}-told`);
  told.classList.remove("failed");
  told.textContent = text;
  const shown = element(`${task}-progress`) as HTMLProgressElement;
  shown.hidden = false;
  if (share === undefined) shown.removeAttribute("value");
  else shown.value = share;
}

function ended(task: Task, outcome: "done" | "cancelled" | "failed", message: string): void {
  clearTimeout(giveUp);
  busy = undefined;
  delete document.body.dataset["busy"];
  const told = element(`${task}-told`);
  const hint = task !== "load" && model?.extents.length ? " Other dimensions may do: they are under “To run it”." : "";
  const said = task === "load" ? `${source?.name ?? "The file"}: ${message}` : `${message.replace(/\.?$/, ".")}${hint}`;
  told.textContent = outcome === "done" ? "" : outcome === "cancelled" ? "Cancelled." : said;
  told.classList.toggle("failed", outcome === "failed");
  element(`${task}-progress`).hidden = true;
  if (task === "load") element("load-task").toggleAttribute("data-told", outcome !== "done");
  refresh();
  if (task === "load" && outcome === "done")
    void shown.then(() => {
      if (!busy && canRun()) start("plan");
    });
}

/** Nothing to be asked, nothing missing. */
function canRun(): boolean {
  const open = model?.extents.length ?? 0;
  const isSample = typeof source?.from === "string"; // whose extents are known
  return (
    engineReady && model !== undefined && (open === 0 || isSample) && !model.operators.some(({ missing }) => missing)
  );
}

function cancel(): void {
  send({ type: "cancel" });
  if (busy) element(`${busy}-told`).textContent = "Stopping…";
  clearTimeout(giveUp);
  giveUp = setTimeout(() => {
    if (!busy) return;
    const task = busy;
    ended(task, "cancelled", "");
    if (task === "load") {
      model = undefined;
      source = undefined;
      element("model").hidden = true;
    }
    reopen(parameters.get("backend") === "cpu" ? "cpu" : "gpu");
  }, PATIENCE_MS);
}

/** Buttons as things stand. */
function refresh(): void {
  const missing = model?.operators.some((operator) => operator.missing) ?? false;
  for (const task of TASKS) {
    button(`${task}-cancel`).hidden = busy !== task;
    if (task !== "load") button(`${task}-run`).disabled = busy !== undefined || !engineReady || !model || missing;
  }
  for (const choice of [...samples, file]) choice.disabled = busy === "load";
}

for (const task of TASKS) {
  button(`${task}-cancel`).addEventListener("click", cancel);
  if (task !== "load") button(`${task}-run`).addEventListener("click", () => start(task));
}

function settings(): Settings {
  const fields = [...element("extents").querySelectorAll("input")];
  return {
    extents: Object.fromEntries(fields.map(({ name, value }) => [name, value])),
    seed: Number(seed.value),
  };
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!button("plan-run").disabled) start("plan");
});

// ---- choosing a model

function load(name: string, from: Blob | SampleName): void {
  if (busy === "load") return;
  if (busy) send({ type: "cancel" });
  source = { name, from };
  begin("load", "Reading the file…");
  send({ type: "load", source: from });
}

for (const choice of samples)
  choice.addEventListener("click", () =>
    load(choice.querySelector("strong")!.textContent, choice.dataset["sample"] as SampleName),
  );
file.addEventListener("change", () => {
  const chosen = file.files?.[0];
  file.value = ""; // so that the same one can be chosen again
  if (chosen) load(chosen.name, chosen);
});

let inside = 0; // entering a child counts before leaving its parent does
addEventListener("dragenter", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  inside++;
  document.body.dataset["dragging"] = "";
});
addEventListener("dragleave", () => {
  inside = Math.max(0, inside - 1);
  if (inside === 0) delete document.body.dataset["dragging"];
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  inside = 0;
  delete document.body.dataset["dragging"];
  const dropped = event.dataTransfer?.files[0];
  if (dropped) load(dropped.name, dropped);
});

// ---- what the file says

/** Resolves when the model's page has been built up: a section a frame, so that nobody waits for a frame. */
let shown: Promise<void> = Promise.resolve();

async function showModel(facts: ModelFacts): Promise<void> {
  model = facts;
  for (const task of ["plan", "profile", "verify"]) {
    element(task).hidden = true;
    element(`${task}-told`).textContent = "";
    element(`${task}-told`).classList.remove("failed");
  }
  showFigures(facts);
  forgetNode();
  shownNode = undefined;
  search.value = "";
  element("found").textContent = "";
  const show = [() => graph.show(facts.drawing), () => showEnds(facts), () => showOperators(facts)];
  element("model").hidden = false;
  for (const part of element("model").querySelectorAll(".part")) {
    await nextFrame();
    part.classList.remove("waiting");
    show.shift()?.();
  }
}

function showFigures({ nodes, parameters, sizeBytes, producer, opsets, operators }: ModelFacts): void {
  element("model-name").textContent = source?.name ?? "";
  element("figure-nodes").textContent = count(nodes);
  element("figure-parameters").textContent = count(parameters);
  element("figure-size").textContent = bytes(sizeBytes);
  element("figure-flops").textContent = "–";
  element("figure-origin").textContent = [producer, opsets].filter(Boolean).join(" · ");
  const missing = operators.filter((operator) => operator.missing);
  element("missing").hidden = missing.length === 0;
  element("missing").textContent =
    `This model can be looked at but not run. Neurite does not have: ` +
    `${missing.map((operator) => `${operator.name} (${operator.count}×)`).join(", ")}.`;
}

function showEnds({ inputs, outputs, extents }: ModelFacts): void {
  const row =
    (kind: string) =>
    ({ name, dtype, shape }: ModelFacts["inputs"][number]): HTMLElement =>
      make("tr", {}, make("td", {}, kind), make("td", {}, name), make("td", {}, dtype), make("td", {}, shape));
  element("ends").replaceChildren(...inputs.map(row("in")), ...outputs.map(row("out")));
  element("extents").replaceChildren(...extents.map(extentField));
  element("extents-note").hidden = extents.length === 0;
}

function showOperators({ operators }: ModelFacts): void {
  const most = operators[0]?.count ?? 1;
  fill(element("operators"), operators, ({ name, count: times, missing }) =>
    make(
      "li",
      missing ? { class: "absent" } : {},
      make("span", {}, missing ? `${name} (missing)` : name),
      bar(times / most),
      make("span", {}, count(times)),
    ),
  );
}

function extentField({ key, label, kind, value }: OpenExtent, index: number): HTMLElement {
  const id = `extent-${index}`;
  const field = make("input", { id, name: key, value, required: "" });
  if (kind === "extent") {
    field.type = "number";
    field.min = "0";
    field.step = "1";
    field.inputMode = "numeric";
  } else field.pattern = String.raw`\d+(\s*[,×x ]\s*\d+)*`;
  return make("div", { class: "field" }, make("label", { for: id }, label), field);
}

// ---- the graph

graph.onSelect = (box) => {
  shownNode = box;
  send({ type: "node", box });
};
button("zoom-in").addEventListener("click", () => graph.zoom(1.3));
button("zoom-out").addEventListener("click", () => graph.zoom(1 / 1.3));
button("zoom-fit").addEventListener("click", () => graph.fit());

const search = element("find") as HTMLInputElement;
let hits: number[] = [];
let hit = 0;
search.addEventListener("input", () => {
  const wanted = search.value.trim().toLowerCase();
  const boxes = model?.drawing.boxes ?? [];
  hits = boxes.flatMap(({ label, name }, i) =>
    wanted && `${label} ${name}`.toLowerCase().includes(wanted) ? [i] : [],
  );
  hit = 0;
  showHit(wanted !== "");
});
search.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || hits.length === 0) return;
  hit = (hit + (event.shiftKey ? hits.length - 1 : 1)) % hits.length;
  showHit(true);
});

function showHit(searching: boolean): void {
  graph.mark(hits, hits[hit]);
  element("found").textContent = !searching ? "" : hits.length > 0 ? `${hit + 1} of ${hits.length}` : "None";
}

// ---- memory

memoryChart.onHint = (text) => (element("memory-hint").textContent = text);

function showPlan(facts: PlanFacts): void {
  element("figure-flops").textContent = count(facts.flops);
  element("plan-facts").replaceChildren(
    ...pairs([
      ["intermediates, allocated", bytes(facts.intermediateBytes)],
      ["most alive at one step", bytes(facts.liveBytes)],
      ["if none shared bytes", bytes(facts.unsharedBytes)],
      ["weights on the GPU", bytes(facts.constantBytes)],
      ["steps", count(facts.steps)],
      ["different kernels", count(facts.kernels)],
    ]),
  );
  element("plan").hidden = false;
  memoryChart.show(facts);
  const { hostNodes } = facts;
  element("host-nodes").hidden = hostNodes.length === 0;
  element("host-nodes").textContent =
    `${hostNodes.length} nodes run on the host, because shapes depend on their values: ${hostNodes.slice(0, 8).join(", ")}${hostNodes.length > 8 ? " …" : ""}`;
  if (shownNode !== undefined) send({ type: "node", box: shownNode });
}

// ---- times

function showTimes({ adapter, steps, reason, repeats }: Extract<Reply, { type: "profile" }>): void {
  element("profile").hidden = false;
  const verdict = element("profile-verdict");
  const more = button("times-more");
  more.hidden = true;
  if (!steps) {
    verdict.replaceChildren("No times here", make("small", {}, reason));
    element("times").replaceChildren();
    return;
  }
  const total = steps.reduce((sum, { timeMs }) => sum + timeMs, 0);
  const flops = steps.reduce((sum, step) => sum + step.flops, 0);
  verdict.replaceChildren(
    `${milliseconds(total)} in ${steps.length} steps`,
    make(
      "small",
      {},
      `${total > 0 ? `${short(flops / total / 1e6)} GFLOP/s over all, ` : ""}on ${adapter}. Median of ${repeats} runs, the slowest step first.`,
    ),
  );
  const sorted = steps.toSorted((a, b) => b.timeMs - a.timeMs);
  const most = sorted[0]?.timeMs ?? 1;
  const item = ({ name, strategy, timeMs, gflops }: StepTime): HTMLElement =>
    make(
      "li",
      {},
      make("span", { class: "step", title: name }, name),
      make("span", {}, milliseconds(timeMs)),
      make("span", { class: "share" }, percent(total > 0 ? timeMs / total : 0)),
      bar(most > 0 ? timeMs / most : 0),
      make("span", { class: "strategy" }, gflops > 0 ? `${strategy}, ${short(gflops)} GFLOP/s` : strategy),
    );
  fill(element("times"), sorted.slice(0, TIMES_SHOWN), item);
  more.hidden = sorted.length <= TIMES_SHOWN;
  more.textContent = `Show all ${sorted.length} steps`;
  more.onclick = () => {
    more.hidden = true;
    fill(element("times"), sorted, item);
  };
}

// ---- right or wrong

function showChecks({ adapter, steps, hostNodes }: Extract<Reply, { type: "verify" }>): void {
  element("verify").hidden = false;
  const wrong = steps.filter(({ passed }) => !passed);
  const worst = steps.reduce((most, { errorOverBound }) => Math.max(most, errorOverBound), 0);
  const verdict = element("verify-verdict");
  verdict.classList.toggle("wrong", wrong.length > 0);
  const [first] = wrong;
  const unchecked = hostNodes.length > 0 ? ` ${hostNodes.length} nodes ran on the host and were not checked.` : "";
  verdict.replaceChildren(
    first ? `The first wrong step is ${first.name}` : `All ${steps.length} steps are right`,
    make(
      "small",
      {},
      first
        ? `${first.worst}, by ${first.strategy}. ${wrong.length} of ${steps.length} steps are outside their bounds on ${adapter}.${unchecked}`
        : `No error is more than ${percent(worst)} of its bound, on ${adapter}.${unchecked}`,
    ),
  );
  errorChart.show(steps);
  fill(element("checks"), steps, ({ name, strategy, maxError, errorOverBound, passed, worst: where }) =>
    make(
      "tr",
      passed ? {} : { class: "wrong" },
      make("td", { title: where }, name, make("small", {}, strategy)),
      make("td", { class: "number" }, short(maxError)),
      make("td", { class: "number" }, percent(errorOverBound)),
      make("td", { class: passed ? "ok" : "no" }, passed ? "right" : "wrong"),
    ),
  );
}

// ---- beginning

element("notice-retry").addEventListener("click", () => reopen("gpu"));
element("notice-cpu").addEventListener("click", () => reopen("cpu"));
open(parameters.get("backend") === "cpu" ? "cpu" : "gpu");
refresh();
const wished = samples.find((choice) => choice.dataset["sample"] === parameters.get("sample"));
wished?.click();
