/** Gradients through depth as a picture: a row a weight, a bar for most steps, a dot for the one that is looked at. */

import type { Maybe } from "../api/types";
import { Canvas, type Frame } from "../parts/canvas";
import { fitting } from "../parts/fitting";
import { number, visible } from "../text";
import type { Colors } from "../theme";

export interface Shown {
  name: string;
  state: string | null;
  low: Maybe;
  median: Maybe;
  high: Maybe;
  now: Maybe;
}

interface Props {
  rows: Shown[];
  /** How many times less than the last row is too little; null where rows cannot be compared so. */
  ratio: number | null;
  /** What is too little in itself. */
  floor: number;
  onHover: (row: Shown | null) => void;
}

const FOOT = 24;
const RIGHT = 92; // pixels for what is said of a row
const MARKS: Record<string, string> = { vanishing: "◂ vanishing", exploding: "▸ exploding", non_finite: "✕ NaN or Inf" };

function rowHeight(rows: number): number {
  return Math.max(11, Math.min(26, Math.floor(340 / rows)));
}

/** The powers of ten that hold all bars, and the edge of what vanishes if it is near. */
function bounds(rows: Shown[], edge: number | null): [number, number] {
  const values = rows.flatMap((row) => [row.low, row.median, row.high, row.now]).filter((value): value is number => value !== null && value > 0);
  if (!values.length) return [-8, 0];
  const low = Math.log10(values.reduce((a, b) => Math.min(a, b)));
  const high = Math.log10(values.reduce((a, b) => Math.max(a, b)));
  const wanted = edge === null ? low : Math.min(low, Math.log10(edge));
  return [Math.floor(Math.max(wanted, low - 4)), Math.ceil(high + 1e-9)];
}

function colorOf(state: string | null, colors: Colors): string {
  if (state === "vanishing") return colors.palette[4];
  return state === "exploding" || state === "non_finite" ? colors.alarm : colors.accent;
}

export function FlowPicture({ rows, ratio, floor, onHover }: Props) {
  const tall = rowHeight(rows.length);
  const bottom = tall * rows.length;
  const last = rows.filter((row) => row.state !== null).at(-1)?.median ?? null;
  const edge = ratio === null || !last ? null : Math.max(last / ratio, 0);
  const [low, high] = bounds(rows, edge);
  const left = (width: number) => Math.min(180, width * 0.35);
  const draw = (frame: Frame) => {
    const from = left(frame.width);
    const to = frame.width - RIGHT;
    const x = (value: number) => from + Math.max(0, Math.min(1, (Math.log10(value) - low) / (high - low || 1))) * (to - from);
    if (edge !== null) shadeEdges(frame, [from, x(Math.max(edge, last! < floor ? floor : 0, 10 ** low))], [x(last! * ratio!), to], bottom);
    drawAxis(frame, low, high, x, bottom);
    rows.forEach((row, i) => drawRow(frame, row, (i + 0.5) * tall, tall, x, from));
    drawPath(frame, rows, tall, x);
  };
  return (
    <Canvas
      height={bottom + FOOT}
      label={`Gradients of ${rows.length} weights from input to output: ${rows.map((row) => `${visible(row.name)} ${number(row.median)}${row.state && row.state !== "healthy" ? ` (${row.state.replace("_", "-")})` : ""}`).slice(0, 12).join(", ")}`}
      draw={draw}
      onHover={(point) => onHover((point && rows[Math.floor(point.y / tall)]) ?? null)}
    />
  );
}

/** Where a layer gets so much less or more than the last one that it does not learn. */
function shadeEdges({ context, colors }: Frame, less: [number, number], more: [number, number], bottom: number): void {
  for (const [[from, to], color] of [[less, colors.palette[4]], [more, colors.alarm]] as const) {
    if (to <= from) continue;
    context.globalAlpha = 0.13;
    context.fillStyle = color;
    context.fillRect(from, 0, to - from, bottom);
    context.globalAlpha = 1;
  }
}

function drawAxis({ context, colors }: Frame, low: number, high: number, x: (value: number) => number, bottom: number): void {
  context.strokeStyle = colors.grid;
  context.fillStyle = colors.muted;
  context.lineWidth = 1;
  context.textBaseline = "top";
  context.textAlign = "center";
  const every = Math.max(1, Math.ceil((high - low) / 6));
  for (let power = low; power <= high; power++) {
    const place = Math.round(x(10 ** power)) + 0.5;
    context.beginPath();
    context.moveTo(place, 0);
    context.lineTo(place, bottom);
    context.stroke();
    if ((power - low) % every === 0) context.fillText(number(10 ** power), place, bottom + 6);
  }
}

function drawRow({ context, width, colors }: Frame, row: Shown, y: number, tall: number, x: (value: number) => number, from: number): void {
  context.font = `${Math.min(12, tall - 1)}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  context.textAlign = "right";
  context.fillStyle = colors.text;
  context.fillText(fitting(context, visible(row.name), from - 8), from - 8, y);
  const mark = row.state ? MARKS[row.state] : undefined;
  context.fillText(mark ?? (row.now === null ? "" : number(row.now)), width - 2, y);
  if (row.high === null || row.median === null || row.high <= 0) return;
  const begin = row.low !== null && row.low > 0 ? x(row.low) : from;
  const half = Math.max(2, tall * 0.22);
  context.fillStyle = colorOf(row.state, colors);
  context.globalAlpha = 0.35;
  context.fillRect(begin, y - half, Math.max(2, x(row.high) - begin), 2 * half);
  context.globalAlpha = 1;
  if (row.median > 0) context.fillRect(x(row.median) - 1, y - half, 2, 2 * half);
}

/** The step that is looked at, from the input to the output. */
function drawPath({ context, colors }: Frame, rows: Shown[], tall: number, x: (value: number) => number): void {
  const points = rows.flatMap((row, i) => (row.now !== null && row.now > 0 ? [[x(row.now), (i + 0.5) * tall, row.state] as const] : []));
  context.strokeStyle = colors.muted;
  context.lineWidth = 1.25;
  context.beginPath();
  points.forEach(([px, py], i) => (i ? context.lineTo(px, py) : context.moveTo(px, py)));
  context.stroke();
  for (const [px, py, state] of points) {
    context.fillStyle = colorOf(state, colors);
    context.strokeStyle = colors.panel;
    context.beginPath();
    context.arc(px, py, Math.min(4.5, tall * 0.3), 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
}
