// Serves the peers' page: TypeScript stripped as it is asked for, the libraries' own files, Neurite's build, and the models
// and references of the workloads. It remembers what was requested: that is what a library makes a page download.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { transformWithOxc } from "vite";
import { libraries } from "./libraries.ts";
import { onnxModel } from "./models.ts";
import { dataOf, workload } from "./workloads.ts";

const contentTypes: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".ts": "text/javascript; charset=utf-8",
  ".wasm": "application/wasm",
  ".json": "application/json",
};

const modules = "/node_modules";
const nothing = "data:text/javascript,export default {}";
const imports = {
  "@tensorflow/tfjs": `${modules}/@tensorflow/tfjs/dist/tf.fesm.min.js`,
  "@tensorflow/tfjs-core": `${modules}/@tensorflow/tfjs/dist/tf.fesm.min.js`,
  "@tensorflow/tfjs-backend-webgpu": `${modules}/@tensorflow/tfjs-backend-webgpu/dist/tf-backend-webgpu.fesm.min.js`,
  "@tensorflow/tfjs-backend-wasm": `${modules}/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.fesm.min.js`,
  "@jax-js/jax": `${modules}/@jax-js/jax/dist/index.js`,
  fs: nothing,
  os: nothing,
  path: nothing,
  perf_hooks: nothing,
};
const html =
  '<!doctype html><meta charset="utf-8"><title>Peers</title><link rel="icon" href="data:,">' +
  `<script type="importmap">${JSON.stringify({ imports })}</script><script type="module" src="/page.ts"></script>`;

export interface Download {
  readonly path: string;
  readonly bytes: number;
  /** With gzip at its best. */
  readonly gzipBytes: number;
}

export interface PeerServer extends AsyncDisposable {
  readonly origin: string;
  /** Forgets what was requested so far. */
  forget(): void;
  /** The libraries' files requested since, workloads and the bench's own page left out. */
  downloads(): Download[];
}

/** `neurite` is the folder that Neurite was built into. */
export async function servePeers(neurite: string): Promise<PeerServer> {
  const requested = new Map<string, Uint8Array>();
  const made = new Map<string, Uint8Array | undefined>();
  const once = (path: string, make: () => Uint8Array | undefined): Uint8Array | undefined => {
    if (!made.has(path)) made.set(path, make());
    return made.get(path);
  };

  const find = async (path: string): Promise<Uint8Array | undefined> => {
    if (path === "/") return Buffer.from(html);
    const [, kind, id] = /^\/(model|reference)\/(.+)\.(?:onnx|bin)$/.exec(path) ?? [];
    if (id !== undefined)
      return once(path, () => {
        if (kind === "model") return onnxModel(id);
        const one = workload(id);
        const values = one.reference?.(dataOf(one));
        return values && new Uint8Array(values.buffer);
      });
    const folder = path.startsWith("/neurite/") ? neurite : import.meta.dirname;
    const file = join(folder, path.startsWith("/neurite/") ? path.slice("/neurite/".length) : path);
    if (relative(folder, file).startsWith("..")) return undefined;
    const bytes = await readFile(file).catch(() => undefined);
    if (bytes === undefined || extname(file) !== ".ts") return bytes;
    return Buffer.from((await transformWithOxc(bytes.toString(), file)).code);
  };

  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
    const answer = (body: Uint8Array | undefined): void => {
      if (body) requested.set(path, body);
      response.writeHead(body ? 200 : 404, {
        "content-type": contentTypes[path === "/" ? ".html" : extname(path)] ?? "application/octet-stream",
        "cache-control": "no-store",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-embedder-policy": "require-corp",
        "cross-origin-resource-policy": "cross-origin",
      });
      response.end(body ?? `no ${path} here`);
    };
    find(path).then(answer, () => answer(undefined));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    forget: () => requested.clear(),
    downloads: () =>
      [...requested]
        .filter(([path]) => path.startsWith(`${modules}/`) || path.startsWith("/neurite/"))
        .map(([path, body]) => ({
          path,
          bytes: body.length,
          gzipBytes: gzipSync(body, { level: 9 }).length,
        })),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Query of the page for a library. */
export function pageQuery(name: string, cold = false): string {
  const { module, options = {} } = libraries[name]!;
  const query = new URLSearchParams({ module, options: JSON.stringify({ ...options, cold }) });
  if (cold) query.set("cold", "1");
  return `/?${query.toString()}`;
}
