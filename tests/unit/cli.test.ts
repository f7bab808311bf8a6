// The `neurite` command on the CPU backend: what it says and writes, and its exit codes. 0 right, 1 wrong, 2 bad usage or
// file, 3 not supported; no stack traces.

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import jpeg from "jpeg-js";
import { PNG } from "pngjs";
import wavefile from "wavefile";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { cli } from "../../src/cli/cli.ts";
import { filled, tensorData, type TensorData } from "../../src/core/tensorData.ts";
import { encodeElements } from "../../src/formats/elements.ts";
import { decodeNpy, encodeNpy } from "../../src/formats/npy.ts";
import { decodeModel, decodeTensor } from "../../src/formats/onnx/decode.ts";
import { encodeModel, encodeTensor } from "../../src/formats/onnx/encode.ts";
import { exportOnnx } from "../../src/formats/onnx/export.ts";
import type { ModelProto, NodeProto } from "../../src/formats/onnx/model.ts";
import { decodeSafetensors, encodeSafetensors } from "../../src/formats/safetensors.ts";
import { Linear } from "../../src/nn/layers.ts";

const root = join(import.meta.dirname, "../..");
let folder: string;
const path = (name: string): string => join(folder, name);

/** What a command line printed, and its exit code. */
async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: [string[], string[]] = [[], []];
  const spies = [
    vi.spyOn(console, "log").mockImplementation((text: string) => void out.push(text)),
    vi.spyOn(console, "error").mockImplementation((text: string) => void err.push(text)),
    vi.spyOn(process.stderr, "write").mockImplementation((text) => Boolean(err.push(String(text)))),
    vi.spyOn(process.stdout, "write").mockImplementation((text) => Boolean(out.push(String(text)))),
  ];
  try {
    return { code: await cli(args), out: out.join("\n"), err: err.join("\n") };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

const tensorFile = (tensor: TensorData): Uint8Array =>
  encodeTensor({ name: "", ...tensor, bytes: encodeElements(tensor.data, tensor.dtype) });

const node = (operator: string, inputs: string[], outputs: string[]): NodeProto => ({
  name: operator,
  operator,
  domain: "",
  inputs,
  outputs,
  attributes: new Map(),
});

/** A model of one node on inputs of one type. */
function modelOf(
  operator: string,
  dtype: "float32" | "int64",
  inputs: string[],
  shape: (string | number)[],
): ModelProto {
  const info = (name: string) => ({ name, dtype, shape, kind: "tensor" });
  return {
    irVersion: 10,
    producer: "a test",
    opsets: { "": 21 },
    graph: {
      name: "g",
      nodes: [node(operator, inputs, ["y"])],
      initializers: new Map(),
      inputs: inputs.map(info),
      outputs: [info("y")],
    },
    functions: [],
    metadata: {},
  };
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "neurite-cli-"));
  const linear = new Linear(2, 3);
  const [weight, bias] = linear.parameters().map(({ shape }, i) => filled(i === 0 ? 0.5 : 1, shape));
  linear.loadStateDict(
    new Map([
      ["weight", weight!],
      ["bias", bias!],
    ]),
  );
  writeFileSync(path("linear.onnx"), exportOnnx(linear, { x: [1, 2] }));
  writeFileSync(
    path("image.onnx"),
    exportOnnx((x) => x.mul(1), { image: [1, 3, 2, 2] }),
  );
  writeFileSync(path("add.onnx"), encodeModel(modelOf("Add", "float32", ["a", "b"], ["n"])));
  writeFileSync(path("unknown.onnx"), encodeModel(modelOf("Nonsense", "float32", ["a"], [2])));
  writeFileSync(path("broken.onnx"), readFileSync(path("linear.onnx")).subarray(0, 60));
  writeFileSync(path("text.onnx"), "this is no model");
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("usage", () => {
  const cases: [title: string, args: string[], code: number, message: RegExp][] = [
    ["no command", [], 2, /Usage: neurite/],
    ["an unknown command", ["fly"], 2, /unknown command 'fly'/],
    ["an unknown option", ["run", "m.onnx", "--fast"], 2, /unknown option '--fast'/],
    ["no model", ["run"], 2, /missing required argument 'model'/],
    ["a model that is not there", ["run", "nowhere.onnx", "--backend", "cpu"], 2, /nowhere\.onnx cannot be read/],
    ["an unknown backend", ["run", "m.onnx", "--backend", "tpu"], 2, /Allowed choices are gpu, cpu/],
    ["an input without a name", ["run", "m.onnx", "-i", "1,2"], 2, /expected name=value/],
    ["an input twice", ["run", "m.onnx", "-i", "a=1", "-i", "a=2"], 2, /"a" is given twice/],
    ["a size that is none", ["run", "m.onnx", "--size", "big"], 2, /expected width x height/],
    ["a mean that is none", ["run", "m.onnx", "--mean", "0.5,x"], 2, /expected numbers/],
    ["an extent that is none", ["run", "m.onnx", "--dims", "n=-1"], 2, /whole number/],
    ["an output of another form", ["run", "m.onnx", "-o", "y=y.txt"], 2, /\.npy or \.pb/],
    ["a seed that is none", ["verify", "m.onnx", "--seed", "x"], 2, /whole number/],
    ["a broken pattern", ["conformance", ".", "--filter", "("], 2, /nvalid regular expression/],
    ["a folder that is not there", ["conformance", "nowhere"], 2, /no such folder/],
    ["a folder without tests", ["conformance", root], 2, /no folder in it holds a model\.onnx/],
    ["weights without a model", ["export", "w.safetensors", "m.onnx"], 2, /--model/],
    ["an unknown form", ["export", "a.txt", "b.onnx"], 2, /cannot make \.onnx of \.txt/],
  ];
  test.each(cases)("%s", async (_, args, code, message) => {
    const { code: came, out, err } = await run(...args);
    expect(`${out}${err}`).toMatch(message);
    expect(`${out}${err}`).not.toMatch(/^\s+at /m);
    expect(came).toBe(code);
  });

  test("help", async () => {
    const { code, out } = await run("--help");
    expect(code).toBe(0);
    for (const command of ["run", "inspect", "verify", "profile", "tune", "export", "conformance"])
      expect(out).toContain(command);
  });
});

