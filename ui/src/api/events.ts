/** What the server says on its own: changes of runs and files, and statistics as weights are scanned. */

import { useEffect, useRef, useState } from "preact/hooks";
import { reportChanged, reportUnseen } from "./changes";
import { address } from "./client";
import { reportLost, useConnection } from "./connection";
import { KeptEvents, notKept, saved } from "./saved";
import { useIsSeen } from "./seen";
import { listenTogether, type News } from "./stream";
import type { RunEvent, StreamedStatistics } from "./types";

const SPACING_MS = 250;

type Listener = (event: RunEvent | null) => void;
const listeners = new Set<Listener>();

/** Hand on what the server told. */
function hear(news: News): void {
  if (news.kind === "run") {
    const event = JSON.parse(news.data) as RunEvent;
    for (const listener of [...listeners]) listener(event);
  } else if (news.kind === "source") {
    reportChanged((JSON.parse(news.data) as { source: string }).source);
  } else if (news.kind === "lost") {
    reportLost();
  }
}

/** Listen while the page is seen, and catch up when it is seen again; used once, by the page's frame. */
export function useEventStream(): void {
  const { lost, generation } = useConnection();
  const seen = useIsSeen();
  const missed = useRef(false);
  useEffect(() => {
    if (lost || !seen) missed.current = true;
    if (lost || !seen || saved) return;
    return listenTogether("api/events", (news) => {
      hear(news);
      if (news.kind === "missed") missed.current = true;
      if (news.kind !== "open" || !missed.current) return;
      missed.current = false;
      for (const listener of [...listeners]) listener(null);
      reportUnseen();
    });
  }, [lost, generation, seen]);
}

export interface Live {
  version: number;
  last: RunEvent | null;
}

/** Counts up when a run that `concerns` says yes to has changed; at most four times a second. */
export function useRunEvents(concerns: (event: RunEvent) => boolean): Live {
  const [live, set] = useState<Live>({ version: 0, last: null });
  const test = useRef(concerns);
  test.current = concerns;
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let last: RunEvent | null = null;
    let told = 0;
    const tell = () => {
      timer = undefined;
      told = performance.now();
      set((old) => ({ version: old.version + 1, last }));
    };
    const listener = (event: RunEvent | null) => {
      if (event && !test.current(event)) return;
      last = event ?? last;
      timer ??= setTimeout(tell, Math.max(0, told + SPACING_MS - performance.now()));
    };
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      clearTimeout(timer);
    };
  }, []);
  return live;
}

export interface Scan {
  statistics: Map<number, StreamedStatistics>;
  done: boolean;
  error: string | null;
}

const NOT_SCANNED: Scan = { statistics: new Map(), done: false, error: null };

/** Statistics of a source's weights by index, as far as they have been scanned; none while there is no source. */
export function useScan(source: string | null): Scan {
  const { lost, generation } = useConnection();
  const [scan, set] = useState<Scan>(NOT_SCANNED);
  useEffect(() => set(NOT_SCANNED), [source]);
  useEffect(() => {
    if (lost || source === null) return;
    const found = new Map<number, StreamedStatistics>();
    const place = address(["sources", source, "statistics"]);
    const events = saved ? new KeptEvents(saved, place) : new EventSource(place);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = (done: boolean, error: string | null = null) => {
      clearTimeout(timer);
      timer = undefined;
      set({ statistics: new Map(found), done, error });
    };
    const end = (error: string | null) => {
      events.close();
      show(true, error);
    };
    events.addEventListener("weight", (message: Event) => {
      const one = JSON.parse((message as MessageEvent<string>).data) as StreamedStatistics;
      found.set(one.index, one);
      timer ??= setTimeout(() => show(false), 120);
    });
    events.addEventListener("done", () => end(null));
    events.addEventListener("failed", (message: Event) => {
      const body = JSON.parse((message as MessageEvent<string>).data) as { message?: string };
      end(body.message ?? "The scan failed.");
    });
    events.onerror = () => {
      if (saved) return end(notKept(saved));
      // Either the server is gone (a probe finds out, and its return opens this again), or it refused the source.
      end("The scan was interrupted.");
      reportChanged(source);
      fetch("api/hello").catch(reportLost);
    };
    return () => {
      events.close();
      clearTimeout(timer);
    };
  }, [source, lost, generation]);
  return scan;
}
