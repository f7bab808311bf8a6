// An imported model as one graph, for inputs of given shapes: what `engine.load` compiles, but with compositions that ONNX
// knows left whole, so that exportOnnx can say them.

import { UnsupportedError } from "../../src/core/errors.ts";
import type { Graph } from "../../src/graph/graph.ts";
import { eliminate } from "../../src/graph/passes/eliminate.ts";
import { WholeGraph } from "../../src/formats/onnx/export.ts";
import { Handle } from "../../src/formats/onnx/handle.ts";
import { ImportedModel, Interpreter } from "../../src/formats/onnx/interpreter.ts";
import type { ModelProto } from "../../src/formats/onnx/model.ts";
import { handlers } from "../../src/formats/onnx/operators/index.ts";
import { fromCaller, toTensorData, type OnnxTensor } from "../../src/formats/onnx/tensor.ts";

/**
 * Walks a model once; what the host makes of values of its inputs (the condition of an If) is settled by those given. Throws
 * UnsupportedError where a node needs a value that another has to compute first: such a model runs in several segments, and
 * is no one graph.
 */
export async function importedGraph(proto: ModelProto, inputs: Readonly<Record<string, OnnxTensor>>): Promise<Graph> {
  const handles = Object.entries(inputs).map(([name, { dtype, shape, data }]) => {
    const host = fromCaller(data, dtype, shape, name);
    return [name, new Handle(dtype, shape, name, "input", host)] as const;
  });
  const refuse = (): never => {
    throw new UnsupportedError("the model runs in several segments and is no one graph");
  };
  const interpreter = new Interpreter(new ImportedModel(proto, handlers), refuse, undefined, new WholeGraph());
  const { graph, outputs, feeds } = await interpreter.walkModel(new Map(handles));
  for (const [name, handle] of outputs) if (!graph.outputs.has(name)) graph.output(name, interpreter.operand(handle));
  for (const [name, { origin, host }] of feeds)
    if (origin === "run") {
      graph.constants.set(graph.inputs.get(name)!, toTensorData(host!, name));
      graph.inputs.delete(name);
    }
  return eliminate(graph);
}
