/** Files for the reader to keep: tables as CSV, pictures as PNG or SVG. */

import { drawingOf, type Pen } from "./pen";
import { SvgPen } from "./svg";
import type { Colors } from "./theme";

export type Table = (string | number | null | undefined)[][];

export interface LegendItem {
  label: string;
  color: string;
}

/** What is shown, as the browser's title says it: files and pictures of two weights are told apart by it. */
function subject(): string {
  return document.title.replace(/(?:^| · )Weightsmith$/, "");
}

/** A name after what is shown and the panel that it is of. */
function named(panel: string, ending: string): string {
  return `${`${subject()} ${panel}`.trim().replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[-.]+/, "").slice(0, 120)}.${ending}`;
}

/** Hand over a file. */
export function download(blob: Blob, name: string): void {
  const address = URL.createObjectURL(blob);
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** A cell as RFC 4180 has it. Text that a spreadsheet would run as a formula gets an apostrophe in front. */
function cell(value: string | number | null | undefined): string {
  if (value === null || value === undefined) return "";
  let text = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csv(table: Table): string {
  return table.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

export function saveCsv(table: Table, panel: string): void {
  download(new Blob([csv(table)], { type: "text/csv;charset=utf-8" }), named(panel, "csv"));
}

const MARGIN = 16;
const LINE = 20; // pixels of a line of the legend

interface Layout {
  title: string;
  legend: { item: LegendItem; x: number; y: number }[];
  canvases: { canvas: HTMLCanvasElement; box: DOMRect }[];
  /** The ends of scales. */
  ends: { text: string; box: DOMRect }[];
  /** From a place on the page to the picture's. */
  left: number;
  top: number;
  width: number;
  height: number;
}

const HEAD_FONT = "600 14px system-ui, sans-serif";
const FONT = "12px system-ui, sans-serif";

/** Where all canvases within `element` go, and the ends of its scales where they stand, below the title and the legend. */
function laidOut(element: HTMLElement, panel: string, legend: LegendItem[]): Layout | null {
  const canvases = [...element.querySelectorAll<HTMLCanvasElement>("canvas:not(.glance *)")].filter((canvas) => canvas.width && canvas.height).map((canvas) => ({ canvas, box: canvas.getBoundingClientRect() }));
  if (!canvases.length) return null;
  const ends = [...element.querySelectorAll<HTMLElement>(".scale-bar > span")].map((end) => ({ text: end.innerText, box: end.getBoundingClientRect() }));
  const boxes = [...canvases, ...ends].map((one) => one.box);
  const [left, top] = [Math.min(...boxes.map((box) => box.left)), Math.min(...boxes.map((box) => box.top))];
  const width = Math.max(...boxes.map((box) => box.right)) - left;
  const ruler = document.createElement("canvas").getContext("2d")!;
  ruler.font = FONT;
  let [x, y] = [MARGIN, 40];
  const places = legend.map((item) => {
    const room = 17 + ruler.measureText(item.label).width;
    if (x > MARGIN && x + room > MARGIN + width) [x, y] = [MARGIN, y + LINE];
    const place = { item, x, y };
    x += room + 16;
    return place;
  });
  const head = legend.length ? y + LINE : 36;
  return {
    title: [panel, subject()].filter(Boolean).join(" · "),
    legend: places,
    canvases,
    ends,
    left: left - MARGIN,
    top: top - head,
    width: width + 2 * MARGIN,
    height: Math.max(...boxes.map((box) => box.bottom)) - top + head + MARGIN,
  };
}

type Put = (canvas: HTMLCanvasElement, x: number, y: number, width: number, height: number) => void;

/** Draw the whole picture; `put` brings each canvas to its place. */
function compose(pen: Pen, layout: Layout, colors: Colors, put: Put): void {
  pen.fillStyle = colors.panel;
  pen.fillRect(0, 0, layout.width, layout.height);
  pen.fillStyle = colors.text;
  pen.font = HEAD_FONT;
  pen.fillText(layout.title, MARGIN, 24, layout.width - 2 * MARGIN);
  pen.font = FONT;
  for (const { item, x, y } of layout.legend) {
    pen.fillStyle = item.color;
    pen.fillRect(x, y - 2, 12, 3);
    pen.fillStyle = colors.muted;
    pen.fillText(item.label, x + 17, y + 4);
  }
  for (const { canvas, box } of layout.canvases) put(canvas, box.left - layout.left, box.top - layout.top, box.width, box.height);
  pen.fillStyle = colors.muted;
  pen.textBaseline = "middle";
  for (const { text, box } of layout.ends) pen.fillText(text, box.left - layout.left, box.top + box.height / 2 - layout.top);
}

/** What a panel shows, as pixels. */
export function savePng(element: HTMLElement, panel: string, legend: LegendItem[], colors: Colors): void {
  const layout = laidOut(element, panel, legend);
  if (!layout) return;
  const scale = Math.max(2, window.devicePixelRatio);
  const picture = document.createElement("canvas");
  [picture.width, picture.height] = [layout.width * scale, layout.height * scale];
  const context = picture.getContext("2d")!;
  context.scale(scale, scale);
  compose(context, layout, colors, (canvas, ...place) => context.drawImage(canvas, ...place));
  picture.toBlob((blob) => blob && download(blob, named(panel, "png")), "image/png");
}

/** What a panel shows, as lines, shapes and text; only matrices are pixels. */
export function saveSvg(element: HTMLElement, panel: string, legend: LegendItem[], colors: Colors): void {
  const layout = laidOut(element, panel, legend);
  if (!layout) return;
  const pen = new SvgPen();
  compose(pen, layout, colors, (canvas, ...place) => {
    const drawing = drawingOf(canvas);
    if (drawing) pen.inset(...place, drawing);
    else pen.drawImage(canvas, ...place);
  });
  download(new Blob([pen.file(layout.width, layout.height, layout.title)], { type: "image/svg+xml;charset=utf-8" }), named(panel, "svg"));
}
