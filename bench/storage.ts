// What narrow storage saves and costs, on whole models: each as it is, with its weights in half precision, and with those of
// its convolutions and products quantized to int8, a scale an output channel. Bytes are those of the plan's constants, with
// narrow storage and without it; times are processor time of runs, interleaved, medians: what a software adapter takes.
//
//   npm run bench:storage -- ../shared/conformance/models [--only resnet20,dtln_2] [--rounds 9]

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createEngine, type Engine } from "neurite";
import { decodeModel, decodeTensor } from "../src/formats/onnx/decode.ts";
import { encodeModel } from "../src/formats/onnx/encode.ts";
import type { GraphProto, NodeProto, TensorProto } from "../src/formats/onnx/model.ts";
import { decodeElements, encodeElements } from "../src/formats/elements.ts";
import { formatTable } from "../src/scheduler/plan.ts";

const { values: options, positionals } = parseArgs({
  options: {
    only: { type: "string", default: "resnet20,ultraface_rfb320,ecg5000_inception,dtln_2" },
    rounds: { type: "string", default: "9" },
  },
  allowPositionals: true,
});
const [folder] = positionals;
if (folder === undefined) {
  console.error("bench:storage: name a folder of models in ONNX's backend-test form");
  process.exit(2);
}

const MIB = 2 ** 20;
using engine = await createEngine();
const rows: string[][] = [];
for (const name of options.only.split(",")) {
  const model = decodeModel(new Uint8Array(await readFile(join(folder, name, "model.onnx"))));
  const inputs = await readInputs(model.graph, join(folder, name, "test_data_set_0"));
  for (const [weights, changed] of [
    ["float32", model],
    ["float16", { ...model, graph: inHalves(model.graph) }],
    ["int8", { ...model, graph: quantized(model.graph) }],
  ] as const)
    rows.push([name, weights, ...(await measure(engine, encodeModel(changed), inputs, Number(options.rounds)))]);
}
console.log(formatTable(["model", "weights", "MiB in words", "MiB narrow", "ms in words", "ms narrow", "ratio"], rows));

type Inputs = Parameters<Awaited<ReturnType<Engine["load"]>>["run"]>[0];

async function measure(on: Engine, bytes: Uint8Array, inputs: Inputs, rounds: number): Promise<string[]> {
  using words = await on.load(bytes, { narrowStorage: false });
  using narrow = await on.load(bytes);
  const models = [words, narrow];
  const times: number[][] = models.map(() => []);
  for (let round = -1; round < rounds; round++)
    for (const [i, model] of models.entries()) {
      const start = process.cpuUsage();
      await model.run(inputs);
      const { user, system } = process.cpuUsage(start);
      if (round >= 0) times[i]!.push((user + system) / 1000);
    }
  const mebibytes = models.map(({ plans }) => {
    const constants = plans.flatMap(({ buffers }) => buffers.filter(({ kind }) => kind === "constant"));
    return constants.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) / MIB;
  });
  const medians = times.map((all) => all.sort((a, b) => a - b)[all.length >> 1]!);
  return [...mebibytes, ...medians, medians[1]! / medians[0]!].map((number) => number.toFixed(2));
}

async function readInputs({ inputs, initializers }: GraphProto, set: string): Promise<Inputs> {
  const fed = inputs.filter(({ name }) => !initializers.has(name));
  const tensors = await Promise.all(
    fed.map(async ({ name }, i) => {
      const { dtype, shape, bytes } = decodeTensor(new Uint8Array(await readFile(join(set, `input_${i}.pb`))));
      return [name, { dtype, shape, data: decodeElements(bytes, dtype as "float32", name) }] as const;
    }),
  );
  return Object.fromEntries(tensors);
}

/** Graph with `node` in front, which computes an initializer from others. */
function computed(graph: GraphProto, name: string, node: NodeProto, tensors: readonly TensorProto[]): GraphProto {
  const initializers = new Map(graph.initializers);
  initializers.delete(name);
  for (const tensor of tensors) initializers.set(tensor.name, tensor);
  const inputs = graph.inputs.filter((input) => input.name !== name);
  return { ...graph, inputs, initializers, nodes: [node, ...graph.nodes] };
}

function isWeight({ dtype, shape }: TensorProto): boolean {
  return dtype === "float32" && shape.length >= 2;
}

/** Weights in half precision, as mixed-precision exporters write them. */
function inHalves(graph: GraphProto): GraphProto {
  let changed = graph;
  for (const [name, tensor] of graph.initializers) {
    if (!isWeight(tensor)) continue;
    const half = `${name}.half`;
    const bytes = encodeElements(decodeElements(tensor.bytes, "float32", name), "float16");
    const attributes = new Map([["to", { kind: "int", value: 1 } as const]]);
    const node = { name: "", operator: "Cast", domain: "", inputs: [half], outputs: [name], attributes };
    changed = computed(changed, name, node, [{ name: half, dtype: "float16", shape: tensor.shape, bytes }]);
  }
  return changed;
}

/** Weights as int8 and a scale an output channel, before a DequantizeLinear. */
function quantized(graph: GraphProto): GraphProto {
  let changed = graph;
  for (const { operator, inputs, attributes } of graph.nodes) {
    const name = inputs[1] ?? "";
    const tensor = changed.initializers.get(name);
    if (!["Conv", "MatMul", "Gemm"].includes(operator) || !tensor || !isWeight(tensor)) continue;
    const transposed = attributes.get("transB")?.value === 1;
    const axis = operator === "Conv" || transposed ? 0 : tensor.shape.length - 1;
    const inner = tensor.shape.slice(axis + 1).reduce((product, extent) => product * extent, 1);
    const count = tensor.shape[axis]!;
    const values = decodeElements(tensor.bytes, "float32", name);
    const scales = new Float32Array(count);
    const channel = (i: number): number => Math.floor(i / inner) % count;
    values.forEach((value, i) => (scales[channel(i)] = Math.max(scales[channel(i)]!, Math.abs(value) / 127)));
    const bytes = encodeElements(
      Array.from(values, (value, i) => Math.round(value / (scales[channel(i)]! || 1))),
      "int8",
    );
    const node = {
      name: "",
      operator: "DequantizeLinear",
      domain: "",
      inputs: [`${name}.int8`, `${name}.scale`],
      outputs: [name],
      attributes: new Map([["axis", { kind: "int", value: axis } as const]]),
    };
    changed = computed(changed, name, node, [
      { name: `${name}.int8`, dtype: "int8", shape: tensor.shape, bytes },
      { name: `${name}.scale`, dtype: "float32", shape: [count], bytes: encodeElements(scales, "float32") },
    ]);
  }
  return changed;
}
