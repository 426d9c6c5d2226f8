/** Tiles of one matrix: asked for as they come into sight, the middle first, kept up to a bound, colored when drawn. */

import { ApiError, type Cells, getCells } from "../api/client";
import type { Scale } from "../scales";

const AT_ONCE = 6;
const KEPT = 320; // tiles of 256 x 256 numbers: 80 MB, and as much again for their pictures

export interface Place {
  level: number;
  row: number;
  column: number;
}

interface Tile {
  cells: Cells | null;
  picture: HTMLCanvasElement | null;
  scale: Scale | null;
  abort: AbortController | null;
  failed: ApiError | null;
  used: number;
}

function key({ level, row, column }: Place): string {
  return `${level}/${row}/${column}`;
}

export class Tiles {
  private tiles = new Map<string, Tile>();
  private clock = 0;
  private running = 0;

  /**
   * @param addressOf where a tile is
   * @param changed called when a tile has come or failed
   */
  constructor(
    private readonly addressOf: (place: Place) => string,
    private readonly changed: () => void,
  ) {}

  /** The numbers of a tile that is here. */
  cells(place: Place): Cells | null {
    return this.tiles.get(key(place))?.cells ?? null;
  }

  /** The tile as a picture, one pixel a cell, if it is here. */
  picture(place: Place, scale: Scale): HTMLCanvasElement | null {
    const tile = this.tiles.get(key(place));
    if (!tile?.cells) return null;
    tile.used = ++this.clock;
    if (!tile.picture || tile.scale !== scale) {
      tile.picture = painted(tile.cells, scale, tile.picture);
      tile.scale = scale;
    }
    return tile.picture;
  }

  /** Ask for these tiles, in this order, and no longer for others. */
  want(places: Place[]): void {
    const wanted = new Set(places.map(key));
    for (const [id, tile] of this.tiles) {
      if (tile.abort && !wanted.has(id)) {
        tile.abort.abort();
        this.tiles.delete(id);
      }
    }
    for (const place of places) {
      if (this.running >= AT_ONCE) return;
      if (!this.tiles.has(key(place))) this.ask(place);
    }
  }

  /** Forget failures, so that they are asked for again. */
  retry(): void {
    for (const [id, tile] of this.tiles) if (tile.failed) this.tiles.delete(id);
  }

  failure(): ApiError | null {
    for (const tile of this.tiles.values()) if (tile.failed) return tile.failed;
    return null;
  }

  close(): void {
    for (const tile of this.tiles.values()) tile.abort?.abort();
    this.tiles.clear();
  }

  private ask(place: Place): void {
    const id = key(place);
    const tile: Tile = { cells: null, picture: null, scale: null, abort: new AbortController(), failed: null, used: ++this.clock };
    this.tiles.set(id, tile);
    this.running += 1;
    getCells(this.addressOf(place), tile.abort!.signal)
      .then(
        (cells) => (tile.cells = cells),
        (error: unknown) => {
          if (!tile.abort?.signal.aborted) tile.failed = error instanceof ApiError ? error : new ApiError(0, String(error));
        },
      )
      .finally(() => {
        this.running -= 1;
        tile.abort = null;
        this.forgetOldest();
        this.changed();
      });
  }

  private forgetOldest(): void {
    if (this.tiles.size <= KEPT) return;
    const here = [...this.tiles].filter(([, tile]) => tile.cells).sort(([, a], [, b]) => a.used - b.used);
    for (const [id] of here.slice(0, this.tiles.size - KEPT)) this.tiles.delete(id);
  }
}

function painted(cells: Cells, scale: Scale, reuse: HTMLCanvasElement | null): HTMLCanvasElement {
  const canvas = reuse ?? document.createElement("canvas");
  canvas.width = cells.columns;
  canvas.height = cells.rows;
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(cells.columns, cells.rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < cells.values.length; i++) {
    const [red, green, blue] = scale(cells.values[i]);
    pixels[i] = 0xff000000 | (blue << 16) | (green << 8) | red;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
