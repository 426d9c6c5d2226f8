/** Curves over steps with uPlot: linked cursors, zoom by dragging, log axes, marks, and a legend that reads the cursor. */

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { Maybe } from "../api/types";
import { keepDrawing } from "../pen";
import { number } from "../text";
import { useTheme } from "../theme";
import { drawChart, drawMarks, type Mark, type Stroke, type Ticks } from "./series_drawing";

export type { Mark };

export interface Line {
  label: string;
  color: string;
  steps: number[];
  values: Maybe[];
  width?: number;
  dash?: number[];
  faint?: boolean;
  /** Left out of the legend: a line that another one stands for. */
  quiet?: boolean;
}

export type Zoom = [number, number] | null;

interface Props {
  label: string;
  lines: Line[];
  marks?: Mark[];
  logX: boolean;
  logY: boolean;
  zoom: Zoom;
  onZoom: (zoom: Zoom) => void;
  /** Steps to show without a zoom; those of the lines if there are none. */
  span?: Zoom;
  height?: number;
}

function strokeOf(line: Line): Stroke {
  return { color: line.faint ? `${line.color}55` : line.color, width: line.width ?? 1.75, dash: line.dash, points: line.steps.length === 1 };
}

function aligned(lines: Line[], logX: boolean, logY: boolean): uPlot.AlignedData {
  const tables = lines.map((line): uPlot.AlignedData => {
    const values = logY ? line.values.map((value) => (value !== null && value > 0 ? value : null)) : line.values;
    if (!logX) return [line.steps, values];
    const from = line.steps.findIndex((step) => step > 0);
    return from < 0 ? [[], []] : [line.steps.slice(from), values.slice(from)];
  });
  return uPlot.join(tables);
}

const every = (_: uPlot, splits: number[]): (number | null)[] => splits;

/** Distances between the marks of an axis of steps, which are whole numbers. */
const WHOLE = Array.from({ length: 15 }, (_, power) => [1, 2, 2.5, 5].map((part) => part * 10 ** power)).flat().filter(Number.isInteger);

const MOST_POWERS = 8;

/** On a logarithmic axis over several decades, powers of ten alone, and of many every so manieth. */
function powers(_: uPlot, splits: number[]): (number | null)[] {
  const power = (value: number) => Math.round(Math.log10(value));
  const isPower = (value: number) => Math.abs(Math.log10(value) - power(value)) < 1e-9;
  const found = splits.filter(isPower);
  if (found.length < 2) return splits;
  const step = Math.ceil(found.length / MOST_POWERS);
  return splits.map((value) => (isPower(value) && power(value) % step === 0 ? value : null));
}

/** Numbers on an axis: short ones. */
function tick(value: number | null): string {
  if (value === null) return "";
  return Math.abs(value) >= 1e6 ? Number(value.toPrecision(3)).toExponential().replace("e+", "e").replaceAll("-", "−") : number(value);
}

