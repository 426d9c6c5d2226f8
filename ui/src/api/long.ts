/** Answers that take long: events say how far they are, and the last one is the result. */

import { answer, ApiError } from "./client";
import { reportLost } from "./connection";

export interface Progress {
  /** 0 to 1; null where that cannot be told. */
  share: number | null;
  doing: string;
}

/** What is at `address`; aborting cancels it, also for the server where nobody else waits for the same. */
export async function getLong<T>(address: string, signal: AbortSignal, tell: (progress: Progress) => void): Promise<T> {
  const response = await answer(address, signal, "text/event-stream, application/json");
  if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) return (await response.json()) as T;
  for await (const [kind, data] of events(response, signal)) {
    if (kind === "progress") tell(JSON.parse(data) as Progress);
    if (kind === "result") return JSON.parse(data) as T;
    if (kind === "failed") {
      const fault = JSON.parse(data) as { error: string; status: number };
      throw new ApiError(fault.status, fault.error);
    }
  }
  reportLost();
  throw new ApiError(0, "The server stopped before the result.");
}

/** Events as our server writes them: one line of kind, one of data, an empty one. */
async function* events(response: Response, signal: AbortSignal): AsyncGenerator<[string, string]> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let pieces: string[] = [];
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      if (signal.aborted) throw error;
      return;
    }
    if (piece.done) return;
    pieces.push(piece.value);
    if (!piece.value.includes("\n")) continue; // a result may come in thousands of pieces
    const parts = pieces.join("").split("\n\n");
    pieces = [parts.pop()!];
    for (const part of parts) {
      const found = /^event: (\S+)\ndata: (.*)$/.exec(part);
      if (found) yield [found[1], found[2]];
    }
  }
}
