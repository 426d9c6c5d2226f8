/** Numbers, times and names as people read them. */

const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu;

/** A name from a file with what a reader could not see (control, direction, zero-width characters) written out. */
export function visible(name: string): string {
  return name.replace(HIDDEN, (found) => `⟨U+${found.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

/** Text of several lines, each as `visible` has it. */
export function visibleLines(text: string): string {
  return text.replaceAll("\t", "    ").split("\n").map(visible).join("\n");
}

/** At most `length` characters: the beginning and the end, which is where names differ. */
export function shortened(text: string, length = 72): string {
  if (text.length <= length) return text;
  const letters = [...text];
  if (letters.length <= length) return text;
  const half = Math.floor((length - 1) / 2);
  return `${letters.slice(0, half).join("")}…${letters.slice(-half).join("")}`;
}

/** The last part of a path or address, which is what tells files apart. */
export function baseName(label: string): string {
  return label.replace(/[/\\]+$/, "").split(/[/\\]/).at(-1) || label;
}

/** A number in few characters: 0.0123, 4.56e-7, 1,234. */
export function number(value: unknown, digits = 3): string {
  if (typeof value !== "number") return value === null || value === undefined ? "–" : String(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "−Inf";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e9) return minus(value.toLocaleString("en-US"));
  if (size >= 1e6 || size < 1e-4) return minus(value.toExponential(digits - 1).replace(/\.?0*e\+?/, "e"));
  if (size >= 1000) return minus(Math.round(value).toLocaleString("en-US"));
  return minus(String(Number(value.toPrecision(digits))));
}

/** The shortest text that reads back as the same float32. */
export function exact(value: number): string {
  if (!Number.isFinite(value)) return number(value);
  for (let digits = 1; digits < 9; digits++) {
    if (Math.fround(Number(value.toPrecision(digits))) === value) return minus(String(Number(value.toPrecision(digits))));
  }
  return minus(String(Number(value.toPrecision(9))));
}

function minus(text: string): string {
  return text.replaceAll("-", "−");
}

export function percent(share: unknown): string {
  if (typeof share !== "number" || !Number.isFinite(share)) return "–";
  if (share === 0) return "0 %";
  const value = share * 100;
  return value < 0.01 ? "< 0.01 %" : `${value >= 99.995 || value >= 10 ? Number(value.toFixed(1)) : Number(value.toPrecision(2))} %`;
}

export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** A count on an axis: 500 k. */
export function compact(value: number): string {
  const units: [number, string][] = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]];
  for (const [size, unit] of units) if (value >= size) return `${Number((value / size).toPrecision(3))} ${unit}`;
  return String(value);
}

export function bytes(value: number): string {
  const units: [number, string][] = [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]];
  for (const [size, unit] of units) if (value >= size) return `${Number((value / size).toPrecision(3))} ${unit}`;
  return `${value} B`;
}

export function seconds(value: unknown): string {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  if (value < 1) return `${Number(value.toPrecision(2))} s`;
  if (value < 99.95) return `${Number(value.toFixed(1))} s`;
  const whole = Math.round(value);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(value / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function ago(time: string, now = Date.now()): string {
  const passed = (now - Date.parse(time)) / 1000;
  if (!Number.isFinite(passed)) return "–";
  if (passed < 45) return "just now";
  if (passed < 3600) return `${Math.round(passed / 60)} min ago`;
  if (passed < 86400) return `${Math.round(passed / 3600)} h ago`;
  if (passed < 30 * 86400) return `${Math.round(passed / 86400)} d ago`;
  return time.slice(0, 10);
}

export function moment(time: string): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? time : date.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
}

export function shape(sizes: number[]): string {
  return sizes.length ? sizes.join(" × ") : "scalar";
}

/** `update_ratio` as `update ratio`. */
export function words(name: string): string {
  return visible(name).replaceAll("_", " ");
}

/** `val_loss` as `Validation loss`. */
export function title(name: string): string {
  const text = words(name.replace(/^val_/, "validation_").replace(/^train_/, "training_"));
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function plural(amount: number, one: string, many = `${one}s`): string {
  return `${count(amount)} ${amount === 1 ? one : many}`;
}
