/** Files that become others while they are shown. Addresses name the content that they mean, so old and new never mix. */

import { useEffect, useRef, useState } from "preact/hooks";
import { saved } from "./saved";

const PINNED = /([a-z0-9~-]+)@[0-9a-f]+/g;

type Listener = (source: string | null) => void;
const listeners = new Set<Listener>();

/** The id of weights as they are now; live models have no content of their own, and a saved page has one of each. */
export function pinned(source: string, content: string | null | undefined): string {
  return content && !saved ? `${source}@${content}` : source;
}

/** Say that weights may have changed: whoever shows them asks what they are now. */
export function reportChanged(source: string): void {
  for (const listener of [...listeners]) listener(source.split("@")[0]);
}

/** Say that any may have changed, as nobody looked for a while. */
export function reportUnseen(): void {
  for (const listener of [...listeners]) listener(null);
}

/** Say so of all whose content a refused address names. */
export function reportRefused(address: string): void {
  for (const [, source] of decodeURIComponent(address).matchAll(PINNED)) reportChanged(source);
}

/** Counts up when weights may have changed: those of `source`, or any. */
export function useChanges(source?: string): number {
  const [version, set] = useState(0);
  useEffect(() => {
    const listener = (changed: string | null) => {
      if (source === undefined || changed === null || changed === source) set((old) => old + 1);
    };
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, [source]);
  return version;
}

/** When what is shown became another; null as long as it is what it was at first. */
export function useReplaced(content: string | null | undefined): Date | null {
  const [when, set] = useState<Date | null>(null);
  const known = useRef(content);
  useEffect(() => {
    if (known.current && content && known.current !== content) set(new Date());
    known.current = content ?? known.current;
  }, [content]);
  return when;
}
