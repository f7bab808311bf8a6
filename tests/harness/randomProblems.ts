// Random problems for kernels, drawn by seed with fast-check. A family first draws a few kinds of problems (axes, windows,
// flags: what shapes a kernel's text) and then many shapes of each, so that hundreds of problems share a few dozen
// kernels: compiling is what takes time on a software adapter. Extents are zero, one, prime, or fit vectors and tiles.

import fc from "fast-check";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import * as operators from "../../src/ops/index.ts";
import type { Attributes, CaseInput, Operator } from "../../src/ops/operator.ts";
import type { PointwiseProgram, Register } from "../../shaders/strategy.ts";
import { ProgramBuilder } from "./programs.ts";

/** An operator, or a program of elementwise ones, on inputs whose values are yet to be drawn. */
export interface RandomProblem {
  readonly operator: Operator;
  readonly inputs: readonly (CaseInput | undefined)[];
  readonly attributes?: Attributes;
  readonly program?: PointwiseProgram;
}

type Draw<T> = fc.Arbitrary<T>;

interface RandomFamily {
  readonly name: string;
  /** Kinds of problems, each of which draws problems. */
  readonly kinds: Draw<Draw<RandomProblem>>;
}

/** `count` problems of a family, the same ones for the same seed, kind by kind. */
export function drawProblems({ kinds }: RandomFamily, count: number, seed: number): RandomProblem[] {
  const drawn = fc.sample(kinds, { seed, numRuns: KINDS });
  return drawn.flatMap((kind, i) => fc.sample(kind, { seed: seed + i + 1, numRuns: Math.ceil(count / KINDS) }));
}

const KINDS = 12;
const MOST_ELEMENTS = 1 << 11;

const from = fc.constantFrom;
const extent: Draw<number> = fc.oneof(
  { weight: 1, arbitrary: fc.constant(0) },
  { weight: 4, arbitrary: fc.constant(1) },
  { weight: 12, arbitrary: from(2, 3, 5, 7, 11, 13, 17, 31, 37, 67, 131) },
  { weight: 12, arbitrary: from(4, 8, 12, 16, 20, 32, 64, 128, 260) },
);
const small: Draw<number> = from(1, 1, 2, 3, 4, 5, 8);
const shapeOf = (rank: number): Draw<Shape> =>
  fc.array(extent, { minLength: rank, maxLength: rank }).filter((shape) => sizeOf(shape) <= MOST_ELEMENTS);
const bit = from(0, 1);

/** Drops problems the operator itself refuses, as windows larger than what they slide over, and large ones. */
const possible = (draw: Draw<RandomProblem>): Draw<RandomProblem> => {
  let refused = 0;
  return draw.filter(({ operator, inputs, attributes }) => {
    const types = inputs.map((input) => input && typeOf(input));
    let reason: unknown = "it is too large";
    try {
      const outputs = operator.infer(types, { ...operator.attributes, ...attributes });
      if ([...types, ...outputs].every((type) => !type || sizeOf(type.shape) <= 2 * MOST_ELEMENTS)) {
        refused = 0;
        return true;
      }
    } catch (error) {
      reason = error;
    }
    if (++refused > MOST_REFUSED) throw new Error(`no problem that ${operator.name} takes is drawn`, { cause: reason });
    return false;
  });
};
const MOST_REFUSED = 1000;

function typeOf(input: CaseInput) {
  const { shape, dtype = "float32" } = "shape" in input ? input : { shape: input };
  return { shape, dtype } as const;
}

