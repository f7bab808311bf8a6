// Writes dist-bench/gpu.mjs: the bench and the kernel tests as one file of plain JavaScript, with only `webgpu` outside.
// `../shared/gpu/pack.sh dist-bench/gpu.mjs` packs it with all that a bare machine with a GPU needs.

import { builtinModules } from "node:module";
import { join } from "node:path";
import { build } from "vite";

const root = join(import.meta.dirname, "../..");

await build({
  root,
  configFile: false,
  logLevel: "error",
  resolve: { alias: { vitest: join(import.meta.dirname, "vitest.ts"), neurite: join(root, "src/index.ts") } },
  ssr: { noExternal: true },
  build: {
    ssr: join(import.meta.dirname, "main.ts"),
    outDir: join(root, "dist-bench"),
    emptyOutDir: true,
    target: "node20",
    minify: false,
    rolldownOptions: {
      external: [/^node:/, ...builtinModules, "webgpu", "@sparticuz/chromium"],
      output: { entryFileNames: "gpu.mjs", codeSplitting: false },
    },
  },
});
