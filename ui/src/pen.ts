/** What pictures are drawn with: the part of a canvas's context that they use, so that other things can be drawn into as well. */

export type Pen = Pick<
  CanvasRenderingContext2D,
  | "fillStyle"
  | "strokeStyle"
  | "globalAlpha"
  | "lineWidth"
  | "lineJoin"
  | "font"
  | "textAlign"
  | "textBaseline"
  | "imageSmoothingEnabled"
  | "save"
  | "restore"
  | "translate"
  | "rotate"
  | "scale"
  | "beginPath"
  | "closePath"
  | "moveTo"
  | "lineTo"
  | "arc"
  | "rect"
  | "clip"
  | "fill"
  | "stroke"
  | "fillRect"
  | "strokeRect"
  | "fillText"
  | "measureText"
  | "setLineDash"
  | "getLineDash"
  | "drawImage"
>;

/** Draws what a canvas shows, in its own CSS pixels. */
export type Drawing = (pen: Pen) => void;

const drawings = new WeakMap<HTMLCanvasElement, Drawing>();

/** Remember how a canvas is drawn: a saved picture draws it again. */
export function keepDrawing(canvas: HTMLCanvasElement, drawing: Drawing): void {
  drawings.set(canvas, drawing);
}

export function drawingOf(canvas: HTMLCanvasElement): Drawing | undefined {
  return drawings.get(canvas);
}
