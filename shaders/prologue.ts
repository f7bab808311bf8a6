// Prologues: pointwise code before a kernel, evaluated wherever the kernel reads the input it makes. The kernel's text has
// `x[i]` for a read; here every such read becomes a call of a function that loads the code's own operands at i. So no
// strategy knows of prologues, and every strategy works with one.

import { dtypes } from "../src/core/dtype.ts";
import { emitProgram, loadExpression, operandIndex, programHelpers } from "./common/program.ts";
import { loadVector, neighbours, readingOf, vectorType } from "./common/vectors.ts";
import { replaceAccesses } from "./storage.ts";
import type { PointwiseProgram, PrologueSite, PrologueText } from "./strategy.ts";

/** See {@link Prologue}. A kernel reads its input as scalars or as vectors of four. */
export function writePrologue({ code, name, type, uniforms }: PrologueSite, program: PointwiseProgram): PrologueText {
  const { domain, inputs } = program;
  const lanes = type.startsWith("vec4") ? 4 : 1;
  if (type.startsWith("vec2")) throw new Error(`a kernel reads ${name} by twos, and has a prologue`);
  const nameOf = (i: number): string => `${name}_in${i}`;
  const bindings = inputs.map((operand, i) => ({
    name: nameOf(i),
    type:
      lanes === 4 && readingOf(operand, domain) === "vector" ? vectorType(operand.dtype) : dtypes[operand.dtype].wgsl,
  }));
  const loads = inputs.map((operand, i) =>
    lanes === 4
      ? loadVector(operand, domain, { name: nameOf(i) }, nameOf(i), uniforms)
      : loadExpression(nameOf(i), operandIndex(operand, domain, nameOf(i), "index", uniforms), operand.dtype),
  );
  const { lines, results } = emitProgram(
    program,
    inputs.map((_, i) => `v${i}`),
    lanes,
  );
  const reader = `make_${name}`;
  const body = [
    `fn ${reader}(${lanes === 4 ? "number" : "index"}: u32) -> ${type} {`,
    ...(lanes === 4 ? [neighbours("number")] : []),
    ...loads.map((load, i) => `  let v${i} = ${load};`),
    ...lines,
    `  return ${results[0]!};\n}`,
  ];
  const read = (index: string): string => `${reader}(u32(${index}))`;
  return {
    bindings,
    helpers: programHelpers(program),
    code: `${body.join("\n")}\n${replaceAccesses(code, name, { read })}`,
  };
}
