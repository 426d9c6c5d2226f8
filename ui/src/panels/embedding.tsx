/** The neurons of a weight as points, alike ones near each other; brushing points marks their rows everywhere. */

import { useState } from "preact/hooks";
import { address } from "../api/client";
import { useLong } from "../api/data";
import type { Embedding } from "../api/types";
import { Canvas, type Frame, type Point } from "../parts/canvas";
import { Segments } from "../parts/controls";
import { Panel, When } from "../parts/panel";
import { Empty } from "../parts/states";
import { useParam } from "../router";
import { count, number, percent } from "../text";

const HEIGHT = 300;
const PAD = 14;
const NEAR = 9; // pixels

const METHODS = [
  ["pca", "PCA"],
  ["tsne", "t-SNE"],
] as const;

interface Props {
  base: (string | number)[];
  rows: ReadonlySet<number>;
  total: number;
  onRows: (rows: Iterable<number>) => void;
}

/** Where the points lie on the canvas; both axes have one scale, as distances matter. */
export function placed(points: number[][], width: number, height: number): Point[] {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min((width - 2 * PAD) / (right - left || 1), (height - 2 * PAD) / (high - low || 1));
  return points.map(([x, y]) => ({ x: width / 2 + (x - (left + right) / 2) * scale, y: height / 2 - (y - (low + high) / 2) * scale }));
}

export function EmbeddingPanel({ base, rows, total, onRows }: Props) {
  const [method, setMethod] = useParam("method", "pca");
  const loaded = useLong<Embedding>(address([...base, "embedding"], { method, dimensions: 2 }));
  const [near, setNear] = useState<number | null>(null);
  const [box, setBox] = useState<[Point, Point] | null>(null);

  const draw = ({ context, width, height, colors }: Frame, data: Embedding) => {
    const places = placed(data.points, width, height);
    context.strokeStyle = colors.grid;
    context.strokeRect(0.5, 0.5, width - 1, height - 1);
    const size = data.points.length > 600 ? 2.2 : 3.4;
    const dot = (i: number, radius: number, color: string, alpha: number) => {
      context.globalAlpha = alpha;
      context.fillStyle = color;
      context.beginPath();
      context.arc(places[i].x, places[i].y, radius, 0, 2 * Math.PI);
      context.fill();
    };
    places.forEach((_, i) => !rows.has(data.rows[i]) && dot(i, size, colors.accent, rows.size ? 0.35 : 0.75));
    places.forEach((_, i) => rows.has(data.rows[i]) && dot(i, size + 1, colors.good, 1));
    context.globalAlpha = 1;
    if (near !== null && places[near]) {
      context.strokeStyle = colors.text;
      context.lineWidth = 1.5;
      context.beginPath();
      context.arc(places[near].x, places[near].y, size + 4, 0, 2 * Math.PI);
      context.stroke();
    }
    if (box) {
      const [a, b] = box;
      context.fillStyle = colors.good;
      context.globalAlpha = 0.12;
      context.fillRect(a.x, a.y, b.x - a.x, b.y - a.y);
      context.globalAlpha = 1;
      context.strokeStyle = colors.good;
      context.strokeRect(a.x, a.y, b.x - a.x, b.y - a.y);
    }
  };
  const nearestTo = (point: Point, width: number, data: Embedding) => {
    let best: number | null = null;
    let distance = NEAR;
    placed(data.points, width, HEIGHT).forEach((place, i) => {
      const away = Math.hypot(place.x - point.x, place.y - point.y);
      if (away < distance) [best, distance] = [i, away];
    });
    return best;
  };
  return (
    <Panel
      title="Neurons as points"
      about="Every row of the matrix is a point; rows with similar weights lie near each other. PCA keeps the directions of largest spread, t-SNE keeps neighbors together (its distances between groups mean little). Drag a box over points to mark their rows in all panels."
      note={loaded.data && loaded.data.rows.length < total ? `${count(loaded.data.rows.length)} of ${count(total)} rows` : null}
      picture
      controls={<Segments label="Method" value={method as "pca" | "tsne"} options={METHODS} onChange={setMethod} />}
      csv={loaded.data ? () => [["row", "x", "y"], ...loaded.data!.rows.map((row, i) => [row, ...loaded.data!.points[i]])] : undefined}
    >
      <When loaded={loaded} height={HEIGHT}>
        {(data) =>
          data.points.length < 3 ? (
            <Empty>There are too few rows for a map.</Empty>
          ) : (
            <Brushed data={data} draw={draw} nearestTo={nearestTo} setNear={setNear} setBox={setBox} onRows={onRows} near={near} rows={rows} method={method} />
          )
        }
      </When>
    </Panel>
  );
}

interface BrushedProps {
  data: Embedding;
  draw: (frame: Frame, data: Embedding) => void;
  nearestTo: (point: Point, width: number, data: Embedding) => number | null;
  near: number | null;
  setNear: (near: number | null) => void;
  setBox: (box: [Point, Point] | null) => void;
  rows: ReadonlySet<number>;
  onRows: (rows: Iterable<number>) => void;
  method: string;
}

function Brushed({ data, draw, nearestTo, near, setNear, setBox, rows, onRows, method }: BrushedProps) {
  const [width, setWidth] = useState(0);
  const inside = (from: Point, to: Point) => {
    const within = (value: number, a: number, b: number) => value >= Math.min(a, b) && value <= Math.max(a, b);
    const places = placed(data.points, width, HEIGHT);
    return data.rows.filter((_, i) => within(places[i].x, from.x, to.x) && within(places[i].y, from.y, to.y));
  };
  const explained = data.method.toLowerCase() === "pca" && data.explained.length ? `The two directions hold ${percent(data.explained[0] + (data.explained[1] ?? 0))} of the spread.` : "";
  const instead = data.method.toLowerCase().replace("-", "") !== method ? "t-SNE of so few or equal rows means nothing: this is PCA. " : "";
  return (
    <>
      <Canvas
        className="crosshair"
        height={HEIGHT}
        label={`${data.points.length} neurons as points by ${data.method}`}
        draw={(frame) => {
          if (frame.width !== width) setWidth(frame.width);
          draw(frame, data);
        }}
        onHover={(point, size) => setNear(point && nearestTo(point, size.width, data))}
        onBrush={(from, to, done) => {
          const dragged = Math.hypot(to.x - from.x, to.y - from.y) > 4;
          setBox(done || !dragged ? null : [from, to]);
          if (!done) return;
          if (dragged) return onRows(inside(from, to));
          const one = nearestTo(to, width, data);
          const row = one === null ? null : data.rows[one];
          onRows(row === null ? [] : rows.has(row) ? [...rows].filter((other) => other !== row) : [...rows, row]);
        }}
      />
      <span class="readout" role="status">
        {near !== null && data.rows[near] !== undefined ? `neuron ${data.rows[near]} at ${data.points[near].map((value) => number(value)).join(", ")}` : instead + (explained || "Point at a neuron to name it.")}
      </span>
    </>
  );
}
