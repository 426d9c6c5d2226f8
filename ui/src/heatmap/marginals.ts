/** Norms of rows and columns as strips beside the picture, moving with it. */

import type { Maybe } from "../api/types";
import type { Pen } from "../pen";
import type { Colors } from "../theme";
import type { Grid, Size, View } from "./camera";

export const STRIP = 44; // pixels

/** Bars, each a rectangle of its own: a path of thousands of them takes longer to fill than all of the picture to draw. */
function strip(norms: Maybe[], count: number, from: number, cell: number, pixels: number, bar: (start: number, length: number, share: number) => void): void {
  const block = Math.ceil(count / norms.length);
  const high = Math.max(...norms.map((norm) => norm ?? 0)) || 1;
  const tallest = new Map<number, number>(); // of those that share a pixel
  norms.forEach((norm, i) => {
    const start = from + i * block * cell;
    const length = Math.min(block, count - i * block) * cell;
    if (norm === null || start > pixels || start + length < 0) return;
    const first = Math.max(0, start);
    if (length >= 1) bar(first, Math.max(0.7, Math.min(pixels, start + length) - first - (length > 4 ? 1 : 0)), norm / high);
    else tallest.set(Math.floor(first), Math.max(tallest.get(Math.floor(first)) ?? 0, norm / high));
  });
  for (const [at, share] of tallest) bar(at, 1, share);
}

/** Bars to the right of the matrix for its rows and below it for its columns. */
export function paintMarginals(context: Pen, rows: Maybe[], columns: Maybe[], grid: Grid, view: View, size: Size, colors: Colors): void {
  const room = STRIP - 8;
  context.fillStyle = colors.panel;
  context.fillRect(size.width, 0, STRIP, size.height + STRIP);
  context.fillRect(0, size.height, size.width, STRIP);
  context.fillStyle = colors.muted;
  context.globalAlpha = 0.5;
  if (rows.length) strip(rows, grid.rows, view.top, view.cellHeight, size.height, (start, length, share) => context.fillRect(size.width + 5, start, share * room, length));
  if (columns.length) strip(columns, grid.columns, view.left, view.cellWidth, size.width, (start, length, share) => context.fillRect(start, size.height + 5, length, share * room));
  context.globalAlpha = 1;
}
