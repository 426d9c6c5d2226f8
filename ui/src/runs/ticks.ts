/** Which runs and files are ticked to be compared; in the address. */

import { MOST } from "../panels/subjects";
import { useParam } from "../router";

export interface Ticks {
  /** Runs as `s0~ID` and files as `f0`. */
  references: string[];
  /** How many more can be ticked. */
  room: number;
  has: (one: string) => boolean;
  /** Tick these, as many as there is room for, or take their ticks away. */
  set: (some: string[], on: boolean) => void;
}

export function useTicks(): Ticks {
  const [text, write] = useParam("compare");
  const ticked = new Set(text.split(",").filter(Boolean));
  const room = MOST - ticked.size; // an address by hand may tick too many
  return {
    references: [...ticked],
    room,
    has: (one) => ticked.has(one),
    set: (some, on) => {
      const meant = new Set(some);
      const next = on ? [...ticked, ...[...meant].filter((one) => !ticked.has(one)).slice(0, Math.max(0, room))] : [...ticked].filter((one) => !meant.has(one));
      write(next.join(","));
    },
  };
}