const matMulKinds = fc.record({ transA: bit, transB: bit, batch: from(0, 0, 1, 2) }).map(({ transA, transB, batch }) =>
  possible(
    fc
      .record({ M: extent, N: extent, K: extent, outer: small, inner: small, stretch: from("none", "a", "b") })
      .filter(({ M, N, K }) => M * N * K <= 1 << 16)
      .map(({ M, N, K, outer, inner, stretch }) => {
        const batches = (isStretched: boolean): Shape =>
          [outer, inner].slice(0, batch).map((axis, i) => (isStretched && i === 0 ? 1 : axis));
        const matrix = (rows: number, columns: number, swap: number): Shape =>
          swap ? [columns, rows] : [rows, columns];
        return {
          operator: operators.matMul,
          inputs: [
            [...batches(stretch === "a"), ...matrix(M, K, transA)],
            [...batches(stretch === "b"), ...matrix(K, N, transB)],
          ],
          attributes: { transA, transB },
        };
      }),
  ),
);

const packedProductKinds = fc
  .record({ bits: from(2, 4, 4, 8), block: from(16, 32, 32, 64), hasZeros: fc.boolean() })
  .map(({ bits, block, hasZeros }) =>
    possible(
      fc
        .record({ M: extent, N: extent, K: extent })
        .filter(({ M, N, K }) => N * K > 0 && M * N * K <= 1 << 16)
        .map(({ M, N, K }) => {
          const blocks = Math.ceil(K / block);
          const words = (...shape: Shape): CaseInput => ({ shape, dtype: "uint32", low: 0, high: 2 ** 32 });
          const zeroPoints = hasZeros ? [words(N, Math.ceil((blocks * bits) / 32))] : [];
          return {
            operator: operators.matMulNBits,
            inputs: [[M, K], words(N, blocks, (block * bits) / 32), [N, blocks], ...zeroPoints],
            attributes: { K, N, bits, block_size: block },
          };
        }),
    ),
  );

/** A window of `rank` axes, and extents it may slide over. */
const windows = fc
  .record({
    rank: from(1, 2, 2, 2, 3),
    kernel: from(1, 2, 3, 3, 5),
    last: from(1, 3, 3, 5),
    stride: from(1, 1, 2, 3),
    dilation: from(1, 1, 2),
    pad: from(0, 1, 2),
    group: from("none", "none", "two", "depthwise"),
    hasBias: fc.boolean(),
    flag: bit,
  })
  .map(({ rank, kernel, last, stride, dilation, pad, ...rest }) => {
    const all = (value: number): number[] => Array.from({ length: rank }, () => value);
    const kernels = [...all(kernel).slice(1), last];
    const pads = kernels.map((taps) => Math.min(pad, taps - 1));
    return {
      rank,
      ...rest,
      kernels,
      attributes: {
        kernel_shape: kernels,
        strides: all(stride),
        dilations: all(dilation),
        pads: [...pads, ...pads.map((one) => Math.min(one, 1))],
      },
    };
  });
const spatial = (rank: number): Draw<number[]> =>
  fc.array(from(1, 3, 5, 7, 8, 9, 12, 13, 16, 20, 31), { minLength: rank, maxLength: rank });
const images = fc.record({ N: from(0, 1, 1, 2, 3), C: from(1, 2, 3, 4, 6, 8), M: from(1, 2, 3, 4, 5, 8, 12) });

/** Kinds of one of the convolutions; `inputs` says what it takes for X [N, C, …], W [M, C/group, …] and a bias [M]. */
const convKinds = (
  operator: Operator,
  inputsOf: (x: Shape, w: Shape, hasBias: boolean, M: number, attributes: Attributes) => (Shape | undefined)[],
): RandomFamily["kinds"] =>
  windows.map(({ rank, kernels, attributes, group: grouping, hasBias }) =>
    possible(
      fc.tuple(images, spatial(rank)).map(([{ N, C, M }, extents]) => {
        const group = grouping === "none" ? 1 : grouping === "two" ? 2 : C;
        const channels = grouping === "two" ? 2 * C : C;
        const features = grouping === "none" ? M : group * Math.ceil(M / group);
        const given = { ...attributes, group };
        const w = [features, channels / group, ...kernels];
        const inputs = inputsOf([N, channels, ...extents], w, hasBias, features, given);
        return { operator, inputs, attributes: given };
      }),
    ),
  );

