// Hand-written WGSL baselines: what this device delivers without any library.
const code = {
  naive: ({ n }) => [
    `
    @compute @workgroup_size(16,16) fn main(@builtin(global_invocation_id) g: vec3u) {
      var s = 0.0;
      for (var k = 0u; k < ${n}u; k++) { s += a[g.y*${n}u+k] * b[k*${n}u+g.x]; }
      y[g.y*${n}u+g.x] = s;
    }`,
    n / 16,
    n / 16,
    "f32",
  ],
  tiled: ({ n }) => [
    `
    var<workgroup> ta: array<f32,256>; var<workgroup> tb: array<f32,256>;
    @compute @workgroup_size(16,16) fn main(@builtin(global_invocation_id) g: vec3u, @builtin(local_invocation_id) l: vec3u) {
      var s = 0.0;
      for (var t = 0u; t < ${n}u; t += 16u) {
        ta[l.y*16u+l.x] = a[g.y*${n}u+t+l.x]; tb[l.y*16u+l.x] = b[(t+l.y)*${n}u+g.x];
        workgroupBarrier();
        for (var k = 0u; k < 16u; k++) { s += ta[l.y*16u+k] * tb[k*16u+l.x]; }
        workgroupBarrier();
      }
      y[g.y*${n}u+g.x] = s;
    }`,
    n / 16,
    n / 16,
    "f32",
  ],
  // 64x64 tile per 8x8 workgroup, 8x8 outputs per thread in vec4s, K tile 16 in workgroup memory (A transposed).
  reg: ({ n }) => [
    `
    var<workgroup> ta: array<vec4f,256>; var<workgroup> tb: array<vec4f,256>;     // [k][16 x vec4]
    @compute @workgroup_size(8,8) fn main(@builtin(workgroup_id) w: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) li: u32) {
      var c: array<vec4f,16>;
      for (var t = 0u; t < ${n}u; t += 16u) {
        for (var i = 0u; i < 4u; i++) {
          let e = li + i*64u;                                      // A: row e/4, 4 consecutive k; B: row e/16, vec4 e%16
          let av = a[((w.y*64u + e/4u)*${n}u + t)/4u + e%4u];
          let q = (e%4u)*4u; let r = e/4u;
          ta[q*16u + r/4u][r%4u] = av.x; ta[(q+1u)*16u + r/4u][r%4u] = av.y; ta[(q+2u)*16u + r/4u][r%4u] = av.z; ta[(q+3u)*16u + r/4u][r%4u] = av.w;
          tb[e] = b[((t + e/16u)*${n}u + w.x*64u)/4u + e%16u];
        }
        workgroupBarrier();
        for (var k = 0u; k < 16u; k++) {
          let b0 = tb[k*16u + l.x*2u]; let b1 = tb[k*16u + l.x*2u + 1u];
          let a0 = ta[k*16u + l.y*2u]; let a1 = ta[k*16u + l.y*2u + 1u];
          ${[...Array(8).keys()].map((i) => `c[${2 * i}] += a${i >> 2}[${i & 3}] * b0; c[${2 * i + 1}] += a${i >> 2}[${i & 3}] * b1;`).join(" ")}
        }
        workgroupBarrier();
      }
      for (var i = 0u; i < 8u; i++) { let o = ((w.y*64u + l.y*8u + i)*${n}u + w.x*64u)/4u + l.x*2u; y[o] = c[2u*i]; y[o+1u] = c[2u*i+1u]; }
    }`,
    n / 64,
    n / 64,
    "vec4f",
  ],
  // No workgroup memory: 8 rows x 8 columns per thread, operands straight from storage buffers.
  direct: ({ n }) => [
    `
    @compute @workgroup_size(8,8) fn main(@builtin(global_invocation_id) g: vec3u) {
      ${[...Array(8).keys()].map((i) => `var c${i} = vec4f(); var d${i} = vec4f(); let r${i} = (g.y*8u+${i}u)*${n / 4}u;`).join("\n      ")}
      for (var k = 0u; k < ${n / 4}u; k++) {
        ${[...Array(8).keys()].map((i) => `let a${i} = a[r${i}+k];`).join(" ")}
        ${[0, 1, 2, 3]
          .map(
            (j) => `{ let o = (k*4u+${j}u)*${n / 4}u + g.x*2u; let b0 = b[o]; let b1 = b[o+1u];
          ${[...Array(8).keys()].map((i) => `c${i} += a${i}[${j}]*b0; d${i} += a${i}[${j}]*b1;`).join(" ")} }`,
          )
          .join("\n        ")}
      }
      ${[...Array(8).keys()].map((i) => `y[r${i}+g.x*2u] = c${i}; y[r${i}+g.x*2u+1u] = d${i};`).join(" ")}
    }`,
    n / 64,
    n / 64,
    "vec4f",
  ],
  // Each lane loads one k of A for 4 rows, the others get it by broadcast. Needs subgroups of 4..16 lanes along x.
  subgroup: ({ n }) => [
    `
    @compute @workgroup_size(16,4) fn main(@builtin(global_invocation_id) g: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
      ${[0, 1, 2, 3].map((i) => `var c${i} = vec4f(); let r${i} = (g.y*4u+${i}u)*${n}u;`).join(" ")}
      for (var k = 0u; k < ${n}u; k += 4u) {
        ${[0, 1, 2, 3].map((i) => `let a${i} = a[r${i} + k + (lane & 3u)];`).join(" ")}
        ${[0, 1, 2, 3].map((j) => `{ let bv = b[(k+${j}u)*${n / 4}u + g.x]; ${[0, 1, 2, 3].map((i) => `c${i} += subgroupBroadcast(a${i}, ${j}u) * bv;`).join(" ")} }`).join("\n        ")}
      }
      ${[0, 1, 2, 3].map((i) => `y[r${i}/4u + g.x] = c${i};`).join(" ")}
    }`,
    n / 64,
    n / 16,
    "vec4f",
    "f32",
  ],
};

