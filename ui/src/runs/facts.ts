/** What the list says of a run, taken out of its summary. */

import type { RunRow } from "../api/types";

export function reference(run: { store: string; id: string }): string {
  return `${run.store}~${run.id}`;
}

/** What a run is called: its name may be missing, or nothing that can be seen. */
export function nameOf(run: { name: string | null; id: string }): string {
  return run.name?.trim() || run.id;
}

export function figure(run: RunRow, name: string): number | null {
  const value = run.summary[name];
  return typeof value === "number" ? value : null;
}

export function metricName(run: RunRow): string | null {
  return typeof run.summary.metric === "string" ? run.summary.metric : null;
}

/** The task's own measure on the validation data. */
export function metric(run: RunRow): number | null {
  const name = metricName(run);
  return name ? (figure(run, `val_${name}`) ?? figure(run, `best_val_${name}`)) : null;
}

export function verdict(run: RunRow): string | null {
  return typeof run.summary.verdict === "string" ? run.summary.verdict : null;
}

export function steps(run: RunRow): number | null {
  return figure(run, "steps") ?? run.sparkline.steps.at(-1) ?? null;
}

/** Seconds of training. */
export function duration(run: RunRow): number {
  return figure(run, "training_seconds") ?? figure(run, "seconds") ?? (Date.parse(run.finished ?? run.updated) - Date.parse(run.created)) / 1000;
}