const reducers = [
  operators.reduceSum,
  operators.reduceMean,
  operators.reduceMax,
  operators.reduceMin,
  operators.reduceProd,
  operators.reduceL1,
  operators.reduceSumSquare,
];
const reduceKinds = fc
  .record({
    operator: from<Operator[]>(...reducers),
    rank: from(1, 2, 2, 3, 4),
    chosen: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
    keepdims: bit,
    dtype: from("float32", "float32", "int32" as const),
  })
  .map(({ operator, rank, chosen, keepdims, dtype }) => {
    const axes = chosen.slice(0, rank).flatMap((isReduced, axis) => (isReduced ? [axis] : []));
    const attributes = { axes: axes.length === 0 ? [rank - 1] : axes, keepdims };
    const range = dtype === "int32" ? { low: -3, high: 4 } : { low: 0.5, high: 1.25 };
    return possible(shapeOf(rank).map((shape) => ({ operator, inputs: [{ shape, dtype, ...range }], attributes })));
  });

const softmaxKinds = fc
  .record({
    operator: from<Operator[]>(operators.softmax, operators.logSoftmax),
    rank: from(1, 2, 3),
    axis: from(0, 1, 2),
  })
  .map(({ operator, rank, axis }) =>
    possible(
      fc.tuple(shapeOf(rank), from(1, 20)).map(([shape, high]) => ({
        operator,
        inputs: [{ shape, low: -high, high }],
        attributes: { axis: Math.min(axis, rank - 1) },
      })),
    ),
  );

const standardizationKinds = fc
  .record({ rank: from(1, 2, 2, 3, 4), first: from(0, 1, 2, 3), second: from(0, 1, 2, 3), centered: bit })
  .map(({ rank, first, second, centered }) => {
    const axes = [...new Set([first % rank, second % rank])].sort();
    return possible(
      fc.tuple(shapeOf(rank), from(0, 100)).map(([shape, low]) => ({
        operator: operators.standardization,
        inputs: [{ shape, low, high: low + 1 }],
        attributes: { axes, centered, epsilon: 0.01 },
      })),
    );
  });

const poolKinds = windows
  .chain((window) =>
    fc.record({
      window: fc.constant(window),
      operator: from<Operator[]>(
        operators.maxPool,
        operators.averagePool,
        operators.lpPool,
        operators.maxPoolIndices,
        operators.maxPoolGradient,
      ),
    }),
  )
  .map(({ operator, window: { rank, attributes, flag } }) =>
    possible(
      fc.tuple(images, spatial(rank)).map(([{ N, C }, extents]) => {
        const given = { ...attributes, ceil_mode: flag };
        const x = [N, C, ...extents];
        const isGradient = operator === operators.maxPoolGradient;
        const inputs = isGradient ? [x, outputShape(operators.maxPool, [x], given)] : [x];
        return { operator, inputs, attributes: given };
      }),
    ),
  );

const transposeKinds = fc
  .integer({ min: 1, max: 5 })
  .chain((rank) => fc.shuffledSubarray([...Array(rank).keys()], { minLength: rank, maxLength: rank }))
  .map((perm) =>
    possible(
      shapeOf(perm.length).map((shape) => ({ operator: operators.transpose, inputs: [shape], attributes: { perm } })),
    ),
  );

const indices = (length: number, shape: Shape): CaseInput => ({ shape, dtype: "int32", low: -length, high: length });

const gatherKinds = fc
  .record({
    form: from("Gather", "GatherElements", "GatherND"),
    rank: from(1, 2, 3),
    axis: from(0, 1, 2),
    dtype: from("float32", "int32" as const),
  })
  .map(({ form, rank, axis: wanted, dtype }) =>
    possible(
      fc.tuple(shapeOf(rank), extent, small).map(([shape, count, more]): RandomProblem => {
        const axis = Math.min(wanted, rank - 1);
        const length = Math.max(1, shape[axis]!);
        const data = { shape: shape.with(axis, length), dtype };
        if (form === "Gather")
          return { operator: operators.gather, inputs: [data, indices(length, [count, more])], attributes: { axis } };
        if (form === "GatherElements")
          return {
            operator: operators.gatherElements,
            inputs: [data, indices(length, data.shape.with(axis, count))],
            attributes: { axis },
          };
        const named = data.shape.map((axisLength) => Math.max(1, axisLength));
        return {
          operator: operators.gatherND,
          inputs: [{ shape: named, dtype }, indices(Math.min(...named), [count, more, axis + 1])],
        };
      }),
    ),
  );

