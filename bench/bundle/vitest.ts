// As much of vitest as the kernel tests use, for where it is not installed: the bundle puts this module in its place. Tests
// run one after another, in the order they are declared in.

import { isDeepStrictEqual } from "node:util";

/** What follows a title: the body, before or after options (time limits), which count for nothing here. */
type Rest = readonly unknown[];
const bodyOf = (rest: Rest): ((...args: readonly unknown[]) => unknown) =>
  rest.find((one) => typeof one === "function") as (...args: readonly unknown[]) => unknown;

interface Declared {
  readonly name: string;
  readonly run: () => unknown;
}

interface File {
  readonly tests: Declared[];
  readonly before: (() => unknown)[];
  readonly after: (() => unknown)[];
}

let file: File = { tests: [], before: [], after: [] };
let group: string[] = [];

function declare(name: string, run: () => unknown): void {
  file.tests.push({ name: [...group, name].join(" › "), run });
}

/** `$name`, `$operator.name`, and %s, %i, %o for the arguments in turn. */
function titled(title: string, args: readonly unknown[]): string {
  let next = 0;
  const [first] = args;
  return title
    .replace(/\$([a-zA-Z][\w.]*)/g, (_, path: string) =>
      String(
        path.split(".").reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], first),
      ),
    )
    .replace(/%[sdifjo]/g, () => String(args[next++]));
}

const each =
  (rows: readonly unknown[]) =>
  (title: string, ...rest: Rest): void => {
    for (const row of rows) {
      const args = Array.isArray(row) ? (row as unknown[]) : [row];
      declare(titled(title, args), () => bodyOf(rest)(...args));
    }
  };
const skip = (): void => undefined;
const declaring = Object.assign((name: string, ...rest: Rest) => declare(name, () => bodyOf(rest)()), { each, skip });

const skipping = Object.assign(skip, { each: () => skip });
const makeTest = () =>
  Object.assign(declaring, {
    skipIf: (condition: unknown) => (condition ? skipping : declaring),
    runIf: (condition: unknown) => (condition ? declaring : skipping),
  });
export const test = makeTest();
export const it = makeTest();

const inGroup = (name: string, body: () => unknown): void => {
  group = [...group, name];
  body();
  group = group.slice(0, -1);
};

export const describe = Object.assign((name: string, ...rest: Rest) => inGroup(name, () => bodyOf(rest)()), {
  each:
    (rows: readonly unknown[]) =>
    (title: string, ...rest: Rest): void => {
      for (const row of rows) {
        const args = Array.isArray(row) ? (row as unknown[]) : [row];
        inGroup(titled(title, args), () => bodyOf(rest)(...args));
      }
    },
});

export const beforeAll = (body: () => unknown): void => void file.before.push(body);
export const afterAll = (body: () => unknown): void => void file.after.push(body);

const shown = (value: unknown): string => {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 2000 ? `${text.slice(0, 2000)} …` : text;
};
const number = (value: unknown): number => value as number;

const matches = (actual: unknown, pattern: unknown): boolean =>
  typeof pattern === "string" ? String(actual).includes(pattern) : (pattern as RegExp).test(String(actual));

const matchers = {
  toBe: Object.is,
  toEqual: (actual: unknown, expected: unknown) =>
    isDeepStrictEqual(withoutUndefined(actual), withoutUndefined(expected)),
  toContain: (actual: unknown, expected: unknown) => (actual as unknown[] | string).includes(expected as never),
  toMatch: matches,
  toHaveLength: (actual: unknown, expected: unknown) => (actual as { length: number }).length === expected,
  toBeGreaterThan: (actual: unknown, expected: unknown) => number(actual) > number(expected),
  toBeGreaterThanOrEqual: (actual: unknown, expected: unknown) => number(actual) >= number(expected),
  toBeLessThan: (actual: unknown, expected: unknown) => number(actual) < number(expected),
  toBeLessThanOrEqual: (actual: unknown, expected: unknown) => number(actual) <= number(expected),
  toBeDefined: (actual: unknown) => actual !== undefined,
  toBeUndefined: (actual: unknown) => actual === undefined,
  toThrow: (actual: unknown, expected: unknown): boolean => {
    const error = typeof actual === "function" ? thrownBy(actual as () => unknown) : actual;
    if (error === undefined) return false;
    if (expected === undefined) return true;
    if (typeof expected === "function") return error instanceof expected;
    return matches(error instanceof Error ? error.message : error, expected);
  },
} satisfies Record<string, (actual: unknown, expected: unknown) => boolean>;

function thrownBy(body: () => unknown): unknown {
  try {
    body();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** What `toEqual` compares: properties that are undefined count as absent. */
function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUndefined);
  if (value === null || typeof value !== "object" || Object.getPrototypeOf(value) !== Object.prototype) return value;
  const kept = Object.entries(value).filter(([, one]) => one !== undefined);
  return Object.fromEntries(kept.map(([key, one]) => [key, withoutUndefined(one)]));
}

type Matchers<R> = { readonly [K in keyof typeof matchers]: (expected?: unknown) => R };
interface Expectation extends Matchers<void> {
  readonly not: Matchers<void>;
  readonly resolves: Matchers<Promise<void>>;
  readonly rejects: Matchers<Promise<void>>;
}

export function expect(actual: unknown, message?: string): Expectation {
  const judge = (name: string, value: unknown, expected: unknown, wanted: boolean): void => {
    const matcher = (matchers as Record<string, (actual: unknown, expected: unknown) => boolean>)[name];
    if (!matcher) throw new Error(`expect: the bundle has no ${name}`);
    if (matcher(value, expected) === wanted) return;
    const not = wanted ? "" : "not.";
    throw new Error(`${message ? `${message}: ` : ""}expected ${shown(value)} ${not}${name} ${shown(expected)}`);
  };
  const all = <R>(run: (name: string, expected: unknown) => R): Matchers<R> =>
    new Proxy({} as Matchers<R>, { get: (_, name) => (expected: unknown) => run(String(name), expected) });
  const direct = (wanted: boolean) => all((name, expected) => judge(name, actual, expected, wanted));
  const rest = {
    not: direct(false),
    resolves: all(async (name, expected) => judge(name, await actual, expected, true)),
    rejects: all(async (name, expected) => {
      const error: unknown = await (
        typeof actual === "function" ? (actual as () => Promise<unknown>)() : (actual as Promise<unknown>)
      ).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      judge(name, error, expected, true);
    }),
  };
  return new Proxy(rest as unknown as Expectation, {
    get: (_, name) => (name in rest ? rest[name as keyof typeof rest] : direct(true)[name as keyof typeof matchers]),
  });
}

export interface Tally {
  readonly passed: number;
  readonly failed: number;
}

/** Runs the tests of one file whose full name contains `filter`. `load` declares them. */
export async function runFile(
  name: string,
  load: () => Promise<unknown>,
  filter: string,
  report: (line: string) => void,
): Promise<Tally> {
  file = { tests: [], before: [], after: [] };
  group = [];
  await load();
  const { tests, before, after } = file;
  const chosen = tests.filter((one) => `${name} › ${one.name}`.includes(filter));
  let failed = 0;
  for (const hook of before) await hook();
  for (const one of chosen)
    try {
      await one.run();
    } catch (error) {
      failed++;
      report(`FAILED ${name} › ${one.name}\n  ${error instanceof Error ? error.message : String(error)}`);
    }
  for (const hook of after) await hook();
  return { passed: chosen.length - failed, failed };
}
