/** The server's stream of events. A browser allows one server six connections: all of its windows share one stream. */

/** Within which a worker says something or counts as broken: Chromium does not always report a script that did not load. */
const PATIENCE_MS = 10_000;

/** What a stream says: that it is there or has ended, or began late; and what the server tells, as JSON. */
export type News = { kind: "open" | "lost" | "missed" } | { kind: "run" | "source"; data: string };

type Tell = (news: News) => void;

/** Open a stream of one's own; what this gives closes it. */
export function listen(address: string, tell: Tell): () => void {
  const stream = new EventSource(address);
  stream.onopen = () => tell({ kind: "open" });
  for (const kind of ["run", "source"] as const) {
    stream.addEventListener(kind, (message: MessageEvent<string>) => tell({ kind, data: message.data }));
  }
  stream.onerror = () => {
    stream.close();
    tell({ kind: "lost" });
  };
  return () => stream.close();
}

/** Take part in the stream that all windows share, until what this gives is called; open one's own where none can be shared. */
export function listenTogether(address: string, tell: Tell): () => void {
  let worker: SharedWorker;
  try {
    worker = new SharedWorker(new URL("./stream_worker.ts", import.meta.url), { type: "module" });
  } catch {
    return listen(address, tell); // old browsers have none, and some frames may not
  }
  const { port } = worker;
  let close = () => {
    port.postMessage(null);
    port.close();
  };
  const alone = () => {
    close();
    tell({ kind: "missed" });
    close = listen(address, tell);
  };
  const patience = setTimeout(alone, PATIENCE_MS);
  const settle = () => {
    clearTimeout(patience);
    worker.onerror = null;
  };
  worker.onerror = () => (settle(), alone());
  port.onmessage = (message: MessageEvent<News>) => (settle(), tell(message.data));
  port.postMessage(new URL(address, document.baseURI).href);
  const leave = () => (settle(), close());
  window.addEventListener("pagehide", leave); // nobody else would tell the worker that the window is gone
  return () => {
    window.removeEventListener("pagehide", leave);
    leave();
  };
}
