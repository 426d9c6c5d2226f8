/** A statistic of every weight over the depth of the model, as the scan brings it; a point leads to its weight. */

import { useMemo, useState } from "preact/hooks";
import { axes, layout, type Margins, type Plot } from "../parts/axes";
import { Canvas, type Frame, type Point } from "../parts/canvas";
import { Select, Toggle } from "../parts/controls";
import { Empty } from "../parts/states";
import type { Pen } from "../pen";
import { go, link, useParam } from "../router";
import type { LegendItem, Table } from "../save";
import { number, percent, plural, shortened, visible } from "../text";
import { type Colors, useTheme } from "../theme";
import { type Row, statistic, zeroShare } from "./weights";

const HEIGHT = 380;
const NEAR = 24; // pixels within which a click means a point
const SLANT = -Math.PI / 5;
const LETTERS = 18;
const MARGINS: Margins = { left: 64, right: 18, top: 14, bottom: 104 };

interface Quantity {
  id: string;
  name: string;
  about: string;
  value: (row: Row) => number | null;
  format?: (value: number) => string;
}

const field = (id: string, name: string, about: string): Quantity => ({ id, name, about, value: (row) => statistic(row, id) });

/** The larger magnitude of both ends. */
function largest(row: Row): number | null {
  const [low, high] = [statistic(row, "minimum"), statistic(row, "maximum")];
  return low === null || high === null ? null : Math.max(Math.abs(low), Math.abs(high));
}

const QUANTITIES: Quantity[] = [
  field("std", "Std", "Standard deviation: how far values typically lie from the mean."),
  field("rms", "Root mean square", "The typical size of a value."),
  field("mean", "Mean", "Average value."),
  field("norm", "Norm", "Square root of the sum of all squares; grows with the number of values."),
  { id: "largest", name: "Largest size", about: "The value furthest from zero, without its sign.", value: largest },
  field("minimum", "Min", "Smallest value."),
  field("maximum", "Max", "Largest value."),
  { id: "zeros", name: "Zeros", about: "Share of values that are exactly zero.", value: zeroShare, format: percent },
  field("skewness", "Skewness", "0 is symmetric; positive leans to large values."),
  field("kurtosis", "Kurtosis", "How heavy the tails are."),
];

const ROLES = ["linear", "conv", "embedding", "recurrent", "norm", "bias", "other"];

function broken({ statistics }: Row): boolean {
  return ["nan", "positive_infinity", "negative_infinity"].some((name) => Number(statistics?.[name] ?? 0) > 0);
}

function byDepth(rows: Row[]): Row[] {
  return [...rows].sort((a, b) => a.weight.depth - b.weight.depth);
}

/** All that the picture can show, as a table. */
export function depthTable(rows: Row[]): Table {
  return [
    ["depth", "index", "name", "role", ...QUANTITIES.map((one) => one.id)],
    ...byDepth(rows).map((row) => [row.weight.depth, row.weight.index, row.weight.name, row.weight.role, ...QUANTITIES.map((one) => one.value(row))]),
  ];
}

function colorOf(role: string, colors: Colors): string {
  return colors.palette[ROLES.indexOf(role) % colors.palette.length];
}

function rolesOf(rows: Row[]): string[] {
  return ROLES.filter((one) => rows.some(({ weight }) => weight.role === one));
}

/** What the colors of a saved picture mean. */
export function depthLegend(rows: Row[], colors: Colors): LegendItem[] {
  return rolesOf(rows).map((role) => ({ label: role, color: colorOf(role, colors) }));
}

interface Mark {
  row: Row;
  place: number;
  value: number;
}

