/** A matrix of any size as a picture to move about in, from an overview to single numbers. */

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { address } from "../api/client";
import { useConnection } from "../api/connection";
import type { Marginals, Matrix, Maybe } from "../api/types";
import { useData } from "../api/data";
import { useWidth } from "../parts/width";
import { keepDrawing, type Pen } from "../pen";
import { setParams, useRoute } from "../router";
import { diverging, type Scale } from "../scales";
import { exact, number } from "../text";
import { useTheme } from "../theme";
import { type Arrangement, fileNumber } from "./arrangement";
import { type Camera, cellAt, fitted, kept, levelFor, moved, viewOf, zoomed } from "./camera";
import { type Link, type News } from "./link";
import { paintMarginals, STRIP } from "./marginals";
import { paintCells, paintedCells, paintOver, type Scene, valueAt } from "./paint";
import { listen } from "./pointer";
import { Tiles } from "./tiles";

export interface Cell {
  row: number;
  column: number;
}

interface Props {
  source: string;
  index: number;
  /** Where the file's rows and columns stand; all other numbers here are places in the picture. */
  arrangement: Arrangement;
  matrix: Matrix;
  statistic: string;
  /** Magnitude that has the strongest color among single values. */
  reach: number;
  rows: ReadonlySet<number>;
  outliers: Cell[];
  cell: Cell | null;
  brushing: boolean;
  onCell: (cell: Cell) => void;
  onRows: (from: number, to: number) => void;
  label: string;
  /** To the pictures beside this one. */
  link?: Link;
  /** What tests and readers of the page call the line that reads values. */
  readoutId?: string;
}

const TALLEST = 560;
const LEAST_TALL = 260;

function parsed(text: string | null): Camera | null {
  const parts = (text ?? "").split(",").map(Number);
  return parts.length === 3 && parts.every((part) => Number.isFinite(part)) && parts[2] > 0 ? { row: parts[0], column: parts[1], scale: parts[2] } : null;
}

function written(camera: Camera): string {
  return [camera.row.toFixed(2), camera.column.toFixed(2), Number(camera.scale.toPrecision(5))].join(",");
}

/** The magnitude that 99 % of the overview's blocks stay within. */
function overviewReach(values: Float32Array): number {
  const sizes = values.map(Math.abs).filter(Number.isFinite).sort();
  return sizes.length ? sizes[Math.floor((sizes.length - 1) * 0.99)] : 0;
}

const WORDS: Record<string, string> = { mean: "mean", minimum: "smallest", maximum: "largest", magnitude: "largest by size" };

