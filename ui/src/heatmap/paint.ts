/** A matrix onto a canvas: tiles of the fitting level, coarser ones where those are not here yet, numbers when near. */

import type { Pen } from "../pen";
import { ink, type Scale } from "../scales";
import { exact } from "../text";
import type { Colors } from "../theme";
import { type Grid, levelFor, type Size, type View } from "./camera";
import type { Place, Tiles } from "./tiles";

/** Whether cells are large enough to hold their numbers. */
function readable(view: View): boolean {
  return view.cellWidth >= 44 && view.cellHeight >= 14;
}

export interface Marks {
  /** Rows that are marked, in any panel. */
  rows: ReadonlySet<number>;
  cell: { row: number; column: number } | null;
  outliers: { row: number; column: number }[];
}

export interface Scene {
  grid: Grid;
  levels: number;
  tile: number;
  view: View;
  size: Size;
  ratio: number;
  /** Colors of a level: means of large blocks are smaller than single values. */
  scales: Scale[];
  colors: Colors;
  marks: Marks;
}

/** Tiles of a level within sight, the middle first. */
export function inSight({ grid, tile, view, size }: Scene, level: number): Place[] {
  const block = 2 ** level;
  const rows = Math.ceil(grid.rows / block);
  const columns = Math.ceil(grid.columns / block);
  const span = (from: number, cell: number, pixels: number, count: number) => {
    const first = Math.floor(-from / cell / block / tile);
    const last = Math.floor((pixels - from) / cell / block / tile);
    return [Math.max(0, first), Math.min(Math.ceil(count / tile) - 1, last)];
  };
  const [top, bottom] = span(view.top, view.cellHeight, size.height, rows);
  const [left, right] = span(view.left, view.cellWidth, size.width, columns);
  const places: Place[] = [];
  for (let row = top; row <= bottom; row++) for (let column = left; column <= right; column++) places.push({ level, row, column });
  const middle = [(top + bottom) / 2, (left + right) / 2];
  const far = (place: Place) => Math.hypot(place.row - middle[0], place.column - middle[1]);
  return places.sort((a, b) => far(a) - far(b));
}

