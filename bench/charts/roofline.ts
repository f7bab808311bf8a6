// The roofline: how fast each kernel computes against how many operations it does for each byte that it moves, under what
// the adapter can do. A kernel below the slope waits for memory; one below the flat part, for arithmetic; one far below both,
// for something else. After Williams, Waterman and Patterson, "Roofline" (2009).

import { escapeXml, LogAxis, short } from "./svg.ts";

export interface RooflinePoint {
  readonly label: string;
  readonly gflops: number;
  /** Operations for each byte moved. */
  readonly flopsPerByte: number;
  readonly isChosen: boolean;
}

export interface RooflineCeilings {
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
}

const WIDTH = 640;
const HEIGHT = 360;
const LEFT = 64;
const RIGHT = WIDTH - 16;
const TOP = 16;
const BOTTOM = HEIGHT - 52;

/** An `<svg>` of the points under the ceilings. */
export function roofline(points: readonly RooflinePoint[], ceilings: RooflineCeilings): string {
  const ridge = ceilings.gflops / ceilings.gigabytesPerSecond;
  const x = new LogAxis([...points.map(({ flopsPerByte }) => flopsPerByte), ridge / 4, ridge * 4], LEFT, RIGHT);
  const y = new LogAxis([...points.map(({ gflops }) => gflops), ceilings.gflops * 1.2], BOTTOM, TOP);
  const [low] = x.ends;
  const roof = [
    [LEFT, y.at(low * ceilings.gigabytesPerSecond)],
    [x.at(ridge), y.at(ceilings.gflops)],
    [RIGHT, y.at(ceilings.gflops)],
  ];
  const grid = [
    ...x.marks.map(
      (mark) =>
        `<path d="M${x.at(mark)} ${TOP}V${BOTTOM}" class="grid"/><text x="${x.at(mark)}" y="${BOTTOM + 20}" text-anchor="middle">${short(mark)}</text>`,
    ),
    ...y.marks.map(
      (mark) =>
        `<path d="M${LEFT} ${y.at(mark)}H${RIGHT}" class="grid"/><text x="${LEFT - 8}" y="${y.at(mark) + 4}" text-anchor="end">${short(mark)}</text>`,
    ),
  ];
  const dots = points.map(
    ({ label, gflops, flopsPerByte, isChosen }) =>
      `<circle cx="${x.at(flopsPerByte).toFixed(1)}" cy="${y.at(gflops).toFixed(1)}" r="${isChosen ? 6 : 4.5}" class="${isChosen ? "chosen" : "point"}">` +
      `<title>${escapeXml(`${label}: ${short(gflops)} GFLOP/s at ${short(flopsPerByte)} FLOP a byte`)}</title></circle>`,
  );
  const summary = `Roofline: ${short(ceilings.gflops)} GFLOP/s and ${short(ceilings.gigabytesPerSecond)} GB/s at most; ${points.length} kernels`;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" class="chart roofline" aria-label="${escapeXml(summary)}">
<g>${grid.join("")}</g>
<polyline points="${roof.map(([px, py]) => `${px!.toFixed(1)},${py!.toFixed(1)}`).join(" ")}" class="roof"/>
<text x="${RIGHT}" y="${y.at(ceilings.gflops) - 6}" text-anchor="end" class="strong">${short(ceilings.gflops)} GFLOP/s</text>
<text x="${LEFT + 8}" y="${TOP + 12}" class="strong">${short(ceilings.gigabytesPerSecond)} GB/s</text>
<g>${dots.join("")}</g>
<text x="${(LEFT + RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">operations for each byte moved</text>
<text transform="rotate(-90)" x="${-(TOP + BOTTOM) / 2}" y="14" text-anchor="middle">GFLOP/s</text>
</svg>`;
}
