/** Whether the server answers. A request that finds nobody starts a probe; the first answer lets everything load again. */

import { useEffect, useState } from "preact/hooks";

const PROBE_MS = 1500;

type Listener = () => void;
const listeners = new Set<Listener>();
let lost = false;
let generation = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

function changed(): void {
  for (const listener of [...listeners]) listener();
}

/** Say that a request found no server. */
export function reportLost(): void {
  if (lost) return;
  lost = true;
  changed();
  timer = setTimeout(probe, PROBE_MS);
}

async function probe(): Promise<void> {
  try {
    const answer = await fetch("api/hello", { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    lost = false;
    generation += 1;
    changed();
  } catch {
    timer = setTimeout(probe, PROBE_MS);
  }
}

/** Try at once instead of at the next probe. */
export function probeNow(): void {
  clearTimeout(timer);
  void probe();
}

/** `lost` while the server is away; `generation` counts its returns, so effects that depend on it run again. */
export function useConnection(): { lost: boolean; generation: number } {
  const [state, set] = useState({ lost, generation });
  useEffect(() => {
    const listener = () => set({ lost, generation });
    listeners.add(listener);
    listener();
    return () => void listeners.delete(listener);
  }, []);
  return state;
}
