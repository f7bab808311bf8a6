// Multidirectional (NumPy) broadcasting, as ONNX defines it: shapes align at their last axis, and an extent of 1 stretches.

import { ShapeError } from "./errors.ts";
import { formatShape, stridesOf, type Shape } from "./shape.ts";

/** The common shape of all operands. Throws {@link ShapeError} naming `who` and every shape. */
export function broadcastShapes(shapes: readonly Shape[], who: string): number[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  const result = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    for (let i = 0; i < shape.length; i++) {
      const axis = rank - shape.length + i;
      const extent = shape[i]!;
      if (extent === 1 || extent === result[axis]) continue;
      if (result[axis] !== 1)
        throw new ShapeError(
          `${who}: shapes ${shapes.map(formatShape).join(" and ")} do not broadcast: axis ${axis} is ${result[axis]} and ${extent}`,
        );
      result[axis] = extent;
    }
  }
  return result;
}

/** Strides (elements) with which a tensor of `shape` is read over the axes of `target`: 0 where it stretches. */
export function broadcastStrides(shape: Shape, target: Shape): number[] {
  const own = stridesOf(shape);
  const offset = target.length - shape.length;
  return target.map((_, axis) => (axis < offset || shape[axis - offset] === 1 ? 0 : own[axis - offset]!));
}

/** Axes of `target` along which a tensor of `shape` was stretched: those its gradient is summed over. */
export function broadcastAxes(shape: Shape, target: Shape): number[] {
  const offset = target.length - shape.length;
  return target.flatMap((extent, axis) =>
    axis < offset || (shape[axis - offset] === 1 && extent !== 1) ? [axis] : [],
  );
}
