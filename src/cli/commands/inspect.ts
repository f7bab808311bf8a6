// `neurite inspect MODEL`: what is in a file, what it would cost to run, and whether it can be run here.

import { readFile, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { Command } from "commander";
import { NeuriteError, UsageError } from "../../core/errors.ts";
import { createEngine } from "../../engine.ts";
import { decodeModel } from "../../formats/onnx/decode.ts";
import type { ModelProto } from "../../formats/onnx/model.ts";
import { formatBytes, formatCount, formatTable, type Plan } from "../../scheduler/plan.ts";
import { EXIT } from "../exit.ts";
import type { Dims } from "../inputs/files.ts";
import { listUnsupported, modelFacts, planFacts, type ModelFacts, type PlanFacts } from "../inspect/facts.ts";
import { graphPage } from "../inspect/page.ts";
import { dimsOption } from "../options.ts";

interface Options {
  readonly dims: Dims;
  readonly html?: string;
  readonly json?: boolean;
  readonly plan?: boolean;
}

export function inspectCommand(exit: (code: number) => void): Command {
  return new Command("inspect")
    .description("list a model's inputs, outputs, operators, parameters, work and memory")
    .argument("<model>", "an .onnx file")
    .addOption(dimsOption())
    .option("--html <file>", "write the graph as a page")
    .option("--json", "print everything as JSON")
    .option("--plan", "print every step of the plan")
    .action(async (file: string, options: Options) => {
      exit(await inspect(file, options));
    });
}

async function inspect(file: string, { dims, html, json, plan }: Options): Promise<number> {
  const proto = decodeModel(await readFile(file));
  const facts = modelFacts(proto);
  const planned = await plansOf(file, facts, dims);
  const work = Array.isArray(planned) ? planFacts(planned) : undefined;
  if (html !== undefined) await writeFile(html, graphPage(proto, basename(file)));
  if (json)
    console.log(JSON.stringify({ file, ...facts, ...(work ? { plan: work } : { notPlanned: planned }) }, undefined, 2));
  else {
    console.log(factsText(proto, facts));
    console.log(typeof planned === "string" ? `\nnot planned: ${planned}` : `\n${workText(planFacts(planned))}`);
    if (plan && typeof planned !== "string") for (const each of planned) console.log(`\n${String(each)}`);
    if (facts.unsupported.length > 0) console.log(`\nnot supported here: ${listUnsupported(facts.unsupported)}`);
  }
  return facts.unsupported.length > 0 ? EXIT.unsupported : EXIT.right;
}

/** The plans of a run, or why there are none without running. */
async function plansOf(
  file: string,
  { unsupported, inputs }: ModelFacts,
  dims: Dims,
): Promise<readonly Plan[] | string> {
  if (unsupported.length > 0) return "operators are missing";
  const open = new Set(inputs.flatMap(({ shape }) => shape ?? []).filter((extent) => typeof extent === "string"));
  const missing = [...open].filter((name) => name !== "" && !(name in dims));
  using engine = await createEngine({ backend: "cpu" });
  try {
    using model = await engine.load(file, { dims });
    if (model.plans.length > 0) return [...model.plans];
  } catch (error) {
    if (error instanceof UsageError || !(error instanceof NeuriteError)) throw error;
    return error.message;
  }
  return missing.length > 0
    ? `shapes are open; give --dims ${missing.map((name) => `${name}=…`).join(",")}`
    : "shapes depend on the inputs";
}

function factsText(proto: ModelProto, facts: ModelFacts): string {
  const { producer, opsets, inputs, outputs, operators, parameters, metadata } = facts;
  const typeOf = ({ dtype, shape }: ModelFacts["inputs"][number]): string =>
    shape ? `${dtype} [${shape.map((extent) => (extent === "" ? "?" : extent)).join(", ")}]` : dtype;
  const versions = Object.entries(opsets).map(([domain, version]) => `${domain === "" ? "opset" : domain} ${version}`);
  const made = producer === "" ? [] : [`made by ${producer}`];
  return [
    [`${proto.graph.nodes.length} nodes`, ...versions, ...made].join(", "),
    "",
    formatTable(
      ["", "name", "type"],
      [
        ...inputs.map((info) => ["input", info.name, typeOf(info)]),
        ...outputs.map((info) => ["output", info.name, typeOf(info)]),
      ],
    ),
    "",
    formatTable(
      ["operator", "count"],
      Object.entries(operators).map(([name, count]) => [name, String(count)]),
    ),
    "",
    `${parameters.elements.toLocaleString("en")} parameters in ${parameters.tensors} tensors, ${formatBytes(parameters.bytes)}`,
    ...Object.entries(metadata).map(([key, value]) => `${key}: ${value}`),
  ].join("\n");
}

function workText({ steps, kernels, flops, bytes, memory }: PlanFacts): string {
  return [
    `${steps} steps with ${kernels} kernels: ${formatCount(flops)} flops, ${formatBytes(bytes)} to move`,
    `memory: constants ${formatBytes(memory.constantBytes)}, inputs ${formatBytes(memory.inputBytes)}, ` +
      `outputs ${formatBytes(memory.outputBytes)}, ` +
      `intermediates ${formatBytes(memory.intermediateBytes)} (live at most ${formatBytes(memory.liveBytes)})`,
  ].join("\n");
}
