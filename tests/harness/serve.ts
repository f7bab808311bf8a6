// A static server on localhost, for browser tests: a secure context, so WebGPU works, and one with the headers that make
// timestamps fine and SharedArrayBuffer available. Pages can also be given as text, so that a test is in one file.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";

const contentTypes: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".wasm": "application/wasm",
};

/** What to serve. */
export interface ServeOptions {
  /** A folder whose files are served. */
  readonly root?: string;
  /** Texts by path, e.g. `{ "/": "<!doctype html>…", "/worker.js": "…" }`; they come before files of the folder. */
  readonly pages?: Readonly<Record<string, string>>;
  /** Single files by path. */
  readonly files?: Readonly<Record<string, string>>;
  /** Further folders by the path they are served under, which ends with a slash. */
  readonly folders?: Readonly<Record<string, string>>;
}

/** A running server. */
export interface StaticServer extends AsyncDisposable {
  /** `http://localhost:<port>`, without a slash at its end. */
  readonly origin: string;
  close(): Promise<void>;
}

/** Starts a server on a free port of localhost. */
export async function serve({ root, pages = {}, files = {}, folders = {} }: ServeOptions): Promise<StaticServer> {
  const find = async (pathname: string): Promise<string | Buffer | undefined> => {
    const page = pages[pathname];
    if (page !== undefined) return page;
    const single = files[pathname];
    if (single !== undefined) return readFile(single).catch(() => undefined);
    const prefix = Object.keys(folders).find((candidate) => pathname.startsWith(candidate));
    const folder = prefix === undefined ? root : folders[prefix];
    if (folder === undefined) return undefined;
    const rest = prefix === undefined ? pathname : pathname.slice(prefix.length);
    const file = path.join(folder, rest.endsWith("/") ? `${rest}index.html` : rest);
    if (path.relative(folder, file).startsWith("..")) return undefined;
    return readFile(file).catch(() => undefined);
  };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    void find(decodeURIComponent(pathname)).then((body) => {
      const extension = path.extname(pathname) || ".html";
      response.writeHead(body === undefined ? 404 : 200, {
        "content-type": contentTypes[extension] ?? "application/octet-stream",
        "cache-control": "no-store",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-embedder-policy": "require-corp",
      });
      response.end(body ?? `no ${pathname} here`);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "localhost", resolve);
  });
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  const { port } = server.address() as AddressInfo;
  return { origin: `http://localhost:${port}`, close, [Symbol.asyncDispose]: close };
}
