// Runs the repository's checks in order and closes with one line, `N passed, N failed` (and `, N skipped`): every test
// counts as one, and every other check as one. A check that ran nothing is skipped, never passed.
// `node .ci/checks.mjs` runs all; with names, only those: `node .ci/checks.mjs lint unit`.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const LIMIT_MIN = 30; // a check that runs longer is stopped, and has failed
const OUTPUT_LINES = 150; // of a failed check's output

const bin = (path) => [join(root, "node_modules", path)];
const vite = bin("vite/bin/vite.js");
const tsc = bin("typescript/bin/tsc");

/** name -> the commands that must all succeed, or the folder of tests to run. In the order they run in. */
const checks = {
  format: { commands: [[...bin("prettier/bin/prettier.cjs"), "--check", ".", "--log-level", "warn"]] },
  lint: { commands: [[...bin("eslint/bin/eslint.js"), ".", "--max-warnings", "0"]] },
  types: { commands: [tsc] },
  knip: { commands: [bin("knip/bin/knip.js")] },
  unit: { tests: "unit" },
  kernels: { tests: "kernels" },
  gradients: { tests: "gradients" },
  models: { tests: "models" },
  conformance: { tests: "conformance" },
  fuzz: { tests: "fuzz" },
  browser: { tests: "browser" },
  build: {
    commands: [
      [...vite, "build"],
      [...tsc, "-p", "tsconfig.build.json"],
    ],
  },
  demos: { commands: [[...vite, "build", "--mode", "demos"]] },
  size: { commands: [["--import", "./config/run-typescript.mjs", "bench/size/size.ts"]] },
  package: { commands: [[".ci/package.mjs"]] },
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in checks));
if (unknown.length > 0) {
  console.error(`No check named ${unknown.join(", ")}. There are: ${Object.keys(checks).join(", ")}.`);
  process.exit(2);
}

const total = { passed: 0, failed: 0, skipped: 0 };
for (const name of asked.length > 0 ? asked : Object.keys(checks)) {
  const startMs = performance.now();
  const check = checks[name];
  const { passed, failed, skipped, output } = check.tests ? await runTests(check.tests) : await runAll(check.commands);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1).padStart(6);
  if (failed > 0) console.log(`${output.trimEnd().split("\n").slice(-OUTPUT_LINES).join("\n")}\n`);
  const verdict = failed > 0 ? "FAILED" : passed > 0 ? "passed" : "ran nothing";
  const counts = check.tests && passed + failed > 0 ? ` ${tally({ passed, failed, skipped })}` : "";
  console.log(`${name.padEnd(12)}${seconds} s  ${verdict}${counts && ":"}${counts}`);
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}
console.log(`\n${tally(total)}`);
process.exitCode = total.failed > 0 ? 1 : 0;

function tally({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** A check made of commands: one passed, or one failed. */
async function runAll(commands) {
  let output = "";
  for (const command of commands) {
    const result = await run(command);
    output += result.output;
    if (!result.ok) return { passed: 0, failed: 1, skipped: 0, output };
  }
  return { passed: 1, failed: 0, skipped: 0, output };
}

/** A check made of tests: each counts. A file that fails to load, or an error outside every test, counts as one failed. */
async function runTests(project) {
  const folder = join(root, "tests", project);
  const files = existsSync(folder) ? readdirSync(folder, { recursive: true }) : [];
  if (!files.some((file) => file.endsWith(".test.ts"))) return { passed: 0, failed: 0, skipped: 1, output: "" };

  const scratch = mkdtempSync(join(tmpdir(), "neurite-checks-"));
  const report = join(scratch, "report.json");
  try {
    const vitest = [...bin("vitest/vitest.mjs"), "run", "--project", project];
    const { ok, output } = await run([...vitest, "--reporter=dot", "--reporter=json", `--outputFile.json=${report}`]);
    if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0, output };
    const { testResults } = JSON.parse(readFileSync(report, "utf8"));
    const statuses = testResults.flatMap(({ assertionResults }) => assertionResults.map(({ status }) => status));
    const count = (...wanted) => statuses.filter((status) => wanted.includes(status)).length;
    const passed = count("passed");
    const skipped = count("skipped", "pending", "todo", "disabled");
    const unloaded = testResults.filter(
      (file) => file.status === "failed" && file.assertionResults.length === 0,
    ).length;
    const failed = statuses.length - passed - skipped + unloaded;
    const unexplained = failed === 0 && (!ok || statuses.length === 0);
    return { passed, failed: unexplained ? 1 : failed, skipped, output };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Runs Node with these arguments and gathers what it prints. */
function run(args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...process.env, NO_COLOR: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => (output += text));
    const timer = setTimeout(() => {
      output += `\nStopped after ${LIMIT_MIN} minutes.\n`;
      child.kill("SIGKILL");
    }, LIMIT_MIN * 60_000);
    const stop = () => child.kill("SIGTERM");
    process.once("SIGTERM", stop);
    child.on("close", (code) => {
      clearTimeout(timer);
      process.off("SIGTERM", stop);
      resolve({ ok: code === 0, output });
    });
  });
}