export function makeAdapter({ kind }) {
  let device, adapter;
  async function load() {
    adapter = await navigator.gpu.requestAdapter();
    const L = adapter.limits;
    device = await adapter.requestDevice({
      requiredFeatures: ["subgroups"].filter((f) => adapter.features.has(f)),
      requiredLimits: {
        maxStorageBufferBindingSize: L.maxStorageBufferBindingSize,
        maxBufferSize: L.maxBufferSize,
        maxComputeWorkgroupStorageSize: L.maxComputeWorkgroupStorageSize,
      },
    });
    const i = adapter.info;
    return {
      kernel: kind,
      adapter: `${i.vendor} ${i.architecture}`,
      subgroups: `${i.subgroupMinSize}-${i.subgroupMaxSize}`,
    };
  }
  const buffer = (size, data) => {
    const b = device.createBuffer({
      size,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    if (data) device.queue.writeBuffer(b, 0, data);
    return b;
  };
  const read = async (src, size) => {
    const s = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST }),
      e = device.createCommandEncoder();
    e.copyBufferToBuffer(src, 0, s, 0, size);
    device.queue.submit([e.finish()]);
    await s.mapAsync(GPUMapMode.READ);
    const y = new Float32Array(s.getMappedRange().slice());
    s.destroy();
    return y;
  };
  // One compute kernel over `bufs` (last one = output); `times` dispatches per run.
  async function kernel(wgsl, bufs, groups, { times = 1, readBytes, encode } = {}) {
    const y = bufs.at(-1),
      module = device.createShaderModule({ code: wgsl });
    const pipeline = await device.createComputePipelineAsync({
      layout: "auto",
      compute: { module, entryPoint: "main" },
    });
    const bind = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: bufs.map((b, binding) => ({ binding, resource: { buffer: b } })),
    });
    return {
      run: () => {
        const e = device.createCommandEncoder();
        if (encode) encode(e);
        else {
          const p = e.beginComputePass();
          p.setPipeline(pipeline);
          p.setBindGroup(0, bind);
          for (let i = 0; i < times; i++) p.dispatchWorkgroups(...groups);
          p.end();
        }
        device.queue.submit([e.finish()]);
        return y;
      },
      read: (h) => read(h, readBytes ?? y.size),
      free: () => {},
      close: () => bufs.forEach((b) => b.destroy()),
    };
  }
  const W1 = ({ p, data }) => {
    const [body, gx, gy, ty, ta = ty] = code[kind](p),
      size = p.n * p.n * 4;
    if (
      kind === "subgroup" &&
      (!device.features.has("subgroups") || adapter.info.subgroupMaxSize > 16 || adapter.info.subgroupMinSize < 4)
    )
      return null;
    const head = `${kind === "subgroup" ? "enable subgroups;" : ""}
      @group(0) @binding(0) var<storage,read> a: array<${ta}>; @group(0) @binding(1) var<storage,read> b: array<${ty}>;
      @group(0) @binding(2) var<storage,read_write> y: array<${ty}>;`;
    return kernel(head + body, [buffer(size, data.a), buffer(size, data.b), buffer(size)], [gx, gy]);
  };
  const W12 = ({ p, data }) => {
    // 100 ops fused; scalar for naive, vec4 otherwise
    const ty = kind === "naive" ? "f32" : "vec4f",
      per = kind === "naive" ? 1 : 4;
    const ops = p.chain
      .map(({ op, c }) => (op === "abs" ? "v = abs(v);" : `v = v ${{ mul: "*", add: "+", sub: "-" }[op]} f32(${c});`))
      .join("\n");
    return kernel(
      `@group(0) @binding(0) var<storage,read> x: array<${ty}>; @group(0) @binding(1) var<storage,read_write> y: array<${ty}>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) g: vec3u, @builtin(num_workgroups) w: vec3u) {
        let i = g.y*w.x*64u + g.x; var v = x[i];\n${ops}\ny[i] = v; }`,
      [buffer(p.n * 4, data.x), buffer(p.n * 4)],
      [p.n / per / 64 / 16, 16],
    );
  };
  const out = "@group(0) @binding(0) var<storage,read_write> y: array<vec4f>;";
  const noop = `${out} @compute @workgroup_size(1) fn main() { y[0].x = 1.0; }`;
  const peak = (op) =>
    kernel(
      `${out} @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) g: vec3u) {
      let m = vec4f(0.999, 0.998, 0.997, 0.996); let s = vec4f(f32(g.x & 7u));
      ${[...Array(8).keys()].map((i) => `var a${i} = s + ${i}.0;`).join(" ")}
      for (var k = 0u; k < 512u; k++) { ${[...Array(8).keys()].map(op).join(" ")} }
      y[g.x] = a0+a1+a2+a3+a4+a5+a6+a7; }`,
      [buffer(65536 * 16)],
      [1024],
      { readBytes: 16 },
    );
  const limits = {
    "W0.fma": () => peak((i) => `a${i} = fma(a${i}, m, s);`),
    "W0.muladd": () => peak((i) => `a${i} = a${i} * m + s;`),
    "W0.scalar": () =>
      kernel(
        `${out} @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) g: vec3u) {
      let m = 0.999; let s = f32(g.x & 7u); ${[...Array(8).keys()].map((i) => `var a${i} = s + ${i}.0;`).join(" ")}
      for (var k = 0u; k < 512u; k++) { ${[...Array(32).keys()].map((i) => `a${i % 8} = a${i % 8} * m + s;`).join(" ")} }
      y[g.x] = vec4f(a0+a1, a2+a3, a4+a5, a6+a7); }`,
        [buffer(65536 * 16)],
        [1024],
        { readBytes: 16 },
      ),
    "W0.copy": () =>
      kernel(
        `@group(0) @binding(0) var<storage,read> x: array<vec4f>; ${out.replace("binding(0)", "binding(1)")}
      @compute @workgroup_size(256) fn main(@builtin(global_invocation_id) g: vec3u) { y[g.x] = x[g.x]; }`,
        [buffer(1 << 26), buffer(1 << 26)],
        [16384],
        { readBytes: 16 },
      ),
    "W0.memcpy": () => {
      const x = buffer(1 << 26),
        z = buffer(1 << 26);
      return kernel(noop, [z], [1], { readBytes: 16, encode: (e) => e.copyBufferToBuffer(x, 0, z, 0, 1 << 26) });
    },
    "W0.submit": () => kernel(noop, [buffer(16)], [1]),
    "W0.disp100": () => kernel(noop, [buffer(16)], [1], { times: 100 }),
  };
  return {
    load,
    workloads: { W1, ...(["naive", "reg"].includes(kind) ? { W12 } : {}), ...(kind === "reg" ? limits : {}) },
  };
}
