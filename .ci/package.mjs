// The package as a user gets it: packs it, unpacks it into an empty project, multiplies two matrices in Node, asks the command for its usage, and compiles
// a TypeScript consumer under both ways of resolving modules. Needs `npm run build` first; needs no network.

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
if (!existsSync(join(root, "dist"))) throw new Error("Nothing to pack: run `npm run build` first.");

const project = mkdtempSync(join(tmpdir(), "neurite-package-"));
const modules = join(project, "node_modules");
const inProject = (command, ...args) => execFileSync(command, args, { cwd: project, encoding: "utf8", stdio: "pipe" });

try {
  const pack = ["pack", "--json", "--ignore-scripts", "--pack-destination", project];
  const shell = process.platform === "win32"; // npm is a .cmd there
  const packed = execFileSync("npm", pack, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], shell });
  const [{ filename, files, size }] = JSON.parse(packed);
  inProject("tar", "-xzf", filename);
  mkdirSync(modules);
  renameSync(join(project, "package"), join(modules, "neurite"));
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  for (const dependency of [...Object.keys(dependencies), "@webgpu/types"])
    cpSync(join(root, "node_modules", dependency), join(modules, dependency), { recursive: true });
  writeFileSync(join(project, "package.json"), '{ "type": "module" }');

  const consumer = `
import { createEngine } from "neurite";

const engine = await createEngine({ backend: "cpu" });
const f = await engine.compile((a, b) => ({ y: a.matmul(b) }), { a: [2, 3], b: [3, 2] });
const { y } = await f.run({ a: new Float32Array([1, 2, 3, 4, 5, 6]), b: new Float32Array([1, 0, 0, 1, 1, 1]) });
const got = Array.from(y.data).join();
if (got !== "4,5,10,11") throw new Error("matmul gave " + got);
`;
  writeFileSync(join(project, "consumer.mjs"), consumer);
  inProject(process.execPath, "consumer.mjs");

  // The command, by the file that package.json names for it.
  const { bin } = JSON.parse(readFileSync(join(modules, "neurite/package.json"), "utf8"));
  const usage = inProject(process.execPath, join(modules, "neurite", bin.neurite), "--help");
  for (const command of ["run", "inspect", "verify", "profile", "conformance", "export"])
    if (!usage.includes(command)) throw new Error(`neurite --help does not name ${command}: ${usage}`);

  // The same text is TypeScript; a mistake is added, which only declarations that resolve can tell.
  const mistake = "// @ts-expect-error There is no such backend.\nawait createEngine({ backend: 3 });\n";
  writeFileSync(join(project, "consumer.ts"), consumer + mistake);
  for (const [module, moduleResolution] of Object.entries({ node16: "node16", esnext: "bundler" })) {
    const options = {
      module,
      moduleResolution,
      target: "es2022",
      strict: true,
      noEmit: true,
      skipLibCheck: false,
      types: ["@webgpu/types"],
    };
    const config = { compilerOptions: options, files: ["consumer.ts"] };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify(config));
    inProject(process.execPath, join(root, "node_modules/typescript/bin/tsc"), "-p", ".");
  }
  console.log(`${filename}: ${files.length} files, ${(size / 1000).toFixed(0)} kB; runs in Node, types check`);
} catch (error) {
  console.error(`${error.stdout ?? ""}${error.stderr ?? ""}${error.stack}`);
  process.exitCode = 1;
} finally {
  rmSync(project, { recursive: true, force: true });
}