export function Heatmap(props: Props) {
  const { source, index, arrangement, matrix, statistic, reach, rows, outliers, cell, brushing, label, link, readoutId = "readout" } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const readout = useRef<HTMLSpanElement>(null);
  const width = useWidth(canvas);
  const [overview, setOverview] = useState(0);
  const [failure, setFailure] = useState("");
  const { colors } = useTheme();
  const { generation } = useConnection();
  const at = useRoute().params.get("at");
  const camera = useRef<Camera | null>(null);
  const wrote = useRef<string | null>(null);
  const read = useRef<string | null>(null);
  const hover = useRef<[number, number] | null>(null);
  const frame = useRef(0);
  const base = ["sources", source, "weights", index];
  const byRow = useData<Marginals>(address([...base, "marginals"], { axis: "rows", ...arrangement.parameters }));
  const byColumn = useData<Marginals>(address([...base, "marginals"], { axis: "columns", ...arrangement.parameters }));

  const grid = useMemo(() => ({ rows: matrix.rows, columns: matrix.columns }), [matrix]);
  // As tall as the matrix needs to fill the width, within what leaves the rest of the page in sight.
  const height = Math.round(Math.min(TALLEST, Math.max(LEAST_TALL, (width * grid.rows) / grid.columns + STRIP)));
  const size = { width: Math.max(1, width - STRIP), height: height - STRIP };

  // Blocks of many values have smaller means than the values: each level gets colors of its own, between both ends.
  const scales = useMemo((): Scale[] => {
    const top = overview > 0 ? overview : reach;
    const ratio = matrix.levels > 1 && reach > 0 ? top / reach : 1;
    return Array.from({ length: matrix.levels }, (_, level) => diverging(colors, reach * ratio ** (level / Math.max(1, matrix.levels - 1))));
  }, [colors, reach, overview, matrix.levels]);

  const redraw = useRef(() => {});
  const tiles = useMemo(
    () => new Tiles((place) => address([...base, "tiles", place.level, place.row, place.column], { statistic: place.level ? statistic : null, ...arrangement.parameters }), () => redraw.current()),
    [source, index, statistic, arrangement.parameters.against],
  );
  useEffect(() => () => tiles.close(), [tiles]);
  useEffect(() => setOverview(0), [source, arrangement.parameters.against]);
  useEffect(() => {
    tiles.retry();
    redraw.current();
  }, [generation]);

  const latest = useRef({ size, scales, rows, outliers, cell, brushing, props, norms: { rows: [] as Maybe[], columns: [] as Maybe[] } });
  latest.current = { size, scales, rows, outliers, cell, brushing, props, norms: { rows: byRow.data?.norms ?? [], columns: byColumn.data?.norms ?? [] } };

  const draw = () => {
    frame.current = 0;
    const element = canvas.current;
    if (!element || !width || !camera.current) return;
    const now = latest.current;
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (element.width !== wide || element.height !== high) [element.width, element.height] = [wide, high];
    const context = element.getContext("2d")!;
    const view = viewOf(camera.current, grid, now.size);
    const scene: Scene = { grid, levels: matrix.levels, tile: matrix.tile, view, size: now.size, ratio, scales: now.scales, colors, marks: { rows: now.rows, cell: now.cell, outliers: now.outliers } };
    const { level, complete } = paintCells(context, scene, tiles);
    const over = (pen: Pen, at: number) => {
      paintOver(pen, scene, tiles, at);
      paintMarginals(pen, now.norms.rows, now.norms.columns, grid, view, now.size, colors);
    };
    over(context, level);
    keepDrawing(element, (pen) => {
      const cells = paintedCells(scene, tiles);
      pen.imageSmoothingEnabled = false;
      pen.drawImage(cells.image, 0, 0, now.size.width, now.size.height);
      over(pen, cells.level);
    });
    element.dataset.level = String(level);
    element.dataset.complete = String(complete);
    if (matrix.levels > 1 && overview === 0) {
      const top = tiles.cells({ level: matrix.levels - 1, row: 0, column: 0 });
      if (top) {
        const found = overviewReach(top.values);
        setOverview(found);
        link?.tell({ overview: found }, hear.current);
      }
    }
    setFailure(tiles.failure()?.message ?? "");
    say(level);
  };
  redraw.current = () => {
    frame.current ||= requestAnimationFrame(draw);
  };

  const say = (level: number) => {
    const element = readout.current;
    if (!element || !camera.current) return;
    const now = latest.current;
    const pointed = hover.current && cellAt(hover.current[0], hover.current[1], viewOf(camera.current, grid, now.size), grid);
    const inside = hover.current && hover.current[0] < now.size.width && hover.current[1] < now.size.height;
    element.textContent = pointed && inside ? described(pointed, level) : now.cell ? described(now.cell, 0) : "Scroll to zoom, drag to move, click to mark a value.";
  };
  const described = ({ row, column }: Cell, level: number): string => {
    const one = valueAt(tiles, matrix.tile, 0, row, column);
    const { orders } = arrangement;
    if (one !== null || level === 0) return `row ${fileNumber(orders.rows, row)}, column ${fileNumber(orders.columns, column)}: ${one === null ? "…" : exact(one)}`;
    const block = 2 ** level;
    const span = (what: string, order: number[] | null, at: number, count: number) => {
      const first = Math.floor(at / block) * block;
      const last = Math.min(count, first + block) - 1;
      return order ? `${last - first + 1} ${what} (${fileNumber(order, first)}, …, ${fileNumber(order, last)})` : `${what} ${first}–${last}`;
    };
    const value = valueAt(tiles, matrix.tile, level, row, column);
    return `${span("rows", orders.rows, row, grid.rows)}, ${span("columns", orders.columns, column, grid.columns)}: ${WORDS[statistic] ?? statistic} ${value === null ? "…" : number(value)}`;
  };

  const look = (next: Camera) => {
    camera.current = next;
    const text = written(next);
    const now = latest.current;
    const whole = written(fitted(grid, now.size)) === text;
    wrote.current = whole ? null : text;
    setParams({ at: wrote.current }, true);
    link?.tell({ camera: next }, hear.current);
    redraw.current();
  };
  const readAt = () => {
    const { size } = latest.current;
    if (camera.current) say(levelFor(viewOf(camera.current, grid, size), grid, size, matrix.levels, matrix.tile, window.devicePixelRatio || 1));
  };
  const hear = useRef((_: News) => {});
  useEffect(() => {
    hear.current = (news) => {
      if (news.camera) {
        camera.current = news.camera;
        const text = written(news.camera);
        wrote.current = text === written(fitted(grid, latest.current.size)) ? null : text;
        redraw.current();
      }
      if (news.hover !== undefined) {
        hover.current = news.hover;
        readAt();
      }
      if (news.picked !== undefined) shown.current = news.picked;
      if (news.overview !== undefined) setOverview((own) => Math.max(own, news.overview!));
    };
    return link?.listen(hear.current);
  }, [link, grid, tiles]);
  const showCell = (target: Cell) => {
    const now = latest.current;
    const near = Math.max(camera.current?.scale ?? 0, 64);
    look(kept({ row: target.row + 0.5, column: target.column + 0.5, scale: near }, grid, now.size));
  };

  useLayoutEffect(() => {
    if (!width) return;
    // Moving about is written into the address quietly, so what was read from there may be older than what is shown.
    const elsewhere = at !== read.current && at !== wrote.current;
    read.current = at;
    if (!camera.current || elsewhere) {
      const given = parsed(at);
      camera.current = given ? kept(given, grid, size) : fitted(grid, size);
    } else if (wrote.current === null && at === null) camera.current = fitted(grid, size);
    else camera.current = kept(camera.current, grid, size);
    redraw.current();
  }, [width, height, grid, at]);

  useLayoutEffect(() => redraw.current());

  // A cell that was chosen elsewhere (an outlier in the list, the form) comes into sight.
  const shown = useRef(cell ? `${cell.row},${cell.column}` : "");
  useEffect(() => {
    const key = cell ? `${cell.row},${cell.column}` : "";
    if (cell && width && key !== shown.current) showCell(cell);
    shown.current = key;
  }, [cell?.row, cell?.column, width]);

  useEffect(() => {
    const within = (y: number) => {
      const view = viewOf(camera.current!, grid, latest.current.size);
      return Math.max(0, Math.min(grid.rows - 1, Math.floor((y - view.top) / view.cellHeight)));
    };
    const choose = (target: Cell) => {
      shown.current = `${target.row},${target.column}`;
      link?.tell({ picked: shown.current }, hear.current);
      latest.current.props.onCell(target);
    };
    return listen(canvas.current!, {
      pan: (x, y) => camera.current && look(moved(camera.current, x, y, grid, latest.current.size)),
      zoom: (factor, x, y) => camera.current && look(zoomed(camera.current, factor, x, y, grid, latest.current.size)),
      fit: () => look(fitted(grid, latest.current.size)),
      hover: (x, y) => {
        hover.current = [x, y];
        readAt();
        link?.tell({ hover: [x, y] }, hear.current);
      },
      leave: () => {
        hover.current = null;
        say(0);
        link?.tell({ hover: null }, hear.current);
      },
      pick: (x, y) => {
        const target = camera.current && cellAt(x, y, viewOf(camera.current, grid, latest.current.size), grid);
        if (target) choose(target);
      },
      brush: (from, to) => latest.current.props.onRows(within(Math.min(from.y, to.y)), within(Math.max(from.y, to.y))),
      step: (down, across) => {
        const from = latest.current.cell ?? { row: Math.floor(camera.current!.row), column: Math.floor(camera.current!.column) };
        latest.current.props.onCell({ row: Math.max(0, Math.min(grid.rows - 1, from.row + down)), column: Math.max(0, Math.min(grid.columns - 1, from.column + across)) });
      },
      brushing: (shift) => shift || latest.current.brushing,
      middle: () => [latest.current.size.width / 2, latest.current.size.height / 2],
    });
  }, [grid, tiles, link]);

  return (
    <div class="heatmap">
      <canvas
        ref={canvas}
        class={`canvas map ${brushing ? "brushing" : ""}`}
        style={{ height: `${height}px` }}
        tabIndex={0}
        role="application"
        aria-roledescription="zoomable matrix"
        aria-label={`${label}: ${grid.rows} rows, ${grid.columns} columns. Arrow keys move, plus and minus zoom, 0 shows all, Enter marks the value in the middle, shift and arrows move the mark.`}
      />
      <div class="under">
        <span class="readout strong" ref={readout} role="status" aria-live="polite" data-testid={readoutId} />
        {failure && <span class="state-inline">⚠ {failure}</span>}
      </div>
    </div>
  );
}