const scatterKinds = fc
  .record({
    form: from("ScatterElements", "ScatterND", "GatherGradient"),
    rank: from(1, 2, 3),
    axis: from(0, 1, 2),
    reduction: from("none", "add", "max", "mul"),
  })
  .map(({ form, rank, axis: wanted, reduction }) =>
    possible(
      fc.tuple(shapeOf(rank), from(0, 1, 2, 7, 16, 65)).map(([shape, count]): RandomProblem => {
        const axis = Math.min(wanted, rank - 1);
        const length = Math.max(1, shape[axis]!);
        const data = shape.with(axis, length);
        if (form === "GatherGradient")
          return {
            operator: operators.gatherGradient,
            inputs: [indices(length, [count]), data.with(axis, count)],
            attributes: { axis, extent: length },
          };
        if (form === "ScatterElements") {
          const over = data.with(axis, count);
          return {
            operator: operators.scatterElements,
            inputs: [data, indices(length, over), over],
            attributes: { axis, reduction },
          };
        }
        const named = data.map((length, i) => (i <= axis ? Math.max(1, length) : length));
        const updates = [count, ...named.slice(axis + 1)];
        return {
          operator: operators.scatterND,
          inputs: [named, indices(Math.min(...named.slice(0, axis + 1)), [count, axis + 1]), updates],
          attributes: { reduction },
        };
      }),
    ),
  );

const resampleKinds: RandomFamily["kinds"] = fc
  .record({ rank: from(1, 2, 3, 4), columnTaps: from(0, 2, 4), rowTaps: from(0, 2), hasRows: fc.boolean() })
  .map(({ rank, columnTaps, rowTaps, hasRows }) =>
    possible(
      fc.tuple(shapeOf(rank), small, from(1, 3, 7, 16)).map(([shape, rows, columns]): RandomProblem => {
        const axes = hasRows && rank > 1 ? [rank - 1, rank - 2] : [rank - 1];
        const table = (axis: number, count: number, taps: number): (CaseInput | undefined)[] => [
          { shape: [count], dtype: "int32", low: -1, high: Math.max(0, shape[axis]! - Math.max(1, taps) + 1) },
          taps === 0 ? undefined : { shape: [count, taps], dtype: "uint32", low: FIRST_BITS, high: LAST_BITS },
        ];
        const inputs = [
          shape,
          ...table(axes[0]!, columns, columnTaps),
          ...(axes.length > 1 ? table(axes[1]!, rows, rowTaps) : []),
        ];
        return { operator: operators.resample, inputs, attributes: { axes, fill: 0.5 } };
      }),
    ),
  );
/** Weights are the bits of floats: between 0.5 and 2. */
const [FIRST_BITS, LAST_BITS] = [0x3f000000, 0x40000000];

const attentionKinds = fc
  .record({
    causal: from("none", "end", "offset"),
    softcap: from(0, 2),
    masked: from("no", "floats", "bools"),
    groups: from(1, 2),
  })
  .map(({ causal, softcap, masked, groups }) =>
    possible(
      fc
        .record({
          B: from(1, 2),
          keyHeads: from(1, 2),
          L: from(1, 2, 5, 17, 33),
          S: from(1, 3, 8, 31, 37),
          D: from(1, 4, 7, 8, 32),
          last: from(4, 5, 16),
        })
        .map(({ B, keyHeads, L, S, D, last }) => {
          const mask: CaseInput[] =
            masked === "no" ? [] : [{ shape: [L, S], dtype: masked === "bools" ? "bool" : "float32" }];
          return {
            operator: operators.scaledDotProductAttention,
            inputs: [[B, groups * keyHeads, L, D], [B, keyHeads, S, D], [B, keyHeads, S, last], ...mask],
            attributes: { causal, softcap },
          };
        }),
    ),
  );

