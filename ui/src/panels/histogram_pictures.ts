/** The three pictures of a distribution over time: ridges, heat with quantiles, and one step. */

import type { HistogramsOverTime } from "../api/types";
import { axes, layout, MARGINS } from "../parts/axes";
import type { Frame } from "../parts/canvas";
import { css, sequential } from "../scales";
import { compact, number } from "../text";

const MOST_RIDGES = 48;
export const RIDGE_TOP = 104; // pixels above the first ridge's foot

export function quantileNames(data: HistogramsOverTime): string[] {
  return Object.keys(data.quantiles).sort((a, b) => Number(a) - Number(b));
}

/** The outermost bins may reach far out to single values: they are shown as wide as their neighbors. */
function central(edges: number[]): number[] {
  const shown = [...edges];
  const last = edges.length - 1;
  if (last < 3) return shown;
  const width = edges[last - 1] - edges[1];
  const typical = width / (last - 2);
  shown[0] = Math.max(edges[0], edges[1] - 2 * typical);
  shown[last] = Math.min(edges[last], edges[last - 1] + 2 * typical);
  return shown;
}

/** Counts by width of their bin, in counts of a typical bin. */
function heights(counts: number[][], edges: number[], log: boolean): number[][] {
  const widths = edges.slice(1).map((edge, i) => edge - edges[i]);
  const typical = [...widths].sort((a, b) => a - b)[widths.length >> 1] || 1;
  const density = (amount: number, bin: number) => (amount * typical) / (widths[bin] || typical);
  return counts.map((row) => row.map((amount, bin) => (log ? Math.log1p(density(amount, bin)) : density(amount, bin))));
}

/** The bin of a step's picture under a pixel, or -1. */
export function binAt(data: HistogramsOverTime, x: number, width: number): number {
  const edges = central(data.edges);
  const plot = layout(width, 100, { low: edges[0], high: edges[edges.length - 1] }, { low: 0, high: 1 });
  const value = plot.unX(x);
  return x < plot.left || x > plot.right ? -1 : edges.findIndex((edge, i) => i > 0 && value <= edge) - 1;
}

/** A typical peak, so that one early spike (zeros at the start, say) does not flatten every other ridge. */
function typicalPeak(rows: number[][]): number {
  const peaks = rows.map((row) => Math.max(...row)).sort((a, b) => a - b);
  return peaks[Math.floor(peaks.length * 0.75)] || 1;
}

/** Which steps get a ridge: the first, the last, the marked one, and others evenly. */
function chosen(amount: number, marked: number): number[] {
  if (amount <= MOST_RIDGES) return Array.from({ length: amount }, (_, i) => i);
  const found = new Set([marked]);
  for (let i = 0; i < MOST_RIDGES; i++) found.add(Math.round((i / (MOST_RIDGES - 1)) * (amount - 1)));
  return [...found].sort((a, b) => a - b);
}

export function drawRidges(frame: Frame, data: HistogramsOverTime, marked: number, log: boolean): void {
  const { context, width, height, colors } = frame;
  const { steps } = data;
  const edges = central(data.edges);
  const rows = heights(data.counts, data.edges, log);
  const peak = typicalPeak(rows);
  const shown = chosen(steps.length, marked);
  // The first ridge has no more than the top's height, and its peak may lie above the typical one.
  const tallest = Math.min(0.8 * RIDGE_TOP, Math.max(50, ((height - RIDGE_TOP - MARGINS.bottom) / shown.length) * 4));
  const margins = { ...MARGINS, left: 16, right: 62, top: RIDGE_TOP };
  const plot = axes(frame, { low: edges[0], high: edges[edges.length - 1] }, { low: 0, high: 1 }, margins);
  const ramp = sequential(colors, 0, 1);
  let labelled = -100;
  for (const i of shown) {
    const share = steps.length > 1 ? i / (steps.length - 1) : 1;
    const base = plot.top + share * (plot.bottom - plot.top);
    const outline = () => {
      context.beginPath();
      rows[i].forEach((value, bin) => {
        context.lineTo(plot.x((edges[bin] + edges[bin + 1]) / 2), base - Math.min(value / peak, (base - 4) / tallest) * tallest);
      });
    };
    outline();
    context.lineTo(plot.right, base);
    context.lineTo(plot.left, base);
    context.closePath();
    const isMarked = i === marked;
    context.globalAlpha = 0.88;
    context.fillStyle = isMarked ? colors.second : css(ramp(0.15 + 0.6 * share));
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = isMarked ? colors.text : colors.panel;
    context.lineWidth = isMarked ? 1.5 : 0.8;
    outline();
    context.stroke();
    if (base - labelled >= 15 || isMarked) {
      context.textAlign = "left";
      context.textBaseline = "middle";
      if (isMarked && base - labelled < 15) {
        context.fillStyle = colors.panel;
        context.fillRect(plot.right + 4, base - 15, width - plot.right, 22);
      }
      context.fillStyle = isMarked ? colors.second : colors.muted;
      context.fillText(number(steps[i]), plot.right + 8, Math.min(base, height - 22));
      labelled = base;
    }
  }
}

