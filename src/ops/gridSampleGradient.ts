// The gradient of GridSample in terms of other operators: every combination of neighbours is a list of places in X and of
// weights. X gets the weighted gradients at these places, by one scatter; the grid gets, along each axis, the slopes of the
// weights times what lies there.

import { sizeOf } from "../core/shape.ts";
import { concatenate } from "./concat.ts";
import { cast } from "./cast.ts";
import { gatherElements, scatterElements } from "./elements.ts";
import { expandTo } from "./expand.ts";
import { reduceSum } from "./reduce.ts";
import { formulas } from "./formula.ts";
import type { GridSampleAttributes } from "./gridSample.ts";
import { zeros } from "./indexing.ts";
import type { Builder, GradientContext, Operand } from "./operator.ts";
import { reshapeTo } from "./reshape.ts";
import { floor, round } from "./rounding.ts";
import { sliceAxis } from "./slice.ts";

/** One neighbour along one axis, for all points [N, P]. */
interface Tap {
  /** A whole number inside the axis. */
  readonly place: Operand;
  /** 0 where the neighbour lies outside, among zeros. */
  readonly weight: Operand;
  /** How the weight moves with the grid's coordinate. */
  readonly slope: Operand;
}

/** The neighbours of coordinates u [N, P] along an axis of `extent` elements, as the operator's reference has them. */
function tapsOf(build: Builder, u: Operand, extent: number, attributes: GridSampleAttributes): Tap[] {
  const { add, sub, mul, div, max, min, greater, less, where } = formulas(build, u);
  const { align_corners, mode, padding_mode } = attributes;
  const [low, high] = align_corners !== 0 ? [0, extent - 1] : [-0.5, extent - 0.5];
  const whole = (x: Operand): Operand => build.apply(floor, [x]);
  const one = add(mul(u, 0), 1);
  const inside = (x: Operand): Operand => min(max(x, 0), extent - 1);

  /** x reflected at both ends until it lies between them, and the sign it then moves with. */
  const reflect = (x: Operand): { readonly place: Operand; readonly sign: Operand } => {
    const range = high - low;
    if (range <= 0) return { place: mul(one, low), sign: mul(one, 0) };
    const isBelow = less(x, low);
    const outside = where(isBelow, sub(low, x), sub(x, high));
    const turns = whole(div(outside, range));
    const rest = sub(outside, mul(turns, range));
    const isOdd = greater(sub(turns, mul(whole(div(turns, 2)), 2)), 0.5);
    // From the low end where it lies below after an even number of turns, or above after an odd one.
    const fromLow = where(isBelow, where(isOdd, mul(one, 0), one), where(isOdd, one, mul(one, 0)));
    const isFromLow = greater(fromLow, 0.5);
    const reflected = where(isFromLow, add(rest, low), sub(high, rest));
    const sign = mul(where(isBelow, mul(one, -1), one), where(isFromLow, one, mul(one, -1)));
    const isOutside = greater(outside, 0);
    return { place: where(isOutside, reflected, x), sign: where(isOutside, sign, one) };
  };

  const stretch = (align_corners !== 0 ? extent - 1 : extent) / 2;
  let x = align_corners !== 0 ? mul(add(u, 1), stretch) : sub(mul(add(u, 1), stretch), 0.5);
  let moves = mul(one, stretch);
  if (mode === "nearest") x = build.apply(round, [x]);
  if (padding_mode === "border") {
    const isBeyond = greater(max(sub(low, x), sub(x, high)), 0);
    moves = where(isBeyond, 0, moves);
    x = where(isBeyond, inside(x), x);
  } else if (padding_mode === "reflection") {
    const { place, sign } = reflect(x);
    moves = mul(moves, sign);
    x = place;
  }

  const base = mode === "nearest" ? x : whole(x);
  const t = sub(x, base);
  const { weights, slopes, first } = weightsOf(mode, t, one, { add, sub, mul });
  return weights.map((weight, i) => {
    const place = add(base, first + i);
    const shown = padding_mode === "reflection" ? inside(reflect(place).place) : inside(place);
    if (padding_mode !== "zeros") return { place: shown, weight, slope: mul(slopes[i]!, moves) };
    const isInside = less(max(mul(place, -1), sub(place, extent - 1)), 0.5);
    return { place: shown, weight: where(isInside, weight, 0), slope: where(isInside, mul(slopes[i]!, moves), 0) };
  });
}

