// Four consecutive elements a thread, moved as vec4: a quarter of the loads and of the index arithmetic, and wide memory
// transactions. Wins on nearly every adapter when the element count is a multiple of four. Of long programs a thread may run
// two at once, on either half of the elements: instruction by instruction in turns, so that neither waits for its own results.

import type { pointwise } from "../../src/ops/pointwise.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { emitProgram, programHelpers } from "../common/program.ts";
import { loadVector, neighbours, readingOf, vectorType } from "../common/vectors.ts";
import { firstReason } from "../common/workgroup.ts";
import { defineStrategy, type BindingType, type KernelProblem, type Uniform, operatorNamed } from "../strategy.ts";
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

/** Programs shorter than this wait for memory, not for themselves. */
const LONG_PROGRAM = 16;

/** Suffixes of the names of the vectors that a thread works on at once. */
const suffixes = (vectors: number): string[] => (vectors === 1 ? [""] : ["_a", "_b"]);

/** The `let`s `v0`, `v1` … that load all inputs. */
function loads(problem: KernelProblem, uniforms: Record<string, Uniform>, suffix = ""): string {
  const { inputs, domain } = programOf(problem);
  const lines = inputs.map((operand, i) => {
    const { name, stored } = inputBinding(problem, i);
    const view = (loaded: string, width: 1 | 4): string => reinterpret(loaded, stored, operand.dtype, width);
    return `  let v${i}${suffix} = ${loadVector(operand, domain, { name, view }, `x${i}`, uniforms, suffix)};`;
  });
  return lines.join("\n");
}

export default defineStrategy({
  op: operatorNamed<typeof pointwise>("Pointwise"),
  name: "vec4",
  params: { workgroup: [256, 64], vectors: [1, 2] },
  supports: (problem, limits, { workgroup, vectors }) =>
    firstReason(
      domainSize(problem) > 0 || "nothing to compute",
      domainSize(problem) % (4 * vectors) === 0 ||
        `${domainSize(problem)} elements, which is no multiple of ${4 * vectors}`,
      vectors === 1 || programOf(problem).instructions.length >= LONG_PROGRAM || "the program is too short",
      supportsProgram(problem, limits, workgroup),
    ),
  dispatch: (problem, { workgroup, vectors }) => linearDispatch(domainSize(problem) / 4 / vectors, workgroup),
  uniforms(problem, { vectors }) {
    const uniforms: Record<string, Uniform> = { count: { type: "u32", value: domainSize(problem) / 4 / vectors } };
    loads(problem, uniforms);
    return uniforms;
  },
  trafficBytes: programTraffic,
  intensity: (problem, { vectors }) => programIntensity(problem, 4 * vectors),
  source(problem, { workgroup, vectors }) {
    const program = programOf(problem);
    const bindings: Record<string, BindingType> = {};
    program.inputs.forEach((operand, i) => {
      if (readingOf(operand, program.domain) === "vector") bindings[`x${i}`] = vectorType(operand.dtype);
    });
    problem.outputs.forEach(({ dtype }, i) => (bindings[`y${i}`] = vectorType(dtype)));
    const names = program.inputs.map((_, i) => `v${i}`);
    const ends = suffixes(vectors);
    const parts = ends.map((suffix) => {
      const loaded = names.map((name) => name + suffix);
      return emitProgram(program, loaded, 4, suffix);
    });
    const stores = parts.flatMap(({ results }, part) =>
      results.map((result, i) => `  y${i}[quad${ends[part]!}] = ${result};`),
    );
    return {
      bindings,
      code: wgsl`
${programHelpers(program).join("\n")}
${linearMain(workgroup)}
  if (index >= u.count) { return; }
${ends.map((suffix, part) => neighbours(part === 0 ? "index" : "index + u.count", suffix)).join("\n")}
${ends.map((suffix) => loads(problem, {}, suffix)).join("\n")}
${program.instructions.map((_, i) => parts.map(({ lines }) => lines[i]!).join("\n")).join("\n")}
${stores.join("\n")}
}`,
    };
  },
});
