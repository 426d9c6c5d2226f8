/** Requests to the server, all relative to the page's own address; a saved page answers them itself. */

import { reportRefused } from "./changes";
import { reportLost } from "./connection";
import { keptAnswer, notKept, type Saved, saved } from "./saved";

/** An answer that says what is wrong, or no answer (`status` 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Whether the server says that what was asked for is not there or cannot be read, so that what is known of it is history. */
export function isGone(error: ApiError | null): boolean {
  return error !== null && [404, 409].includes(error.status);
}

export async function answer(address: string, signal?: AbortSignal, accept = "*/*"): Promise<Response> {
  const response = saved ? kept(saved, address) : await fetched(address, accept, signal);
  if (response.ok) return response;
  if (response.status === 409 && !saved) reportRefused(address);
  let message = `The server answered ${response.status}.`;
  try {
    const body: unknown = await response.json();
    if (body && typeof body === "object" && "error" in body) message = String(body.error);
  } catch {
    // not JSON: the status says enough
  }
  throw new ApiError(response.status, message);
}

function kept(from: Saved, address: string): Response {
  const response = keptAnswer(from, address);
  if (!response) throw new ApiError(0, notKept(from));
  return response;
}

async function fetched(address: string, accept: string, signal?: AbortSignal): Promise<Response> {
  try {
    return await fetch(address, { signal, headers: { Accept: accept } });
  } catch (error) {
    if (signal?.aborted) throw error;
    reportLost();
    throw new ApiError(0, "The server does not answer.");
  }
}

export async function getJson<T>(address: string, signal?: AbortSignal): Promise<T> {
  return (await (await answer(address, signal)).json()) as T;
}

/** A file that the server makes, and what it calls it. */
export async function getFile(address: string, signal?: AbortSignal): Promise<{ file: Blob; name: string }> {
  const response = await answer(address, signal);
  const name = /filename\*=UTF-8''([^;]+)/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? "";
  return { file: await response.blob(), name: decodeURIComponent(name) };
}

export interface Cells {
  rows: number;
  columns: number;
  values: Float32Array;
}

/** One tile of a matrix: float32, little endian, row by row. */
export async function getCells(address: string, signal?: AbortSignal): Promise<Cells> {
  const response = await answer(address, signal);
  const rows = Number(response.headers.get("X-Rows"));
  const columns = Number(response.headers.get("X-Columns"));
  const values = new Float32Array(await response.arrayBuffer());
  if (values.length !== rows * columns) throw new ApiError(0, "The server sent a damaged tile.");
  return { rows, columns, values };
}

/** An address below `api/` with its segments and parameters escaped. */
export function address(segments: (string | number)[], parameters: Record<string, string | number | string[] | null | undefined> = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === null || value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, String(one));
  }
  const path = ["api", ...segments.map((segment) => encodeURIComponent(String(segment)))].join("/");
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}
