// Reductions. Axes were an attribute before they became an input: ReduceSum at opset 13, the others at 18. No axes, or an
// empty list of them, means all axes, unless noop_with_empty_axes says none.

import type { Operator } from "../../../ops/operator.ts";
import { reduceMax, reduceMean, reduceMin, reduceSum } from "../../../ops/reduce.ts";
import { reduceL1, reduceProd, reduceSumSquare } from "../../../ops/reduceSums.ts";
import { reduceL2, reduceLogSum, reduceLogSumExp } from "../../../ops/reduceComposed.ts";
import type { ReduceAttributes } from "../../../ops/reduction.ts";
import type { Handler, Handlers } from "../handler.ts";

const reduction =
  (operator: Operator<ReduceAttributes>): Handler =>
  (call) => {
    const data = call.operand(0);
    const attributes = {
      axes: data.shape.length === 0 ? [] : (call.ints("axes") ?? call.numbers(1) ?? []), // onnxruntime takes axis 0 of a scalar
      keepdims: call.int("keepdims", 1),
      noop_with_empty_axes: call.int("noop_with_empty_axes", 0),
    };
    return call.build.apply(operator, [data], attributes);
  };

export const reduce: Handlers = {
  ReduceL1: reduction(reduceL1),
  ReduceL2: reduction(reduceL2),
  ReduceLogSum: reduction(reduceLogSum),
  ReduceLogSumExp: reduction(reduceLogSumExp),
  ReduceMax: reduction(reduceMax),
  ReduceMean: reduction(reduceMean),
  ReduceMin: reduction(reduceMin),
  ReduceProd: reduction(reduceProd),
  ReduceSum: reduction(reduceSum),
  ReduceSumSquare: reduction(reduceSumSquare),
};
