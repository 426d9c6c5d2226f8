/** Neurons as points to look around in: pointing names one, a click or a box marks rows, keys do the same. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Embedding } from "../api/types";
import { listen } from "../heatmap/pointer";
import { Canvas, type Frame, type Point } from "../parts/canvas";
import { setParams, useRoute } from "../router";
import { drawBox, drawPoints } from "./points_drawing";
import { ASIDE, extent, nearest, pannedFlat, placedFlat, projector, readFlat, readSolid, turned, WHOLE, writeFlat, writeSolid, zoomedFlat, zoomedSolid } from "./points_view";

const NEAR = 9; // pixels
const HOW = "Plus and minus zoom, 0 shows all, shift and arrows go from point to point, Enter marks the point's row.";

interface Props {
  data: Embedding;
  height: number;
  marked: ReadonlySet<number>;
  near: number | null;
  onNear: (near: number | null, place: Point | null) => void;
  onRows: (rows: Iterable<number>) => void;
}

/** What is looked at, in the address as well; `read` and `write` know its kind. */
function useView<T>(read: (text: string) => T, write: (view: T) => string): [T, (view: T) => void] {
  const text = useRoute().params.get("look") ?? "";
  const [view, set] = useState(() => read(text));
  const known = useRef(text);
  const wrote = useRef(text);
  useEffect(() => {
    // Looking around is written quietly, so what stands there may be older than what is shown.
    if (text !== known.current && text !== wrote.current) set(read(text));
    known.current = text;
  }, [text]);
  const look = (next: T) => {
    wrote.current = write(next);
    setParams({ look: wrote.current || null }, true);
    set(next);
  };
  return [view, look];
}

export function FlatPoints(props: Props) {
  const [view, look] = useView(readFlat, writeFlat);
  const { points } = props.data;
  return (
    <Points
      {...props}
      label={`Drag a box to mark rows; with shift it moves. Arrow keys move. ${HOW}`}
      places={(size) => placedFlat(points, view, size)}
      pan={(x, y, size) => look(pannedFlat(points, view, x, y, size))}
      zoom={(factor, x, y, size) => look(zoomedFlat(points, view, factor, x, y, size))}
      fit={() => look(WHOLE)}
      brushing={(shift) => !shift}
    />
  );
}

export function SolidPoints(props: Props) {
  const [view, look] = useView(readSolid, writeSolid);
  const { points } = props.data;
  const sides = useMemo(() => extent(points), [points]);
  return (
    <Points
      {...props}
      label={`Drag to turn; with shift a box marks rows. Arrow keys turn. ${HOW}`}
      places={(size) => points.map(projector(sides, view, size))}
      under={(frame) => drawBox(frame, sides, view, frame)}
      pan={(x, y) => look(turned(view, x, y))}
      zoom={(factor) => look(zoomedSolid(view, factor))}
      fit={() => look(ASIDE)}
      brushing={(shift) => shift}
    />
  );
}

interface Size {
  width: number;
  height: number;
}

interface PointsProps extends Props {
  label: string;
  places: (size: Size) => ReturnType<typeof placedFlat>;
  /** Drawn below the points. */
  under?: (frame: Frame) => void;
  pan: (x: number, y: number, size: Size) => void;
  zoom: (factor: number, x: number, y: number, size: Size) => void;
  fit: () => void;
  brushing: (shift: boolean) => boolean;
}

function Points(props: PointsProps) {
  const { data, height, marked, near, label, under } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const [box, setBox] = useState<[Point, Point] | null>(null);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const element = canvas.current!;
    const size = () => ({ width: element.clientWidth, height: latest.current.height });
    const at = (point: Point) => nearest(latest.current.places(size()), point, NEAR);
    const show = (i: number | null) => latest.current.onNear(i, i === null ? null : latest.current.places(size())[i]);
    const toggle = (i: number | null) => {
      const { data, marked, onRows } = latest.current;
      if (i === null) return onRows([]);
      const row = data.rows[i];
      onRows(marked.has(row) ? [...marked].filter((other) => other !== row) : [...marked, row]);
    };
    const inside = (from: Point, to: Point) => {
      const between = (value: number, a: number, b: number) => value >= Math.min(a, b) && value <= Math.max(a, b);
      const places = latest.current.places(size());
      return latest.current.data.rows.filter((_, i) => between(places[i].x, from.x, to.x) && between(places[i].y, from.y, to.y));
    };
    return listen(element, {
      pan: (x, y) => latest.current.pan(x, y, size()),
      zoom: (factor, x, y) => latest.current.zoom(factor, x, y, size()),
      fit: () => latest.current.fit(),
      hover: (x, y) => show(at({ x, y })),
      leave: () => {
        show(null);
        setBox(null);
      },
      pick: (x, y) => toggle(at({ x, y })),
      enter: () => latest.current.near !== null && toggle(latest.current.near),
      brush: (from, to, done) => {
        setBox(done ? null : [from, to]);
        if (done) latest.current.onRows(inside(from, to));
      },
      step: (down, across) => {
        const amount = latest.current.data.rows.length;
        show(((latest.current.near ?? (down + across > 0 ? -1 : amount)) + down + across + amount) % amount);
      },
      brushing: (shift) => latest.current.brushing(shift),
      middle: () => [size().width / 2, size().height / 2],
    });
  }, []);

  return (
    <Canvas
      reference={canvas}
      role="application"
      className="crosshair"
      height={height}
      label={`${data.points.length} neurons as points by ${data.method}. ${label}`}
      draw={(frame) => {
        under?.(frame);
        drawPoints(frame, { places: props.places(frame), rows: data.rows, marked, near, box });
      }}
    />
  );
}
