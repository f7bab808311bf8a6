// Neurite. Weights are constants of the compiled graph; inputs and results are the page's own buffers, between which every
// run is encoded: one encoder, one submit.

/** Gates i, f, g, o and z, r, h in ONNX's orders. */
const LSTM_GATES = [0, 3, 1, 2];
const GRU_GATES = [0, 1, 2];

/** `cold`: only what W13 needs. */
export function makeAdapter({ cold = false }) {
  let N, engine, device;

  async function load() {
    N = await import(cold ? "/neurite/cold/entry.js" : "/neurite/rows/entry.js");
    engine = await N.createEngine({ log: () => {} });
    ({ device } = engine);
    return { adapter: engine.name };
  }

  function makeBuffer(sizeBytes, data) {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const buffer = device.createBuffer({ size: Math.ceil(sizeBytes / 16) * 16, usage });
    if (data) device.queue.writeBuffer(buffer, 0, data);
    return buffer;
  }
  const constant = (x, data, shape) => new N.Tensor(x.graph, x.graph.constant(N.tensorData(data, shape)));

  /** `given` are the inputs' buffers; `beforeRun` writes what changes from run to run. */
  function item(model, given, { output = "y", beforeRun = () => {} } = {}) {
    const { shape } = model.plan.values[model.plan.outputs[output]];
    const sizeBytes = 4 * shape.reduce((product, extent) => product * extent, 1);
    const y = makeBuffer(sizeBytes);
    const staging = device.createBuffer({
      size: sizeBytes,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
    return {
      run() {
        beforeRun();
        const encoder = device.createCommandEncoder();
        model.encode(encoder, given, { [output]: y });
        device.queue.submit([encoder.finish()]);
        return y;
      },
      async read() {
        const encoder = device.createCommandEncoder();
        encoder.copyBufferToBuffer(y, 0, staging, 0, sizeBytes);
        device.queue.submit([encoder.finish()]);
        await staging.mapAsync(GPUMapMode.READ);
        const result = new Float32Array(staging.getMappedRange().slice(0));
        staging.unmap();
        return result;
      },
      free() {},
      close() {
        for (const buffer of [...Object.values(given), y, staging]) buffer.destroy();
        model.dispose();
      },
    };
  }

  /** `inputs`: name → [data, shape]. With `e2e` they are sent again in every run. */
  async function compiled(build, inputs, e2e = false) {
    const shapes = Object.fromEntries(Object.entries(inputs).map(([name, [, shape]]) => [name, shape]));
    const model = await engine.compile(build, shapes);
    const buffers = Object.entries(inputs).map(([name, [data]]) => [name, makeBuffer(data.byteLength, data)]);
    const given = Object.fromEntries(buffers);
    const beforeRun = () => {
      if (e2e) for (const [name, [data]] of Object.entries(inputs)) device.queue.writeBuffer(given[name], 0, data);
    };
    return item(model, given, { beforeRun });
  }

  const conv = ({ p: { C, H, W, O, k, pad, groups }, data }) =>
    compiled((x) => N.conv2d(x, constant(x, data.w, [O, C / groups, k, k]), undefined, { padding: pad, groups }), {
      x: [data.x, [1, C, H, W]],
    });

  const dense = (x, data, dims) =>
    dims.slice(1).reduce((h, width, i) => {
      const product = h.matmul(constant(h, data[`w${i}`], [dims[i], width]));
      const z = product.add(constant(h, data[`b${i}`], [width]));
      return i < dims.length - 2 ? N.relu(z) : z;
    }, x);

  /** [rows, G·H] with gates in blocks → [G·H, rows], the gates in ONNX's order. */
  function gates(data, rows, H, order) {
    const width = order.length * H;
    const result = new Float32Array(width * rows);
    order.forEach((from, to) => {
      for (let j = 0; j < H; j++)
        for (let i = 0; i < rows; i++) result[(to * H + j) * rows + i] = data[i * width + from * H + j];
    });
    return result;
  }

  const recurrent =
    (operator, order) =>
    ({ p: { T, B, I, H, G }, data }) => {
      const bias = new Float32Array(2 * G * H);
      bias.set(gates(data.b, 1, H, order));
      const build = (x) => {
        const wx = constant(x, gates(data.wx, I, H, order), [1, G * H, I]);
        const wh = constant(x, gates(data.wh, H, H, order), [1, G * H, H]);
        const given = [x, wx, wh, constant(x, bias, [1, 2 * G * H])];
        const [, last] = N.applyAll(N[operator], given, { hidden_size: H });
        return last;
      };
      return compiled(build, { x: [data.x, [T, B, I]] });
    };

  /** One Adam step: forward pass, loss, gradients and updates in one plan; the weights are its variables. */
  async function training({ p: { B, dims, adam: constants }, data }) {
    const { adam, crossEntropy, filled, gradients, Graph, Tensor, Variable } = N;
    const { lr, b1, b2, eps } = constants;
    const optimizer = adam({ lr, betas: [b1, b2], eps });
    const graph = new Graph();
    const input = (name, shape, dtype = "float32") => new Tensor(graph, graph.input(name, { dtype, shape }));
    const traced = (variable) => new Tensor(graph, graph.variable(variable));
    const parameters = dims
      .slice(1)
      .flatMap((width, i) => [
        new Variable(`w${i}`, N.tensorData(data[`w${i}`], [dims[i], width])),
        new Variable(`b${i}`, N.tensorData(data[`b${i}`], [width])),
      ]);
    let h = input("x", [B, dims[0]]);
    for (let i = 0; i < parameters.length; i += 2) {
      h = h.matmul(traced(parameters[i])).add(traced(parameters[i + 1]));
      if (i + 2 < parameters.length) h = N.relu(h);
    }
    const loss = crossEntropy()(h, input("labels", [B], "int32"));
    graph.output("loss", loss.value);
    const names = Object.keys(optimizer.scalars(lr, 1));
    const scalars = Object.fromEntries(names.map((name) => [name, input(name, [])]));
    const slopes = gradients(
      graph,
      loss.value,
      parameters.map((parameter) => graph.variable(parameter)),
    );
    parameters.forEach((parameter, i) => {
      const kept = optimizer.state.map((name) => [
        name,
        new Variable(`${name}.${parameter.name}`, filled(0, parameter.shape), false),
      ]);
      const state = Object.fromEntries(kept.map(([name, variable]) => [name, traced(variable)]));
      const gradient = new Tensor(graph, slopes[i]);
      const next = optimizer.update({ parameter: traced(parameter), gradient, state, scalars });
      for (const [name, variable] of kept) graph.update(variable, next.state[name].value);
      graph.update(parameter, next.parameter.value);
    });
    const labels = Int32Array.from({ length: B }, (_, i) => data.y.subarray(10 * i, 10 * i + 10).indexOf(1));
    const given = { x: makeBuffer(data.x.byteLength, data.x), labels: makeBuffer(labels.byteLength, labels) };
    for (const name of names) given[name] = makeBuffer(4);
    let step = 0;
    const beforeRun = () => {
      for (const [name, value] of Object.entries(optimizer.scalars(lr, ++step)))
        device.queue.writeBuffer(given[name], 0, Float32Array.of(value));
    };
    return item(await engine.compileGraph(graph), given, { output: "loss", beforeRun });
  }

  const workloads = {
    W1: ({ p: { n }, data }) => compiled((a, b) => a.matmul(b), { a: [data.a, [n, n]], b: [data.b, [n, n]] }),
    W2: ({ p, data }) => compiled((a) => a.matmul(constant(a, data.b, [p.K, p.N])), { a: [data.a, [1, p.K]] }),
    W3: conv,
    W4: conv,
    W5: conv,
    W6: recurrent("lstm", LSTM_GATES),
    W7: recurrent("gru", GRU_GATES),
    W8: ({ p: { B, dims }, data }) => compiled((x) => dense(x, data, dims), { x: [data.x, [B, 784]] }, true),
    W9: ({ p: { B, dims }, data }) => {
      const layer = (h, w, shape, b, padding) => {
        const z = N.conv2d(h, constant(h, w, shape), constant(h, b, [shape[0]]), { padding });
        return N.maxPool2d(N.relu(z), 2);
      };
      const build = (x) => {
        const h = layer(x, data.c0, [6, 1, 5, 5], data.cb0, 2);
        return dense(N.flatten(layer(h, data.c1, [16, 6, 5, 5], data.cb1, 0)), data, dims);
      };
      return compiled(build, { x: [data.x, [B, 1, 28, 28]] }, true);
    },
    "W10.softmax": ({ p: { R, C }, data }) => compiled((x) => N.softmax(x, -1), { x: [data.x, [R, C]] }),
    "W10.layernorm": ({ p: { R, C }, data }) => {
      const build = (x) => {
        const given = [x, constant(x, data.g, [C]), constant(x, data.b, [C])];
        const [y] = N.applyAll(N.layerNormalization, given, { epsilon: 1e-5 });
        return y;
      };
      return compiled(build, { x: [data.x, [R, C]] });
    },
    W11: training,
    W12: ({ p: { n, chain }, data }) => {
      const build = (x) => chain.reduce((h, { op, c }) => (op === "abs" ? N.absolute(h) : h[op](c)), x);
      return compiled(build, { x: [data.x, [n]] });
    },
  };
  return { load, workloads };
}
