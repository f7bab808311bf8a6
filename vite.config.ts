// One config for three uses: the library (`vite build`), the demos (`vite --mode demos`, `vite build --mode demos`) and
// the tests (`vitest`, one project a folder of tests/).

import { existsSync, readdirSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { slim } from "./config/slim.ts";
import manifest from "./package.json" with { type: "json" };
import type { TestProjectInlineConfiguration, ViteUserConfig } from "vitest/config";

const root = import.meta.dirname;

/** Node's modules and the packages only Node users install: never bundled, loaded only where they are needed. */
export const nodeOnly = [/^node:/, ...builtinModules, "webgpu", "@sparticuz/chromium"];

/** What an installation of the package brings with it. */
const installed = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }).map(
  (name) => new RegExp(`^${name}(/|$)`),
);

const alias = { neurite: join(root, "src/index.ts") };

// Every module stays a file of its own: kernel families stay separate, and a bundler drops each module a page does not use.
const library: ViteUserConfig = {
  plugins: process.env["VITEST"] ? [] : [slim()],
  resolve: { alias },
  build: {
    target: "es2022",
    sourcemap: true,
    minify: false,
    lib: {
      entry: ["src/index.ts", "src/cli/main.ts"].map((file) => join(root, file)).filter(existsSync),
      formats: ["es"],
    },
    rolldownOptions: {
      external: [...nodeOnly, ...installed],
      output: { preserveModules: true, preserveModulesRoot: root, entryFileNames: "[name].js" },
    },
  },
  test: { projects: testProjects() },
};

// Cross-origin isolation gives pages timers of 5 µs instead of 100 µs, which the benchmarks need.
const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

const demos: ViteUserConfig = {
  root: join(root, "demos"),
  base: "./",
  plugins: [slim()],
  resolve: { alias },
  optimizeDeps: { exclude: ["webgpu", "@sparticuz/chromium"] },
  worker: { format: "es", plugins: () => [slim()], rolldownOptions: { external: nodeOnly } },
  server: { headers, fs: { allow: [root] } },
  preview: { headers },
  build: {
    target: "es2022",
    outDir: join(root, "dist-demos"),
    emptyOutDir: true,
    sourcemap: true,
    rolldownOptions: { input: demoPages(), external: nodeOnly },
  },
};

export default defineConfig(({ mode }) => (mode === "demos" ? demos : library));

/** demos/index.html and every demos/<name>/index.html. */
function demoPages(): string[] {
  const folder = join(root, "demos");
  if (!existsSync(folder)) return [];
  return ["", ...readdirSync(folder)].map((name) => join(folder, name, "index.html")).filter(existsSync);
}

/**
 * One project a folder of tests/. Those that compute on a GPU run one file at a time, because a software GPU already takes
 * every core.
 */
function testProjects(): TestProjectInlineConfiguration[] {
  const timeoutsMs = { unit: 20_000, fuzz: 120_000 };
  const gpuTimeoutsMs = {
    kernels: 120_000,
    gradients: 120_000,
    models: 180_000,
    conformance: 120_000,
    browser: 180_000,
  };
  const project = (name: string, timeoutMs: number) => ({
    name,
    include: [`tests/${name}/**/*.test.ts`],
    testTimeout: timeoutMs,
    hookTimeout: timeoutMs,
  });
  return [
    ...Object.entries(timeoutsMs).map(([name, timeoutMs]) => ({
      extends: true as const,
      test: project(name, timeoutMs),
    })),
    ...Object.entries(gpuTimeoutsMs).map(([name, timeoutMs], i) => ({
      extends: true as const,
      test: {
        ...project(name, timeoutMs),
        pool: "forks" as const,
        fileParallelism: false,
        maxWorkers: 1,
        sequence: { groupOrder: i + 1 }, // one project after another, too
      },
    })),
  ];
}
