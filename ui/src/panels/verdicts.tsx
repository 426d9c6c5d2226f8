/** What the monitor said about the losses: as bands on curves, and in words below them. */

import type { RunDetail } from "../api/types";
import type { Mark } from "../parts/series_chart";
import { VerdictMark, verdictTone } from "../parts/status";
import { number, visible } from "../text";
import type { Colors } from "../theme";
import { lastStepOf } from "./scrubber";

const LISTED = 4; // verdicts that show without a click

interface Verdict {
  verdict: string;
  /** The step at which it was said. */
  said: number;
  /** The step from which on it holds. */
  since: number;
  text: string;
}

/** Each verdict once: the monitor may say the same again in other words, and the last ones count. */
function verdicts(run: RunDetail): Verdict[] {
  const found: Verdict[] = [];
  for (const { step, kind, payload } of run.events) {
    if (kind !== "verdict") continue;
    const one: Verdict = { verdict: String(payload.verdict), said: step, since: typeof payload.since === "number" ? payload.since : step, text: typeof payload.text === "string" ? payload.text : "" };
    const before = found.at(-1);
    if (before?.verdict === one.verdict) before.text = one.text;
    else found.push(one);
  }
  return found;
}

/** Where the monitor changed its mind, and the step that was kept. */
export function marks(run: RunDetail, colors: Colors): Mark[] {
  const found: (Mark & { verdict?: string })[] = [];
  const all = verdicts(run);
  all.forEach(({ verdict, said, since: begun }, i) => {
    if (verdict === "healthy") return;
    const since = Math.max(begun, all[i - 1]?.said ?? begun);
    const until = Math.max(all[i + 1]?.said ?? lastStepOf(run), since);
    const before = found.find((mark) => mark.verdict === verdict && mark.until! >= since);
    if (before) before.until = until;
    else found.push({ step: since, until, said, label: verdict.replaceAll("_", "-"), verdict, color: verdictTone(verdict) === "bad" ? colors.alarm : colors.palette[4] });
  });
  if (typeof run.summary.best_step === "number") found.push({ step: run.summary.best_step, label: "best", color: colors.good });
  return found;
}

/** What was said when; a press on the step marks it in all curves. */
export function VerdictList({ run, onStep }: { run: RunDetail; onStep: (step: number) => void }) {
  const all = verdicts(run).reverse();
  if (!all.length) return null;
  const rows = (some: Verdict[]) => some.map((one) => <Row key={one.said} one={one} onStep={onStep} />);
  return (
    <section class="verdicts" aria-label="What the monitor said">
      <ul>{rows(all.slice(0, LISTED))}</ul>
      {all.length > LISTED && (
        <details>
          <summary>{all.length - LISTED} before that</summary>
          <ul>{rows(all.slice(LISTED))}</ul>
        </details>
      )}
    </section>
  );
}

function Row({ one, onStep }: { one: Verdict; onStep: (step: number) => void }) {
  return (
    <li>
      <button type="button" class="quiet" title="Mark this step in all curves" onClick={() => onStep(one.said)}>
        Step {number(one.said)}
      </button>
      <VerdictMark verdict={one.verdict} />
      <span class="muted">
        {one.since < one.said && one.verdict !== "healthy" && !one.text.startsWith(`Since step ${one.since} `) && `Since step ${number(one.since)}. `}
        {visible(one.text)}
      </span>
    </li>
  );
}
