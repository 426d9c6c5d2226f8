/** The address bar as state: everything a view shows is in the hash, so any view can be linked to and gone back to. */

import { useEffect, useState } from "preact/hooks";
import { isHere, reportMissed, saved } from "./api/saved";

export interface Route {
  path: string[];
  params: URLSearchParams;
}

const WRITE_MS = 200; // browsers refuse more than some 100 changes of the address in half a minute

/** A hash that `link` made, taken apart again. */
export function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { path: path.split("/").filter(Boolean).map(decoded), params: new URLSearchParams(query) };
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** The hash of a place: segments are escaped, parameters that are null or empty are left out. */
export function link(path: (string | number)[], params: Record<string, string | number | null | undefined> | URLSearchParams = {}): string {
  const query = params instanceof URLSearchParams ? params : new URLSearchParams();
  if (!(params instanceof URLSearchParams)) {
    for (const [name, value] of Object.entries(params)) if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return `#/${path.map((segment) => encodeURIComponent(String(segment))).join("/")}${text ? `?${text}` : ""}`;
}

/** Where the address bar says one is; a saved page opens with the view that was saved. */
function here(): Route {
  return parse(location.hash || (saved?.view ?? ""));
}

let current = here();
let timer: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();

function changed(): void {
  for (const listener of [...listeners]) listener();
}

function write(): void {
  clearTimeout(timer);
  timer = undefined;
  history.replaceState(null, "", place());
}

function follow(): void {
  clearTimeout(timer);
  timer = undefined;
  current = here();
  changed();
}

window.addEventListener("hashchange", follow);
window.addEventListener("popstate", follow);
// A click may leave this place: what it shows is written down first, so that going back finds it.
document.addEventListener("click", () => timer !== undefined && write(), true);

/** The hash of this place, as it will be in the address bar in a moment. */
export function place(): string {
  return link(current.path, current.params);
}

/** Go to a place that `link` made; a saved page stays where that is not in the file. */
export function go(hash: string): void {
  if (!isHere(parse(hash).path)) return reportMissed();
  if (timer !== undefined) write();
  location.hash = hash;
}

/**
 * Change parameters of this place; null or an empty text takes one away. `quietly` draws nothing anew: for what its own
 * panel draws already, many times a second.
 */
export function setParams(changes: Record<string, string | number | null>, quietly = false): void {
  const params = new URLSearchParams(current.params);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") params.delete(name);
    else params.set(name, String(value));
  }
  current = { path: current.path, params };
  timer ??= setTimeout(write, WRITE_MS);
  if (!quietly) changed();
}

export function useRoute(): Route {
  const [route, set] = useState(current);
  useEffect(() => {
    const listener = () => set(current);
    listeners.add(listener);
    listener();
    return () => void listeners.delete(listener);
  }, []);
  return route;
}

/** One parameter of this place; its fallback is not written into the address. */
export function useParam(name: string, fallback = ""): [string, (value: string) => void] {
  const value = useRoute().params.get(name) ?? fallback;
  return [value, (next: string) => setParams({ [name]: next === fallback ? null : next })];
}

/** Like `useParam`, for a number; anything else in the address counts as absent. */
export function useNumber(name: string): [number | null, (value: number | null) => void] {
  const text = useRoute().params.get(name);
  const value = text === null || text === "" || !Number.isFinite(Number(text)) ? null : Number(text);
  return [value, (next: number | null) => setParams({ [name]: next })];
}
