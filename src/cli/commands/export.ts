// `neurite export FROM TO`: weights out of a model, weights into a model, or a model written anew.

import { readFile, writeFile } from "node:fs/promises";
import { extname } from "node:path";
import { Command } from "commander";
import { UsageError } from "../../core/errors.ts";
import { computedDType, encodeElements, isStoredDType, naturalElements } from "../../formats/elements.ts";
import { decodeModel } from "../../formats/onnx/decode.ts";
import { encodeModel } from "../../formats/onnx/encode.ts";
import type { ModelProto } from "../../formats/onnx/model.ts";
import {
  encodeSafetensors,
  openSafetensors,
  type StoredTensor,
  type WritableTensor,
} from "../../formats/safetensors.ts";

interface Options {
  readonly model?: string;
}

export function exportCommand(): Command {
  return new Command("export")
    .description("convert between .onnx models and .safetensors weights")
    .argument("<from>", ".onnx or .safetensors")
    .argument("<to>", ".onnx or .safetensors")
    .option("--model <file>", "the .onnx file whose weights those of a .safetensors file replace, by name")
    .addHelpText(
      "after",
      `
  export net.onnx weights.safetensors                   the model's stored tensors
  export weights.safetensors new.onnx --model net.onnx  net.onnx with these weights
  export net.onnx copy.onnx                             the model written anew, external data taken in`,
    )
    .action(convert);
}

async function convert(from: string, to: string, { model }: Options): Promise<void> {
  const [source, target] = [extname(from).toLowerCase(), extname(to).toLowerCase()];
  if (source === ".onnx" && target === ".safetensors") await writeFile(to, weightsOf(await readModel(from)));
  else if (source === ".onnx" && target === ".onnx") await writeFile(to, encodeModel(await readModel(from)));
  else if (source === ".safetensors" && target === ".onnx") {
    if (model === undefined) throw new UsageError("weights alone are no model: give --model net.onnx");
    const { stored } = openSafetensors(await readFile(from));
    await writeFile(to, encodeModel(withWeights(await readModel(model), stored)));
  } else throw new UsageError(`cannot make ${target || to} of ${source || from}: .onnx and .safetensors are known`);
}

/** A model with all its data, that of files beside it included. */
async function readModel(file: string): Promise<ModelProto> {
  const { readSource } = await import("../../formats/onnx/source.ts");
  const source = await readSource(file, () => undefined);
  return source.withExternalData(decodeModel(source.bytes));
}

function weightsOf({ graph, metadata }: ModelProto): Uint8Array {
  const tensors: [string, WritableTensor][] = [];
  for (const [name, { dtype, shape, bytes }] of graph.initializers)
    if (isStoredDType(dtype))
      tensors.push([name, { dtype: computedDType(dtype), shape, data: naturalElements(bytes, dtype) }]);
    else console.error(`neurite: ${name} is ${dtype} and left out`);
  return encodeSafetensors(tensors, Object.entries(metadata));
}

/** The model with initializers replaced by name; each keeps the type it has in the model. */
function withWeights(model: ModelProto, tensors: ReadonlyMap<string, StoredTensor>): ModelProto {
  const initializers = new Map(model.graph.initializers);
  const faults: string[] = [];
  for (const [name, { dtype: given, shape, bytes }] of tensors) {
    const old = initializers.get(name);
    if (!old) faults.push(`the model has no tensor "${name}"`);
    else if (!isStoredDType(old.dtype)) faults.push(`"${name}" is ${old.dtype}`);
    else if (old.shape.join() !== shape.join())
      faults.push(`"${name}" is [${shape.join(", ")}], in the model [${old.shape.join(", ")}]`);
    else {
      const { dtype } = old;
      const converted = given === dtype ? bytes : encodeElements(naturalElements(bytes, given), dtype);
      initializers.set(name, { name, dtype, shape, bytes: converted });
    }
  }
  if (faults.length > 0) throw new UsageError(`these weights do not fit the model: ${faults.join("; ")}`);
  return { ...model, graph: { ...model.graph, initializers } };
}
