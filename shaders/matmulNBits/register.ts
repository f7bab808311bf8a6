// A tile of rows × columns in registers, whose weights are unpacked on the way: a word of a column becomes numbers once and
// meets all rows of the tile. With one row this streams the weights, an eighth of float32's bytes, and with several it
// shares the cost of unpacking. Two divisions of labour: with `slices` above 1, the invocations of a workgroup divide the
// blocks of their columns among them and add up through workgroup memory (few rows on a GPU, where one invocation a column
// would leave it idle); with `lanes` of 4, a quad loads A's rows together and shares them by broadcast.

import { isFloat } from "../../src/core/dtype.ts";
import { blockGeometry } from "../../src/ops/matMulNBits.ts";
import { QUAD, sharesLoads, sharingExtensions } from "../common/quads.ts";
import { unroll, unrolledList } from "../common/unroll.ts";
import { firstReason, fitsBindings, fitsWorkgroup } from "../common/workgroup.ts";
import type { KernelLimits } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { blockBindings, blockFunctions, blockUniforms, type BlockProblem } from "./blocks.ts";

export interface Tile {
  readonly rows: number;
  /** Groups of four columns an invocation has. */
  readonly vectors: number;
  readonly slices: number;
  /** Invocations that share the loads of A: 1 or a quad. */
  readonly lanes: number;
}

const WIDTH = 8; // invocations beside each other, each with its own columns

const columnsOf = ({ vectors }: Tile): number => 4 * vectors * WIDTH;

function dispatch(problem: BlockProblem, tile: Tile): [number, number, number] {
  const { M, N } = blockGeometry(problem);
  return [Math.ceil(N / columnsOf(tile)), Math.ceil(M / tile.rows), 1];
}

const storageBytes = ({ rows, vectors, slices }: Tile): number =>
  slices === 1 ? 0 : 16 * rows * vectors * WIDTH * slices;

function supports(problem: BlockProblem, limits: KernelLimits, tile: Tile): true | string {
  const { dtype } = problem.outputs[0]!;
  return firstReason(
    isFloat(dtype) || `a product of ${dtype}`,
    sharesLoads(limits, tile.lanes),
    fitsWorkgroup(limits, [WIDTH * tile.slices], storageBytes(tile)),
    fitsBindings(limits, problem),
  );
}

