// What there is to say about one node: its tensors, its attributes, its weights summed up, the steps that carry it out.

import { element, make, pairs } from "../shared/dom.ts";
import { count, percent, short } from "../shared/format.ts";
import type { NodeFacts, WeightFacts } from "./protocol.ts";

export function showNode(facts: NodeFacts): void {
  const { title, name, inputs, outputs, attributes, weights, steps } = facts;
  const panel = element("node");
  const section = (heading: string, content: readonly HTMLElement[]): HTMLElement[] =>
    content.length > 0 ? [make("h4", {}, heading), ...content] : [];
  const list = (entries: readonly (readonly [string, string])[]): HTMLElement[] =>
    entries.length > 0 ? [make("dl", {}, ...pairs(entries))] : [];
  panel.replaceChildren(
    make("h3", {}, title),
    make("p", { class: "name" }, name),
    ...section("Reads", list(inputs.map((input) => [input.name, input.type]))),
    ...section("Writes", list(outputs.map((output) => [output.name, output.type]))),
    ...section("Attributes", list(attributes.map((attribute) => [attribute.name, attribute.value]))),
    ...section(
      "Steps of the plan",
      steps.map((step) => make("p", {}, step)),
    ),
    ...section("Weights", weights.map(weight)),
  );
  panel.scrollTop = 0;
}

export function forgetNode(): void {
  element("node").replaceChildren(
    make("p", { class: "note" }, "Press a node to see its shapes, attributes and weights."),
  );
}

function weight({ name, type, statistics }: WeightFacts): HTMLElement {
  const shown = make("div", { class: "weight" }, make("p", {}, `${name}: ${type}`));
  if (!statistics) return shown;
  const { min, max, mean, deviation, zeros, histogram } = statistics;
  if (statistics.count > 1 && max > min) {
    const most = Math.max(...histogram);
    const bars = make("div", {
      class: "histogram",
      role: "img",
      "aria-label": `Values from ${short(min)} to ${short(max)}`,
    });
    for (const tall of histogram) {
      const column = make("i");
      column.style.height = `${(100 * tall) / most}%`;
      bars.append(column);
    }
    shown.append(bars, make("p", { class: "range" }, make("span", {}, short(min)), make("span", {}, short(max))));
  }
  shown.append(
    make(
      "dl",
      {},
      ...pairs([
        ["Elements", count(statistics.count)],
        ["Mean ± deviation", `${short(mean)} ± ${short(deviation)}`],
        ["Zeros", percent(zeros)],
      ]),
    ),
  );
  return shown;
}
