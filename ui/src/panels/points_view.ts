/** Where neurons as points lie on the screen: moved and zoomed in two dimensions, turned and zoomed in three. */

import type { Point } from "../parts/canvas";

export interface Size {
  width: number;
  height: number;
}

/** In two dimensions, what lies in the middle, in shares of the points' extent from their own middle. */
export interface Flat {
  x: number;
  y: number;
  zoom: number;
}

/** In three, from where it is looked at: degrees around the upright axis and above the floor. */
export interface Solid {
  around: number;
  above: number;
  zoom: number;
}

export interface Placed extends Point {
  /** 1 nearest, 0 farthest; 1 for all in two dimensions. */
  near: number;
}

export const WHOLE: Flat = { x: 0, y: 0, zoom: 1 };
export const ASIDE: Solid = { around: 35, above: 20, zoom: 1 };

const PAD = 14; // pixels
const AWAY = 3.4; // from the eye to the middle, in radii of the points
const MOST_ZOOM = 60;

const within = (value: number, low: number, high: number) => Math.max(low, Math.min(high, value));

function numbers(text: string): [number, number, number] | null {
  const parts = text.split(",").map(Number);
  return text && parts.length === 3 && parts.every(Number.isFinite) && parts[2] > 0 ? (parts as [number, number, number]) : null;
}

export function readFlat(text: string): Flat {
  const found = numbers(text);
  return found ? keptFlat({ x: found[0], y: found[1], zoom: found[2] }) : WHOLE;
}

export function readSolid(text: string): Solid {
  const found = numbers(text);
  return found ? keptSolid({ around: found[0], above: found[1], zoom: found[2] }) : ASIDE;
}

const brief = (values: number[]) => values.map((value) => Number(value.toFixed(4))).join(",");

/** As text for the address; empty for what is shown at first. */
export function writeFlat(view: Flat): string {
  const text = brief([view.x, view.y, view.zoom]);
  return text === brief([WHOLE.x, WHOLE.y, WHOLE.zoom]) ? "" : text;
}

export function writeSolid(view: Solid): string {
  const text = brief([view.around, view.above, view.zoom]);
  return text === brief([ASIDE.around, ASIDE.above, ASIDE.zoom]) ? "" : text;
}

function keptFlat({ x, y, zoom }: Flat): Flat {
  return { x: within(x, -0.5, 0.5), y: within(y, -0.5, 0.5), zoom: within(zoom, 1, MOST_ZOOM) };
}

function keptSolid({ around, above, zoom }: Solid): Solid {
  return { around: ((around % 360) + 360) % 360, above: within(above, -90, 90), zoom: within(zoom, 0.5, 12) };
}

/** The lowest and highest coordinate along each axis. */
export function extent(points: number[][]): [number, number][] {
  return points[0].map((_, axis) => {
    let [low, high] = [Infinity, -Infinity];
    for (const point of points) {
      low = Math.min(low, point[axis]);
      high = Math.max(high, point[axis]);
    }
    return [low, high];
  });
}

/** Both axes have one scale, as distances matter. */
function flatScale([[left, right], [low, high]]: [number, number][], { width, height }: Size): number {
  return Math.min((width - 2 * PAD) / (right - left || 1), (height - 2 * PAD) / (high - low || 1));
}

export function placedFlat(points: number[][], view: Flat, size: Size): Placed[] {
  const sides = extent(points);
  const [[left, right], [low, high]] = sides;
  const scale = flatScale(sides, size) * view.zoom;
  const [x, y] = [(left + right) / 2 + view.x * (right - left), (low + high) / 2 + view.y * (high - low)];
  return points.map((point) => ({ x: size.width / 2 + (point[0] - x) * scale, y: size.height / 2 - (point[1] - y) * scale, near: 1 }));
}

/** Move what is shown by pixels. */
export function pannedFlat(points: number[][], view: Flat, x: number, y: number, size: Size): Flat {
  const sides = extent(points);
  const scale = flatScale(sides, size) * view.zoom;
  const [wide, high] = sides.map(([from, to]) => to - from || 1);
  return keptFlat({ ...view, x: view.x - x / scale / wide, y: view.y + y / scale / high });
}

/** Nearer or farther, so that what lies under a place stays there. */
export function zoomedFlat(points: number[][], view: Flat, factor: number, x: number, y: number, size: Size): Flat {
  const zoom = within(view.zoom * factor, 1, MOST_ZOOM);
  const [dx, dy] = [x - size.width / 2, y - size.height / 2];
  const there = pannedFlat(points, view, -dx, -dy, size);
  return pannedFlat(points, { ...there, zoom }, dx, dy, size);
}

export function turned(view: Solid, x: number, y: number): Solid {
  return keptSolid({ ...view, around: view.around - x * 0.5, above: view.above + y * 0.5 });
}

export function zoomedSolid(view: Solid, factor: number): Solid {
  return keptSolid({ ...view, zoom: view.zoom * factor });
}

/** The third axis stands upright; near things are larger. */
export function projector(sides: [number, number][], view: Solid, size: Size): (point: number[]) => Placed {
  const middle = sides.map(([low, high]) => (low + high) / 2);
  const radius = Math.hypot(...sides.map(([low, high]) => (high - low) / 2)) || 1;
  const [sinA, cosA] = [Math.sin((view.around * Math.PI) / 180), Math.cos((view.around * Math.PI) / 180)];
  const [sinE, cosE] = [Math.sin((view.above * Math.PI) / 180), Math.cos((view.above * Math.PI) / 180)];
  const reach = (Math.min(size.width, size.height) / 2 - PAD) * view.zoom * Math.sqrt(1 - 1 / AWAY ** 2);
  return (point) => {
    const [x, y, z] = middle.map((one, axis) => (point[axis] - one) / radius);
    const across = x * cosA + y * sinA;
    const deep = -x * sinA + y * cosA;
    const toward = -deep * cosE + z * sinE;
    const up = z * cosE + deep * sinE;
    const larger = AWAY / (AWAY - toward);
    return { x: size.width / 2 + across * reach * larger, y: size.height / 2 - up * reach * larger, near: (toward + 1) / 2 };
  };
}

/** The point that lies nearest to a place, the foremost of those that are about as near. */
export function nearest(places: Placed[], { x, y }: Point, most: number): number | null {
  let best: number | null = null;
  let distance = most;
  places.forEach((place, i) => {
    const away = Math.hypot(place.x - x, place.y - y) + 3 * (1 - place.near);
    if (away < distance) [best, distance] = [i, away];
  });
  return best;
}