describe("run", () => {
  const onCpu = (model: string, ...args: string[]) => run("run", path(model), "--backend", "cpu", ...args);

  test("numbers in, a summary out, and files", async () => {
    const { code, out } = await onCpu("linear.onnx", "-i", "x=1,3", "-o", `output=${path("y.npy")}`);
    expect([code, out]).toEqual([0, expect.stringMatching(/output\s+float32 \[1, 3\]\s+3\s+3\s+3\s+3 3 3/)]);
    expect(decodeNpy(readFileSync(path("y.npy")))).toEqual({
      dtype: "float32",
      shape: [1, 3],
      data: Float32Array.of(3, 3, 3),
    });
    await onCpu("linear.onnx", "-i", "x=1,3", "-o", `output=${path("y.pb")}`);
    const { name, bytes } = decodeTensor(readFileSync(path("y.pb")));
    expect([name, [...new Float32Array(new Uint8Array(bytes).buffer)]]).toEqual(["output", [3, 3, 3]]);
  });

  test("files of tensors, in another type than the model's", async () => {
    writeFileSync(path("x.npy"), encodeNpy({ dtype: "float64", shape: [1, 2], data: [1, 3] }));
    writeFileSync(path("x.pb"), tensorFile(tensorData([1, 3], [1, 2])));
    for (const file of ["x.npy", "x.pb"]) {
      const { code, out } = await onCpu("linear.onnx", "-i", `x=${path(file)}`);
      expect([code, out]).toEqual([0, expect.stringContaining("3 3 3")]);
    }
  });

  test("open shapes: from the input, or from --dims", async () => {
    const given = await onCpu("add.onnx", "-i", "a=1,2,3", "-i", "b=10,20,30");
    expect([given.code, given.out]).toEqual([0, expect.stringContaining("11 22 33")]);
    const random = await onCpu("add.onnx", "--random", "1", "--dims", "n=4");
    expect([random.code, random.out]).toEqual([0, expect.stringContaining("float32 [4]")]);
    const open = await onCpu("add.onnx", "--random", "1");
    expect([open.code, open.err]).toEqual([2, expect.stringContaining("--dims n=…")]);
  });

  test("pictures: decoded, resized, normalised, in either order of channels", async () => {
    const pixels = Uint8Array.of(255, 0, 51, 255, 255, 0, 51, 255);
    const png = new PNG({ width: 2, height: 1 });
    png.data.set(pixels);
    writeFileSync(path("p.png"), PNG.sync.write(png));
    writeFileSync(path("p.jpg"), jpeg.encode({ width: 2, height: 1, data: pixels }, 100).data);
    const channels = async (file: string, ...args: string[]): Promise<number[]> => {
      const { code, err } = await onCpu(
        "image.onnx",
        "-i",
        `image=${path(file)}`,
        "-o",
        `output=${path("i.npy")}`,
        ...args,
      );
      expect([code, err]).toEqual([0, ""]);
      const { data } = decodeNpy(readFileSync(path("i.npy")));
      return [0, 4, 8].map((i) => Number(data[i]));
    };
    const close = (values: readonly number[]) => values.map((value) => expect.closeTo(value, 5) as number);
    expect(await channels("p.png")).toEqual(close([1, 0, 0.2]));
    expect(await channels("p.png", "--bgr", "--mean", "0.2,0,0", "--std", "0.5")).toEqual(close([0, 0, 2]));
    expect(await channels("p.png", "--scale", "1")).toEqual(close([255, 0, 51]));
    const [red, green, blue] = await channels("p.jpg");
    expect([Math.abs(red! - 1), green!, Math.abs(blue! - 0.2)].every((error) => error < 0.05)).toBe(true);
    expect((await onCpu("image.onnx", "-i", `image=${path("p.png")}`, "--size", "3")).err).toMatch(/\[1, 3, 3, 3\]/);
  });

  test("sound: channels averaged", async () => {
    const wave = new wavefile.WaveFile();
    wave.fromScratch(2, 8000, "16", [Int16Array.of(0, 16384, -32768), Int16Array.of(0, 0, 0)]);
    writeFileSync(path("s.wav"), wave.toBuffer());
    const { code, out } = await onCpu("add.onnx", "-i", `a=${path("s.wav")}`, "-i", "b=0,0,0");
    expect([code, out]).toEqual([0, expect.stringContaining("0 0.25 -0.5")]);
  });

  test("what does not fit", async () => {
    const faults: [args: string[], code: number, message: RegExp][] = [
      [["linear.onnx"], 2, /input "x" .* is missing/],
      [["linear.onnx", "-i", "z=1"], 2, /no input "z".*takes x/],
      [["linear.onnx", "-i", "x=1,2,3"], 2, /3 elements do not fill/],
      [["linear.onnx", "-i", `x=${path("nothing.npy")}`], 2, /no such file/],
      [["linear.onnx", "-i", "x=1,2", "-o", "z=z.npy"], 2, /no output "z"/],
      [["linear.onnx", "--dims", "n=1"], 2, /no dimension "n"/],
      [["broken.onnx"], 2, /ONNX/],
      [["text.onnx"], 2, /ONNX/],
      [["unknown.onnx"], 3, /Nonsense/],
    ];
    for (const [[model, ...args], code, message] of faults) {
      const { code: came, err } = await onCpu(model!, ...args);
      expect(err).toMatch(message);
      expect([err, came]).toEqual([err, code]);
    }
  });
});

