/** Files for the reader to keep: tables as CSV, pictures as PNG. */

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

/** Hand over a file that is called after what is shown and the panel that it is of. */
function download(blob: Blob, panel: string, ending: string): void {
  const address = URL.createObjectURL(blob);
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.download = `${`${subject()} ${panel}`.trim().replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[-.]+/, "").slice(0, 120)}.${ending}`;
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
  download(new Blob([csv(table)], { type: "text/csv;charset=utf-8" }), panel, "csv");
}

/** All canvases within `element` and the ends of its scales where they stand, below the title and the legend. */
export function savePng(element: HTMLElement, title: string, legend: LegendItem[], colors: Colors): void {
  const canvases = [...element.querySelectorAll("canvas")].filter((canvas) => canvas.width && canvas.height);
  if (!canvases.length) return;
  const ends = [...element.querySelectorAll<HTMLElement>(".scale-bar > span")];
  const boxes = [...canvases, ...ends].map((one) => one.getBoundingClientRect());
  const left = Math.min(...boxes.map((box) => box.left));
  const top = Math.min(...boxes.map((box) => box.top));
  const width = Math.max(...boxes.map((box) => box.right)) - left;
  const height = Math.max(...boxes.map((box) => box.bottom)) - top;
  const scale = Math.max(2, window.devicePixelRatio);
  const margin = 16;
  const head = legend.length ? 58 : 36;
  const picture = document.createElement("canvas");
  picture.width = (width + 2 * margin) * scale;
  picture.height = (height + margin + head) * scale;
  const context = picture.getContext("2d")!;
  context.scale(scale, scale);
  context.fillStyle = colors.panel;
  context.fillRect(0, 0, width + 2 * margin, height + margin + head);
  context.fillStyle = colors.text;
  context.font = "600 14px system-ui, sans-serif";
  context.fillText([title, subject()].filter(Boolean).join(" · "), margin, 24, width);
  context.font = "12px system-ui, sans-serif";
  let place = margin;
  for (const item of legend) {
    context.fillStyle = item.color;
    context.fillRect(place, 38, 12, 3);
    context.fillStyle = colors.muted;
    context.fillText(item.label, place + 17, 44);
    place += 17 + context.measureText(item.label).width + 16;
  }
  canvases.forEach((canvas, i) => {
    context.drawImage(canvas, boxes[i].left - left + margin, boxes[i].top - top + head, boxes[i].width, boxes[i].height);
  });
  context.fillStyle = colors.muted;
  context.textBaseline = "middle";
  ends.forEach((end, i) => {
    const box = boxes[canvases.length + i];
    context.fillText(end.innerText, box.left - left + margin, box.top + box.height / 2 - top + head);
  });
  picture.toBlob((blob) => blob && download(blob, title, "png"), "image/png");
}
