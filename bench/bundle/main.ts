// One file that takes the bench and the kernel tests to a machine that has nothing but Node and the `webgpu` package:
//
//     node gpu.mjs test [filter]               # every kernel against the float64 reference
//     node gpu.mjs bench [what …] [options]    # as `npm run bench`, without --browser

import { spawn } from "node:child_process";
import { benchHere, report } from "../kernels/node.ts";
import { parseCommandLine } from "../kernels/options.ts";
import { runFile, type Tally } from "./vitest.ts";

const tests = Object.fromEntries(
  Object.entries(import.meta.glob("../../tests/kernels/*.test.ts")).map(([path, load]) => [
    path.slice(path.lastIndexOf("/") + 1, -".test.ts".length),
    load,
  ]),
);

/** Tests of one file in a process of its own, as vitest has them: drivers do not like to be opened twice. */
function inProcess(file: string, filter: string): Promise<Tally> {
  return new Promise((resolve) => {
    const args = [...process.execArgv, process.argv[1]!, "test-file", file, filter];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    let tally: Tally | undefined;
    child.on("message", (message) => (tally = message as Tally));
    child.on("close", (code, signal) => {
      if (!tally) console.log(`FAILED ${file}: the process ended with ${signal ?? code} before its tests did`);
      resolve(tally ?? { passed: 0, failed: 1 });
    });
  });
}

async function testAll(filter: string): Promise<void> {
  const total = { passed: 0, failed: 0 };
  for (const file of Object.keys(tests)) {
    const began = performance.now();
    const { passed, failed } = await inProcess(file, filter);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    if (passed + failed > 0) console.log(`${file}: ${passed} passed, ${failed} failed, ${seconds} s`);
    total.passed += passed;
    total.failed += failed;
  }
  console.log(`\n${total.passed} passed, ${total.failed} failed`);
  process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
}

const [task, ...rest] = process.argv.slice(2);
if (task === "bench") {
  const options = parseCommandLine(rest);
  await report(options, () => benchHere(options));
} else if (task === "test") await testAll(rest.join(" "));
else if (task === "test-file") {
  const [file = "", filter = ""] = rest;
  const tally = await runFile(file, tests[file]!, filter, console.log);
  process.send!(tally, () => process.exit()); // without waiting for what a driver leaves behind
} else {
  console.error("usage: node gpu.mjs test [filter] | bench [what …] [options]");
  process.exitCode = 2;
}
