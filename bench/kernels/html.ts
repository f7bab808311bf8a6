// The bench's findings as one page that needs no other file: the adapter's ceilings, then for every family a heat map of
// strategies against problems, a roofline, and bars for every problem. Light or dark, as the reader's system is.

import chartStyle from "../charts/charts.css?raw";
import { bars } from "../charts/bars.ts";
import { heatMap } from "../charts/heatMap.ts";
import { roofline } from "../charts/roofline.ts";
import { escapeXml } from "../charts/svg.ts";
import reportStyle from "./report.css?raw";
import { labelOf, ranked, type BenchResults, type Line, type ProblemResult } from "./results.ts";
import { shareOfRoof, type Regret } from "./statistics.ts";
import { ceilingRows, digits, formatHostCost } from "./text.ts";

/** Bars a problem shows at once; the rest is behind a click. */
const SHOWN = 12;

export function htmlReport(results: BenchResults): string {
  const { adapter, host, date, ceilings, hostCost, problems, regret } = results;
  const families = [...new Set(problems.map(({ family }) => family))];
  const links = families.map((family) => `<a href="#${family}">${escapeXml(family)}</a>`).join(" ");
  const body = [
    `<header><h1>Kernels on ${escapeXml(adapter.name)}</h1><p>${escapeXml(`${host} · ${date}`)}</p><nav>${links}</nav></header>`,
    `<section><h2>Ceilings</h2>${definitions(ceilingRows(ceilings))}</section>`,
    hostCost ? `<section><h2>Host</h2><p>${escapeXml(formatHostCost(hostCost))}</p></section>` : "",
    regret ? `<section><h2>Choices</h2>${regretTable(regret)}</section>` : "",
    ...families.map((family) => familySection(family, problems, results)),
  ];
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Kernels on ${escapeXml(adapter.name)}</title>
<link rel="icon" href="data:,">
<style>${reportStyle}${chartStyle}</style>
<main>${body.join("\n")}</main>
</html>
`;
}

function definitions(rows: readonly (readonly [string, string])[]): string {
  const items = rows.map(([what, value]) => `<div><dt>${escapeXml(what)}</dt><dd>${escapeXml(value)}</dd></div>`);
  return `<dl>${items.join("")}</dl>`;
}

function familySection(family: string, all: readonly ProblemResult[], { ceilings }: BenchResults): string {
  const problems = all.filter((one) => one.family === family);
  const cells = problems.flatMap(({ name, lines }) =>
    bestOfEach(lines).map(({ strategy, timing }) => ({ row: strategy, column: name, timeMs: timing!.medianMs })),
  );
  const points = problems.flatMap(({ name, flops, bytes, lines }) =>
    flops === 0
      ? []
      : bestOfEach(lines).map(({ strategy, timing, isChosen }) => ({
          label: `${name}: ${strategy}`,
          gflops: flops / timing!.medianMs / 1e6,
          flopsPerByte: flops / bytes,
          isChosen,
        })),
  );
  const parts = [
    `<h2>${escapeXml(family)}</h2>`,
    `<div class="wide">${heatMap(cells, "strategy")}</div>`,
    points.length > 0
      ? `<figure>${roofline(points, ceilings)}<figcaption>Each strategy at its best on each problem; filled: what Neurite chooses.</figcaption></figure>`
      : "",
    ...problems.map((problem) => problemSection(problem, ceilings)),
  ];
  return `<section id="${escapeXml(family)}">${parts.join("")}</section>`;
}

/** The fastest line of each strategy; chosen, if the strategy is, with whatever parameters. */
function bestOfEach(lines: readonly Line[]): Line[] {
  const best = new Map<string, Line>();
  const chosen = lines.find(({ isChosen }) => isChosen)?.strategy;
  for (const line of ranked(lines))
    if (line.timing && !best.has(line.strategy))
      best.set(line.strategy, { ...line, isChosen: line.strategy === chosen });
  return [...best.values()];
}

function problemSection(
  { name, operator, flops, bytes, lines }: ProblemResult,
  roof: BenchResults["ceilings"],
): string {
  const timed = ranked(lines).filter(({ timing }) => timing);
  if (timed.length === 0) return "";
  const barOf = (line: Line): Parameters<typeof bars>[0][number] => {
    const ms = line.timing!.medianMs;
    const { share } = shareOfRoof(flops, bytes, ms, roof);
    const rate = flops > 2 * bytes ? `${digits(flops / ms / 1e6)} GFLOP/s` : `${digits(bytes / ms / 1e6)} GB/s`;
    const isWrong = line.failure !== undefined;
    const text = `${digits(ms)} ms ± ${Math.round(100 * line.timing!.spread)} % · ${rate} · ${Math.round(100 * share)} %${isWrong ? " · wrong" : ""}`;
    return { label: labelOf(line), value: 1 / ms, text, isChosen: line.isChosen, isWrong };
  };
  const title = `${operator} ${name}: milliseconds, rate, share of the ceiling`;
  const slowest = timed.slice(SHOWN);
  const rest = slowest.length
    ? `<details><summary>${slowest.length} slower</summary>${bars(slowest.map(barOf), title)}</details>`
    : "";
  const work = flops > 0 ? `${digits(flops / 1e6)} MFLOP, ` : "";
  return (
    `<h3>${escapeXml(name)}</h3><p class="note">${escapeXml(`${operator}, ${work}${digits(bytes / 1e6)} MB at least; longer is faster`)}</p>` +
    bars(timed.slice(0, SHOWN).map(barOf), title) +
    rest
  );
}

function regretTable(regret: NonNullable<BenchResults["regret"]>): string {
  const row = (family: string, kind: string, { quality, problems, worst }: Regret): string =>
    `<tr><th scope="row">${escapeXml(family)}</th><td>${kind}</td><td>${(100 * quality).toFixed(1)} %</td><td>${problems}</td><td>${escapeXml(worst[0]?.problem ?? "")}</td></tr>`;
  const rows = Object.entries(regret).flatMap(([family, { untuned, tuned }]) => [
    row(family, "untuned", untuned),
    ...(tuned ? [row(family, "tuned", tuned)] : []),
  ]);
  return `<div class="wide"><table><thead><tr><th scope="col">family</th><th scope="col">choice</th><th scope="col">of the best</th><th scope="col">shapes</th><th scope="col">worst</th></tr></thead><tbody>${rows.join("")}</tbody></table></div>`;
}
