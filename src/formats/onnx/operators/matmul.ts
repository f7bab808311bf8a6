// Matrix products and what comes down to them.

import { formatShape, sizeOf } from "../../../core/shape.ts";
import { elu, hardSigmoid, leakyRelu, softplus, softsign } from "../../../ops/activations.ts";
import { einsum } from "../../../ops/einsum.ts";
import { gemm } from "../../../ops/gemm.ts";
import { mul } from "../../../ops/binary.ts";
import { matMul } from "../../../ops/matmul.ts";
import { scalar } from "../../../ops/scalar.ts";
import { transpose } from "../../../ops/transpose.ts";
import { relu } from "../../../ops/unary.ts";
import { sigmoid, tanh } from "../../../ops/sigmoid.ts";
import type { Operand } from "../../../ops/operator.ts";
import { hosted, type Call, type Handlers } from "../handler.ts";
import type { HostValue } from "../tensor.ts";

const product = (call: Call): Operand =>
  call.build.apply(gemm, [call.operand(0), call.operand(1), call.optional(2)], {
    alpha: call.float("alpha", 1),
    beta: call.float("beta", 1),
    transA: call.int("transA", 0),
    transB: call.int("transB", 0),
  });

/** transBatch moves an operand's first axis behind its other batch axes: [M, B…, K] is read as [B…, M, K]. */
function batchFirst(call: Call, operand: Operand, flag: string): Operand {
  const rank = operand.shape.length;
  if (call.int(flag, 0) === 0 || rank < 3) return operand;
  const perm = [...Array.from({ length: rank - 2 }, (_, i) => i + 1), 0, rank - 1];
  return call.build.apply(transpose, [operand], { perm });
}

/** The activation of a FusedGemm. */
function activated(call: Call, y: Operand): Operand {
  const { build } = call;
  const name = call.string("activation", "");
  switch (name) {
    case "":
      return y;
    case "Relu":
      return build.apply(relu, [y]);
    case "Sigmoid":
      return build.apply(sigmoid, [y]);
    case "Tanh":
      return build.apply(tanh, [y]);
    case "Softplus":
      return build.apply(softplus, [y]);
    case "Softsign":
      return build.apply(softsign, [y]);
    case "LeakyRelu":
      return build.apply(leakyRelu, [y], { alpha: call.float("activation_alpha", 0.01) });
    case "Elu":
      return build.apply(elu, [y], { alpha: call.float("activation_alpha", 1) });
    case "HardSigmoid":
      return build.apply(hardSigmoid, [y], {
        alpha: call.float("activation_alpha", 0.2),
        beta: call.float("activation_beta", 0.5),
      });
    default:
      throw call.unsupported(`activation ${name} is not known`);
  }
}

/** Determinants of x [.., n, n], by elimination with the largest pivot of each column. */
function determinants(call: Call, { dtype, shape, data }: HostValue): HostValue {
  const n = shape.at(-1) ?? 0;
  if (shape.length < 2 || shape.at(-2) !== n) throw call.malformed(`${formatShape(shape)} holds no square matrices`);
  const batch = shape.slice(0, -2);
  const results = Array.from({ length: sizeOf(batch) }, (_, b) => {
    const a = Float64Array.from(data.subarray(b * n * n, (b + 1) * n * n));
    let product = 1;
    for (let k = 0; k < n; k++) {
      let pivot = k;
      for (let row = k + 1; row < n; row++) if (Math.abs(a[row * n + k]!) > Math.abs(a[pivot * n + k]!)) pivot = row;
      if (a[pivot * n + k] === 0) return 0;
      if (pivot !== k) {
        product = -product;
        for (let j = k; j < n; j++) [a[k * n + j], a[pivot * n + j]] = [a[pivot * n + j]!, a[k * n + j]!];
      }
      product *= a[k * n + k]!;
      for (let row = k + 1; row < n; row++) {
        const factor = a[row * n + k]! / a[k * n + k]!;
        for (let j = k; j < n; j++) a[row * n + j]! -= factor * a[k * n + j]!;
      }
    }
    return product;
  });
  return { dtype, shape: batch, data: Float64Array.from(results) };
}

export const matmul: Handlers = {
  Det: hosted(([x], call) => [determinants(call, x!)]),
  Einsum: (call) => call.build.apply(einsum, call.operands(), { equation: call.string("equation", "") }),
  Gemm: product,
  MatMul: (call) => call.build.apply(matMul, [call.operand(0), call.operand(1)]),
  "com.microsoft::FusedGemm": (call) => activated(call, product(call)),
  "com.microsoft::FusedMatMul": (call) => {
    const { build } = call;
    const a = batchFirst(call, call.operand(0), "transBatchA");
    const b = batchFirst(call, call.operand(1), "transBatchB");
    // ONNX Runtime ignores the flag of a vector.
    const flag = (name: string, { shape }: Operand): number => (shape.length > 1 ? call.int(name, 0) : 0);
    const y = build.apply(matMul, [a, b], { transA: flag("transA", a), transB: flag("transB", b) });
    const alpha = call.float("alpha", 1);
    return alpha === 1 ? y : build.apply(mul, [y, scalar(build, alpha, y)]);
  },
};
