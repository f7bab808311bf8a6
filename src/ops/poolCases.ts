// Pooling windows worth testing, as a shape of X and attributes.

import type { Shape } from "../core/shape.ts";
import type { PoolAttributes } from "./poolGeometry.ts";

export interface PoolCase {
  readonly x: Shape;
  readonly window: Partial<PoolAttributes>;
  readonly why?: string;
}

export const poolCases: readonly PoolCase[] = [
  { x: [1, 1, 1, 1], window: { kernel_shape: [1, 1] } },
  { x: [4, 6, 28, 28], window: { kernel_shape: [2, 2], strides: [2, 2] }, why: "LeNet's first at batch 4" },
  { x: [4, 16, 10, 10], window: { kernel_shape: [2, 2], strides: [2, 2] }, why: "LeNet's second at batch 4" },
  { x: [2, 3, 7, 11], window: { kernel_shape: [3, 3] }, why: "windows overlap" },
  { x: [2, 3, 7, 11], window: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } },
  {
    x: [1, 2, 8, 9],
    window: { kernel_shape: [3, 2], strides: [2, 3], pads: [0, 1, 2, 0] },
    why: "different pads on every side",
  },
  {
    x: [1, 1, 4, 4],
    window: { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 },
    why: "last window partly outside",
  },
  {
    x: [1, 2, 2, 5],
    window: { kernel_shape: [1, 1], strides: [2, 2], ceil_mode: 1 },
    why: "ceil_mode would add a window outside",
  },
  {
    x: [1, 2, 6, 7],
    window: { kernel_shape: [3, 3], strides: [3, 4], pads: [1, 1, 1, 1], ceil_mode: 1 },
    why: "a window starting in the end padding is dropped",
  },
  { x: [1, 2, 9, 8], window: { kernel_shape: [3, 2], dilations: [2, 3] } },
  {
    x: [1, 2, 9, 8],
    window: { kernel_shape: [3, 2], dilations: [2, 3], strides: [2, 2], pads: [1, 1, 2, 0], ceil_mode: 1 },
  },
  { x: [1, 2, 9, 8], window: { kernel_shape: [3, 4], strides: [2, 2], auto_pad: "SAME_UPPER" } },
  { x: [1, 2, 9, 8], window: { kernel_shape: [3, 4], strides: [2, 2], auto_pad: "SAME_LOWER" } },
  { x: [1, 2, 9, 8], window: { kernel_shape: [2, 3], strides: [3, 1], auto_pad: "VALID" } },
  { x: [1, 17, 33, 5], window: { kernel_shape: [5, 5] }, why: "window as wide as the input" },
  { x: [3, 5, 6, 6], window: { kernel_shape: [2, 2], strides: [3, 3] }, why: "elements that no window holds" },
  { x: [0, 3, 6, 6], window: { kernel_shape: [2, 2] }, why: "empty batch" },
  { x: [2, 3, 11], window: { kernel_shape: [3], strides: [2], pads: [1, 0] }, why: "one axis" },
  {
    x: [1, 2, 13],
    window: { kernel_shape: [3], strides: [2], dilations: [2], ceil_mode: 1 },
    why: "one axis, the last window partly outside",
  },
  { x: [1, 2, 5, 6, 4], window: { kernel_shape: [2, 3, 2], strides: [2, 2, 1] }, why: "three axes" },
  {
    x: [1, 2, 4, 5, 6],
    window: {
      kernel_shape: [3, 2, 3],
      strides: [2, 1, 2],
      dilations: [1, 2, 1],
      pads: [1, 0, 2, 1, 1, 0],
      ceil_mode: 1,
    },
    why: "three axes with padding",
  },
  { x: [1, 1, 8, 8], window: { kernel_shape: [3, 3], dilations: [3, 3], auto_pad: "SAME_UPPER" } },
];