/** Weights of the neighbours base + first, base + first + 1, … of base + t, and their derivatives by t. */
function weightsOf(
  mode: string,
  t: Operand,
  one: Operand,
  { add, sub, mul }: Pick<ReturnType<typeof formulas>, "add" | "sub" | "mul">,
): { readonly weights: Operand[]; readonly slopes: Operand[]; readonly first: number } {
  if (mode === "nearest") return { weights: [one], slopes: [mul(one, 0)], first: 0 };
  if (mode === "linear") return { weights: [sub(1, t), t], slopes: [mul(one, -1), one], first: 0 };
  const a = -0.75; // Keys' cubic convolution, as in the operator
  const near = (s: Operand): Operand => add(mul(mul(sub(mul(s, a + 2), a + 3), s), s), 1);
  const far = (s: Operand): Operand => sub(mul(add(mul(sub(mul(s, a), 5 * a), s), 8 * a), s), 4 * a);
  const nearSlope = (s: Operand): Operand => mul(sub(mul(s, 3 * (a + 2)), 2 * (a + 3)), s);
  const farSlope = (s: Operand): Operand => add(mul(sub(mul(s, 3 * a), 10 * a), s), 8 * a);
  const [before, after, beyond] = [add(t, 1), sub(1, t), sub(2, t)];
  return {
    weights: [far(before), near(t), near(after), far(beyond)],
    slopes: [farSlope(before), nearSlope(t), mul(nearSlope(after), -1), mul(farSlope(beyond), -1)],
    first: -1,
  };
}

/** Gradients of X and of the grid. */
export function gridSampleGradient({
  build,
  attributes,
  inputs: [X, grid],
  outputGradients: [dY],
  wanted,
}: GradientContext<GridSampleAttributes>): readonly (Operand | undefined)[] {
  const [N, C, ...extents] = X!.shape as readonly [number, number, ...number[]];
  const rank = extents.length;
  const points = sizeOf(grid!.shape.slice(1, -1));
  if (sizeOf(dY!.shape) === 0)
    return [wanted[0] ? zeros(build, X!) : undefined, wanted[1] ? zeros(build, grid!) : undefined];
  const { add, mul } = formulas(build, dY!);
  const flat = reshapeTo(build, grid!, [N, points, rank]);
  const axes = extents.map((extent, axis) =>
    tapsOf(build, reshapeTo(build, sliceAxis(build, flat, 2, rank - 1 - axis, 1), [N, points]), extent, attributes),
  );

  /** Every choice of a neighbour an axis. */
  const choices = axes.reduce<Tap[][]>(
    (all, taps) => all.flatMap((chosen) => taps.map((tap) => [...chosen, tap])),
    [[]],
  );
  const placeOf = (taps: readonly Tap[]): Operand =>
    taps.map(({ place }) => place).reduce((sum, place, axis) => add(mul(sum, extents[axis]!), place));
  /** All choices one behind the other, for each channel: [N, C, choices · points]. */
  const listed = (parts: readonly Operand[]): Operand =>
    expandTo(build, reshapeTo(build, concatenate(build, parts, 1), [N, 1, parts.length * points]), [
      N,
      C,
      parts.length * points,
    ]);
  const places = build.apply(cast, [listed(choices.map(placeOf))], { to: "int32" });
  const productOf = (factors: readonly Operand[]): Operand => factors.reduce((product, factor) => mul(product, factor));
  const dy = reshapeTo(build, dY!, [N, C, points]);
  const dyListed = concatenate(
    build,
    choices.map(() => dy),
    2,
  );
  const plane = [N, C, sizeOf(extents)];

  const dX = (): Operand => {
    const updates = mul(listed(choices.map((taps) => productOf(taps.map(({ weight }) => weight)))), dyListed);
    const nothing = reshapeTo(build, zeros(build, X!), plane);
    const sums = build.apply(scatterElements, [nothing, places, updates], { axis: 2, reduction: "add" });
    return reshapeTo(build, sums, X!.shape);
  };
  const dGrid = (): Operand => {
    const there = mul(build.apply(gatherElements, [reshapeTo(build, X!, plane), places], { axis: 2 }), dyListed);
    const alongAxis = (axis: number): Operand => {
      const slopes = choices.map((taps) => productOf(taps.map((tap, i) => (i === axis ? tap.slope : tap.weight))));
      const terms = reshapeTo(build, mul(there, listed(slopes)), [N, C, choices.length, points]);
      return build.apply(reduceSum, [terms], { axes: [1, 2], keepdims: 0 }); // [N, P]
    };
    const columns = extents.map((_, i) => reshapeTo(build, alongAxis(rank - 1 - i), [N, points, 1]));
    return reshapeTo(build, concatenate(build, columns, 2), grid!.shape);
  };
  return [wanted[0] ? dX() : undefined, wanted[1] && attributes.mode !== "nearest" ? dGrid() : undefined];
}
