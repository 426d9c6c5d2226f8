/** Runs in groups: what they have in common, their best and middle values, folded and ticked together. */

import { isHere } from "../api/saved";
import type { RunRow } from "../api/types";
import { MOST } from "../panels/subjects";
import type { Grouping } from "../parts/sections";
import { useParam } from "../router";
import { number, plural, shortened, visible } from "../text";
import { measured } from "./columns";
import { figure, metric, metricName, reference } from "./facts";
import type { Ticks } from "./ticks";

export const GROUPINGS = [
  ["", "nothing"],
  ["tag", "tag"],
  ["model", "model"],
  ["optimizer", "optimizer"],
  ["status", "status"],
  ["name", "name"],
  ["day", "day"],
] as const;

export type GroupedBy = (typeof GROUPINGS)[number][0];

/** A run with several tags is in several groups; what has none of a kind comes last, under an empty key. */
const KEYS: Record<Exclude<GroupedBy, "">, (run: RunRow) => string[]> = {
  tag: (run) => (run.tags.length ? run.tags : [""]),
  model: (run) => [run.model ?? ""],
  optimizer: (run) => [run.optimizer ?? ""],
  status: (run) => [run.status],
  name: (run) => [run.name?.trim() ?? ""],
  day: (run) => [new Date(run.created).toLocaleDateString("sv-SE")], // 2026-11-26, in the reader's own zone
};

function keysOf(by: string): ((run: RunRow) => string[]) | null {
  return Object.hasOwn(KEYS, by) ? KEYS[by as keyof typeof KEYS] : null;
}

export interface Groups {
  by: GroupedBy;
  setBy: (by: GroupedBy) => void;
  /** Null where nothing is grouped. */
  grouping: Grouping<RunRow> | null;
  /** Fold every group of these runs, or open them all. */
  foldAll: (runs: RunRow[]) => void;
  anyOpen: (runs: RunRow[]) => boolean;
}

/** How the list is grouped and what is folded, both in the address. */
export function useGroups(ticks: Ticks): Groups {
  const [by, setBy] = useParam("group");
  const [text, write] = useParam("folded");
  const folded = new Set(text ? text.split(",").map(decode) : []);
  const fold = (keys: Set<string>) => write([...keys].map((key) => encodeURIComponent(key) || EMPTY).join(","));
  const keys = keysOf(by);
  const allKeys = (runs: RunRow[]) => new Set(keys ? runs.flatMap(keys) : []);
  const anyOpen = (runs: RunRow[]) => [...allKeys(runs)].some((key) => !folded.has(key));
  const toggle = (key: string) => fold(new Set(folded.has(key) ? [...folded].filter((one) => one !== key) : [...folded, key]));
  return {
    by: keys ? (by as GroupedBy) : "",
    setBy: (next) => {
      write("");
      setBy(next);
    },
    grouping: keys && { keys, folded, head: (key, runs, width) => <Head width={width} label={key ? shownKey(by, key) : `no ${by}`} runs={runs} ticks={ticks} open={!folded.has(key)} onToggle={() => toggle(key)} /> },
    foldAll: (runs) => fold(anyOpen(runs) ? allKeys(runs) : new Set()),
    anyOpen,
  };
}

const EMPTY = "%"; // the group of what has none; encodeURIComponent leaves no such sign by itself

function decode(part: string): string {
  try {
    return part === EMPTY ? "" : decodeURIComponent(part);
  } catch {
    return part; // an address that somebody wrote by hand
  }
}

function shownKey(by: string, key: string): string {
  return by === "day" ? new Date(`${key}T12:00`).toLocaleDateString("en-GB", { dateStyle: "medium" }) : key;
}

interface HeadProps {
  /** How many columns the table has. */
  width: number;
  label: string;
  runs: RunRow[];
  ticks: Ticks;
  open: boolean;
  onToggle: () => void;
}

/** Cells of a group's own row: a tick for all of it, its name, and what came of its runs. */
function Head({ width, label, runs, ticks, open, onToggle }: HeadProps) {
  const all = runs.map(reference);
  const ticked = all.filter(ticks.has).length;
  const complete = ticked === runs.length;
  const canCompare = isHere(["compare"]);
  const full = !complete && ticked === 0 && ticks.room <= 0;
  return (
    <>
      {canCompare && (
        <td>
          <input
            type="checkbox"
            aria-label={`Compare all of ${visible(label)}`}
            title={full ? `${MOST} runs are ticked already` : `Tick all of them, ${MOST} at most`}
            checked={complete}
            ref={(box) => void (box && (box.indeterminate = ticked > 0 && !complete))}
            disabled={full}
            onChange={() => ticks.set(all, !complete && ticked < runs.length && ticks.room > 0)}
          />
        </td>
      )}
      <th scope="rowgroup" colSpan={canCompare ? width - 1 : width}>
        <button type="button" class="twist" aria-expanded={open} onClick={onToggle}>
          <span aria-hidden="true">{open ? "▾" : "▸"}</span> {shortened(visible(label), 60)}
        </button>
        <span class="group-facts">
          <span>{plural(runs.length, "run")}</span>
          {outcomes(runs).map(([name, best, middle]) => (
            <span key={name}>
              {name} <b>{best}</b>
              {middle !== null && ` best, ${middle} median`}
            </span>
          ))}
        </span>
      </th>
    </>
  );
}

/** Best and median of the validation values that these runs have in common: a measure grows, a loss falls. */
export function outcomes(runs: RunRow[]): [string, string, string | null][] {
  const found: [string, string, string | null][] = [];
  const middle = (values: number[], of: string | null) => (values.length > 1 ? measured(median(values), of) : null);
  const names = new Set(runs.map(metricName).filter((name) => name !== null));
  const [name] = names;
  const metrics = runs.map(metric).filter((value) => value !== null);
  if (names.size === 1 && metrics.length) found.push([`Val. ${name.replaceAll("_", " ")}`, measured(Math.max(...metrics), name), middle(metrics, name)]);
  const losses = runs.map((run) => figure(run, "val_loss")).filter((value) => value !== null);
  if (losses.length && names.size < 2) found.push(["Val. loss", number(Math.min(...losses)), middle(losses, null)]);
  return found;
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
