// A canvas as sharp as the screen, painted anew when its size, the colours or what it shows change, at most once a frame.

import { cssColor, onThemeChange } from "../shared/theme.ts";

export abstract class Painted {
  private readonly context: CanvasRenderingContext2D;
  private pending = false;
  /** CSS pixels. */
  protected width = 0;
  protected height = 0;

  constructor(protected readonly canvas: HTMLCanvasElement) {
    this.context = canvas.getContext("2d")!;
    new ResizeObserver(([entry]) => {
      const { width, height } = this;
      ({ width: this.width, height: this.height } = entry!.contentRect);
      if (this.width === 0) return;
      this.resized(width, height);
      this.repaint();
    }).observe(canvas);
    onThemeChange(() => this.repaint());
  }

  repaint(): void {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      if (this.width === 0) return;
      const { canvas, context, width, height } = this;
      const ratio = devicePixelRatio;
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
      }
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, height);
      this.paint(context);
    });
  }

  protected abstract paint(context: CanvasRenderingContext2D): void;

  /** Gets the size it had before: 0 × 0 at first. */
  protected resized(_widthBefore: number, _heightBefore: number): void {
    // Nothing to do for what follows its canvas's size anyway.
  }
}

const colors = new Map<string, string>();
onThemeChange(() => colors.clear());

/** As `cssColor`, remembered: asking the style sheet again for every frame would take longer than painting. */
export function color(property: `--${string}`): string {
  const known = colors.get(property) ?? cssColor(property);
  colors.set(property, known);
  return known;
}

const family = getComputedStyle(document.body).fontFamily;

export const sans = (pixels: number, weight = 400): string => `${weight} ${pixels}px ${family}`;
