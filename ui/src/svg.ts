/** A pen that writes SVG: what is drawn with it becomes elements of their own, and only matrices stay images. */

import { colorAndOpacity, escaped, short } from "./svg_text";
import type { Drawing, Pen } from "./pen";

type Matrix = [number, number, number, number, number, number];

interface State {
  fillStyle: Pen["fillStyle"];
  strokeStyle: Pen["strokeStyle"];
  globalAlpha: number;
  lineWidth: number;
  lineJoin: CanvasLineJoin;
  font: string;
  textAlign: CanvasTextAlign;
  textBaseline: CanvasTextBaseline;
  imageSmoothingEnabled: boolean;
  dash: number[];
  matrix: Matrix;
  clips: string[];
}

/** What a new canvas's context starts with. */
function fresh(): State {
  return {
    fillStyle: "#000000",
    strokeStyle: "#000000",
    globalAlpha: 1,
    lineWidth: 1,
    lineJoin: "miter",
    font: "10px sans-serif",
    textAlign: "start",
    textBaseline: "alphabetic",
    imageSmoothingEnabled: true,
    dash: [],
    matrix: [1, 0, 0, 1, 0, 0],
    clips: [],
  };
}

const ruler = document.createElement("canvas").getContext("2d")!;
const STYLES = ["fillStyle", "strokeStyle", "globalAlpha", "lineWidth", "lineJoin", "font", "textAlign", "textBaseline", "imageSmoothingEnabled"] as const;

export interface SvgPen extends Pen {}

export class SvgPen {
  private state = fresh();
  private stack: State[] = [];
  private path = "";
  /** The path as one whole circle, where it is nothing else. */
  private circle: string | null = null;
  private elements: string[] = [];
  private open: string[] = [];
  private definitions: string[] = [];
  private images = new Map<CanvasImageSource, string>();

  constructor() {
    for (const name of STYLES) {
      Object.defineProperty(this, name, {
        get: () => this.state[name],
        set: (value: never) => {
          this.state[name] = value;
        },
      });
    }
  }

  /** The file, as large as given, under a title for those who do not see it. */
  file(width: number, height: number, title: string): string {
    this.clipTo([]);
    const size = `width="${short(width)}" height="${short(height)}" viewBox="0 0 ${short(width)} ${short(height)}"`;
    const head = `<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="system-ui, sans-serif" stroke-miterlimit="10">`;
    return [head, `<title>${escaped(title)}</title>`, `<defs>${this.definitions.join("\n")}</defs>`, ...this.elements, "</svg>", ""].join("\n");
  }

  /** Another picture at a place of this one; what it draws beyond its edges is cut off. */
  inset(left: number, top: number, width: number, height: number, drawing: Drawing): void {
    this.clipTo(this.state.clips);
    this.stack.push(this.state);
    this.state = { ...fresh(), clips: this.state.clips };
    const inner = this.open.length;
    this.elements.push(`<svg x="${short(left)}" y="${short(top)}" width="${short(width)}" height="${short(height)}">`);
    drawing(this);
    while (this.open.length > inner) this.close();
    this.elements.push("</svg>");
    this.state = this.stack.pop()!;
  }

  save(): void {
    this.stack.push({ ...this.state, dash: [...this.state.dash] });
  }

  restore(): void {
    this.state = this.stack.pop() ?? this.state;
  }

  translate(x: number, y: number): void {
    this.transformed([1, 0, 0, 1, x, y]);
  }

  rotate(angle: number): void {
    this.transformed([Math.cos(angle), Math.sin(angle), -Math.sin(angle), Math.cos(angle), 0, 0]);
  }

  scale(x: number, y: number): void {
    this.transformed([x, 0, 0, y, 0, 0]);
  }

  setLineDash(dash: Iterable<number>): void {
    this.state.dash = [...dash];
  }

  getLineDash(): number[] {
    return [...this.state.dash];
  }

  beginPath(): void {
    this.path = "";
    this.circle = null;
  }

  moveTo(x: number, y: number): void {
    this.add(`M${short(x)} ${short(y)}`);
  }

  lineTo(x: number, y: number): void {
    this.add(`${this.path ? "L" : "M"}${short(x)} ${short(y)}`);
  }

  closePath(): void {
    this.add("Z");
  }

  rect(x: number, y: number, width: number, height: number): void {
    this.add(`M${short(x)} ${short(y)}h${short(width)}v${short(height)}h${short(-width)}Z`);
  }

  arc(x: number, y: number, radius: number, from: number, to: number): void {
    const at = (angle: number) => `${short(x + radius * Math.cos(angle))} ${short(y + radius * Math.sin(angle))}`;
    const whole = Math.abs(to - from) >= 2 * Math.PI;
    const only = whole && !this.path;
    const middle = (from + (whole ? from + 2 * Math.PI : to)) / 2;
    const end = whole ? from + 2 * Math.PI : to;
    const piece = (angle: number) => `A${short(radius)} ${short(radius)} 0 0 1 ${at(angle)}`;
    this.add(`${this.path ? "L" : "M"}${at(from)}${piece(middle)}${piece(end)}`);
    this.circle = only ? `<circle cx="${short(x)}" cy="${short(y)}" r="${short(radius)}"` : null;
  }

  clip(): void {
    const id = `c${this.definitions.length}`;
    this.definitions.push(`<clipPath id="${id}"><path d="${this.path}"${this.placed()}/></clipPath>`);
    this.state.clips = [...this.state.clips, id];
  }

  fill(): void {
    if (this.path) this.draw(`${this.circle ?? `<path d="${this.path}"`}${this.filled()}/>`);
  }

