/** What can wait until the first things that were asked for are there, as the server would share its time between them. */

import { useEffect, useState } from "preact/hooks";

const LOOK_MS = 40;

let underWay = 0;

/** Count a request until it has been answered or given up. */
export async function counted<T>(request: Promise<T>): Promise<T> {
  underWay += 1;
  try {
    return await request;
  } finally {
    underWay -= 1;
  }
}

/** Whether nothing has been under way once since `begun`; from then on always. */
export function useQuiet(begun: boolean): boolean {
  const [quiet, set] = useState(false);
  useEffect(() => {
    if (!begun || quiet) return;
    const timer = setInterval(() => underWay === 0 && set(true), LOOK_MS);
    return () => clearInterval(timer);
  }, [begun, quiet]);
  return quiet;
}
