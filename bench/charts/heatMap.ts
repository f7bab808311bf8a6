// A heat map of strategies against sizes: each column's fastest is full, the others as much as they reach of its speed. A
// table, so that it can be read out and copied; colour only repeats what the numbers say.

import { escapeXml, short } from "./svg.ts";

export interface HeatCell {
  readonly row: string;
  readonly column: string;
  readonly timeMs: number;
}

/** A `<table>`: rows and columns in the order in which they first come. `corner` names what columns are. */
export function heatMap(cells: readonly HeatCell[], corner: string): string {
  const rows = [...new Set(cells.map(({ row }) => row))];
  const columns = [...new Set(cells.map(({ column }) => column))];
  const timeOf = new Map(cells.map(({ row, column, timeMs }) => [`${row}\n${column}`, timeMs]));
  const best = new Map(
    columns.map((column) => [
      column,
      Math.min(...cells.filter((cell) => cell.column === column).map(({ timeMs }) => timeMs)),
    ]),
  );
  const cell = (row: string, column: string): string => {
    const timeMs = timeOf.get(`${row}\n${column}`);
    if (timeMs === undefined) return `<td class="none">–</td>`;
    const share = best.get(column)! / timeMs;
    return `<td style="--share:${share.toFixed(3)}"${share === 1 ? ' class="best"' : ""} title="${Math.round(100 * share)} % of the fastest">${short(timeMs)}</td>`;
  };
  const head = `<tr><th scope="col">${escapeXml(corner)}</th>${columns.map((column) => `<th scope="col">${escapeXml(column)}</th>`).join("")}</tr>`;
  const body = rows.map(
    (row) => `<tr><th scope="row">${escapeXml(row)}</th>${columns.map((column) => cell(row, column)).join("")}</tr>`,
  );
  return `<table class="chart heat-map"><caption>Milliseconds; colour: share of the column’s fastest</caption><thead>${head}</thead><tbody>${body.join("")}</tbody></table>`;
}