function code(problem: BlockProblem, tile: Tile): string {
  const { N, K, perWord, wordsPerBlock } = blockGeometry(problem);
  const { rows, vectors, slices, lanes } = tile;
  const columns = 4 * vectors;
  const pairs = rows * vectors;
  const quads = perWord / 4; // groups of four numbers in a word
  const hasTail = K % perWord !== 0;
  const isVector = N % 4 === 0;
  const sum = (i: number): string => `sum${Math.floor(i / vectors)}_${i % vectors}`;
  // Numbers 4j … of the word that begins at k, of the row of A that begins at `first`.
  const four = (first: string, j: number): string => {
    if (!hasTail) return `a[(${first} + k) / 4u + ${j}u]`;
    const one = (i: number): string => `select(0.0, a[${first} + min(k + ${i}u, u.K - 1u)], k + ${i}u < u.K)`;
    return `vec4<f32>(${unrolledList(4, (i) => one(4 * j + i))})`;
  };
  const loadA =
    lanes === 1
      ? unroll(rows, (i) => unroll(quads, (j) => `let a${i}_${j} = ${four(`row${i}`, j)};`))
      : wgsl`
${unroll(rows / QUAD, (g) => unroll(quads, (j) => `let own${g}_${j} = ${four(`row${g}`, j)};`))}
${unroll(rows, (i) => unroll(quads, (j) => `let a${i}_${j} = quadBroadcast(own${i >> 2}_${j}, ${i & 3}u);`))}`;
  const place = wgsl`
    let row = m + i / ${vectors}u;
    let column = first + (i % ${vectors}u) * 4u;
    let index = row * u.N + column;`;
  const store = (value: string): string =>
    isVector
      ? `if (row < u.M && column < u.N) { y[index >> 2u] = epilogue4(${value}, index >> 2u); }`
      : `if (row < u.M) { for (var c = 0u; c < 4u && column + c < u.N; c++) { y[index + c] = epilogue(${value}[c], index + c); } }`;
  const perWorkgroup = columnsOf(tile);
  return wgsl`
// a [M, K]; b [N, blocks, ${wordsPerBlock}]; scales [N, blocks]; zero_points [N, zero_words]; y [M, N]
#if ${slices > 1}
var<workgroup> partial: array<vec4<f32>, ${pairs * WIDTH * slices}>; // [pair, slice, place]
#endif
${blockFunctions(problem)}

@compute @workgroup_size(${WIDTH * slices})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
#if ${lanes > 1}
  @builtin(subgroup_invocation_id) subgroup_place: u32,
#endif
) {
  // Slices of one column lie beside each other in memory.
  let place = local / ${slices}u;
  let slice = local % ${slices}u;
  let first = group.x * ${perWorkgroup}u + place * ${columns}u;
  let m = group.y * ${rows}u;
#if ${lanes > 1}
  let lane = subgroup_place & 3u;
${unroll(rows / QUAD, (g) => `  let row${g} = min(m + ${QUAD * g}u + lane, u.M - 1u) * u.K;`)}
#else
${unroll(rows, (i) => `  let row${i} = min(m + ${i}u, u.M - 1u) * u.K;`)}
#endif
  let row_blocks = u.blocks;
${unroll(columns, (j) => `  let column${j} = min(first + ${j}u, u.N - 1u); let blocks${j} = column${j} * row_blocks;`)}
${unroll(pairs, (i) => `  var ${sum(i)} = vec4<f32>(0.0);`)}
  for (var block = ${slices === 1 ? "0u" : "slice"}; block < row_blocks; block += ${slices}u) {
${unroll(columns, (j) => `    let zero${j} = zero_point(column${j}, block); let words${j} = (blocks${j} + block) * ${wordsPerBlock}u;`)}
${unroll(pairs, (i) => `    var part${i} = vec4<f32>(0.0);`)}
    let words = min(${wordsPerBlock}u, u.words - block * ${wordsPerBlock}u); // those within K
    for (var w = 0u; w < words; w++) {
      let k = (block * ${wordsPerBlock}u + w) * ${perWord}u;
${unroll(columns, (j) => `let word${j} = b[words${j} + w];`)}
${loadA}
${unroll(vectors, (v) =>
  unroll(
    quads,
    (q) =>
      `let w${v}_${q} = mat4x4<f32>(${unrolledList(4, (c) => `numbers${q}(word${4 * v + c}, zero${4 * v + c})`)});`,
  ),
)}
${unroll(pairs, (i) => `part${i} += ${Array.from({ length: quads }, (_, q) => `a${Math.floor(i / vectors)}_${q} * w${i % vectors}_${q}`).join(" + ")};`)}
    }
${unroll(vectors, (v) => `let scale${v} = vec4<f32>(${unrolledList(4, (c) => `scales[blocks${4 * v + c} + block]`)});`)}
${unroll(pairs, (i) => `    ${sum(i)} += part${i} * scale${i % vectors};`)}
  }
#if ${slices === 1}
  var tile = array<vec4<f32>, ${pairs}>(${unrolledList(pairs, sum)});
  for (var i = 0u; i < ${pairs}u; i++) {
    ${place}
    ${store("tile[i]")}
  }
#else
${unroll(pairs, (i) => `  partial[(${i * slices}u + slice) * ${WIDTH}u + place] = ${sum(i)};`)}
  workgroupBarrier();
  for (var item = local; item < ${pairs * WIDTH}u; item += ${WIDTH * slices}u) {
    let i = item / ${WIDTH}u;
    let place = item % ${WIDTH}u;
    var total = partial[i * ${slices * WIDTH}u + place];
    for (var other = 1u; other < ${slices}u; other++) { total += partial[(i * ${slices}u + other) * ${WIDTH}u + place]; }
    let first = group.x * ${perWorkgroup}u + place * ${columns}u;
    ${place}
    ${store("total")}
  }
#endif
}`;
}

/** The kernel of one tile, and what it costs. */
export const register = {
  dispatch,
  supports,
  uniforms: (problem: BlockProblem) => blockUniforms(problem),
  source(problem: BlockProblem, tile: Tile) {
    const { N, K, perWord } = blockGeometry(problem);
    return {
      enable: sharingExtensions(tile.lanes),
      bindings: blockBindings(problem, K % perWord === 0),
      ...(N % 4 === 0 ? { lanes: 4 as const } : {}),
      code: code(problem, tile),
    };
  },
  trafficBytes(problem: BlockProblem, tile: Tile): number {
    const { M, N, K, blocks, wordsPerBlock } = blockGeometry(problem);
    const [columnTiles, rowTiles] = dispatch(problem, tile);
    return 4 * (rowTiles * N * blocks * (wordsPerBlock + 1) + columnTiles * M * K + M * N);
  },
  barriers(problem: BlockProblem, tile: Tile): number {
    const [x, y] = dispatch(problem, tile);
    return tile.slices === 1 ? 0 : x * y * WIDTH * tile.slices;
  },
  busyInvocations(problem: BlockProblem, { rows, vectors, slices }: Tile): number {
    const { M, N, blocks } = blockGeometry(problem);
    return Math.ceil(N / (4 * vectors)) * Math.ceil(M / rows) * Math.min(slices, blocks);
  },
  intensity(problem: BlockProblem, { rows, vectors, lanes }: Tile): number {
    const { M, N, K, perWord, wordsPerBlock } = blockGeometry(problem);
    // A word of each column, the rows' numbers against it and, once a block, the scales. Unpacking costs a fraction of a load.
    const scalars = K % perWord === 0 ? 4 : 1;
    const loads = 4 * vectors * (0.25 + 0.25 / wordsPerBlock + perWord / 40) + ((rows / lanes) * perWord) / scalars;
    const used = Math.min(1, M / rows, N / (4 * vectors));
    return (rows * 4 * vectors * perWord * used || 1) / loads;
  },
};
