/** What a chart of curves shows, drawn once more with any pen: uPlot itself draws with nothing but its own canvas. */

import type uPlot from "uplot";
import type { Pen } from "../pen";
import type { Colors } from "../theme";

export interface Mark {
  step: number;
  /** With an end it is a band, else a line. */
  until?: number;
  /** Where a small flag stands: the step at which somebody noticed. */
  said?: number;
  label: string;
  color: string;
}

/** The marks that an axis shows: where, and their labels. */
export interface Ticks {
  values: (number | null)[];
  labels: string[];
}

export interface Stroke {
  color: string;
  width: number;
  dash?: number[];
  /** Shown as points, as there are too few for a line. */
  points: boolean;
}

const FONT = "12px system-ui, sans-serif";

/** A flag at the upper edge, whole also at either end. */
function drawFlag(pen: Pen, { bbox: { left, top, width } }: uPlot, place: number, ratio: number): void {
  if (place < left - 1 || place > left + width + 1) return;
  const x = Math.max(left + 5 * ratio, Math.min(left + width - 5 * ratio, place));
  pen.beginPath();
  pen.moveTo(x - 5 * ratio, top);
  pen.lineTo(x + 5 * ratio, top);
  pen.lineTo(x, top + 8 * ratio);
  pen.fill();
}

/** Marked steps, in the pixels of the chart's canvas, of which `ratio` make one of the page. */
export function drawMarks(pen: Pen, chart: uPlot, marks: Mark[], ratio: number, ink: string): void {
  const { left, top, width, height } = chart.bbox;
  pen.save();
  pen.beginPath();
  pen.rect(left, top, width, height);
  pen.clip();
  pen.font = `${11 * ratio}px system-ui, sans-serif`;
  pen.textBaseline = "top";
  let line = 0;
  for (const mark of marks) {
    const x = chart.valToPos(mark.step, "x", true);
    pen.strokeStyle = pen.fillStyle = mark.color;
    if (mark.until !== undefined) {
      pen.globalAlpha = 0.12;
      pen.fillRect(x, top, Math.max(2, chart.valToPos(mark.until, "x", true) - x), height);
    }
    pen.globalAlpha = 0.9;
    if (mark.said !== undefined) drawFlag(pen, chart, chart.valToPos(mark.said, "x", true), ratio);
    pen.lineWidth = ratio;
    pen.setLineDash([4 * ratio, 3 * ratio]);
    pen.beginPath();
    pen.moveTo(x, top);
    pen.lineTo(x, top + height);
    pen.stroke();
    if (!mark.label) continue;
    const room = pen.measureText(mark.label).width;
    const right = x + room + 6 * ratio > left + width;
    pen.textAlign = right ? "right" : "left";
    pen.fillStyle = ink; // pale colors of lines are hard to read as text
    pen.fillText(mark.label, x + (right ? -5 : 5) * ratio, top + (3 + 14 * line++) * ratio);
  }
  pen.restore();
}

/** The whole chart, in the page's pixels. */
export function drawChart(pen: Pen, chart: uPlot, strokes: Stroke[], marks: Mark[], ticks: Ticks[], ratio: number, colors: Colors): void {
  const [left, top, width, height] = [chart.bbox.left, chart.bbox.top, chart.bbox.width, chart.bbox.height].map((one) => one / ratio);
  const x = (value: number) => left + chart.valToPos(value, "x");
  const y = (value: number) => top + chart.valToPos(value, "y");
  pen.font = FONT;
  pen.lineWidth = 1;
  pen.strokeStyle = colors.grid;
  pen.fillStyle = colors.muted;
  const rule = (...[fromX, fromY, toX, toY]: number[]) => {
    pen.beginPath();
    pen.moveTo(fromX, fromY);
    pen.lineTo(toX, toY);
    pen.stroke();
  };
  pen.textAlign = "center";
  pen.textBaseline = "top";
  ticks[0].values.forEach((value, i) => {
    if (value === null) return;
    rule(x(value), top, x(value), top + height + 4);
    pen.fillText(ticks[0].labels[i], x(value), top + height + 8);
  });
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  ticks[1].values.forEach((value, i) => {
    if (value === null) return;
    rule(left - 4, y(value), left + width, y(value));
    pen.fillText(ticks[1].labels[i], left - 10, y(value));
  });
  pen.save();
  pen.scale(1 / ratio, 1 / ratio);
  drawMarks(pen, chart, marks, ratio, colors.text);
  pen.restore();
  pen.save();
  pen.beginPath();
  pen.rect(left, top, width, height);
  pen.clip();
  strokes.forEach((stroke, i) => drawLine(pen, chart.data[0], chart.data[i + 1], stroke, x, y));
  pen.restore();
}

/** One line; null interrupts it, and where it has no value at another's step it goes on. */
function drawLine(pen: Pen, steps: ArrayLike<number>, values: ArrayLike<number | null | undefined>, stroke: Stroke, x: (value: number) => number, y: (value: number) => number): void {
  pen.strokeStyle = pen.fillStyle = stroke.color;
  pen.lineWidth = stroke.width;
  pen.lineJoin = "round";
  pen.setLineDash(stroke.dash ?? []);
  pen.beginPath();
  let begun = false;
  for (let i = 0; i < steps.length; i++) {
    const value = values[i];
    if (value === undefined) continue;
    if (value === null) begun = false;
    else if (stroke.points) pen.arc(x(steps[i]), y(value), 3, 0, 2 * Math.PI);
    else if (begun) pen.lineTo(x(steps[i]), y(value));
    else pen.moveTo(x(steps[i]), y(value));
    begun = value !== null;
  }
  if (stroke.points) pen.fill();
  else pen.stroke();
}
