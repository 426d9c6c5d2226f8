/** Inputs of a model, what explains them, and one over the other, as images of one pixel a value. */

import type { Heat, Picture } from "../api/explained";
import type { Rgb, Scale } from "../scales";

// Over black and over white both can be seen, which the ends of a scale cannot.
const ORANGE: Rgb = [238, 121, 36];
const BLUE: Rgb = [62, 146, 224];
const COVER = 0.9; // how much of the input the strongest heat hides

type Pixel = (place: number) => Rgb;

function painted(width: number, height: number, pixel: Pixel): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) image.data.set([...pixel(i), 255], i * 4);
  context.putImageData(image, 0, 0);
  return canvas;
}

function levels({ planes }: Picture): Pixel {
  return planes.length === 3 ? (i) => [planes[0][i], planes[1][i], planes[2][i]] : (i) => [planes[0][i], planes[0][i], planes[0][i]];
}

/** The input in gray, or in its colors. */
export function inputImage(picture: Picture): HTMLCanvasElement {
  return painted(picture.width, picture.height, levels(picture));
}

export function heatImage(heat: Heat, scale: Scale): HTMLCanvasElement {
  return painted(heat.width, heat.height, (i) => scale(heat.values[i] ?? NaN));
}

/** The heat over the input in gray, the more opaque the stronger it is; `reach` is where colors end. */
export function overlayImage(picture: Picture, heat: Heat, reach: number): HTMLCanvasElement {
  const below = levels(picture);
  return painted(picture.width, picture.height, (i) => {
    const [red, green, blue] = below(i);
    const gray = 0.3 * red + 0.59 * green + 0.11 * blue;
    const value = heat.values[i] ?? 0;
    const cover = COVER * Math.min(1, Math.abs(value) / (reach || 1));
    return (value < 0 ? BLUE : ORANGE).map((part) => Math.round(cover * part + (1 - cover) * gray)) as unknown as Rgb;
  });
}

/** The largest box of an image's form within bounds, in whole pixels a cell where there is room; sequences fill it. */
export function fitted({ width, height }: { width: number; height: number }, wide: number, high: number, fill: boolean): [number, number] {
  if (fill) return [wide, high];
  const cell = Math.min(wide / width, high / height);
  const whole = cell > 1 ? Math.floor(cell) : cell;
  return [Math.max(1, Math.round(width * whole)), Math.max(1, Math.round(height * whole))];
}
