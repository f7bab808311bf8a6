// Pooling. MaxPool's second output is an operator of its own here, made only where somebody reads it.

import { averagePool, lpPool } from "../../../ops/averagePool.ts";
import { globalAveragePool, globalLpPool, globalMaxPool } from "../../../ops/globalPool.ts";
import { maxPool } from "../../../ops/maxPool.ts";
import { maxPoolIndices } from "../../../ops/maxPoolIndices.ts";
import { direct, type Handler, type Handlers } from "../handler.ts";
import { windowOf } from "./window.ts";

/** Source: ONNX MaxPool (opset 22). */
const maximum: Handler = (call) => {
  const { build } = call;
  const X = call.operand(0);
  const ceil_mode = call.int("ceil_mode", 0);
  const attributes = { ...windowOf(call), ceil_mode, storage_order: call.int("storage_order", 0) };
  return [
    build.apply(maxPool, [X], attributes),
    call.wants(1) ? build.apply(maxPoolIndices, [X], attributes) : undefined,
  ];
};

export const pool: Handlers = {
  AveragePool: direct(averagePool),
  GlobalAveragePool: direct(globalAveragePool),
  GlobalLpPool: direct(globalLpPool),
  GlobalMaxPool: direct(globalMaxPool),
  LpPool: direct(lpPool),
  MaxPool: maximum,
};
