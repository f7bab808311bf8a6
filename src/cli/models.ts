// Opening a model for a command: an engine, the model on it, and the inputs its options ask for.

import { createEngine, type Backend, type Engine } from "../engine.ts";
import { UsageError } from "../core/errors.ts";
import type { OnnxInputs, OnnxModel } from "../formats/onnx/load.ts";
import { randomInput, readInput } from "./inputs/files.ts";
import { pictureOptions, type InputOptions } from "./options.ts";

/** Gives `use` a model on a new engine and frees both after it. */
export async function withModel<T>(
  file: string,
  { backend, dims }: Pick<InputOptions, "dims"> & { readonly backend: Backend },
  use: (model: OnnxModel, engine: Engine) => Promise<T>,
): Promise<T> {
  using engine = await createEngine({ backend, tuning: true });
  using model = await engine.load(file, { dims });
  return await use(model, engine);
}

/**
 * Inputs as the options say. With a seed, those that are not given are random; without, the model says what is missing.
 *
 * @throws UsageError for names the model does not have.
 */
export async function gatherInputs(model: OnnxModel, options: InputOptions): Promise<OnnxInputs> {
  const { input: given, dims, seed } = options;
  const names = model.inputs.map(({ name }) => name);
  for (const name of given.keys())
    if (!names.includes(name))
      throw new UsageError(`there is no input "${name}"; this model takes ${names.join(", ") || "none"}`);
  const inputs: Record<string, OnnxInputs[string]> = {};
  for (const [stream, info] of model.inputs.entries()) {
    const text = given.get(info.name);
    if (text !== undefined) inputs[info.name] = await readInput(info, text, dims, pictureOptions(options));
    else if (seed !== undefined && !model.proto.graph.initializers.has(info.name))
      inputs[info.name] = randomInput(info, seed, stream, dims);
  }
  return inputs;
}
