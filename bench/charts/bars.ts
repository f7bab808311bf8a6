// Bars beside their numbers, one a line: a list that can be read out, whose bars repeat what the numbers say.

import { escapeXml } from "./svg.ts";

export interface Bar {
  readonly label: string;
  /** Length against the others. */
  readonly value: number;
  /** What stands beside the bar. */
  readonly text: string;
  readonly isChosen: boolean;
  /** Set where something is wrong; told instead of the bar's colour alone. */
  readonly isWrong?: boolean;
}

export function bars(lines: readonly Bar[], title: string): string {
  const longest = Math.max(...lines.map(({ value }) => value));
  const items = lines.map(({ label, value, text, isChosen, isWrong = false }) => {
    const kind = isWrong ? ' class="wrong"' : isChosen ? ' class="chosen"' : "";
    const width = Math.max(0.5, (100 * value) / longest).toFixed(1);
    return (
      `<li${kind}><span class="label">${escapeXml(label)}</span>` +
      `<span class="track"><i style="width:${width}%"></i></span><span class="figure">${escapeXml(text)}</span></li>`
    );
  });
  return `<ol class="chart bars" aria-label="${escapeXml(title)}">${items.join("")}</ol>`;
}
