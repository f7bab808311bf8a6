// Every strategy of every kernel family, with every parameter set, on problems that matter: time, GFLOP/s, and whether the
// result is right. A table on the console, the fastest first.
//
//     node --import ./config/run-typescript.mjs bench/kernels.ts [filter …] [--software] [--repeats=5]
//
// A filter keeps the lines in which it occurs, e.g. `conv` or `MatMul/registerTile`. Times are the least of several
// dispatches, from timestamp queries where the adapter has them; `cpu` is processor time, which on a software adapter is
// the steadier measure of the two when the machine is busy.

import { filled, tensorData, type TensorData } from "../src/core/tensorData.ts";
import { Random } from "../src/core/random.ts";
import { sizeOf, type Shape } from "../src/core/shape.ts";
import { acquireGpu } from "../src/device/acquire.ts";
import type { Gpu } from "../src/device/gpu.ts";
import { conv, convTranspose, convWeightGradient } from "../src/ops/conv.ts";
import { matMul } from "../src/ops/matmul.ts";
import { EPSILON, type Attributes, type Operator } from "../src/ops/operator.ts";
import { assemble } from "../shaders/assemble.ts";
import { loadStrategies } from "../shaders/index.ts";
import { DEFAULT_LIMITS, parameterSets, type KernelProblem } from "../shaders/strategy.ts";
import { firstError, runKernels, type KernelTask } from "../tests/harness/kernelRunner.ts";

interface BenchCase {
  readonly name: string;
  readonly operator: Operator;
  readonly inputs: readonly Shape[];
  readonly attributes?: Attributes;
}

const benchCase = <A extends Attributes>(
  name: string,
  operator: Operator<A>,
  inputs: readonly Shape[],
  attributes: Partial<A> = {},
): BenchCase => ({ name, operator: operator, inputs, attributes: attributes });

const k5 = { kernel_shape: [5, 5] };
const k3 = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] };
const pads2 = { pads: [2, 2, 2, 2] };

/** LeNet-5 at batch 64 forward and backward, layers of mobile and 1-D networks, a 3×3 layer, and a square product. */
const cases: readonly BenchCase[] = [
  benchCase("512³", matMul, [
    [512, 512],
    [512, 512],
  ]),
  benchCase(
    "64×400·(120×400)ᵀ",
    matMul,
    [
      [64, 400],
      [120, 400],
    ],
    { transB: 1 },
  ),
  benchCase(
    "64×120·(84×120)ᵀ",
    matMul,
    [
      [64, 120],
      [84, 120],
    ],
    { transB: 1 },
  ),
  benchCase(
    "64×84·(10×84)ᵀ",
    matMul,
    [
      [64, 84],
      [10, 84],
    ],
    { transB: 1 },
  ),
  benchCase("dX 64×120·120×400", matMul, [
    [64, 120],
    [120, 400],
  ]),
  benchCase(
    "dW (64×120)ᵀ·64×400",
    matMul,
    [
      [64, 120],
      [64, 400],
    ],
    { transA: 1 },
  ),
  benchCase(
    "dW (64×10)ᵀ·64×84",
    matMul,
    [
      [64, 10],
      [64, 84],
    ],
    { transA: 1 },
  ),
  benchCase("1×512·512×512", matMul, [
    [1, 512],
    [512, 512],
  ]),
  benchCase("1→6 5×5 pad 2 28²", conv, [[64, 1, 28, 28], [6, 1, 5, 5], [6]], { ...k5, ...pads2 }),
  benchCase("6→16 5×5 14²", conv, [[64, 6, 14, 14], [16, 6, 5, 5], [16]], k5),
  benchCase("48 depthwise 3×3 44²", conv, [[1, 48, 44, 44], [48, 1, 3, 3], [48]], { ...k3, group: 48 }),
  benchCase("48→48 1×1 22²", conv, [[1, 48, 22, 22], [48, 48, 1, 1], [48]]),
  benchCase("32→32 39 long 140", conv, [[1, 32, 140], [32, 32, 39], [32]], { pads: [19, 19] }),
  benchCase(
    "8→16 3×3 pad 1 14²",
    conv,
    [
      [64, 8, 14, 14],
      [16, 8, 3, 3],
    ],
    k3,
  ),
  benchCase(
    "8→16 3×3 stride 2 28²",
    conv,
    [
      [16, 8, 28, 28],
      [16, 8, 3, 3],
    ],
    { ...k3, strides: [2, 2] },
  ),
  benchCase(
    "6→16 5×5 14² dX",
    convTranspose,
    [
      [64, 16, 10, 10],
      [16, 6, 5, 5],
    ],
    k5,
  ),
  benchCase(
    "8→16 3×3 14² dX",
    convTranspose,
    [
      [64, 16, 14, 14],
      [16, 8, 3, 3],
    ],
    k3,
  ),
  benchCase(
    "1→6 5×5 pad 2 28²",
    convWeightGradient,
    [
      [64, 1, 28, 28],
      [64, 6, 28, 28],
    ],
    { ...k5, ...pads2 },
  ),
  benchCase(
    "6→16 5×5 14²",
    convWeightGradient,
    [
      [64, 6, 14, 14],
      [64, 16, 10, 10],
    ],
    k5,
  ),
  benchCase(
    "8→16 3×3 pad 1 14²",
    convWeightGradient,
    [
      [64, 8, 14, 14],
      [64, 16, 14, 14],
    ],
    k3,
  ),
];

interface Timing {
  readonly ms: number;
  readonly cpuMs: number;
}

