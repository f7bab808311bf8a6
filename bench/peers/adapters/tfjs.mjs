// TensorFlow.js 4.22 (webgpu or wasm backend). Layout NHWC, its native one; weights are rearranged once, before timing.
export function makeAdapter({ backend }) {
  let tf;
  async function load() {
    tf = await import("@tensorflow/tfjs");
    const b = await import(`@tensorflow/tfjs-backend-${backend}`);
    if (backend === "wasm") {
      b.setWasmPaths("/node_modules/@tensorflow/tfjs-backend-wasm/dist/");
      b.setThreadsCount(navigator.hardwareConcurrency);
    }
    if (!(await tf.setBackend(backend))) throw new Error(`backend ${backend} not available`);
    await tf.ready();
    const threads =
      backend === "wasm" ? (await tf.env().getAsync("WASM_HAS_MULTITHREAD_SUPPORT")) && b.getThreadsCount() : undefined;
    return { version: tf.version_core ?? tf.version?.tfjs, backend: tf.getBackend(), threads };
  }
  const T = (d, s) => tf.tensor(d, s);
  const perm = (d, s, p) => {
    const t = T(d, s),
      y = t.transpose(p);
    t.dispose();
    return y;
  };
  // f: () => Tensor; keep: tensors freed on close
  const item = (keep, f, extra) => ({
    eagerFree: true,
    run: () => tf.tidy(f),
    read: async (h) => {
      const y = await h.data();
      h.dispose();
      return y;
    },
    free: (h) => h.dispose(),
    close: () => keep.forEach((t) => t.dispose()),
    ...extra,
  });
  const nchw = (C, HW) => (y) => {
    const o = new Float32Array(y.length);
    for (let i = 0; i < HW; i++) for (let c = 0; c < C; c++) o[c * HW + i] = y[i * C + c];
    return o;
  };

  const conv = ({ p: { C, H, W, O, k, pad, groups }, data }) => {
    const x = perm(data.x, [1, C, H, W], [0, 2, 3, 1]);
    const w = perm(data.w, [O, C / groups, k, k], groups > 1 ? [2, 3, 0, 1] : [2, 3, 1, 0]); // depthwise: [k,k,C,1]
    return item([x, w], () => (groups > 1 ? tf.depthwiseConv2d(x, w, 1, "same") : tf.conv2d(x, w, 1, pad)), {
      canonical: nchw(O, H * W),
    });
  };
  const rnn =
    (make) =>
    ({ p: { T: t, B, I, H, G }, data }) => {
      const layer = make({
        units: H,
        activation: "tanh",
        recurrentActivation: "sigmoid",
        inputShape: [t, I],
        returnSequences: false,
      });
      const x = perm(data.x, [t, B, I], [1, 0, 2]);
      tf.tidy(() => layer.apply(x));
      layer.setWeights([T(data.wx, [I, G * H]), T(data.wh, [H, G * H]), T(data.b, [G * H])]);
      return item([x], () => layer.apply(x), {
        close: () => {
          x.dispose();
          layer.dispose();
        },
      });
    };
  const denseW = (data, dims) => dims.slice(1).map((n, i) => [T(data[`w${i}`], [dims[i], n]), T(data[`b${i}`], [n])]);
  const denseF = (h, ws) =>
    ws.reduce((a, [w, b], i) => {
      const z = tf.add(tf.matMul(a, w), b);
      return i < ws.length - 1 ? tf.relu(z) : z;
    }, h);
  const fused = (h, ws) =>
    ws.reduce(
      (a, [w, bias], i) => tf.fused.matMul({ a, b: w, bias, activation: i < ws.length - 1 ? "relu" : "linear" }),
      h,
    );
  const workloads = {
    W1: ({ p: { n }, data }) => {
      const a = T(data.a, [n, n]),
        b = T(data.b, [n, n]);
      return item([a, b], () => tf.matMul(a, b));
    },
    W2: ({ p: { K, N }, data }) => {
      const a = T(data.a, [1, K]),
        b = T(data.b, [K, N]);
      return item([a, b], () => tf.matMul(a, b));
    },
    W3: conv,
    W4: conv,
    W5: conv,
    W6: rnn((o) => tf.layers.lstm(o)),
    W7: rnn((o) => tf.layers.gru(o)),
    W8: ({ p: { B, dims }, data }) => {
      const ws = denseW(data, dims);
      return item(ws.flat(), () => fused(T(data.x, [B, 784]), ws));
    },
    W9: ({ p: { B, dims }, data }) => {
      const c0 = perm(data.c0, [6, 1, 5, 5], [2, 3, 1, 0]),
        c1 = perm(data.c1, [16, 6, 5, 5], [2, 3, 1, 0]),
        cb0 = T(data.cb0, [6]),
        cb1 = T(data.cb1, [16]);
      const w0 = tf.tidy(() => T(data.w0, [16, 5, 5, 120]).transpose([1, 2, 0, 3]).reshape([400, 120])); // CHW rows -> HWC rows
      const ws = denseW(data, dims);
      ws[0][0].dispose();
      ws[0][0] = w0;
      const c = (x, filter, bias, pad) =>
        tf.maxPool(tf.fused.conv2d({ x, filter, bias, strides: 1, pad, activation: "relu" }), 2, 2, "valid");
      return item([c0, c1, cb0, cb1, ...ws.flat()], () =>
        fused(c(c(T(data.x, [B, 28, 28, 1]), c0, cb0, 2), c1, cb1, "valid").reshape([B, 400]), ws),
      );
    },
    "W10.softmax": ({ p: { R, C }, data }) => {
      const x = T(data.x, [R, C]);
      return item([x], () => tf.softmax(x));
    },
    "W10.layernorm": ({ p: { R, C }, data }) => {
      const x = T(data.x, [R, C]),
        g = T(data.g, [C]),
        b = T(data.b, [C]);
      return item([x, g, b], () => {
        const { mean, variance } = tf.moments(x, 1, true);
        return x.sub(mean).mul(variance.add(1e-5).rsqrt()).mul(g).add(b);
      });
    },
    W11: ({ p: { B, dims, adam }, data }) => {
      const x = T(data.x, [B, 784]),
        y = T(data.y, [B, 10]);
      const vs = denseW(data, dims).map((l) => l.map((t) => tf.variable(t))),
        o = tf.train.adam(adam.lr, adam.b1, adam.b2, adam.eps);
      const loss = () => tf.losses.softmaxCrossEntropy(y, denseF(x, vs));
      return item([x, y, ...vs.flat()], () => o.minimize(loss, true, vs.flat()));
    },
    W12: ({ p: { n, chain }, data }) => {
      const x = T(data.x, [n]),
        F = { mul: tf.mul, add: tf.add, sub: tf.sub, abs: tf.abs };
      return item([x], () => {
        let h = x;
        for (const { op, c } of chain) {
          const z = F[op](h, c);
          if (h !== x) h.dispose();
          h = z;
        }
        return h;
      });
    },
  };
  return { load, workloads };
}