export function SeriesChart({ label, lines, marks = [], logX, logY, zoom, onZoom, span = null, height = 240 }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const legend = useRef<HTMLDivElement>(null);
  const latest = useRef({ marks, onZoom, zoom, lines });
  const shown = zoom ?? (span && logX ? [Math.max(1, span[0]), span[1]] : span);
  latest.current = { marks, onZoom, zoom, lines };
  const { colors } = useTheme();
  const kind = JSON.stringify([lines.map((line) => [line.label, line.color, line.width, line.dash, line.faint]), logX, logY, height, colors.name]);

  const showValues = (made: uPlot) => {
    const index = made.cursor.idx;
    const step = legend.current?.querySelector("[data-step]");
    if (step) step.textContent = index == null ? "" : `step ${number(made.data[0][index])}`;
    latest.current.lines.forEach((_, i) => {
      const cell = legend.current?.querySelector(`[data-line="${i}"]`);
      if (!cell) return;
      // The nearest recorded value up to the cursor: series are recorded at different steps.
      let at = index ?? made.data[0].length - 1;
      const values = made.data[i + 1];
      while (at >= 0 && values[at] == null) at--;
      cell.textContent = at < 0 ? "–" : number(values[at], 4);
    });
  };

  useLayoutEffect(() => {
    const element = place.current!;
    const ticks: Ticks[] = [];
    const axis = (log: boolean): uPlot.Axis => ({
      stroke: colors.muted,
      font: "12px system-ui, sans-serif",
      grid: { stroke: colors.grid, width: 1, filter: log ? powers : every },
      ticks: { stroke: colors.grid, width: 1, size: 4, filter: log ? powers : every },
      filter: log ? powers : every,
      values: (_, splits, place) => {
        ticks[place] = { values: splits, labels: splits.map(tick) };
        return ticks[place].labels;
      },
    });
    const made = new uPlot(
      {
        width: element.clientWidth || 600,
        height,
        legend: { show: false },
        scales: {
          x: { time: false, distr: logX ? 3 : 1 },
          y: { distr: logY ? 3 : 1 },
        },
        axes: [
          { ...axis(logX), ...(logX ? {} : { incrs: WHOLE }), size: 28, gap: 4 },
          { ...axis(logY), size: 60, gap: 6 },
        ],
        series: [
          {},
          ...lines.map((line): uPlot.Series => ({
            label: line.label,
            stroke: strokeOf(line).color,
            width: strokeOf(line).width,
            dash: line.dash,
            points: { show: strokeOf(line).points, size: 6 },
            spanGaps: false,
          })),
        ],
        cursor: {
          sync: { key: "steps" },
          drag: { x: true, y: false, setScale: false },
          points: { size: 6 },
          bind: { dblclick: () => () => (latest.current.onZoom(null), null) },
        },
        hooks: {
          drawAxes: [(drawn) => drawMarks(drawn.ctx, drawn, latest.current.marks, uPlot.pxRatio, colors.text)],
          setCursor: [showValues],
          setSelect: [
            (drawn) => {
              const { left, width } = drawn.select;
              if (width < 4) return;
              latest.current.onZoom([drawn.posToVal(left, "x"), drawn.posToVal(left + width, "x")]);
              drawn.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            },
          ],
        },
      },
      aligned(lines, logX, logY),
      element,
    );
    chart.current = made;
    keepDrawing(made.ctx.canvas, (pen) => drawChart(pen, made, lines.map(strokeOf), latest.current.marks, ticks, uPlot.pxRatio, colors));
    if (shown) made.setScale("x", { min: shown[0], max: shown[1] });
    showValues(made);
    const observer = new ResizeObserver(() => element.clientWidth && made.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [kind]);

  useEffect(() => {
    const made = chart.current;
    if (!made) return;
    made.setData(aligned(lines, logX, logY), true);
    if (shown) made.setScale("x", { min: shown[0], max: shown[1] });
    showValues(made);
  }, [lines, marks, shown?.[0], shown?.[1]]);

  const onKeyDown = (event: KeyboardEvent) => {
    const x = chart.current?.scales.x;
    if (x?.min == null || x.max == null) return;
    const span = x.max - x.min;
    const moves: Record<string, Zoom> = {
      ArrowLeft: [x.min - span * 0.2, x.max - span * 0.2],
      ArrowRight: [x.min + span * 0.2, x.max + span * 0.2],
      "+": [x.min + span * 0.2, x.max - span * 0.2],
      "=": [x.min + span * 0.2, x.max - span * 0.2],
      "-": [x.min - span * 0.33, x.max + span * 0.33],
      "0": null,
      Escape: null,
    };
    if (!(event.key in moves) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    onZoom(moves[event.key]);
  };
  return (
    <div class="series-chart">
      <div class="legend live" ref={legend}>
        {lines.map((line, i) =>
          line.quiet ? null : (
            <span key={i}>
              <i style={{ background: line.color }} class={line.dash ? "dashed" : ""} />
              {line.label} <b data-line={i} />
            </span>
          ),
        )}
        <span class="muted" data-step />
      </div>
      <div ref={place} class="plot" tabIndex={0} role="group" aria-label={`${label}. Drag to zoom, double click to see all; arrow keys, plus, minus and 0 do the same.`} onKeyDown={onKeyDown} style={{ minHeight: `${height}px` }} />
    </div>
  );
}
