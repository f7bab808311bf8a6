// The linter's own rules, shown to bite: a scratch copy of the tree holds one wrong import of each kind, and each must be
// refused by the rule meant for it. The copy lives in the system's temporary folder, so nothing wrong enters this tree.

import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ESLint } from "eslint";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const PATHS = "import-x/no-restricted-paths";
const CYCLE = "import-x/no-cycle";
const SYNTAX = "no-restricted-syntax";

/** What the scratch files import. */
const stage: Record<string, string> = {
  "src/core/shape.ts": "export const rank = 2;\n",
  "src/ops/relu.ts": "export const relu = 1;\n",
  "src/graph/graph.ts": "export type Graph = number;\nexport const graph = 1;\n",
  "src/scheduler/plan.ts": "export type Plan = number;\nexport const plan = 1;\n",
  "src/index.ts": 'export { rank } from "./core/shape.ts";\n',
  "shaders/strategy.ts": "export const strategy = 1;\n",
  "demos/shared.ts": "export const shared = 1;\n",
  "src/runtime/ring1.ts": 'import { two } from "./ring2.ts";\nexport const one = (): number => two();\n',
  "src/runtime/ring2.ts": 'import { one } from "./ring1.ts";\nexport const two = (): number => one();\n',
};

/** [what is wrong, file, its text, the rule that must refuse it, or none]. */
const cases: readonly [string, string, string, string | undefined][] = [
  ["core imports ops", "src/core/bad.ts", 'import { relu } from "../ops/relu.ts";\nexport const x = relu;', PATHS],
  ["graph imports scheduler", "src/graph/bad.ts", 'export { plan } from "../scheduler/plan.ts";', PATHS],
  [
    "graph imports a type of scheduler",
    "src/graph/badType.ts",
    'export type { Plan } from "../scheduler/plan.ts";',
    PATHS,
  ],
  ["ops import shaders", "src/ops/bad.ts", 'export { strategy } from "../../shaders/strategy.ts";', PATHS],
  ["shaders import graph", "shaders/matmul/bad.ts", 'export { graph } from "../../src/graph/graph.ts";', PATHS],
  ["a dynamic import upwards", "src/ops/badLazy.ts", 'export const x = import("../graph/graph.ts");', PATHS],
  ["a room imports the public API", "src/nn/bad.ts", 'export { rank } from "neurite";', PATHS],
  ["the library imports a demo", "src/nn/badDemo.ts", 'export { shared } from "../../demos/shared.ts";', PATHS],
  ["a cycle", "src/runtime/ring1.ts", stage["src/runtime/ring1.ts"]!, CYCLE],
  ["a demo imports src/graph", "demos/x/bad.ts", 'export { graph } from "../../src/graph/graph.ts";', SYNTAX],
  ["a demo goes round the alias", "demos/x/badIndex.ts", 'export { rank } from "../../src/index.ts";', SYNTAX],
  [
    "wgsl-preprocessor outside shaders/wgsl.ts",
    "shaders/matmul/badTag.ts",
    'export { wgsl } from "wgsl-preprocessor/wgsl-preprocessor.js";',
    SYNTAX,
  ],
  ["webgpu outside src/device", "src/runtime/badGpu.ts", 'export const x = import("webgpu");', SYNTAX],
  ["Chromium outside src/device", "src/cli/bad.ts", 'import "@sparticuz/chromium";', SYNTAX],
  ["navigator.gpu outside src/device", "src/runtime/badNavigator.ts", "export const gpu = navigator.gpu;", SYNTAX],
  ["GPUDevice outside src/device", "src/runtime/badDevice.ts", "export type D = GPUDevice | null;", SYNTAX],
  [
    "a promise left floating",
    "src/runtime/badPromise.ts",
    "Promise.resolve(1);\nexport {};",
    "@typescript-eslint/no-floating-promises",
  ],
  ["scheduler imports graph", "src/scheduler/good.ts", 'export { graph } from "../graph/graph.ts";', undefined],
  ["shaders import ops", "shaders/matmul/good.ts", 'export { relu } from "../../src/ops/relu.ts";', undefined],
  ["a demo imports neurite", "demos/x/good.ts", 'export { rank } from "neurite";', undefined],
  ["device imports webgpu", "src/device/good.ts", 'export const x: Promise<unknown> = import("webgpu");', undefined],
  ["device names GPUDevice", "src/device/goodType.ts", "export type D = GPUDevice | null;", undefined],
  ["engine names GPUDevice", "src/engine.ts", "export type D = GPUDevice | null;", undefined],
];

let scratch = "";
/** File -> the rules that complained about it. */
const complaints = new Map<string, string[]>();

beforeAll(async () => {
  scratch = realpathSync(mkdtempSync(join(tmpdir(), "neurite-lint-")));
  const write = (file: string, text: string) => {
    mkdirSync(dirname(join(scratch, file)), { recursive: true });
    writeFileSync(join(scratch, file), text);
  };
  symlinkSync(join(root, "node_modules"), join(scratch, "node_modules"), "junction");
  for (const file of ["eslint.config.js", "tsconfig.json", "package.json"]) {
    copyFileSync(join(root, file), join(scratch, file));
  }
  for (const [file, text] of Object.entries(stage)) write(file, text);
  for (const [, file, text] of cases) write(file, text);

  const eslint = new ESLint({ cwd: scratch });
  for (const { filePath, messages } of await eslint.lintFiles(["src", "shaders", "demos"])) {
    const file = filePath.slice(scratch.length + 1).replaceAll("\\", "/");
    complaints.set(
      file,
      messages.map(({ ruleId, message }) => ruleId ?? message),
    );
  }
});

afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

test.each(cases)("%s", (_, file, __, rule) => {
  expect(complaints.get(file)).toEqual(rule === undefined ? [] : [rule]);
});
