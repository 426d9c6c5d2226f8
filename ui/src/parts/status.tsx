/** A run's status as a dot and a word; the monitor's verdict as a pill. */

import { shortened, visible } from "../text";

const WORDS: Record<string, string> = {
  running: "Being written right now",
  completed: "Ended as planned",
  failed: "Ended with an error",
  interrupted: "Stopped before its end; can be resumed",
  lost: "Its process is gone without a word; can be resumed",
  deleted: "Taken out of the store",
};

export function StatusMark({ status }: { status: string }) {
  return (
    <span class={`status ${status}`} title={WORDS[status]}>
      <i aria-hidden="true" /> {status}
    </span>
  );
}

const VERDICTS = new Map<string, [string, string]>(Object.entries({
  healthy: ["good", "Training and validation loss both behave"],
  overfitting: ["warn", "The validation loss rises, or stays far above the training loss, while the training loss falls"],
  underfitting: ["warn", "Both losses stay high: the model has not learned what it could"],
  plateau: ["warn", "Neither loss has gained anything for a while, and there was something left to learn"],
  diverging: ["bad", "The training loss grows"],
  non_finite: ["bad", "The loss became NaN or infinite"],
}));

/** `verdict` is whatever a summary or an event holds: a loop of one's own writes into them what it likes. */
export function VerdictMark({ verdict }: { verdict: unknown }) {
  if (typeof verdict !== "string" || !verdict) return <span class="muted">–</span>;
  const [tone, about] = VERDICTS.get(verdict) ?? ["", ""];
  return (
    <span class={`verdict ${tone}`} title={about}>
      {shortened(visible(verdict), 24).replaceAll("_", "-")}
    </span>
  );
}

export function verdictTone(verdict: string): string {
  return VERDICTS.get(verdict)?.[0] ?? "";
}
