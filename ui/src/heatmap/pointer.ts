/** Pointers and keys on the picture of a matrix: drag, wheel and pinch like on a map, and the same from the keyboard. */

interface Spot {
  x: number;
  y: number;
}

export interface Actions {
  pan: (x: number, y: number) => void;
  zoom: (factor: number, x: number, y: number) => void;
  fit: () => void;
  hover: (x: number, y: number) => void;
  leave: () => void;
  pick: (x: number, y: number) => void;
  /** A rectangle from one corner to another; `done` at its end. */
  brush: (from: Spot, to: Spot, done: boolean) => void;
  step: (down: number, across: number) => void;
  /** Whether dragging draws a rectangle, with the shift key held or not. */
  brushing: (shift: boolean) => boolean;
  middle: () => [number, number];
  /** What Enter does, where that is not a click in the middle. */
  enter?: () => void;
}

const CLICK = 4; // pixels a click may move

/** Listen on an element; what comes back stops it. */
export function listen(element: HTMLElement, actions: Actions): () => void {
  const down = new Map<number, Spot>();
  let start: Spot | null = null;
  let brushing = false;
  let travelled = 0;
  const spot = (event: MouseEvent): Spot => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const apart = () => {
    const [a, b] = [...down.values()];
    return { distance: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  };

  const onDown = (event: PointerEvent) => {
    if (event.button !== 0) return;
    element.setPointerCapture(event.pointerId);
    const here = spot(event);
    down.set(event.pointerId, here);
    if (down.size > 1) return;
    start = here;
    travelled = 0;
    brushing = actions.brushing(event.shiftKey);
  };
  const onMove = (event: PointerEvent) => {
    const here = spot(event);
    const before = down.get(event.pointerId);
    if (!before) {
      actions.hover(here.x, here.y);
      return;
    }
    if (down.size === 2) {
      const old = apart();
      down.set(event.pointerId, here);
      const now = apart();
      if (old.distance > 0) actions.zoom(now.distance / old.distance, now.x, now.y);
      actions.pan(now.x - old.x, now.y - old.y);
      travelled = Infinity;
      return;
    }
    down.set(event.pointerId, here);
    travelled += Math.hypot(here.x - before.x, here.y - before.y);
    if (brushing && start) actions.brush(start, here, false);
    else if (travelled > CLICK) actions.pan(here.x - before.x, here.y - before.y);
  };
  const onUp = (event: PointerEvent) => {
    if (!down.delete(event.pointerId)) return;
    const here = spot(event);
    if (event.type === "pointerup" && start) {
      if (brushing && travelled > CLICK) actions.brush(start, here, true);
      else if (travelled <= CLICK) actions.pick(here.x, here.y);
    }
    if (!down.size) start = null;
  };
  const onWheel = (event: WheelEvent) => {
    event.preventDefault();
    const { x, y } = spot(event);
    const pixels = event.deltaMode === 1 ? event.deltaY * 30 : event.deltaY;
    actions.zoom(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.0022)), x, y);
  };
  const onDouble = (event: MouseEvent) => {
    const { x, y } = spot(event);
    actions.zoom(event.shiftKey ? 1 / 3 : 3, x, y);
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [x, y] = actions.middle();
    const by = 80;
    const arrows: Record<string, [number, number]> = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (event.key in arrows) {
      const [rows, columns] = arrows[event.key];
      if (event.shiftKey) actions.step(rows, columns);
      else actions.pan(-columns * by, -rows * by);
    } else if (event.key === "+" || event.key === "=") actions.zoom(1.6, x, y);
    else if (event.key === "-" || event.key === "_") actions.zoom(1 / 1.6, x, y);
    else if (event.key === "0" || event.key === "Home") actions.fit();
    else if (event.key === "Enter") (actions.enter ?? (() => actions.pick(x, y)))();
    else return;
    event.preventDefault();
  };
  const leave = () => actions.leave();
  element.addEventListener("pointerdown", onDown);
  element.addEventListener("pointermove", onMove);
  element.addEventListener("pointerup", onUp);
  element.addEventListener("pointercancel", onUp);
  element.addEventListener("pointerleave", leave);
  element.addEventListener("wheel", onWheel, { passive: false });
  element.addEventListener("dblclick", onDouble);
  element.addEventListener("keydown", onKey);
  return () => {
    element.removeEventListener("pointerdown", onDown);
    element.removeEventListener("pointermove", onMove);
    element.removeEventListener("pointerup", onUp);
    element.removeEventListener("pointercancel", onUp);
    element.removeEventListener("pointerleave", leave);
    element.removeEventListener("wheel", onWheel);
    element.removeEventListener("dblclick", onDouble);
    element.removeEventListener("keydown", onKey);
  };
}
