/** A stacked area chart of bytes per second by source. */

import { rate } from "./format.js";

/** The sources, from the bottom of the stack to its top. */
export const SERIES = [
  { key: "source", name: "Source", colour: "#f2777a" },
  { key: "publisher", name: "Publisher", colour: "#f0b45b" },
  { key: "seeds", name: "Seed nodes", colour: "#6cb6ff" },
  { key: "peers", name: "Other viewers", colour: "#56d39b" },
] as const;

/** One of the sources. */
export type Key = (typeof SERIES)[number]["key"];
/** A count for each source. */
export type Sample = Record<Key, number>;

/** Seconds shown. */
const SPAN = 120;
/** Segments come in bursts: each point is the mean of so many seconds. */
const SMOOTH = 4;
/** Room for the scale's labels. */
const TOP = 18;

export class Chart {
  readonly #samples: Sample[] = [];
  #last: Sample | undefined;

  constructor(readonly canvas: HTMLCanvasElement) {
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Takes the counters once a second. */
  push(totals: Sample): void {
    const last = this.#last ?? totals;
    this.#last = { ...totals };
    const sample = Object.fromEntries(
      SERIES.map(({ key }) => [key, Math.max(0, totals[key] - last[key])]),
    ) as Sample;
    this.#samples.push(sample);
    if (this.#samples.length > SPAN + SMOOTH) this.#samples.shift();
    this.draw();
  }

  draw(): void {
    const { canvas } = this;
    const context = canvas.getContext("2d");
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!context || width === 0) return;
    const scale = devicePixelRatio;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    context.scale(scale, scale);

    const points = smooth(this.#samples).slice(-SPAN);
    const peak = Math.max(50_000, ...points.map((p) => SERIES.reduce((sum, { key }) => sum + p[key], 0)));
    const step = niceStep(peak);
    const full = Math.ceil(peak / step) * step;
    const x = (i: number) => width - ((points.length - 1 - i) * width) / (SPAN - 1);
    const y = (value: number) => height - (value / full) * (height - TOP);

    const base = points.map(() => 0);
    for (const { key, colour } of SERIES) {
      context.beginPath();
      points.forEach((_, i) => {
        context.lineTo(x(i), y(base[i] ?? 0));
      });
      for (let i = points.length - 1; i >= 0; i--) {
        base[i] = (base[i] ?? 0) + (points[i]?.[key] ?? 0);
        context.lineTo(x(i), y(base[i] ?? 0));
      }
      context.closePath();
      context.fillStyle = colour;
      context.globalAlpha = 0.85;
      context.fill();
    }
    context.globalAlpha = 1;
    context.font = "11px system-ui, sans-serif";
    for (let value = step; value <= full; value += step) {
      context.fillStyle = "rgba(230, 237, 243, 0.12)";
      context.fillRect(0, Math.round(y(value)), width, 1);
      context.fillStyle = "#8b98a8";
      context.fillText(rate(value), 2, y(value) - 4);
    }
  }
}

/** Running means over `SMOOTH` samples. */
export function smooth(samples: readonly Sample[]): Sample[] {
  return samples.map((_, i) => {
    const window = samples.slice(Math.max(0, i + 1 - SMOOTH), i + 1);
    return Object.fromEntries(
      SERIES.map(({ key }) => [key, window.reduce((sum, s) => sum + s[key], 0) / window.length]),
    ) as Sample;
  });
}

/** A step that is round in bits and divides the scale into two to four. */
export function niceStep(peak: number): number {
  const bits = peak * 8;
  const power = 10 ** Math.floor(Math.log10(bits));
  const step = [5, 2.5, 1, 0.5].find((s) => bits / (s * power) >= 2) ?? 0.5;
  return (step * power) / 8;
}
