// jax-js, everything under jit. Arrays are move-only: `.ref` keeps one alive across a use.
// No lax.scan in 0.1.25, so the RNN cells are unrolled inside jit.
export function makeAdapter({ device }) {
  let jax, np, nn;
  async function load() {
    jax = await import("@jax-js/jax");
    ({ numpy: np, nn } = jax);
    const have = await jax.init(device);
    if (!have.includes(device)) throw new Error(`${device} not available`);
    jax.defaultDevice(device);
    return { device };
  }
  const A = (d, s) => np.array(d, { shape: s });
  // Work is lazy: force submission per run, without waiting, so that back-to-back runs really execute.
  const submit = (y) => {
    if (device === "webgpu") y.ref.gpuBufferSync();
    else y.blockUntilReady().catch(() => {});
    return y;
  };
  const item = (f, args, { stateful, e2e } = {}) => ({
    eagerFree: device === "webgpu",
    run: e2e ?? stateful ?? (() => submit(f(...args.map((a) => a.ref)))),
    read: (y) => y.data(),
    free: (y) => y.dispose(),
    close: () => {
      args.forEach((a) => a.dispose());
      f.dispose?.();
    },
  });
  const conv = ({ p: { C, H, W, O, k, pad, groups }, data }) =>
    item(
      jax.jit((x, w) =>
        jax.lax.convGeneralDilated(
          x,
          w,
          [1, 1],
          [
            [pad, pad],
            [pad, pad],
          ],
          { featureGroupCount: groups },
        ),
      ),
      [A(data.x, [1, C, H, W]), A(data.w, [O, C / groups, k, k])],
    );
  const rnn =
    (step) =>
    ({ p: { T, B, I, H, G }, data }) =>
      item(
        jax.jit((x, wx, wh, b) => {
          const zx = np.matmul(x.reshape([T * B, I]), wx).add(b);
          let s = [np.zeros([B, H]), np.zeros([B, H])];
          for (let t = 0; t < T; t++) s = step(zx.ref.slice([t * B, (t + 1) * B]), s, wh, H);
          zx.dispose();
          wh.dispose();
          s[1]?.dispose();
          return s[0];
        }),
        [A(data.x, [T, B, I]), A(data.wx, [I, G * H]), A(data.wh, [H, G * H]), A(data.b, [G * H])],
      );
  const gate = (z, g, H) => z.ref.slice([], [g * H, (g + 1) * H]);
  const lstm = (zx, [h, c], wh, H) => {
    const z = zx.add(np.matmul(h, wh.ref));
    const c2 = nn
      .sigmoid(gate(z, 1, H))
      .mul(c)
      .add(nn.sigmoid(gate(z, 0, H)).mul(np.tanh(gate(z, 2, H))));
    const h2 = nn.sigmoid(gate(z, 3, H)).mul(np.tanh(c2.ref));
    z.dispose();
    return [h2, c2];
  };
  const gru = (zx, [h, c], wh, H) => {
    const zr = nn.sigmoid(zx.ref.slice([], [0, 2 * H]).add(np.matmul(h.ref, wh.ref.slice([], [0, 2 * H]))));
    const z = gate(zr, 0, H),
      rh = gate(zr, 1, H).mul(h.ref);
    zr.dispose();
    const hh = np.tanh(zx.slice([], [2 * H, 3 * H]).add(np.matmul(rh, wh.ref.slice([], [2 * H, 3 * H]))));
    return [z.ref.mul(h).add(hh.mul(np.array(1).sub(z))), c];
  };
  const weights = (data, dims) =>
    dims.slice(1).flatMap((n, i) => [A(data[`w${i}`], [dims[i], n]), A(data[`b${i}`], [n])]);
  const dense = (h, ws) => {
    for (let i = 0; i < ws.length; i += 2) {
      h = np.matmul(h, ws[i]).add(ws[i + 1]);
      if (i + 2 < ws.length) h = nn.relu(h);
    }
    return h;
  };
  const e2e = (f, x, shape, ws) => item(f, ws, { e2e: () => submit(f(A(x, shape), ...ws.map((w) => w.ref))) });
  const pool = (x, n, c, s) => np.max(x.reshape([n, c, s / 2, 2, s / 2, 2]), [3, 5]);

  const workloads = {
    W1: ({ p: { n }, data }) => item(jax.jit(np.matmul), [A(data.a, [n, n]), A(data.b, [n, n])]),
    W2: ({ p: { K, N }, data }) => item(jax.jit(np.matmul), [A(data.a, [1, K]), A(data.b, [K, N])]),
    W3: conv,
    W4: conv,
    W5: conv,
    W6: rnn(lstm),
    W7: rnn(gru),
    W8: ({ p: { B, dims }, data }) =>
      e2e(
        jax.jit((x, ...ws) => dense(x, ws)),
        data.x,
        [B, 784],
        weights(data, dims),
      ),
    W9: ({ p: { B, dims }, data }) =>
      e2e(
        jax.jit((x, c0, b0, c1, b1, ...ws) => {
          let h = nn.relu(
            jax.lax
              .convGeneralDilated(
                x,
                c0,
                [1, 1],
                [
                  [2, 2],
                  [2, 2],
                ],
              )
              .add(b0),
          );
          h = nn.relu(jax.lax.convGeneralDilated(pool(h, B, 6, 28), c1, [1, 1], "VALID").add(b1));
          return dense(pool(h, B, 16, 10).reshape([B, 400]), ws);
        }),
        data.x,
        [B, 1, 28, 28],
        [
          A(data.c0, [6, 1, 5, 5]),
          A(data.cb0, [6, 1, 1]),
          A(data.c1, [16, 6, 5, 5]),
          A(data.cb1, [16, 1, 1]),
          ...weights(data, dims),
        ],
      ),
    "W10.softmax": ({ p: { R, C }, data }) =>
      item(
        jax.jit((x) => nn.softmax(x, -1)),
        [A(data.x, [R, C])],
      ),
    "W10.layernorm": ({ p: { R, C }, data }) =>
      item(
        jax.jit((x, g, b) => nn.standardize(x, -1, { epsilon: 1e-5 }).mul(g).add(b)),
        [A(data.x, [R, C]), A(data.g, [C]), A(data.b, [C])],
      ),
    W11: ({
      p: {
        B,
        dims,
        adam: { lr, b1, b2, eps },
      },
      data,
    }) => {
      const x = A(data.x, [B, 784]),
        y = A(data.y, [B, 10]);
      let P = weights(data, dims),
        M = P.map((p) => np.zeros(p.shape)),
        V = P.map((p) => np.zeros(p.shape)),
        t = np.array([0, 0]).add(1); // b1^t, b2^t
      const loss = (ps, xx, yy) =>
        nn
          .logSoftmax(dense(xx, ps), -1)
          .mul(yy)
          .sum()
          .mul(-1 / B);
      const step = jax.jit((ps, ms, vs, pw, xx, yy) => {
        const [l, g] = jax.valueAndGrad(loss)(
          ps.map((p) => p.ref),
          xx,
          yy,
        );
        const pw2 = pw.mul(np.array([b1, b2])),
          k1 = np.array(1).sub(pw2.ref.slice(0)),
          k2 = np.array(1).sub(pw2.ref.slice(1));
        const m2 = ms.map((m, i) => m.mul(b1).add(g[i].ref.mul(1 - b1))),
          v2 = vs.map((v, i) => v.mul(b2).add(np.square(g[i]).mul(1 - b2)));
        const p2 = ps.map((p, i) =>
          p.sub(
            m2[i].ref
              .div(k1.ref)
              .mul(lr)
              .div(np.sqrt(v2[i].ref.div(k2.ref)).add(eps)),
          ),
        );
        k1.dispose();
        k2.dispose();
        return [l, p2, m2, v2, pw2];
      });
      const c = item(step, [x, y], {
        stateful: () => {
          let l;
          [l, P, M, V, t] = step(P, M, V, t, x.ref, y.ref);
          return submit(l);
        },
      });
      return {
        ...c,
        close: () => {
          c.close();
          [...P, ...M, ...V, t].forEach((a) => a.dispose());
        },
      };
    },
    W12: ({ p: { n, chain }, data }) =>
      item(
        jax.jit((x) => chain.reduce((h, { op, c }) => (op === "abs" ? np.absolute(h) : h[op](c)), x)),
        [A(data.x, [n])],
      ),
  };
  return { load, workloads };
}
