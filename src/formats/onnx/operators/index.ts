// Every ONNX operator that is imported, by family.

import type { Handlers } from "../handler.ts";
import { attention } from "./attention.ts";
import { conv } from "./conv.ts";
import { elementwise } from "./elementwise.ts";
import { indexing } from "./indexing.ts";
import { loss } from "./loss.ts";
import { matmul } from "./matmul.ts";
import { normalize } from "./normalize.ts";
import { pool } from "./pool.ts";
import { quantize } from "./quantize.ts";
import { random } from "./random.ts";
import { recurrent } from "./recurrent.ts";
import { reduce } from "./reduce.ts";
import { resample } from "./resample.ts";
import { sequence } from "./sequence.ts";
import { shape } from "./shape.ts";
import { signal } from "./signal.ts";
import { softmax } from "./softmax.ts";
import { sorting } from "./sorting.ts";
import { training } from "./training.ts";

export const handlers: Handlers = {
  ...attention,
  ...conv,
  ...elementwise,
  ...indexing,
  ...loss,
  ...matmul,
  ...normalize,
  ...pool,
  ...quantize,
  ...random,
  ...recurrent,
  ...reduce,
  ...resample,
  ...sequence,
  ...shape,
  ...signal,
  ...softmax,
  ...sorting,
  ...training,
};
