/** Neurons as points, drawn: near ones over far ones, which are smaller and paler; a faint box shows how it is turned. */

import type { Frame, Point } from "../parts/canvas";
import type { Pen } from "../pen";
import { type Placed, projector, type Size, type Solid } from "./points_view";

export interface Shown {
  places: Placed[];
  rows: number[];
  marked: ReadonlySet<number>;
  near: number | null;
  box: [Point, Point] | null;
}

/** Which corners of a box its edges join: those that differ along one axis. */
const EDGES = Array.from({ length: 8 }, (_, from) => [1, 2, 4].filter((bit) => !(from & bit)).map((bit) => [from, from | bit] as const)).flat();

function circle(pen: Pen, { x, y }: Point, radius: number): void {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
}

function sizeOf(places: Placed[], i: number): number {
  return (places.length > 600 ? 2.2 : 3.4) * (0.6 + 0.4 * places[i].near);
}

export function drawPoints({ context: pen, width, height, colors }: Frame, { places, rows, marked, near, box }: Shown): void {
  const order = places.map((_, i) => i).sort((a, b) => places[a].near - places[b].near);
  const pale = marked.size ? 0.45 : 0.8;
  const dot = (i: number, larger: number, color: string, alpha: number) => {
    pen.globalAlpha = alpha;
    pen.fillStyle = color;
    circle(pen, places[i], sizeOf(places, i) + larger);
    pen.fill();
  };
  for (const i of order) if (!marked.has(rows[i])) dot(i, 0, colors.accent, pale * (0.4 + 0.6 * places[i].near));
  for (const i of order) if (marked.has(rows[i])) dot(i, 1, colors.good, 0.6 + 0.4 * places[i].near);
  pen.globalAlpha = 1;
  if (near !== null && places[near]) {
    pen.strokeStyle = colors.text;
    pen.lineWidth = 1.5;
    circle(pen, places[near], sizeOf(places, near) + 4);
    pen.stroke();
  }
  if (box) {
    const [from, to] = box;
    pen.fillStyle = pen.strokeStyle = colors.good;
    pen.lineWidth = 1;
    pen.globalAlpha = 0.12;
    pen.fillRect(from.x, from.y, to.x - from.x, to.y - from.y);
    pen.globalAlpha = 1;
    pen.strokeRect(from.x, from.y, to.x - from.x, to.y - from.y);
  }
  pen.strokeStyle = colors.grid;
  pen.lineWidth = 1;
  pen.strokeRect(0.5, 0.5, width - 1, height - 1);
}

/** The edges of the box that the points lie in, and the names of the axes at three of them. */
export function drawBox({ context: pen, colors }: Frame, sides: [number, number][], view: Solid, size: Size): void {
  const project = projector(sides, view, size);
  const corner = (bits: number) => project(sides.map((side, axis) => side[(bits >> axis) & 1]));
  pen.strokeStyle = colors.muted;
  pen.lineWidth = 1;
  for (const [from, to] of EDGES) {
    const [a, b] = [corner(from), corner(to)];
    pen.globalAlpha = 0.12 + 0.3 * ((a.near + b.near) / 2);
    pen.beginPath();
    pen.moveTo(a.x, a.y);
    pen.lineTo(b.x, b.y);
    pen.stroke();
  }
  pen.globalAlpha = 1;
  pen.fillStyle = colors.muted;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  const middle = project(sides.map(([low, high]) => (low + high) / 2));
  ["x", "y", "z"].forEach((name, axis) => {
    const [a, b] = [corner(0), corner(1 << axis)];
    const [x, y] = [(a.x + b.x) / 2, (a.y + b.y) / 2];
    const away = Math.hypot(x - middle.x, y - middle.y) || 1;
    pen.fillText(name, x + (12 * (x - middle.x)) / away, y + (12 * (y - middle.y)) / away);
  });
}
