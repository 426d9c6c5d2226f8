/** Where one looks at a matrix from: from cells to pixels and back. Cells may be taller or wider than square. */

export interface Size {
  width: number;
  height: number;
}

export interface Grid {
  rows: number;
  columns: number;
}

/**
 * `row`, `column`: what is in the middle, in cells and parts of cells. `scale`: pixels of a cell's side, of the shorter
 * one where cells are stretched.
 */
export interface Camera {
  row: number;
  column: number;
  scale: number;
}

export const LARGEST_CELL = 96;
const THINNEST = 7; // a picture is drawn no thinner than one part in so many, if cells of the largest size allow it
const TILES = 48; // most tiles along one side of a picture

/** Square, unless the matrix is so long that it would be a thread: then as wide or tall as gives it a body. */
function cellOf(scale: number, grid: Grid, size: Size): { width: number; height: number } {
  const side = (pixels: number, cells: number) => Math.max(scale, Math.min(pixels / THINNEST / cells, LARGEST_CELL));
  return { width: side(size.width, grid.columns), height: side(size.height, grid.rows) };
}

function fitScale(grid: Grid, size: Size): number {
  return Math.min(size.width / grid.columns, size.height / grid.rows, LARGEST_CELL);
}

function clamped(scale: number, grid: Grid, size: Size): number {
  return Math.min(LARGEST_CELL, Math.max(fitScale(grid, size), scale));
}

export function fitted(grid: Grid, size: Size): Camera {
  return { row: grid.rows / 2, column: grid.columns / 2, scale: fitScale(grid, size) };
}

/** Kept within sight: never further out than the whole matrix, never past its edges. */
export function kept(camera: Camera, grid: Grid, size: Size): Camera {
  const scale = clamped(camera.scale, grid, size);
  const cell = cellOf(scale, grid, size);
  const within = (at: number, view: number, all: number) => (view >= all ? all / 2 : Math.min(all - view / 2, Math.max(view / 2, at)));
  return { row: within(camera.row, size.height / cell.height, grid.rows), column: within(camera.column, size.width / cell.width, grid.columns), scale };
}

export interface View {
  /** Pixels of a cell. */
  cellWidth: number;
  cellHeight: number;
  /** Pixel of the matrix's left and top edge. */
  left: number;
  top: number;
}

export function viewOf(camera: Camera, grid: Grid, size: Size): View {
  const cell = cellOf(camera.scale, grid, size);
  return { cellWidth: cell.width, cellHeight: cell.height, left: size.width / 2 - camera.column * cell.width, top: size.height / 2 - camera.row * cell.height };
}

/** The cell under a pixel, or null beside the matrix. */
export function cellAt(x: number, y: number, view: View, grid: Grid): { row: number; column: number } | null {
  const column = Math.floor((x - view.left) / view.cellWidth);
  const row = Math.floor((y - view.top) / view.cellHeight);
  return row >= 0 && row < grid.rows && column >= 0 && column < grid.columns ? { row, column } : null;
}

/** Nearer by `factor`, with what is under the pixel staying there. */
export function zoomed(camera: Camera, factor: number, x: number, y: number, grid: Grid, size: Size): Camera {
  const scale = clamped(camera.scale * factor, grid, size);
  const before = viewOf(camera, grid, size);
  const cell = cellOf(scale, grid, size);
  const column = (x - before.left) / before.cellWidth;
  const row = (y - before.top) / before.cellHeight;
  return kept({ scale, column: column - (x - size.width / 2) / cell.width, row: row - (y - size.height / 2) / cell.height }, grid, size);
}

export function moved(camera: Camera, x: number, y: number, grid: Grid, size: Size): Camera {
  const cell = cellOf(camera.scale, grid, size);
  return kept({ ...camera, column: camera.column - x / cell.width, row: camera.row - y / cell.height }, grid, size);
}

/**
 * The level whose blocks are about a pixel of this screen, or just above one, so that none is skipped; of a matrix so
 * long that this took too many tiles, a coarser one.
 */
export function levelFor(view: View, grid: Grid, size: Size, levels: number, tile: number, ratio: number): number {
  const [wide, high] = [grid.columns > 1 ? view.cellWidth : 0, grid.rows > 1 ? view.cellHeight : 0];
  const cell = (Math.max(wide, high) || view.cellWidth) * ratio;
  const longest = Math.max(Math.min(grid.rows, size.height / view.cellHeight), Math.min(grid.columns, size.width / view.cellWidth));
  const level = Math.ceil(Math.max(Math.log2(1 / cell) - 0.2, Math.log2(longest / tile / TILES)));
  return Math.max(0, Math.min(levels - 1, level));
}
