// Recurrent networks. Our operators are ONNX's; files of other precisions compute in float32.

import { cast } from "../../../ops/cast.ts";
import type { Operator } from "../../../ops/operator.ts";
import type { RecurrentAttributes } from "../../../ops/recurrence.ts";
import { gru, lstm, rnn } from "../../../ops/recurrent.ts";
import type { Handler, Handlers } from "../handler.ts";

const network =
  (operator: Operator<RecurrentAttributes>): Handler =>
  (call) => {
    const { build } = call;
    const { dtype } = call.operand(0);
    const isFloat32 = dtype === "float32";
    const inputs = call
      .operands()
      .map((input, i) => (input && i !== 4 && !isFloat32 ? build.apply(cast, [input], { to: "float32" }) : input));
    const outputs = build.applyAll(operator, inputs, {
      direction: call.string("direction", "forward"),
      layout: call.int("layout", 0),
      hidden_size: call.int("hidden_size", 0),
      clip: call.float("clip", 0),
      activations: call.strings("activations", [])!.join(","),
      activation_alpha: call.floats("activation_alpha", [])!,
      activation_beta: call.floats("activation_beta", [])!,
      input_forget: call.int("input_forget", 0),
      linear_before_reset: call.int("linear_before_reset", 0),
    });
    return outputs.map((output, i) => {
      if (!call.wants(i)) return undefined;
      return isFloat32 ? output : build.apply(cast, [output], { to: dtype });
    });
  };

export const recurrent: Handlers = {
  GRU: network(gru),
  LSTM: network(lstm),
  RNN: network(rnn),
};