describe("inspect", () => {
  test("what is in the file and what a run takes", async () => {
    const { code, out } = await run("inspect", path("linear.onnx"));
    expect(code).toBe(0);
    expect(out).toMatch(/input\s+x\s+float32 \[1, 2\]/);
    expect(out).toMatch(/9 parameters/);
    expect(out).toMatch(/flops/);
    const json = JSON.parse((await run("inspect", path("linear.onnx"), "--json")).out) as Record<string, unknown>;
    expect(json).toMatchObject({ inputs: [{ name: "x", dtype: "float32", shape: [1, 2] }], unsupported: [] });
    expect(json["plan"]).toMatchObject({ flops: expect.any(Number) as number });
  });

  test("open shapes and missing operators are named", async () => {
    expect((await run("inspect", path("add.onnx"))).out).toMatch(/give --dims n=…/);
    expect((await run("inspect", path("add.onnx"), "--dims", "n=8")).out).toMatch(/1 steps with 1 kernels: 8 flops/);
    const { code, out } = await run("inspect", path("unknown.onnx"));
    expect([code, out]).toEqual([3, expect.stringContaining("not supported here: Nonsense")]);
  });

  test("the graph as a page that loads nothing and keeps names as text", async () => {
    const model = modelOf("Add", "float32", ["</script><b>", "b"], [2]);
    writeFileSync(path("names.onnx"), encodeModel(model));
    expect((await run("inspect", path("names.onnx"), "--html", path("graph.html"))).code).toBe(0);
    const page = readFileSync(path("graph.html"), "utf8");
    expect(page).toMatch(/^<!doctype html>/);
    expect(page).not.toMatch(/(src|href)=|https?:/);
    expect(page).not.toContain("</script><b>");
    expect(page.match(/<g class="(input|node|output)"/g)).toHaveLength(4);
    expect(page.match(/<path d="M/g)).toHaveLength(3);
  });
});

test("verify and profile", async () => {
  const verified = await run("verify", path("linear.onnx"), "--backend", "cpu", "--all");
  expect([verified.code, verified.out]).toEqual([0, expect.stringMatching(/all \d+ steps within their bounds/)]);
  const profiled = await run("profile", path("linear.onnx"), "--backend", "cpu", "--repeats", "1");
  expect(profiled.code).toBe(0);
});

test("export: weights out, other weights in, a model anew", async () => {
  await run("export", path("linear.onnx"), path("w.safetensors"));
  const { tensors } = decodeSafetensors(readFileSync(path("w.safetensors")));
  expect(tensors.get("weight")!.data.every((value) => value === 0.5)).toBe(true);
  writeFileSync(path("w2.safetensors"), encodeSafetensors([["bias", tensorData([1, 2, 3], [3])]]));
  const fits = await run("export", path("w2.safetensors"), path("other.onnx"), "--model", path("linear.onnx"));
  expect(fits).toEqual({ code: 0, out: "", err: "" });
  const { out } = await run("run", path("other.onnx"), "--backend", "cpu", "-i", "x=0,0");
  expect(out).toContain("1 2 3");
  const misfit = await run("export", path("w2.safetensors"), path("x.onnx"), "--model", path("add.onnx"));
  expect([misfit.code, misfit.err]).toEqual([2, expect.stringContaining('no tensor "bias"')]);
  await run("export", path("linear.onnx"), path("anew.onnx"));
  expect(decodeModel(readFileSync(path("anew.onnx")))).toEqual(decodeModel(readFileSync(path("linear.onnx"))));
});

test("conformance: counts, reasons, exit code, results as JSON", async () => {
  const set = path("set");
  const add = (
    name: string,
    model: ModelProto | Uint8Array,
    data: readonly (readonly TensorData[])[],
    y: TensorData,
  ): void => {
    data.forEach((inputs, k) => {
      const sets = join(set, name, `test_data_set_${k}`);
      mkdirSync(sets, { recursive: true });
      inputs.forEach((input, i) => writeFileSync(join(sets, `input_${i}.pb`), tensorFile(input)));
      writeFileSync(join(sets, "output_0.pb"), tensorFile(y));
    });
    writeFileSync(join(set, name, "model.onnx"), model instanceof Uint8Array ? model : encodeModel(model));
  };
  const floats = (...values: number[]) => tensorData(values, [values.length]);
  const sum = modelOf("Add", "float32", ["a", "b"], ["n"]);
  const wide = modelOf("Add", "int64", ["a", "b"], ["n"]);
  const longs = (...values: number[]) => tensorData(values, [values.length], "int64");
  add(
    "right",
    sum,
    [
      [floats(1, 2), floats(3, 4)],
      [floats(4), floats(0)],
    ].slice(0, 1),
    floats(4, 6.001),
  );
  add("loose", sum, [[floats(100), floats(0)]], floats(104));
  add("wrong", sum, [[floats(1, 2), floats(3, 4)]], floats(4, 7));
  add(
    "second",
    sum,
    [
      [floats(2), floats(2)],
      [floats(2), floats(3)],
    ],
    floats(4),
  );
  add("shape", sum, [[floats(1), floats(3)]], tensorData([4], [1, 1]));
  add("type", sum, [[floats(1), floats(3)]], longs(4));
  add("missing", modelOf("Nonsense", "float32", ["a"], [1]), [[floats(1)]], floats(1));
  add("random", sum, [[floats(1), floats(1)]], floats(0));
  add("broken", new Uint8Array(9).fill(255), [[floats(1)]], floats(1));
  add("wide", wide, [[longs(1), longs(1)]], longs(0));
  const big = (value: bigint): Uint8Array =>
    encodeTensor({ name: "", dtype: "int64", shape: [1], bytes: encodeElements([value], "int64") });
  writeFileSync(join(set, "wide/test_data_set_0/input_0.pb"), big(2n ** 40n));
  writeFileSync(join(set, "wide/test_data_set_0/output_0.pb"), big(2n ** 40n + 1n));
  writeFileSync(
    join(set, "index.json"),
    JSON.stringify([
      ...["right", "wrong", "second", "shape", "type", "missing", "broken", "gone"].map((name) => ({ name })),
      { name: "loose", atol: 0.05, atolRelativeToMax: true },
      { name: "random", nondeterministic: true },
      { name: "wide", tags: ["int64-wide"] },
    ]),
  );
  const command = [
    "--import",
    "./config/run-typescript.mjs",
    "src/cli/main.ts",
    "conformance",
    set,
    "--backend",
    "cpu",
    "--json",
    path("results.json"),
  ];
  const failure = await promisify(execFile)(process.execPath, command, { cwd: root }).then(
    () => undefined,
    (error: unknown) => error as { code: number; stdout: string },
  );
  expect(failure?.code).toBe(1);
  const lines = failure!.stdout.trim().split("\n");
  expect(lines).toEqual(
    expect.arrayContaining([
      "wrong: output y 1 of 2 elements wrong: element 1 is 6, expected 7 ± 0.00700",
      "second: test_data_set_1: output y 1 of 1 elements wrong: element 0 is 5, expected 4 ± 0.00400",
      "shape: output y has shape [1], expected [1, 1]",
      "type: output y is float32, expected int64",
      "  1 × Nonsense: no such operator here",
    ]),
  );
  expect(lines.filter((line) => /^(right|loose|random):/.test(line))).toEqual([]);
  expect(lines.at(-1)).toBe("3 passed, 7 failed, 1 skipped");
  const { results } = JSON.parse(readFileSync(path("results.json"), "utf8")) as {
    results: { name: string; status: string }[];
  };
  const status = Object.fromEntries(results.map(({ name, status }) => [name, status]));
  expect(status).toMatchObject({ right: "passed", wide: "passed", missing: "unsupported", random: "skipped" });
  expect([status["broken"], status["gone"]]).toEqual(["failed", "failed"]);
}, 60_000);
