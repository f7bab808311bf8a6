// One element a thread: load the operands, run the program, store. Takes every shape and any broadcasting, and wins
// where rows are too odd for vectors or there are too few elements to fill the machine four at a time.

import type { pointwise } from "../../src/ops/pointwise.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { emitProgram, operandIndex, programHelpers } from "../common/program.ts";
import { defineStrategy, type KernelProblem, type Uniform, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  domainSize,
  inputBinding,
  programIntensity,
  programOf,
  programTraffic,
  reinterpret,
  supportsProgram,
} from "./operands.ts";

/** One `let` per input; the extents its index needs go to `uniforms`. */
function loads(problem: KernelProblem, uniforms: Record<string, Uniform>): string {
  const { inputs, domain } = programOf(problem);
  const lines = inputs.map((operand, i) => {
    const { name, stored } = inputBinding(problem, i);
    const word = `${name}[${operandIndex(operand, domain, `x${i}`, "index", uniforms)}]`;
    const value = reinterpret(word, stored, operand.dtype, 1);
    return `  let v${i} = ${operand.dtype === "bool" ? `${value} != 0u` : value};`;
  });
  return lines.join("\n");
}

export default defineStrategy({
  op: operatorNamed<typeof pointwise>("Pointwise"),
  name: "naive",
  params: { workgroup: [256, 64] },
  supports: (problem, limits, { workgroup }) => supportsProgram(problem, limits, workgroup),
  dispatch: (problem, { workgroup }) => linearDispatch(domainSize(problem), workgroup),
  uniforms(problem) {
    const uniforms: Record<string, Uniform> = { count: { type: "u32", value: domainSize(problem) } };
    loads(problem, uniforms);
    return uniforms;
  },
  trafficBytes: programTraffic,
  intensity: (problem) => programIntensity(problem, 1),
  source(problem, { workgroup }) {
    const program = programOf(problem);
    const { lines, results } = emitProgram(
      program,
      program.inputs.map((_, i) => `v${i}`),
    );
    const stores = results.map((result, i) => `  y${i}[index] = ${result};`).join("\n");
    return {
      code: wgsl`
${programHelpers(program).join("\n")}
${linearMain(workgroup)}
  if (index >= u.count) { return; }
${loads(problem, {})}
${lines.join("\n")}
${stores}
}`,
    };
  },
});
