/** Runs beside the windows, as long as there are any, and holds one stream for all that want to hear. */

import { listen, type News } from "./stream";

const ports = new Set<MessagePort>();
let close: (() => void) | null = null;
let isOpen = false;

function end(): void {
  close?.();
  close = null;
  isOpen = false;
}

function tell(news: News): void {
  if (news.kind === "open") isOpen = true;
  if (news.kind === "lost") end();
  for (const port of ports) port.postMessage(news);
}

/** A window sends the stream's address when it begins to listen, and null when it stops. */
function hear(port: MessagePort, address: string | null): void {
  if (address === null) {
    ports.delete(port);
    if (ports.size === 0) end();
    return;
  }
  ports.add(port);
  if (isOpen) port.postMessage({ kind: "open" } satisfies News);
  close ??= listen(address, tell);
}

self.addEventListener("connect", (event) => {
  const [port] = (event as MessageEvent).ports;
  port.onmessage = (message: MessageEvent<string | null>) => hear(port, message.data);
});
