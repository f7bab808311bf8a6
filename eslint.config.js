// What the linter holds the code to: typescript-eslint's strictest set, and the house plan's one-way imports, all of them
// generated from ROOMS below. tests/unit/lint.test.ts shows that each rule bites.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import eslint from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import importX, { createNodeResolver } from "eslint-plugin-import-x";
import globals from "globals";
import tseslint from "typescript-eslint";

const root = import.meta.dirname;

/** From the ground up: a room imports only from rooms above it in this list. */
const ROOMS = [
  "src/core",
  "src/ops",
  "shaders",
  "src/graph",
  "src/autodiff",
  "src/scheduler",
  "src/device",
  "src/runtime",
  "src/nn",
  "src/train",
  "src/formats",
  "src/engine.ts",
  "src/data",
  "src/cli",
  "src/index.ts",
];
/** Folders around the library: they import it, it never imports them. */
const AROUND = ["demos", "tests", "bench", "config"];

const homeless = readdirSync(join(root, "src"))
  .map((name) => `src/${name}`)
  .filter((path) => !ROOMS.includes(path) && !path.endsWith(".d.ts"));
if (homeless.length > 0)
  throw new Error(`${homeless.join(", ")}: not in ROOMS of eslint.config.js; give it a place there`);

const zones = ROOMS.map((room, i) => ({
  target: join(root, room),
  from: [...ROOMS.slice(i + 1), ...AROUND].map((later) => join(root, later)),
  message: `${room} imports only from rooms above it: ${ROOMS.slice(0, i).join(", ") || "none"}.`,
}));

/** A ban on importing, however it is written, what matches `pattern`. */
const imports = (pattern, message) => ({
  selector: `:matches(ImportDeclaration, ImportExpression, ExportNamedDeclaration, ExportAllDeclaration)[source.value=/${pattern}/]`,
  message,
});

// Things with one owner. Each is banned everywhere but in the files named with it.
const preprocessor = [
  imports("^wgsl-preprocessor", "Only shaders/wgsl.ts imports wgsl-preprocessor: use its `wgsl` tag."),
];
const nodeGpu = [
  imports("^(webgpu|@sparticuz.chromium)$", "Only src/device imports the packages that bring a GPU to Node."),
];
const gpuDevice = [
  "MemberExpression[property.name='gpu']:matches([object.name='navigator'], [object.property.name='navigator'])",
  "TSTypeReference[typeName.name=/^GPU(Device|Adapter)$/]",
].map((selector) => ({
  selector,
  message: "Only src/device touches GPUDevice and GPUAdapter: ask it for what is needed.",
}));
const internals = [imports("(^|\\u002F)(src|shaders)\\u002F", 'Demos use the public API only: import from "neurite".')];
const banned = (files, ...bans) => ({ files, rules: { "no-restricted-syntax": ["error", ...bans.flat()] } });

export default defineConfig(
  globalIgnores(["dist/", "dist-*/", "coverage/", "docs/api/", "runs/", ".cache/", "tests/browser/out/"]),
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  eslint.configs.recommended,
  tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      globals: { ...globals.node },
      parserOptions: { projectService: true, tsconfigRootDir: root },
    },
    plugins: { "import-x": importX },
    settings: {
      "import-x/parsers": { "@typescript-eslint/parser": [".ts"] },
      "import-x/resolver-next": [
        createNodeResolver({ extensions: [".ts", ".js", ".mjs"], alias: { neurite: [join(root, "src/index.ts")] } }),
      ],
    },
    rules: {
      eqeqeq: "error",
      "import-x/no-cycle": "error",
      "import-x/no-restricted-paths": ["error", { zones }],
      "@typescript-eslint/switch-exhaustiveness-check": "error",

      // Numeric code indexes arrays inside loops that bound the index; `!` says so, a runtime check would cost.
      "@typescript-eslint/no-non-null-assertion": "off",
      // Numbers print as they are, in messages and in WGSL.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      // `() => device.destroy()` is a clear way to pass on a call.
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      // `while (true)` with a `break` in its middle.
      "@typescript-eslint/no-unnecessary-condition": [
        "error",
        { allowConstantLoopConditions: "only-allowed-literals" },
      ],
      // A leading underscore marks a parameter that only holds its place.
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
    },
  },
  // Later entries replace the earlier ones for the files they name.
  banned(["src/**", "shaders/**"], preprocessor, nodeGpu, gpuDevice),
  banned(["shaders/wgsl.ts"], nodeGpu, gpuDevice),
  banned(["src/device/**"], preprocessor),
  banned(["src/engine.ts"], preprocessor, nodeGpu),
  banned(["tests/**", "bench/**"], preprocessor),
  banned(["demos/**"], preprocessor, nodeGpu, internals),
  { files: ["bench/peers/adapters/*.mjs"], languageOptions: { globals: globals.browser } },
  { files: ["**/*.{js,mjs,cjs}"], extends: [tseslint.configs.disableTypeChecked] },
);