export function DepthProfile({ source, rows }: { source: string; rows: Row[] }) {
  const [id, setId] = useParam("stat", "std");
  const [role, setRole] = useParam("role", "");
  const [log, setLog] = useParam("logd");
  const [at, setAt] = useState<number | null>(null);
  const { colors } = useTheme();
  const quantity = QUANTITIES.find((one) => one.id === id) ?? QUANTITIES[0];
  const roles = rolesOf(rows);
  const chosen = roles.includes(role) ? role : "";
  const ordered = useMemo(() => byDepth(rows).filter(({ weight }) => !chosen || weight.role === chosen), [rows, chosen]);
  const marks = ordered.flatMap((row, place): Mark[] => {
    const value = quantity.value(row);
    return value === null || (log && value <= 0) ? [] : [{ row, place, value }];
  });
  const color = (name: string) => colorOf(name, colors);
  const waiting = ordered.filter((row) => !row.statistics).length;
  const without = ordered.length - waiting - marks.length;
  const open = (mark: Mark) => go(link(["source", source, "weight", mark.row.weight.index]));
  const shown = at === null ? null : (marks.find((mark) => mark.place === at) ?? null);
  return (
    <>
      <div class="toolbar">
        <Select label="Statistic" value={quantity.id} options={QUANTITIES.map((one) => [one.id, one.name] as const)} onChange={setId} />
        <Select label="Role" value={chosen} options={[["", "all"], ...roles.map((one) => [one, one] as const)]} onChange={setRole} />
        <Toggle label="Log scale" on={log === "1"} onChange={(on) => setLog(on ? "1" : "")} title="Shows factors instead of differences; leaves out what is not positive" />
        <span class="muted">{quantity.about}</span>
      </div>
      {marks.length === 0 ? (
        <Empty>{waiting ? "The first statistics are on their way." : log ? "No value is positive, so there is no log scale." : "No weight has this statistic."}</Empty>
      ) : (
        <>
          <ul class="legend">
            {roles
              .filter((one) => !chosen || one === chosen)
              .map((one) => (
                <li key={one}>
                  <i class="swatch" style={{ background: color(one) }} aria-hidden="true" />
                  {one}
                </li>
              ))}
          </ul>
          <Chart marks={marks} ordered={ordered} quantity={quantity} log={log === "1"} color={color} at={at} onAt={setAt} onOpen={open} />
        </>
      )}
      <span class={`readout ${shown ? "strong" : ""}`} role="status" data-testid="depth-readout">
        {shown
          ? `${shortened(visible(shown.row.weight.name), 90)}: ${quantity.name.toLowerCase()} ${(quantity.format ?? number)(shown.value)}${broken(shown.row) ? ", of its finite values only" : ""}`
          : `Point at a weight to name it, click to open it; with the keyboard, arrows and Enter.${without > 0 ? ` ${plural(without, "weight")} without a point${log ? " on this scale" : ""}.` : ""}${waiting ? ` ${plural(waiting, "weight")} still to scan.` : ""}`}
      </span>
    </>
  );
}

interface ChartProps {
  marks: Mark[];
  ordered: Row[];
  quantity: Quantity;
  log: boolean;
  color: (role: string) => string;
  at: number | null;
  onAt: (place: number | null) => void;
  onOpen: (mark: Mark) => void;
}