/** Draw the cells that are here, and ask for what is missing. */
export function paintCells(context: CanvasRenderingContext2D, scene: Scene, tiles: Tiles): { level: number; complete: boolean } {
  const { size, view, levels, colors, ratio } = scene;
  const level = levelFor(view, scene.grid, size, levels, scene.tile, ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = colors.background;
  context.fillRect(0, 0, size.width, size.height);
  context.imageSmoothingEnabled = false;
  const places = inSight(scene, level);
  tiles.want([{ level: levels - 1, row: 0, column: 0 }, ...places, ...exactPlace(scene)]);
  let complete = true;
  for (const place of places) if (!drawPlace(context, scene, tiles, place)) complete = false;
  return { level, complete };
}

/** Draw what lies over the cells of a level: their numbers where there is room, and marks. */
export function paintOver(pen: Pen, scene: Scene, tiles: Tiles, level: number): void {
  if (level === 0 && readable(scene.view)) drawNumbers(pen, scene, tiles);
  drawMarks(pen, scene);
}

/** The cells as an image of their own. */
export function paintedCells(scene: Scene, tiles: Tiles): { image: HTMLCanvasElement; level: number } {
  const image = document.createElement("canvas");
  [image.width, image.height] = [Math.round(scene.size.width * scene.ratio), Math.round(scene.size.height * scene.ratio)];
  const { level } = paintCells(image.getContext("2d")!, scene, tiles);
  return { image, level };
}

/** The tile with the marked cell's own value, so that it can be read from any distance. */
function exactPlace({ marks, tile }: Scene): Place[] {
  return marks.cell ? [{ level: 0, row: Math.floor(marks.cell.row / tile), column: Math.floor(marks.cell.column / tile) }] : [];
}

/** Draw a tile, or what the finest coarser one that is here has of its place; whether it was the tile itself. */
function drawPlace(context: CanvasRenderingContext2D, scene: Scene, tiles: Tiles, place: Place): boolean {
  for (let up = 0; place.level + up < scene.levels; up++) {
    const from = { level: place.level + up, row: place.row >> up, column: place.column >> up };
    const picture = tiles.picture(from, scene.scales[from.level]);
    if (!picture) continue;
    drawPart(context, scene, picture, from, place);
    return up === 0;
  }
  return false;
}

/** Draw what the picture of one tile has of another's place. */
function drawPart(context: CanvasRenderingContext2D, { view, tile, grid, ratio }: Scene, picture: HTMLCanvasElement, from: Place, place: Place): void {
  const snap = (value: number) => Math.round(value * ratio) / ratio; // no seams between tiles
  const span = (at: number, first: number, count: number, origin: number, cell: number) => {
    const start = at * tile * 2 ** place.level;
    const end = Math.min(count, start + tile * 2 ** place.level); // the last block of a row or column may stand for fewer values
    const block = 2 ** from.level;
    const [low, high] = [snap(origin + start * cell), snap(origin + end * cell)];
    return { from: start / block - first * tile, size: (end - start) / block, low, shown: high - low };
  };
  const across = span(place.column, from.column, grid.columns, view.left, view.cellWidth);
  const down = span(place.row, from.row, grid.rows, view.top, view.cellHeight);
  context.drawImage(picture, across.from, down.from, across.size, down.size, across.low, down.low, across.shown, down.shown);
}

/** The single value at a cell, if its tile is here. */
export function valueAt(tiles: Tiles, tile: number, level: number, row: number, column: number): number | null {
  const block = 2 ** level;
  const [r, c] = [Math.floor(row / block), Math.floor(column / block)];
  const cells = tiles.cells({ level, row: Math.floor(r / tile), column: Math.floor(c / tile) });
  return cells ? cells.values[(r % tile) * cells.columns + (c % tile)] : null;
}

function drawNumbers(context: Pen, scene: Scene, tiles: Tiles): void {
  const { view, size, grid, tile, scales } = scene;
  const firstRow = Math.max(0, Math.floor(-view.top / view.cellHeight));
  const lastRow = Math.min(grid.rows - 1, Math.floor((size.height - view.top) / view.cellHeight));
  const firstColumn = Math.max(0, Math.floor(-view.left / view.cellWidth));
  const lastColumn = Math.min(grid.columns - 1, Math.floor((size.width - view.left) / view.cellWidth));
  const letters = view.cellWidth >= 78 ? 9 : view.cellWidth >= 60 ? 7 : 5;
  context.font = `${view.cellWidth >= 60 ? 12 : 11}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let row = firstRow; row <= lastRow; row++) {
    for (let column = firstColumn; column <= lastColumn; column++) {
      const value = valueAt(tiles, tile, 0, row, column);
      if (value === null) continue;
      context.fillStyle = ink(scales[0](value));
      context.fillText(fitting(value, letters), view.left + (column + 0.5) * view.cellWidth, view.top + (row + 0.5) * view.cellHeight);
    }
  }
}

/** A value in so many characters, exact where that is possible. */
function fitting(value: number, letters: number): string {
  const whole = exact(value);
  if (whole.length <= letters) return whole;
  for (let digits = letters; digits > 0; digits--) {
    const text = String(Number(value.toPrecision(digits))).replace("-", "−");
    if (text.length <= letters + 1) return text;
  }
  return value.toExponential(0).replace("-", "−");
}

function drawMarks(context: Pen, { view, size, marks, colors, grid }: Scene): void {
  const right = Math.min(size.width, view.left + grid.columns * view.cellWidth);
  const left = Math.max(0, view.left);
  context.fillStyle = colors.good;
  for (const row of marks.rows) {
    const top = view.top + row * view.cellHeight;
    if (top > size.height || top + view.cellHeight < 0) continue;
    const high = Math.max(1, view.cellHeight);
    context.globalAlpha = 0.16;
    context.fillRect(left, top, right - left, high);
    context.globalAlpha = 1;
    context.fillRect(left, top, 5, Math.max(1.5, high));
    context.fillRect(right - 5, top, 5, Math.max(1.5, high));
  }
  context.lineWidth = 1.5;
  context.strokeStyle = colors.alarm;
  if (!readable(view)) {
    for (const outlier of marks.outliers) {
      context.beginPath();
      context.arc(view.left + (outlier.column + 0.5) * view.cellWidth, view.top + (outlier.row + 0.5) * view.cellHeight, Math.max(4, Math.min(view.cellWidth, view.cellHeight) * 0.7), 0, 2 * Math.PI);
      context.stroke();
    }
  }
  if (marks.cell) {
    const x = view.left + marks.cell.column * view.cellWidth;
    const y = view.top + marks.cell.row * view.cellHeight;
    context.lineWidth = 2;
    context.strokeStyle = colors.text;
    context.strokeRect(x - 1, y - 1, Math.max(4, view.cellWidth + 2), Math.max(4, view.cellHeight + 2));
  }
}
