/** A canvas as wide as its place and sharp on any screen, drawn again when its size, the theme or what it shows changes. */

import { useLayoutEffect, useRef } from "preact/hooks";
import { keepDrawing, type Pen } from "../pen";
import { type Colors, useTheme } from "../theme";
import { useWidth } from "./width";

export interface Frame {
  context: Pen;
  width: number;
  height: number;
  colors: Colors;
}

export interface Point {
  x: number;
  y: number;
}

interface Props {
  height: number;
  /** What it shows, for those who do not see it. */
  label: string;
  draw: (frame: Frame) => void;
  onHover?: (point: Point | null, frame: { width: number; height: number }) => void;
  onPick?: (point: Point, frame: { width: number; height: number }) => void;
  /** Called while a rectangle is drawn with the pointer; `done` at its end. */
  onBrush?: (from: Point, to: Point, done: boolean) => void;
  onKey?: (event: KeyboardEvent) => void;
  /** To listen on it in another way. */
  reference?: { current: HTMLCanvasElement | null };
  role?: "img" | "application";
  className?: string;
}

const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";

export function Canvas({ height, label, draw, onHover, onPick, onBrush, onKey, reference, role = "img", className = "" }: Props) {
  const own = useRef<HTMLCanvasElement>(null);
  const canvas = reference ?? own;
  const width = useWidth(canvas);
  const { colors } = useTheme();
  const start = useRef<Point | null>(null);

  useLayoutEffect(() => {
    const element = canvas.current!;
    if (!width) return;
    const ratio = window.devicePixelRatio || 1;
    element.width = Math.round(width * ratio);
    element.height = Math.round(height * ratio);
    const context = element.getContext("2d")!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const drawn = (pen: Pen) => {
      pen.font = FONT;
      draw({ context: pen, width, height, colors });
    };
    drawn(context);
    keepDrawing(element, drawn);
  });

  const place = (event: PointerEvent | MouseEvent): Point => {
    const box = canvas.current!.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const size = { width, height };
  return (
    <canvas
      ref={canvas}
      class={`canvas ${className}`}
      style={{ height: `${height}px` }}
      role={role}
      aria-label={label}
      tabIndex={onKey || role === "application" ? 0 : undefined}
      onKeyDown={onKey}
      onPointerMove={(event) => {
        const point = place(event);
        if (start.current && onBrush) onBrush(start.current, point, false);
        else onHover?.(point, size);
      }}
      onPointerLeave={() => onHover?.(null, size)}
      onPointerDown={(event) => {
        if (!onBrush || event.button !== 0) return;
        start.current = place(event);
        canvas.current!.setPointerCapture(event.pointerId);
      }}
      onPointerUp={(event) => {
        if (start.current && onBrush) onBrush(start.current, place(event), true);
        start.current = null;
      }}
      onClick={(event) => onPick?.(place(event), size)}
    />
  );
}