function Chart({ marks, ordered, quantity, log, color, at, onAt, onOpen }: ChartProps) {
  const values = marks.map((mark) => mark.value);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const room = log ? 0 : (most - least || Math.abs(most) || 1) * 0.06;
  // A scale of factors shows at least one, so that equal values lie in its middle.
  const low = log ? least / 1.3 : least >= 0 && least < most / 2 ? 0 : least - room;
  const x = { low: -0.5, high: ordered.length - 0.5 };
  const y = { low, high: log ? most * 1.3 : most + room, log, format: quantity.format };
  const nearest = (point: Point, width: number): Mark | null => {
    const plot = layout(width, HEIGHT, x, y, MARGINS);
    let [best, distance] = [null as Mark | null, NEAR];
    for (const mark of marks) {
      const away = Math.hypot(plot.x(mark.place) - point.x, plot.y(mark.value) - point.y);
      if (away < distance) [best, distance] = [mark, away];
    }
    return best;
  };
  const draw = (frame: Frame) => {
    const { context, colors } = frame;
    const plot = axes(frame, { ...x, format: () => "" }, y, MARGINS);
    if (low < 0 && y.high > 0) baseline(frame, plot);
    names(frame, plot, ordered);
    for (const role of new Set(marks.map((mark) => mark.row.weight.role))) {
      const own = marks.filter((mark) => mark.row.weight.role === role);
      context.strokeStyle = color(role);
      context.globalAlpha = 0.55;
      context.lineWidth = 1.5;
      context.beginPath();
      own.forEach((mark) => context.lineTo(plot.x(mark.place), plot.y(mark.value)));
      context.stroke();
      context.globalAlpha = 1;
      context.fillStyle = color(role);
      for (const mark of own) dot(context, plot, mark, ordered.length > 150 ? 2.5 : 4);
    }
    context.lineWidth = 2;
    context.strokeStyle = colors.alarm;
    for (const mark of marks) if (broken(mark.row)) ring(context, plot, mark, 7);
    const shown = marks.find((mark) => mark.place === at);
    if (!shown) return;
    context.strokeStyle = colors.text;
    ring(context, plot, shown, 8);
  };
  const step = (by: number) => {
    const now = marks.findIndex((mark) => mark.place === at);
    const next = now < 0 ? (by > 0 ? 0 : marks.length - 1) : Math.max(0, Math.min(marks.length - 1, now + by));
    onAt(marks[next].place);
  };
  const keys: Record<string, () => void> = {
    ArrowLeft: () => step(-1),
    ArrowRight: () => step(1),
    Home: () => onAt(marks[0].place),
    End: () => onAt(marks[marks.length - 1].place),
    Escape: () => onAt(null),
    Enter: () => {
      const shown = marks.find((mark) => mark.place === at);
      if (shown) onOpen(shown);
    },
  };
  return (
    <Canvas
      height={HEIGHT}
      className="pointed"
      label={`${quantity.name} of ${plural(marks.length, "weight")} in the order of the model, from ${number(least)} to ${number(most)}`}
      draw={draw}
      onHover={(point, size) => onAt((point && nearest(point, size.width)?.place) ?? null)}
      onPick={(point, size) => {
        const found = nearest(point, size.width);
        if (found) onOpen(found);
      }}
      onKey={(event) => {
        const act = keys[event.key];
        if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        act();
      }}
    />
  );
}

function dot(context: Pen, plot: Plot, mark: Mark, radius: number): void {
  context.beginPath();
  context.arc(plot.x(mark.place), plot.y(mark.value), radius, 0, 2 * Math.PI);
  context.fill();
}

function ring(context: Pen, plot: Plot, mark: Mark, radius: number): void {
  context.beginPath();
  context.arc(plot.x(mark.place), plot.y(mark.value), radius, 0, 2 * Math.PI);
  context.stroke();
}

function baseline({ context, colors }: Frame, plot: Plot): void {
  context.strokeStyle = colors.muted;
  context.setLineDash([4, 4]);
  context.beginPath();
  context.moveTo(plot.left, Math.round(plot.y(0)) + 0.5);
  context.lineTo(plot.right, Math.round(plot.y(0)) + 0.5);
  context.stroke();
  context.setLineDash([]);
}

/** Names below the axis, as many as fit: the ends of names, where layers differ. */
function names({ context, colors }: Frame, plot: Plot, ordered: Row[]): void {
  const apart = (plot.right - plot.left) / ordered.length;
  const every = Math.max(1, Math.ceil(18 / apart));
  context.save();
  context.fillStyle = colors.muted;
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (let place = 0; place < ordered.length; place += every) {
    context.save();
    context.translate(plot.x(place) + 3, plot.bottom + 12);
    context.rotate(SLANT);
    context.fillText(shortened(visible(ordered[place].weight.name), LETTERS), 0, 0);
    context.restore();
  }
  context.restore();
}
