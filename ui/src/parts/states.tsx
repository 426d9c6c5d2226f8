/** What stands where there is nothing to show: loading, empty, failed. */

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Work } from "../api/data";
import { visible } from "../text";

export function Loading({ height = 120, what = "Loading" }: { height?: number; what?: string }) {
  return (
    <div class="state loading" role="status" style={{ minHeight: `${height}px` }}>
      <span class="spinner" aria-hidden="true" />
      {what}…
    </div>
  );
}

const SOON_MS = 400;

/** What takes long: how far it is, and a way out; nothing of that for what is there soon. */
export function Working({ work, height = 120 }: { work: Work; height?: number }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (work.cancelled) return;
    setLate(false);
    const timer = setTimeout(() => setLate(true), SOON_MS);
    return () => clearTimeout(timer);
  }, [work.cancelled]);
  if (work.cancelled) {
    return (
      <div class="state working" role="status" style={{ minHeight: `${height}px` }}>
        <span>Cancelled.</span>
        <button type="button" onClick={work.again}>
          Start again
        </button>
      </div>
    );
  }
  if (!late) return <Loading height={height} />;
  const share = work.progress?.share ?? null;
  const doing = visible(work.progress?.doing ?? "Waiting for the server");
  return (
    <div class="state loading working" style={{ minHeight: `${height}px` }}>
      <span class="doing">
        <span>{doing}</span>
        {share !== null && <b>{Math.floor(100 * share)} %</b>}
      </span>
      <div class="bar" role="progressbar" aria-label={doing} aria-valuemin={0} aria-valuemax={100} aria-valuenow={share === null ? undefined : Math.floor(100 * share)}>
        <i class={share === null ? "unknown" : ""} style={{ width: `${100 * (share ?? 1)}%` }} />
      </div>
      <button type="button" onClick={work.cancel}>
        Cancel
      </button>
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
