/** Layers by steps as a picture: one row a layer, one column a stretch of steps. */

import type { Maybe } from "../api/types";
import { Canvas, type Frame, type Point } from "../parts/canvas";
import { fitting } from "../parts/fitting";
import { type Scale, ticks } from "../scales";
import { number, visible } from "../text";

interface Props {
  label: string;
  names: string[];
  steps: number[];
  values: Maybe[][];
  scale: Scale;
  format: (value: number) => string;
  marked: number | null;
  onHover: (place: { row: number; column: number } | null) => void;
  onPick: (place: { row: number; column: number }) => void;
}

const FOOT = 24;
const RIGHT = 76; // pixels for each layer's value at the marked step

/** The last column that begins at or before a step. */
export function columnAt(steps: number[], step: number): number {
  let low = 0;
  let high = steps.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (steps[middle] <= step) low = middle;
    else high = middle - 1;
  }
  return low;
}

function rowHeight(rows: number): number {
  return Math.max(11, Math.min(26, Math.floor(340 / rows)));
}

/** The last value measured up to a column. */
function heldAt(row: Maybe[], column: number): Maybe {
  for (let at = column; at >= 0; at--) if (row[at] !== null) return row[at];
  return null;
}

/** Layers are measured now and then: a cell holds until the next measurement. */
function picture(values: Maybe[][], scale: Scale): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = values[0].length;
  canvas.height = values.length;
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(canvas.width, canvas.height);
  values.forEach((row, r) => {
    let held: Maybe = null;
    row.forEach((value, c) => {
      held = value ?? held;
      if (held === null) return;
      const at = (r * canvas.width + c) * 4;
      [image.data[at], image.data[at + 1], image.data[at + 2]] = scale(held);
      image.data[at + 3] = 255;
    });
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

export function LayerHeat({ label, names, steps, values, scale, format, marked, onHover, onPick }: Props) {
  const tall = rowHeight(names.length);
  const left = (width: number) => Math.min(180, width * 0.35);
  const place = (point: Point, width: number) => {
    const column = Math.floor(((point.x - left(width)) / (width - left(width) - RIGHT)) * steps.length);
    const row = Math.floor(point.y / tall);
    return column >= 0 && column < steps.length && row >= 0 && row < names.length ? { row, column } : null;
  };
  const draw = ({ context, width, colors }: Frame) => {
    const from = left(width);
    const wide = width - from - RIGHT;
    const bottom = tall * names.length;
    context.imageSmoothingEnabled = false;
    context.fillStyle = colors.grid;
    context.fillRect(from, 0, wide, bottom);
    context.drawImage(picture(values, scale), from, 0, wide, bottom);
    context.fillStyle = colors.panel;
    for (let i = 1; i < names.length; i++) context.fillRect(from, i * tall - 0.5, wide, 1);
    context.font = `${Math.min(12, tall - 1)}px system-ui, sans-serif`;
    context.fillStyle = colors.text;
    context.textAlign = "right";
    context.textBaseline = "middle";
    names.forEach((_, i) => {
      const value = heldAt(values[i], marked ?? steps.length - 1);
      if (value !== null) context.fillText(format(value), width - 2, (i + 0.5) * tall);
    });
    names.forEach((name, i) => context.fillText(fitting(context, visible(name), from - 8), from - 8, (i + 0.5) * tall));
    context.fillStyle = colors.muted;
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "top";
    const span = steps[steps.length - 1] - steps[0] || 1;
    for (const step of ticks(steps[0], steps[steps.length - 1], Math.max(2, wide / 110)).filter(Number.isInteger)) {
      const x = from + ((step - steps[0]) / span) * wide;
      context.textAlign = x > from + wide - 24 ? "right" : x < from + 12 ? "left" : "center";
      context.fillText(number(step), x, bottom + 6);
    }
    if (marked !== null) {
      const x = from + ((marked + 0.5) / steps.length) * wide;
      context.strokeStyle = colors.text;
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, bottom);
      context.stroke();
    }
  };
  return (
    <Canvas
      height={tall * names.length + FOOT}
      label={label}
      draw={draw}
      onHover={(point, size) => onHover(point && place(point, size.width))}
      onPick={(point, size) => {
        const found = place(point, size.width);
        if (found) onPick(found);
      }}
    />
  );
}
