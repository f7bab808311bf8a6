// The choice in the address bar: a link shows the same problem on another machine.
//
//     ?op=MatMul&M=512&N=512&K=512&dtype=float32

import { problems } from "./problems.ts";
import type { Choice } from "./protocol.ts";

/** What the address asks for, as far as it makes sense; the rest is as the problem has it. */
export function choiceOf(parameters: URLSearchParams, firstOperator: string): Choice {
  const asked = parameters.get("op") ?? firstOperator;
  const operator = Object.hasOwn(problems, asked) ? asked : firstOperator;
  const dimensions = problems[operator]!.dimensions.map(({ name, value, minimum = 1 }) => {
    const given = Number(parameters.get(name) ?? value);
    return [name, Number.isInteger(given) && given >= minimum ? given : value] as const;
  });
  const dtype = parameters.get("dtype") === "float16" ? "float16" : "float32";
  return { operator, dimensions: Object.fromEntries(dimensions), dtype };
}

/** The address of a choice, relative to the page. */
export function addressOf({ operator, dimensions, dtype }: Choice): string {
  const parameters = new URLSearchParams({ op: operator });
  for (const [name, value] of Object.entries(dimensions)) parameters.set(name, String(value));
  if (dtype !== "float32") parameters.set("dtype", dtype);
  return `?${parameters}`;
}
