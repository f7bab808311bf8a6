// ONNX Runtime on the CPU, which says what an exported file means to others. It is large and not among the project's own
// packages: `npm --prefix tests/oracle ci` installs it, and tests that ask it are skipped, visibly, where it is not there.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { OnnxTensor } from "../../src/formats/onnx/tensor.ts";

/** The part of onnxruntime-node that is used here; its own types are not installed with the project. */
interface OnnxRuntime {
  readonly InferenceSession: {
    create(model: Uint8Array, options: Readonly<Record<string, unknown>>): Promise<Session>;
  };
  readonly Tensor: new (type: string, data: ArrayBufferView, dims: readonly number[]) => RuntimeTensor;
}

interface Session {
  readonly outputNames: readonly string[];
  run(feeds: Readonly<Record<string, RuntimeTensor>>): Promise<Readonly<Record<string, RuntimeTensor>>>;
  release(): Promise<void>;
}

interface RuntimeTensor {
  readonly type: string;
  readonly data: OnnxTensor["data"];
  readonly dims: readonly number[];
}

const home = join(import.meta.dirname, "../oracle");

/** Whether ONNX Runtime is installed. */
export const hasOracle = existsSync(join(home, "node_modules/onnxruntime-node/package.json"));

/** Behind the name of a test that needs it. */
export const oracleNote = hasOracle ? "" : " (skipped: `npm --prefix tests/oracle ci` installs ONNX Runtime)";

/** What ONNX Runtime computes from a file. */
export async function runOracle(
  model: Uint8Array,
  inputs: Readonly<Record<string, OnnxTensor>>,
): Promise<Record<string, OnnxTensor>> {
  const runtime = createRequire(join(home, "package.json"))("onnxruntime-node") as OnnxRuntime;
  const session = await runtime.InferenceSession.create(model, {
    executionProviders: ["cpu"],
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  try {
    const feeds = Object.fromEntries(
      Object.entries(inputs).map(([name, { dtype, shape, data }]) => [name, new runtime.Tensor(dtype, data, shape)]),
    );
    const results = await session.run(feeds);
    return Object.fromEntries(
      session.outputNames.map((name) => {
        const { type, dims, data } = results[name]!;
        return [name, { dtype: type as OnnxTensor["dtype"], shape: dims, data }];
      }),
    );
  } finally {
    await session.release();
  }
}
