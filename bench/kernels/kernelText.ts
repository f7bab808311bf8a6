// The kernels of one variant as one text, and back: a rewrite has several, each under a line that says so. Kernels come
// without indentation, which a page saves on; people get it back.

import type { Complaint } from "./lab.ts";

const HEAD = /^\/\/ ={4,} kernel (\d+) of (\d+)$/m;
const head = (i: number, count: number): string => `// ======== kernel ${i + 1} of ${count}\n`;

export function joinKernels(texts: readonly string[]): string {
  if (texts.length === 1) return indented(texts[0]!);
  return texts.map((text, i) => head(i, texts.length) + indented(text)).join("\n\n");
}

/** Two spaces for every brace, bracket or parenthesis that is open. Blank lines in a row become one. */
function indented(text: string): string {
  let depth = 0;
  const lines = text
    .trim()
    .split("\n")
    .map((line) => {
      const code = line.trim();
      const steps = [...code.replace(/\/\/.*/, "").matchAll(/[{([]|[})\]]/g)].map(([mark]) =>
        "{([".includes(mark) ? 1 : -1,
      );
      let leading = 0;
      while (steps[leading] === -1 && "})]".includes(code[leading]!)) leading++;
      const indent = "  ".repeat(Math.max(0, depth - leading));
      depth = Math.max(0, depth + steps.reduce((sum, step) => sum + step, 0));
      return code === "" ? "" : indent + code;
    });
  return lines.join("\n").replace(/\n{3,}/g, "\n\n");
}

/** The texts of `count` kernels. Throws where lines between them are missing. */
export function splitKernels(text: string, count: number): string[] {
  if (count === 1) return [text];
  const texts = text.split(new RegExp(HEAD.source, "gm"));
  // Splitting keeps the captures: [before, 1, n, text, 2, n, text …].
  const parts = texts.flatMap((part, i) => (i > 0 && i % 3 === 0 ? [part] : []));
  if (parts.length !== count)
    throw new Error(
      `this variant has ${count} kernels; keep the ${count} lines that begin with “// ========” between them`,
    );
  return parts;
}

/** A complaint about kernel `index`, with its line counted in the whole text. */
export function placeIn(text: string, index: number, complaint: Complaint): Complaint {
  if (complaint.line === 0) return complaint;
  let line = 0;
  const lines = text.split("\n");
  for (let seen = -1; line < lines.length && HEAD.test(text); line++)
    if (HEAD.test(lines[line]!) && ++seen === index) break;
  return { ...complaint, line: complaint.line + line };
}