/** The least time of `repeats` dispatches, each in a submit of its own, after one to warm up. */
async function time(
  gpu: Gpu,
  { operator, strategy, problem, params, inputs }: KernelTask,
  repeats: number,
): Promise<Timing> {
  const kernel = assemble(operator, strategy, problem, params);
  const label = `${operator.name}/${strategy.name}`;
  const hasUniforms = kernel.uniforms.length > 0;
  const pipeline = await gpu.pipeline(kernel.wgsl, label, { storage: kernel.storage, uniform: hasUniforms });
  const buffers: GPUBuffer[] = [];
  const upload = (kind: "storage" | "uniform", data: ArrayBufferView): GPUBuffer => {
    const buffer = gpu.createBuffer(data.byteLength, kind, label);
    buffers.push(buffer);
    gpu.write(buffer, data);
    return buffer;
  };
  const entries = kernel.operands.map(({ kind, index }, binding) => {
    const tensor = kind === "output" ? filled(0, problem.outputs[index]!.shape) : inputs[index]!;
    return { binding, buffer: upload("storage", tensor.data) };
  });
  const storage = gpu.bindGroup(pipeline, 0, entries, label);
  const words = new DataView(new ArrayBuffer(Math.max(16, Math.ceil(kernel.uniforms.length / 4) * 16)));
  kernel.uniforms.forEach(({ type, value }, i) => {
    if (type === "f32") words.setFloat32(4 * i, value, true);
    else words.setInt32(4 * i, value, true);
  });
  const uniforms = hasUniforms
    ? gpu.bindGroup(pipeline, 1, [{ binding: 0, buffer: upload("uniform", words), size: words.byteLength }], label)
    : undefined;
  const timer = await gpu.createTimer(1);
  const last = entries.at(-1)!.buffer;

  let ms = Infinity;
  let cpuMs = Infinity;
  for (let run = 0; run <= repeats; run++) {
    const began = performance.now();
    const cpuBegan = process.cpuUsage();
    gpu.submit(label, (encoder) => {
      const pass = encoder.beginComputePass(timer ? { timestampWrites: timer.passWrites(0) } : {});
      pass.setPipeline(pipeline.pipeline);
      pass.setBindGroup(0, storage);
      if (uniforms) pass.setBindGroup(1, uniforms, [0]);
      pass.dispatchWorkgroups(...kernel.workgroups);
      pass.end();
      timer?.resolve(encoder);
    });
    await gpu.read([{ buffer: last, sizeBytes: 4 }]);
    const cpu = process.cpuUsage(cpuBegan);
    const wallMs = performance.now() - began;
    const [passNs] = timer ? await timer.read() : [wallMs * 1e6];
    if (run === 0) continue;
    ms = Math.min(ms, passNs! / 1e6);
    cpuMs = Math.min(cpuMs, (cpu.user + cpu.system) / 1000);
  }
  timer?.destroy();
  for (const buffer of buffers) gpu.destroyBuffer(buffer);
  return { ms, cpuMs };
}

const options = process.argv.slice(2).filter((argument) => argument.startsWith("--"));
const filters = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const repeats = Number(options.find((option) => option.startsWith("--repeats="))?.slice(10) ?? 5);

const gpu = await acquireGpu({ software: options.includes("--software") });
const random = new Random(1);
let failures = 0;
console.log(gpu.adapter.name);
for (const { name, operator, inputs: shapes, attributes } of cases) {
  const inputs = shapes.map((shape): TensorData => {
    return tensorData(
      Float32Array.from({ length: sizeOf(shape) }, () => 2 * random.uniform() - 1),
      shape,
    );
  });
  const all: Attributes = { ...operator.attributes, ...attributes };
  const problem: KernelProblem = { inputs, outputs: operator.infer(inputs, all), attributes: all };
  const tasks = (await loadStrategies(operator.name)).flatMap((strategy) =>
    parameterSets(strategy)
      .filter((params) => strategy.supports(problem, DEFAULT_LIMITS, params) === true)
      .map((params): KernelTask => ({ operator, strategy, problem, params, inputs })),
  );
  const label = ({ strategy, params }: KernelTask): string =>
    `${operator.name}/${strategy.name} ${JSON.stringify(params)}`;
  const chosen = tasks.filter(
    (task) => filters.length === 0 || filters.some((f) => `${name} ${label(task)}`.includes(f)),
  );
  if (chosen.length === 0) continue;

  const [reference] = operator.reference(inputs, problem);
  const { values, terms } = { terms: reference!.values.map(Math.abs), ...reference! };
  const bounds = terms.map((term) => operator.errorBound(problem) * EPSILON * term);
  const results = await runKernels(gpu, chosen);
  const gflop = operator.flops(problem) / 1e9;
  const rows = [];
  for (const [i, task] of chosen.entries()) {
    const result = results[i]!;
    const wrong = "failure" in result ? result.failure : firstError(result.outputs[0]!, values, bounds);
    if (wrong !== undefined) failures++;
    const timing = "failure" in result ? { ms: Infinity, cpuMs: Infinity } : await time(gpu, task, repeats);
    rows.push({ label: label(task), wrong, ...timing });
  }
  console.log(`\n${operator.name} ${name}  (${(gflop * 1e3).toFixed(1)} MFLOP)`);
  for (const { label: text, wrong, ms, cpuMs } of rows.sort((a, b) => a.ms - b.ms)) {
    const speed = (gflop / (ms / 1e3)).toFixed(2);
    console.log(
      `  ${text.padEnd(60)} ${ms.toFixed(2).padStart(9)} ms  cpu ${cpuMs.toFixed(1).padStart(8)} ms` +
        ` ${speed.padStart(8)} GFLOP/s  ${wrong ?? "ok"}`,
    );
  }
}
gpu.dispose();
process.exitCode = failures === 0 ? 0 : 1;
