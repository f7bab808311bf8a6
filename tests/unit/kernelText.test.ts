// What the Kernel Lab makes of kernels' texts before people edit them, and of what they have edited.

import { expect, test } from "vitest";
import { joinKernels, placeIn, splitKernels } from "../../bench/kernels/kernelText.ts";

const kernel = "fn main() {\nfor (var i = 0u; i < 4u; i++) {\n\n\n\ny[i] = f(\nx[i],\n1.0\n);\n}\n}";

test("texts get their indentation back", () => {
  expect(joinKernels([kernel])).toBe(
    "fn main() {\n  for (var i = 0u; i < 4u; i++) {\n\n    y[i] = f(\n      x[i],\n      1.0\n    );\n  }\n}",
  );
});

test("several kernels are one text, and come apart again", () => {
  const texts = ["fn a() {}", "fn b() {}", "fn c() {}"];
  const joined = joinKernels(texts);
  expect(splitKernels(joined, 3).map((text) => text.trim())).toEqual(texts);
  expect(() => splitKernels(joined.replace("// ======== kernel 2 of 3", ""), 3)).toThrow(/has 3 kernels/);
});

test("a complaint about one of them is placed in the whole", () => {
  const joined = joinKernels(["fn a() {}", "fn b() {\nlet x = 1;\n}"]);
  const [, second] = splitKernels(joined, 2);
  const line = second!.split("\n").findIndex((text) => text.includes("let x")) + 1;
  const complaint = { severity: "error", line, column: 3, length: 1, text: "" } as const;
  const placed = placeIn(joined, 1, complaint);
  expect(joined.split("\n")[placed.line - 1]).toContain("let x");
  expect(placeIn("fn a() {}", 0, { ...complaint, line: 1 }).line).toBe(1);
  expect(placeIn(joined, 1, { ...complaint, line: 0 }).line).toBe(0);
});
