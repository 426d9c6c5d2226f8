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
 * `row`, `column`: what is in the middle, in cells and parts of cells. `scale`: pixels of a cell's longer side at
 * `stretch` 1; a cell is `scale * stretchX` by `scale * stretchY` pixels.
 */
export interface Camera {
  row: number;
  column: number;
  scale: number;
}

export interface Stretch {
  x: number;
  y: number;
}

export const LARGEST_CELL = 96;
const THINNEST = 7; // a picture is never drawn thinner than one part in so many

/** Square cells, unless the matrix is so long that it would be a thread. */
export function stretch(grid: Grid, size: Size): Stretch {
  const ratio = grid.columns / size.width / (grid.rows / size.height);
  if (ratio > THINNEST) return { x: 1, y: Math.min(ratio / THINNEST, LARGEST_CELL) };
  if (ratio < 1 / THINNEST) return { x: Math.min(1 / ratio / THINNEST, LARGEST_CELL), y: 1 };
  return { x: 1, y: 1 };
}

export function fitScale(grid: Grid, size: Size, by: Stretch): number {
  return Math.min(size.width / (grid.columns * by.x), size.height / (grid.rows * by.y));
}

export function fitted(grid: Grid, size: Size, by: Stretch): Camera {
  return { row: grid.rows / 2, column: grid.columns / 2, scale: Math.min(fitScale(grid, size, by), LARGEST_CELL) };
}

/** Kept within sight: never further out than the whole matrix, never past its edges. */
export function kept(camera: Camera, grid: Grid, size: Size, by: Stretch): Camera {
  const least = Math.min(fitScale(grid, size, by), LARGEST_CELL);
  const scale = Math.min(LARGEST_CELL, Math.max(least, camera.scale));
  const across = size.width / (scale * by.x);
  const down = size.height / (scale * by.y);
  const within = (at: number, view: number, all: number) => (view >= all ? all / 2 : Math.min(all - view / 2, Math.max(view / 2, at)));
  return { row: within(camera.row, down, grid.rows), column: within(camera.column, across, grid.columns), scale };
}

export interface View {
  /** Pixels of a cell. */
  cellWidth: number;
  cellHeight: number;
  /** Pixel of the matrix's left and top edge. */
  left: number;
  top: number;
}

export function viewOf(camera: Camera, size: Size, by: Stretch): View {
  const cellWidth = camera.scale * by.x;
  const cellHeight = camera.scale * by.y;
  return { cellWidth, cellHeight, left: size.width / 2 - camera.column * cellWidth, top: size.height / 2 - camera.row * cellHeight };
}

/** The cell under a pixel, or null beside the matrix. */
export function cellAt(x: number, y: number, view: View, grid: Grid): { row: number; column: number } | null {
  const column = Math.floor((x - view.left) / view.cellWidth);
  const row = Math.floor((y - view.top) / view.cellHeight);
  return row >= 0 && row < grid.rows && column >= 0 && column < grid.columns ? { row, column } : null;
}

/** Nearer by `factor`, with what is under the pixel staying there. */
export function zoomed(camera: Camera, factor: number, x: number, y: number, grid: Grid, size: Size, by: Stretch): Camera {
  const least = Math.min(fitScale(grid, size, by), LARGEST_CELL);
  const scale = Math.min(LARGEST_CELL, Math.max(least, camera.scale * factor));
  const before = viewOf(camera, size, by);
  const column = (x - before.left) / before.cellWidth;
  const row = (y - before.top) / before.cellHeight;
  return kept(
    { scale, column: column - (x - size.width / 2) / (scale * by.x), row: row - (y - size.height / 2) / (scale * by.y) },
    grid,
    size,
    by,
  );
}

export function moved(camera: Camera, x: number, y: number, grid: Grid, size: Size, by: Stretch): Camera {
  return kept({ ...camera, column: camera.column - x / (camera.scale * by.x), row: camera.row - y / (camera.scale * by.y) }, grid, size, by);
}

/** The level whose blocks are about a pixel of this screen, or just above one, so that none is skipped. */
export function levelFor(view: View, levels: number, ratio: number): number {
  const cell = Math.max(view.cellWidth, view.cellHeight) * ratio;
  return Math.max(0, Math.min(levels - 1, Math.ceil(Math.log2(1 / cell) - 0.2)));
}