export function drawHeat(frame: Frame, data: HistogramsOverTime, marked: number, log: boolean): void {
  const { context, colors } = frame;
  const { steps } = data;
  const edges = central(data.edges);
  const rows = heights(data.counts, data.edges, log);
  const bins = edges.length - 1;
  const picture = document.createElement("canvas");
  picture.width = steps.length;
  picture.height = bins;
  const inner = picture.getContext("2d")!;
  const image = inner.createImageData(steps.length, bins);
  const ramp = sequential(colors, 0, typicalPeak(rows));
  rows.forEach((row, i) =>
    row.forEach((value, bin) => {
      const at = ((bins - 1 - bin) * steps.length + i) * 4;
      [image.data[at], image.data[at + 1], image.data[at + 2]] = ramp(value);
      image.data[at + 3] = 255;
    }),
  );
  inner.putImageData(image, 0, 0);
  const last = Math.max(1, steps.length - 1);
  const margins = { ...MARGINS, left: 58, right: 30 };
  const format = (place: number) => (Number.isInteger(place) ? number(steps[place]) : "");
  const plot = axes(frame, { low: 0, high: last, format }, { low: edges[0], high: edges[bins] }, margins);
  context.imageSmoothingEnabled = false;
  const half = (plot.right - plot.left) / last / 2;
  context.save();
  context.beginPath();
  context.rect(plot.left, plot.top, plot.right - plot.left, plot.bottom - plot.top);
  context.clip();
  for (let bin = 0; bin < bins; bin++) {
    const [low, high] = [plot.y(edges[bin]), plot.y(edges[bin + 1])];
    context.drawImage(picture, 0, bins - 1 - bin, steps.length, 1, plot.left - half, high, plot.right - plot.left + 2 * half, low - high + 0.5);
  }
  context.strokeStyle = "#ffffff";
  for (const name of quantileNames(data)) {
    const share = Math.abs(Number(name) - 0.5);
    context.globalAlpha = share < 0.3 ? 0.95 : 0.6;
    context.lineWidth = share < 0.01 ? 2 : 1;
    context.beginPath();
    data.quantiles[name].forEach((value, i) => {
      if (value !== null) context.lineTo(plot.x(i), plot.y(value));
    });
    context.stroke();
  }
  context.globalAlpha = 1;
  context.strokeStyle = colors.second;
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(plot.x(marked), plot.top);
  context.lineTo(plot.x(marked), plot.bottom);
  context.stroke();
  context.restore();
}

export function drawStep(frame: Frame, data: HistogramsOverTime, at: number, log: boolean): void {
  const { context, colors } = frame;
  const row = heights([data.counts[at]], data.edges, log)[0];
  const edges = central(data.edges);
  const top = Math.max(...row, 1);
  const format = (value: number) => compact(Number((log ? Math.expm1(value) : value).toPrecision(3)));
  const plot = axes(frame, { low: edges[0], high: edges[edges.length - 1] }, { low: 0, high: top, format });
  context.fillStyle = colors.accent;
  row.forEach((value, bin) => {
    const left = plot.x(edges[bin]);
    const y = plot.y(value);
    context.fillRect(left, y, Math.max(1, plot.x(edges[bin + 1]) - left - 0.5), plot.bottom - y);
  });
}