const binary = [operators.add, operators.sub, operators.mul, operators.max, operators.min];
const unary = [operators.relu, operators.abs, operators.neg, operators.sigmoid, operators.sqrt];
const pointwiseKinds = fc
  .record({
    rank: from(1, 2, 3, 4),
    stretched: fc.array(fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), { minLength: 1, maxLength: 3 }),
    steps: fc.array(fc.tuple(fc.nat(9), fc.nat(7), fc.nat(7)), { minLength: 1, maxLength: 24 }),
    isStored: fc.boolean(),
  })
  .map(({ rank, stretched, steps, isStored }) =>
    shapeOf(rank).map((shape): RandomProblem => {
      const builder = new ProgramBuilder();
      const whole = builder.input(shape);
      const operands = stretched.map((axes) => builder.input(shape.map((axis, i) => (axes[i] ? 1 : axis))));
      const values: Register[] = [...operands, builder.literal(0.75), whole];
      const pick = (i: number): Register => values[i % values.length]!;
      for (const [kind, left, right] of steps) {
        if (kind >= 8) {
          const condition = builder.apply(operators.greater, [pick(left), builder.literal(0.25)]);
          values.push(builder.apply(operators.where, [condition, pick(right), whole]));
        } else if (kind >= 5) {
          const magnitude = builder.apply(operators.abs, [pick(left)]);
          values.push(builder.apply(unary[(kind + right) % unary.length]!, [magnitude]));
        } else values.push(builder.apply(binary[kind]!, [pick(left), pick(right)]));
      }
      const last = builder.apply(operators.add, [values.at(-1)!, whole]);
      const first = builder.apply(operators.mul, [whole, builder.literal(0.5)]);
      const program = isStored ? builder.build(last, first) : builder.build(last);
      return { operator: operators.pointwise, inputs: program.inputs.map((type) => type.shape), program };
    }),
  );

function outputShape(operator: Operator, inputs: readonly Shape[], attributes: Attributes): Shape {
  try {
    const types = inputs.map((shape) => ({ shape, dtype: "float32" as const }));
    return operator.infer(types, { ...operator.attributes, ...attributes })[0]!.shape;
  } catch {
    return [];
  }
}

export const randomFamilies: readonly RandomFamily[] = [
  { name: "MatMul", kinds: matMulKinds },
  { name: "MatMulNBits", kinds: packedProductKinds },
  { name: "Conv", kinds: convKinds(operators.conv, (x, w, hasBias, M) => [x, w, ...(hasBias ? [[M]] : [])]) },
  {
    name: "ConvTranspose",
    kinds: convKinds(operators.convTranspose, ([N, , ...extents], w, hasBias, M, { group }) => [
      [N!, M, ...extents],
      w,
      ...(hasBias ? [[w[1]! * Number(group)]] : []),
    ]),
  },
  {
    name: "ConvWeightGradient",
    kinds: convKinds(operators.convWeightGradient, (x, w, _bias, _M, given) => [
      x,
      outputShape(operators.conv, [x, w], given),
    ]),
  },
  { name: "reductions", kinds: reduceKinds },
  { name: "softmax", kinds: softmaxKinds },
  { name: "standardization", kinds: standardizationKinds },
  { name: "pooling", kinds: poolKinds },
  { name: "transpose", kinds: transposeKinds },
  { name: "gather", kinds: gatherKinds },
  { name: "scatter", kinds: scatterKinds },
  { name: "resample", kinds: resampleKinds },
  { name: "pointwise", kinds: pointwiseKinds },
  { name: "attention", kinds: attentionKinds },
];
