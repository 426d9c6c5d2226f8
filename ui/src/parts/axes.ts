/** Axes of the small pictures: a linear or logarithmic scale from data to pixels, with ticks and labels. */

import { ticks } from "../scales";
import { number } from "../text";
import type { Frame } from "./canvas";

export interface Axis {
  low: number;
  high: number;
  log?: boolean;
  label?: string;
  format?: (value: number) => string;
}

export interface Plot {
  left: number;
  top: number;
  right: number;
  bottom: number;
  x: (value: number) => number;
  y: (value: number) => number;
  /** From pixels back to data. */
  unX: (pixel: number) => number;
}

export interface Margins {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export const MARGINS: Margins = { left: 52, right: 12, top: 10, bottom: 34 };

function place(axis: Axis, from: number, to: number): [(value: number) => number, (pixel: number) => number] {
  const into = axis.log ? Math.log10 : (value: number) => value;
  // By halves, as the whole span of float64 is more than a number holds.
  const low = into(axis.low) / 2;
  const span = into(axis.high) / 2 - low || 0.5;
  return [
    (value) => from + ((into(value) / 2 - low) / span) * (to - from),
    (pixel) => {
      const value = 2 * (low + ((pixel - from) / (to - from || 1)) * span);
      return axis.log ? 10 ** value : value;
    },
  ];
}

function tickValues(axis: Axis, wanted: number): number[] {
  if (!axis.log) return ticks(axis.low, axis.high, wanted);
  const low = Math.ceil(Math.log10(axis.low) - 1e-9);
  const high = Math.floor(Math.log10(axis.high) + 1e-9);
  if (high <= low) return ticks(axis.low, axis.high, wanted).filter((value) => value > 0);
  if (high - low < 2) {
    const within = [1, 2, 5].flatMap((m) => Array.from({ length: high - low + 2 }, (_, i) => Number((m * 10 ** (low - 1 + i)).toPrecision(1))));
    return within.filter((value) => value >= axis.low && value <= axis.high).sort((a, b) => a - b);
  }
  const every = Math.max(1, Math.ceil((high - low) / wanted));
  return Array.from({ length: Math.floor((high - low) / every) + 1 }, (_, i) => 10 ** (low + i * every));
}

/** Where data goes, without drawing: for finding what lies under the pointer. */
export function layout(width: number, height: number, x: Axis, y: Axis, margins = MARGINS): Plot {
  const left = margins.left;
  const right = width - margins.right;
  const top = margins.top;
  const bottom = height - margins.bottom;
  const [toX, unX] = place(x, left, right);
  const [toY] = place(y, bottom, top);
  return { left, right, top, bottom, x: toX, y: toY, unX };
}

/** Draw grid, ticks and labels; what comes back says where data goes. */
export function axes({ context, width, height, colors }: Frame, x: Axis, y: Axis, margins = MARGINS): Plot {
  const plot = layout(width, height, x, y, margins);
  context.save();
  context.strokeStyle = colors.grid;
  context.fillStyle = colors.muted;
  context.lineWidth = 1;
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const value of margins.left > 20 ? tickValues(y, Math.max(2, (plot.bottom - plot.top) / 45)) : []) {
    const place = Math.round(plot.y(value)) + 0.5;
    context.beginPath();
    context.moveTo(plot.left, place);
    context.lineTo(plot.right, place);
    context.stroke();
    context.fillText((y.format ?? number)(value), plot.left - 7, place, plot.left - 7);
  }
  context.textBaseline = "top";
  context.textAlign = "center";
  for (const value of tickValues(x, Math.max(2, (plot.right - plot.left) / 90))) {
    const place = Math.round(plot.x(value)) + 0.5;
    context.beginPath();
    context.moveTo(place, plot.bottom);
    context.lineTo(place, plot.bottom + 4);
    context.stroke();
    const text = (x.format ?? number)(value);
    const half = context.measureText(text).width / 2;
    context.fillText(text, Math.max(half, Math.min(width - half, place)), plot.bottom + 7);
  }
  context.beginPath();
  context.moveTo(plot.left, plot.bottom + 0.5);
  context.lineTo(plot.right, plot.bottom + 0.5);
  context.stroke();
  if (x.label) {
    context.textAlign = "right";
    context.textBaseline = "bottom";
    context.fillText(x.label, plot.right, height);
  }
  context.restore();
  return plot;
}
