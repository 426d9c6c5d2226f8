/** What stands where there is nothing to show: loading, empty, failed. */

import type { ComponentChildren } from "preact";
import { visible } from "../text";

export function Loading({ height = 120, what = "Loading" }: { height?: number; what?: string }) {
  return (
    <div class="state loading" role="status" style={{ minHeight: `${height}px` }}>
      <span class="spinner" aria-hidden="true" />
      {what}…
    </div>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="state empty">{children}</div>;
}

export function Failure({ error }: { error: Error | string }) {
  return (
    <div class="state failure" role="alert">
      <span aria-hidden="true">⚠</span> {visible(typeof error === "string" ? error : error.message)}
    </div>
  );
}
