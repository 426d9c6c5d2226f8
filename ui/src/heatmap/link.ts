/** What pictures side by side have in common: where one looks, what the pointer is over, and how far colors reach. */

import type { Camera } from "./camera";

export interface News {
  camera?: Camera;
  /** Where the pointer is, in pixels of a picture; null when it has left. */
  hover?: [number, number] | null;
  /** The cell that was picked by hand, `row,column`: it is in sight already. */
  picked?: string;
  /** Magnitude that most blocks of the overview stay within. */
  overview?: number;
}

type Listener = (news: News) => void;

export class Link {
  private listeners = new Set<Listener>();

  /** Hear what the others tell; what comes back ends it. */
  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  tell(news: News, from: Listener): void {
    for (const listener of [...this.listeners]) if (listener !== from) listener(news);
  }
}
