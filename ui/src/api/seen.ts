/** Whether somebody looks: a browser allows one server few connections, whatever the number of its tabs. */

import { useEffect, useState } from "preact/hooks";

export function useIsSeen(): boolean {
  const [seen, set] = useState(!document.hidden);
  useEffect(() => {
    const listener = () => set(!document.hidden);
    document.addEventListener("visibilitychange", listener);
    return () => document.removeEventListener("visibilitychange", listener);
  }, []);
  return seen;
}

/** Whether the page has been in sight: tabs that were opened aside leave the connections to the one that is looked at. */
export function useWasSeen(): boolean {
  const seen = useIsSeen();
  const [was, set] = useState(seen);
  if (seen && !was) set(true);
  return was || seen;
}
