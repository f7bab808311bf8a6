// The Kernel Lab beside its page: addresses that bring a problem back, problems that their operators accept, and tables
// that spreadsheets read.

import { expect, test } from "vitest";
import { operatorNamed, typesOf } from "../../bench/kernels/problems.ts";
import { addressOf, choiceOf } from "../../demos/kernels/address.ts";
import { firstOperator, problems } from "../../demos/kernels/problems.ts";
import { ranked, toCsv, toJson, type Results } from "../../demos/kernels/results.ts";

const choiceAt = (address: string) => choiceOf(new URLSearchParams(address), firstOperator);

test("an address brings the choice back, and nonsense in it is as if it were not there", () => {
  const choice = choiceAt("?op=Conv&C=8&O=16&dtype=float16");
  expect(choice).toMatchObject({ operator: "Conv", dtype: "float16", dimensions: { C: 8, O: 16, k: 3 } });
  expect(choiceAt(addressOf(choice))).toEqual(choice);
  expect(choiceAt("?op=constructor&M=-3&N=many&K=2.5")).toEqual(choiceAt(""));
});

test.each(Object.entries(problems))("%s: every preset is a problem of its operator", (name, problem) => {
  const own = Object.fromEntries(problem.dimensions.map((dimension) => [dimension.name, dimension.value]));
  for (const extents of [own, ...Object.values(problem.presets)]) {
    expect(Object.keys(extents)).toEqual(Object.keys(own));
    const operator = operatorNamed(name);
    const { outputs } = typesOf({ family: name, name: "", operator, constants: [], ...problem.operands(extents) });
    expect(outputs.length).toBeGreaterThan(0);
  }
});

const results: Results = {
  choice: choiceAt("?op=MatMul&M=2&N=3&K=4"),
  adapter: 'a "fine" adapter, software',
  ceilings: { gflops: 10, gigabytesPerSecond: 5 },
  flops: 48,
  minimumBytes: 104,
  refusals: [],
  entries: [
    { id: 0, strategy: "slow", params: "", isChosen: false, dispatches: 1, trafficBytes: 104, timing: { medianMs: 2, lowMs: 1, highMs: 3, samples: 3 } },
    { id: 1, strategy: "broken", params: "tile=8", isChosen: false, dispatches: 1, trafficBytes: 104, failure: "no" },
    { id: 2, strategy: "fast", params: "rows=4 columns=8", isChosen: true, dispatches: 2, trafficBytes: 208, timing: { medianMs: 1, lowMs: 1, highMs: 1, samples: 3 }, check: { passed: true, error: 1e-7, errorOverBound: 0.25 } },
  ], // prettier-ignore
};

test("the fastest come first, in the table too", () => {
  expect(ranked(results.entries).map(({ strategy }) => strategy)).toEqual(["fast", "slow", "broken"]);
  const [head, fast, slow, broken] = toCsv(results).split("\r\n");
  expect(head).toBe(
    "adapter,operator,batch,M,N,K,dtype,strategy,params,chosen,median ms,low ms,high ms,GFLOP/s,GB/s,error / max,error / bound,right",
  );
  expect(fast).toBe(
    '"a ""fine"" adapter, software",MatMul,1,2,3,4,float32,fast,rows=4 columns=8,yes,1.00000,1.00000,1.00000,0.0000480000,0.000208000,1e-7,0.25,yes',
  );
  expect(slow).toMatch(/slow,,no,2\.00000,1\.00000,3\.00000,.*,,,$/);
  expect(broken).toMatch(/broken,tile=8,no,,,,,,,,$/);
  expect(JSON.parse(toJson(results))).toEqual(JSON.parse(JSON.stringify(results)));
});
