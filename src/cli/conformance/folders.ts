// Tests in ONNX's backend-test form: a folder with model.onnx and test_data_set_<k>/{input,output}_<i>.pb. A set is a folder
// of such folders; an index.json beside them may say what each may be judged by.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { FormatError, UsageError } from "../../core/errors.ts";
import { DEFAULT_TOLERANCE, type Tolerance } from "./judge.ts";

/** One test. */
export interface TestFolder {
  readonly name: string;
  readonly path: string;
  readonly tolerance: Tolerance;
  /** The main operator, where the index says so. */
  readonly operator?: string;
  /** Its expected outputs hang on NumPy's random stream: it is skipped. */
  readonly nondeterministic: boolean;
  /** Its results need more than 32 bits: refusing them with a DTypeError is right, too. */
  readonly wideIntegers: boolean;
}

/** An entry of index.json, as far as it is used here. */
interface IndexEntry {
  readonly name: string;
  readonly op?: string;
  readonly rtol?: number;
  readonly atol?: number;
  readonly atolRelativeToMax?: boolean;
  readonly nondeterministic?: boolean;
  readonly tags?: readonly string[];
}

const MODEL = "model.onnx";

/**
 * The tests of a set: those of its index, in its order, then folders the index does not name. `path` may also be a single
 * test. Throws UsageError where there is none.
 */
export function findTests(path: string): TestFolder[] {
  if (!existsSync(path)) throw new UsageError(`${path}: no such folder`);
  if (existsSync(join(path, MODEL))) return [testFolder(path, { name: basename(path) })];
  const entries = readIndex(path);
  const named = new Set(entries.map(({ name }) => name));
  const others = readdirSync(path, { withFileTypes: true })
    .filter((item) => item.isDirectory() && !named.has(item.name) && existsSync(join(path, item.name, MODEL)))
    .map(({ name }): IndexEntry => ({ name }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const tests = [...entries, ...others].map((entry) => testFolder(join(path, entry.name), entry));
  if (tests.length === 0) throw new UsageError(`${path}: no folder in it holds a ${MODEL}`);
  return tests;
}

function testFolder(path: string, entry: IndexEntry): TestFolder {
  const { rtol, atol, atolRelativeToMax, op } = entry;
  return {
    name: entry.name,
    path,
    tolerance: {
      rtol: rtol ?? DEFAULT_TOLERANCE.rtol,
      atol: atol ?? DEFAULT_TOLERANCE.atol,
      atolRelativeToMax: atolRelativeToMax ?? DEFAULT_TOLERANCE.atolRelativeToMax,
    },
    ...(op !== undefined && { operator: op }),
    nondeterministic: Boolean(entry.nondeterministic),
    wideIntegers: entry.tags?.includes("int64-wide") ?? false,
  };
}

function readIndex(path: string): readonly IndexEntry[] {
  const file = join(path, "index.json");
  if (!existsSync(file)) return [];
  try {
    const index: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (Array.isArray(index) && index.every(isEntry)) return index;
  } catch (cause) {
    throw new FormatError(`${file}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  throw new FormatError(`${file}: expected a list of entries with a name`);
}

function isEntry(value: unknown): value is IndexEntry {
  return typeof value === "object" && value !== null && "name" in value && typeof value.name === "string";
}

/** Where a test's model lies. */
export function modelFile(test: TestFolder): string {
  return join(test.path, MODEL);
}

/** A data set: the files of its inputs and outputs, by their number. */
export interface DataSet {
  readonly name: string;
  readonly inputs: ReadonlyMap<number, string>;
  readonly outputs: ReadonlyMap<number, string>;
}

/** The data sets of a test, by their number. Throws FormatError where there are none. */
export function dataSets(test: TestFolder): DataSet[] {
  const numbered = (folder: string, form: RegExp): Map<number, string> =>
    new Map(
      readdirSync(folder)
        .flatMap((name): [number, string][] => {
          const match = form.exec(name);
          return match ? [[Number(match[1]), join(folder, name)]] : [];
        })
        .sort(([a], [b]) => a - b),
    );
  const sets = [...numbered(test.path, /^test_data_set_(\d+)$/).values()];
  if (sets.length === 0) throw new FormatError(`${test.path} holds no test_data_set_<k>`);
  return sets.map((folder) => ({
    name: basename(folder),
    inputs: numbered(folder, /^input_(\d+)\.pb$/),
    outputs: numbered(folder, /^output_(\d+)\.pb$/),
  }));
}
