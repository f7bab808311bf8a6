// onnxruntime-web, all builds. W1..W10,W12 are ONNX models served by run.mjs; inputs are GPU-resident unless e2e.
const DIST = "/node_modules/onnxruntime-web/dist/";
export function makeAdapter({ entry, provider: ep, threads = 1 }) {
  let ort,
    sink = null;
  const gpu = (ep.name ?? ep) === "webgpu";
  async function load() {
    // Emscripten binds console.* at start-up, so the tap has to be in place before the wasm loads.
    for (const k of ["log", "info", "warn", "error", "debug"]) {
      const f = console[k].bind(console);
      console[k] = (...a) => (sink ? sink.push(a.join(" ")) : f(...a));
    }
    ort = await import(DIST + entry);
    ort.env.wasm.wasmPaths = DIST;
    ort.env.wasm.numThreads = threads;
    return { version: ort.env.versions.web ?? ort.env.versions.common, build: entry, threads };
  }
  const options = (extra) => ({
    executionProviders: [ep],
    ...(gpu ? { preferredOutputLocation: "gpu-buffer" } : {}),
    ...extra,
  });

  // Creates a second session with verbose logging and reads ORT's own node-placement log.
  async function placement(url) {
    const lines = (sink = []),
      level = ort.env.logLevel;
    try {
      ort.env.logLevel = "verbose";
      const s = await ort.InferenceSession.create(url, options({ logSeverityLevel: 0, logVerbosityLevel: 1 }));
      await s.release();
    } finally {
      sink = null;
      ort.env.logLevel = level;
    }
    const text = lines.join("\n"),
      seen = [];
    for (const m of text.matchAll(
      /(?:Node\(s\) placed on|All nodes placed on) \[(\w+?)(?:ExecutionProvider)?\](?:\. Number of nodes: (\d+))?/g,
    ))
      seen.push(`${m[1]}:${m[2] ?? "all"}`);
    return seen.join(" ") || `no placement log (${lines.length} lines)`;
  }
  async function upload(data, dims) {
    if (!gpu) return new ort.Tensor("float32", data, dims);
    const device = await ort.env.webgpu.device,
      U = GPUBufferUsage;
    const buf = device.createBuffer({
      size: Math.ceil(data.byteLength / 16) * 16,
      usage: U.STORAGE | U.COPY_SRC | U.COPY_DST,
    });
    device.queue.writeBuffer(buf, 0, data);
    return ort.Tensor.fromGpuBuffer(buf, { dataType: "float32", dims, dispose: () => buf.destroy() });
  }
  const make = (inputs) => async (ctx) => {
    const ins = inputs(ctx.p),
      s = await ort.InferenceSession.create(ctx.modelUrl, options());
    const feeds = {};
    if (!ctx.e2e) for (const [k, dims] of Object.entries(ins)) feeds[k] = await upload(ctx.data[k], dims);
    const note = ctx.cold ? "" : await placement(ctx.modelUrl);
    return {
      note,
      eagerFree: true,
      run: async () => {
        if (ctx.e2e)
          for (const [k, dims] of Object.entries(ins)) feeds[k] = new ort.Tensor("float32", ctx.data[k], dims);
        return (await s.run(feeds)).y;
      },
      read: (y) => y.getData(true),
      free: (y) => y.dispose(),
      close: async () => {
        if (!ctx.e2e) for (const t of Object.values(feeds)) t.dispose();
        await s.release();
      },
    };
  };
  const conv = make(({ C, H, W }) => ({ x: [1, C, H, W] })),
    seq = make(({ T, B, I }) => ({ x: [T, B, I] }));
  const workloads = {
    W1: make(({ n }) => ({ a: [n, n], b: [n, n] })),
    W2: make(({ K }) => ({ a: [1, K] })),
    W3: conv,
    W4: conv,
    W5: conv,
    W6: seq,
    W7: seq,
    W8: make(({ B }) => ({ x: [B, 784] })),
    W9: make(({ B }) => ({ x: [B, 1, 28, 28] })),
    W10: make(({ R, C }) => ({ x: [R, C] })),
    W12: make(({ n }) => ({ x: [n] })),
  };
  return { load, workloads };
}