  stroke(): void {
    if (this.path) this.draw(`${this.circle ?? `<path d="${this.path}"`} fill="none"${this.stroked()}/>`);
  }

  fillRect(x: number, y: number, width: number, height: number): void {
    this.draw(`<rect${box(x, y, width, height)}${this.filled()}/>`);
  }

  strokeRect(x: number, y: number, width: number, height: number): void {
    this.draw(`<rect${box(x, y, width, height)} fill="none"${this.stroked()}/>`);
  }

  measureText(text: string): TextMetrics {
    ruler.font = this.state.font;
    ruler.textBaseline = this.state.textBaseline;
    return ruler.measureText(text);
  }

  fillText(text: string, x: number, y: number, room = Infinity): void {
    const { font, textAlign } = this.state;
    const size = /([\d.]+)px/.exec(font)?.[1] ?? "10";
    const weight = /^(bold|[1-9]00) /.exec(font)?.[1];
    const { width, fontBoundingBoxAscent } = this.measureText(text);
    ruler.textBaseline = "alphabetic";
    // Viewers differ in what they make of baselines, so the text stands on the plain one.
    const down = ruler.measureText(text).fontBoundingBoxAscent - fontBoundingBoxAscent;
    const anchor = { center: "middle", right: "end", end: "end", left: "start", start: "start" }[textAlign];
    const squeezed = width > room ? ` textLength="${short(room)}" lengthAdjust="spacingAndGlyphs"` : "";
    const style = `font-size="${size}"${weight ? ` font-weight="${weight}"` : ""}${anchor === "start" ? "" : ` text-anchor="${anchor}"`}`;
    this.draw(`<text x="${short(x)}" y="${short(y + down)}" ${style}${squeezed}${this.filled()}>${escaped(text)}</text>`);
  }

  /** `place` as a canvas's context takes it: where it goes, with or without its size, or after the part that is shown. */
  drawImage(image: CanvasImageSource, ...place: number[]): void {
    const canvas = image as HTMLCanvasElement;
    const whole = [0, 0, canvas.width, canvas.height];
    const [sx, sy, sw, sh, x, y, width, height] = place.length === 8 ? place : [...whole, place[0], place[1], place[2] ?? canvas.width, place[3] ?? canvas.height];
    const rendering = this.state.imageSmoothingEnabled ? "" : ' image-rendering="pixelated"';
    const opacity = this.state.globalAlpha === 1 ? "" : ` opacity="${short(this.state.globalAlpha)}"`;
    const view = `viewBox="${[sx, sy, sw, sh].map(short).join(" ")}" preserveAspectRatio="none"`;
    this.draw(`<g${this.placed()}${opacity}><svg${box(x, y, width, height)} ${view}><use href="#${this.imageId(canvas)}"${rendering}/></svg></g>`);
  }

  /** Each image is in the file once, however often it is drawn. */
  private imageId(canvas: HTMLCanvasElement): string {
    let id = this.images.get(canvas);
    if (id === undefined) {
      id = `i${this.definitions.length}`;
      this.images.set(canvas, id);
      this.definitions.push(`<image id="${id}" width="${canvas.width}" height="${canvas.height}" href="${canvas.toDataURL("image/png")}"/>`);
    }
    return id;
  }

  private add(piece: string): void {
    this.path += piece;
    this.circle = null;
  }

  private transformed([a, b, c, d, e, f]: Matrix): void {
    const [A, B, C, D, E, F] = this.state.matrix;
    this.state.matrix = [A * a + C * b, B * a + D * b, A * c + C * d, B * c + D * d, A * e + C * f + E, B * e + D * f + F];
  }

  private placed(): string {
    const { matrix } = this.state;
    const moved = matrix.some((one, i) => one !== [1, 0, 0, 1, 0, 0][i]);
    return moved ? ` transform="matrix(${matrix.map((one) => Number(one.toFixed(5))).join(" ")})"` : "";
  }

  private filled(): string {
    return `${painted("fill", this.state.fillStyle, this.state.globalAlpha)}${this.placed()}`;
  }

  private stroked(): string {
    const { strokeStyle, globalAlpha, lineWidth, lineJoin, dash } = this.state;
    const join = lineJoin === "miter" ? "" : ` stroke-linejoin="${lineJoin}"`;
    const dashes = dash.length ? ` stroke-dasharray="${dash.map(short).join(" ")}"` : "";
    return `${painted("stroke", strokeStyle, globalAlpha)} stroke-width="${short(lineWidth)}"${join}${dashes}${this.placed()}`;
  }

  private draw(element: string): void {
    this.clipTo(this.state.clips);
    this.elements.push(element);
  }

  /** Open and close groups until exactly these clips hold. */
  private clipTo(clips: string[]): void {
    while (this.open.length > clips.length || this.open.some((one, i) => one !== clips[i])) this.close();
    for (const id of clips.slice(this.open.length)) {
      this.elements.push(`<g clip-path="url(#${id})">`);
      this.open.push(id);
    }
  }

  private close(): void {
    this.elements.push("</g>");
    this.open.pop();
  }
}

function painted(what: "fill" | "stroke", style: Pen["fillStyle"], alpha: number): string {
  const [color, opacity] = colorAndOpacity(String(style));
  const seen = opacity * alpha;
  return ` ${what}="${color}"${seen === 1 ? "" : ` ${what}-opacity="${short(seen)}"`}`;
}

/** SVG draws nothing of a rectangle whose sides are negative; a canvas does. */
function box(x: number, y: number, width: number, height: number): string {
  const [left, top] = [Math.min(x, x + width), Math.min(y, y + height)];
  return ` x="${short(left)}" y="${short(top)}" width="${short(Math.abs(width))}" height="${short(Math.abs(height))}"`;
}
