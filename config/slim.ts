// The library as it is published, and every page built from it, leaves out what only its developers use: the cases that
// operators are tested with (src/ops/operator.ts: one case gives the kernel test, the gradient check and the benchmark),
// and the comments and indentation of WGSL texts, which a bundler's minifier takes for data.

import { join, sep } from "node:path";
import type { Plugin } from "vite";

const OPERATORS = join(import.meta.dirname, "../src/ops") + sep;
const SHADERS = join(import.meta.dirname, "../shaders") + sep;

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [property: string]: unknown;
}

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export function slim(): Plugin {
  return {
    name: "slim",
    enforce: "post",
    transform(code, id) {
      const isOperator = id.startsWith(OPERATORS);
      if (!isOperator && !id.startsWith(SHADERS)) return undefined;
      const edits: Edit[] = [];
      const look = (node: Node): boolean => (!isOperator || casesOf(node, edits)) && wgslOf(node, code, edits);
      visit(this.parse(code), look);
      let result = code;
      for (const { start, end, text } of edits.sort((a, b) => b.start - a.start))
        result = result.slice(0, start) + text + result.slice(end);
      return { code: result, map: null };
    },
  };
}

/** Empties a property `cases`. */
function casesOf(node: Node, edits: Edit[]): boolean {
  const { key } = node;
  if (node.type !== "Property" || node["kind"] !== "init" || !isNode(key) || key["name"] !== "cases") return true;
  edits.push({ start: node.start, end: node.end, text: "cases: []" });
  return false;
}

/** Strips the texts of templates that span lines: they are WGSL. */
function wgslOf(node: Node, code: string, edits: Edit[]): boolean {
  if (node.type !== "TemplateLiteral") return true;
  for (const { value, start } of node["quasis"] as (Node & { readonly value: { readonly raw: string } })[]) {
    const { raw } = value;
    const from = code.startsWith(raw, start) ? start : start + 1; // parsers differ: with the delimiter, or without
    if (raw.includes("\n")) edits.push({ start: from, end: from + raw.length, text: stripped(raw) });
  }
  return true;
}

/** Without comments that end where they began, and without the spaces that lines begin with. */
function stripped(wgsl: string): string {
  return wgsl
    .replace(/[ \t]*\/\/[^\n]*(?=\n)/g, "")
    .replace(/\n[ \t]+/g, "\n")
    .replace(/\n{2,}/g, "\n");
}

/** Calls `look` for every node of a tree; where it says false, the node's children are left alone. */
function visit(value: unknown, look: (node: Node) => boolean): void {
  if (Array.isArray(value)) for (const item of value) visit(item, look);
  if (!isNode(value) || !look(value)) return;
  for (const [name, child] of Object.entries(value)) if (name !== "parent") visit(child, look);
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && "start" in value;
}
