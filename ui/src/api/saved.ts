/** What a saved page carries with it: one view, and the answers that it needs in place of a server's. */

/** An answer as it lies in the file: JSON as it is, or bytes, compressed where that pays. */
interface Entry {
  status?: number;
  headers?: Record<string, string>;
  json?: unknown;
  gzip?: string;
  base64?: string;
}

export interface Saved {
  /** When, as ISO 8601. */
  saved: string;
  title: string;
  version: string;
  /** The view as its address says, from the `#` on. */
  view: string;
  /** Paths of all views that are in the file, as `link` writes them, without `#/`. */
  views: string[];
  /** What the file was bounded to, in megabytes. */
  megabytes: number;
  /** What had no room in it, in words. */
  left_out: string[];
  answers: Record<string, Entry>;
}

/** What this page carries; null where a server answers. */
export const saved: Saved | null = read();

function read(): Saved | null {
  const text = document.getElementById("saved")?.textContent;
  return text ? (JSON.parse(text) as Saved) : null;
}

/** Whether a place of the page is in the file, or may be asked of the server. */
export function isHere(path: string[]): boolean {
  return saved === null || saved.views.includes(path.map(encodeURIComponent).join("/"));
}

type Listener = () => void;
const listeners = new Set<Listener>();

/** Say that somebody was led to what is not in the file. */
export function reportMissed(): void {
  for (const listener of [...listeners]) listener();
}

/** Call a function whenever that happens, until what this gives is called. */
export function onMissed(listener: Listener): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Why an answer is not there. */
export function notKept({ left_out, megabytes }: Saved): string {
  return left_out.length ? `Not kept in this file, which was bounded to ${megabytes} MB.` : "Not kept in this file.";
}

/** What an answer is kept under, as `Asked.key` of `web/export/place.py` says it. */
function key(address: string): string {
  const [path, query = ""] = address.split(/\?(.*)/s);
  const pairs = [...new URLSearchParams(query)].map(([name, value]) => [encodeURIComponent(name), encodeURIComponent(value)]);
  pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return path + (pairs.length ? "?" : "") + pairs.map((pair) => pair.join("=")).join("&");
}

function bytes(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const found = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) found[i] = text.charCodeAt(i);
  return found;
}

/** The answer of an address out of the file; null where it is not in it. */
export function keptAnswer({ answers }: Saved, address: string): Response | null {
  const place = key(address);
  if (!Object.hasOwn(answers, place)) return null;
  const { status = 200, headers, json, gzip, base64 } = answers[place];
  const options = { status, headers };
  if (gzip !== undefined) return new Response(new Blob([bytes(gzip)]).stream().pipeThrough(new DecompressionStream("gzip")), options);
  return new Response(base64 !== undefined ? bytes(base64) : JSON.stringify(json), options);
}

/** Server-sent events out of the file, all at once, in the form in which `EventSource` hands them out. */
export class KeptEvents extends EventTarget {
  onerror: (() => void) | null = null;
  private closed = false;

  constructor(from: Saved, address: string) {
    super();
    void this.play(keptAnswer(from, address));
  }

  close(): void {
    this.closed = true;
  }

  private async play(answer: Response | null): Promise<void> {
    const text = await answer?.text();
    if (this.closed) return;
    if (text === undefined) return this.onerror?.();
    for (const block of text.split("\n\n")) {
      const found = /^event: (.*)\ndata: (.*)$/.exec(block);
      if (found && !this.closed) this.dispatchEvent(new MessageEvent(found[1], { data: found[2] }));
    }
  }
}
