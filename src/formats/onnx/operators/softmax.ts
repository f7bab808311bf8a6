// Softmax and its logarithm. Before opset 13 they ran over everything from `axis` (default 1) on, as if the input were a
// matrix; since then along one axis (default the last).

import { sizeOf } from "../../../core/shape.ts";
import type { Operator } from "../../../ops/operator.ts";
import { reshapeTo } from "../../../ops/reshape.ts";
import { logSoftmax, softmax as softmaxOperator, type SoftmaxAttributes } from "../../../ops/softmax.ts";
import type { Handler, Handlers } from "../handler.ts";

const along =
  (operator: Operator<SoftmaxAttributes>): Handler =>
  (call) => {
    const { build, opset } = call;
    const input = call.operand(0);
    const { shape } = input;
    if (shape.length > 0 && opset >= 13) return build.apply(operator, [input], { axis: call.int("axis", -1) });
    const axis = call.int("axis", 1);
    const split = shape.length === 0 ? 0 : axis < 0 ? axis + shape.length : axis;
    const matrix = reshapeTo(build, input, [sizeOf(shape.slice(0, split)), sizeOf(shape.slice(split))]);
    return reshapeTo(build, build.apply(operator, [matrix], { axis: 1 }), shape);
  };

export const softmax: Handlers = {
  LogSoftmax: along(logSoftmax),
  Softmax: along(softmaxOperator),
};
