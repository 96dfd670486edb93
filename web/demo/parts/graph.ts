/** A small picture of the open links: us in the middle, the nearer the shorter the round trip. */

import type { Neighbour } from "../../src/peer.js";

const SVG = "http://www.w3.org/2000/svg";
/** Radii of the nearest and of the farthest. */
const [NEAR, FAR] = [45, 92];
/** Milliseconds of round trip that count as far. */
const FAR_MS = 200;

/** Draws it anew. `before` has the bytes received and sent at the last time, so that busy links stand out. */
export function drawGraph(
  svg: SVGElement,
  neighbours: readonly Neighbour[],
  before: Map<string, number>,
): void {
  const shapes: SVGElement[] = [];
  const sorted = [...neighbours].sort((a, b) => (a.peer < b.peer ? -1 : 1));
  sorted.forEach((one, i) => {
    const angle = (2 * Math.PI * i) / sorted.length - Math.PI / 2;
    const far = Math.min(1, Math.sqrt((one.rttMs ?? FAR_MS) / FAR_MS));
    const radius = NEAR + (FAR - NEAR) * far;
    const [x, y] = [radius * Math.cos(angle), radius * Math.sin(angle)];
    const total = one.received + one.sent;
    const busy = Math.min(1, (total - (before.get(one.peer) ?? total)) / 200_000);
    const colour = one.seed ? "#6cb6ff" : "#56d39b";
    const link = {
      x1: 0,
      y1: 0,
      x2: x,
      y2: y,
      stroke: colour,
      "stroke-width": 1 + 4 * busy,
      opacity: 0.35 + 0.6 * busy,
    };
    shapes.unshift(shape("line", link));
    shapes.push(shape("circle", { cx: x, cy: y, r: one.seed ? 9 : 7, fill: colour }));
  });
  shapes.push(shape("circle", { cx: 0, cy: 0, r: 11, fill: "#e6edf3" }));
  svg.replaceChildren(...shapes);
}

function shape(name: string, attributes: Record<string, string | number>): SVGElement {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}
