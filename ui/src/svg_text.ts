/** Numbers, colors and texts as every reader of SVG takes them. */

export function short(value: number): string {
  return String(Number(value.toFixed(2)));
}

// What XML 1.0 cannot hold, not even escaped.
const FORBIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Text that stays text, whatever it holds. */
export function escaped(text: string): string {
  return text.replace(FORBIDDEN, "\ufffd").replace(/[&<>"]/g, (one) => ENTITIES[one]);
}

const hex = (value: number) => Math.round(value).toString(16).padStart(2, "0");

/** A color of a canvas as `#rrggbb` and its opacity: SVG 1.1 knows neither `rgb(1 2 3)` nor eight digits. */
export function colorAndOpacity(color: string): [string, number] {
  const digits = /^#([\da-f]{6})([\da-f]{2})?$/i.exec(color);
  if (digits) return [`#${digits[1].toLowerCase()}`, digits[2] ? parseInt(digits[2], 16) / 255 : 1];
  const parts = /^rgba?\(([^)]*)\)$/.exec(color)?.[1].split(/[\s,/]+/).map(Number) ?? [];
  if (parts.length < 3 || parts.some(Number.isNaN)) return [escaped(color), 1];
  return [`#${parts.slice(0, 3).map(hex).join("")}`, parts[3] ?? 1];
}
