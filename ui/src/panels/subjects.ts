/** What is compared: runs and checkpoints in the order of the address, each with a color and the weights it stands for. */

import { useMemo } from "preact/hooks";
import { pinned } from "../api/changes";
import type { Comparison, RunRow } from "../api/types";
import { link, setParams, useParam, useRoute } from "../router";
import { number, shortened, visible } from "../text";
import { useTheme } from "../theme";

export const MOST = 8; // that colors still tell apart

export interface Subject {
  /** As the address names it: `s0~RUN`, `s0~RUN~STEP` or `f0`. */
  id: string;
  isRun: boolean;
  color: string;
  label: string;
  /** Of a file its whole path or address. */
  path: string | null;
  run: RunRow | null;
  /** Its weights; null while they are not known, or where a run has kept none. */
  source: string | null;
  /** The same with their content, for addresses. */
  held: string | null;
  step: number | null;
  /** Why it cannot be compared. */
  reason: string | null;
}

export interface Wanted {
  runs: string[];
  sources: string[];
  /** All in the order of the address. */
  all: { id: string; isRun: boolean }[];
  /** How many more the address names than can be compared. */
  beyond: number;
}

/** The runs and sources that the address names, each once. */
export function useWanted(): Wanted {
  const { params } = useRoute();
  const text = params.toString();
  return useMemo(() => {
    const named = [...params].filter(([name]) => name === "run" || name === "source");
    const all = [...new Map(named.map(([name, id]) => [id, { id, isRun: name === "run" }])).values()];
    const beyond = all.splice(MOST).length;
    return { runs: all.filter((one) => one.isRun).map((one) => one.id), sources: all.filter((one) => !one.isRun).map((one) => one.id), all, beyond };
  }, [text]);
}

export function useSubjects(wanted: Wanted, comparison: Comparison | null, runs: RunRow[] | null): Subject[] {
  const { colors } = useTheme();
  return useMemo(() => {
    const known = new Map((comparison?.weights ?? []).map((one) => [one.subject, one]));
    const isFile = (id: string) => known.has(id) && !id.includes("~");
    const paths = wanted.sources.filter(isFile).map((id) => known.get(id)!.label);
    return wanted.all.map(({ id, isRun }, i): Subject => {
      const { label, source = null, content = null, step = null, reason = null } = known.get(id) ?? {};
      const path = isFile(id) ? label! : null;
      return {
        id,
        isRun,
        color: colors.palette[i % colors.palette.length],
        label: path ? tail(path, paths) : labelOf(id, isRun, label, step),
        path,
        run: isRun ? (runs?.find((one) => `${one.store}~${one.id}` === id) ?? null) : null,
        source,
        held: source && pinned(source, content),
        step,
        reason,
      };
    });
  }, [wanted, comparison, runs, colors]);
}

/** As much of a path's end as tells it from the others. */
function tail(path: string, among: string[]): string {
  const end = (whole: string, parts: number) => whole.split(/[/\\]/).filter(Boolean).slice(-parts).join("/");
  for (let parts = 1; parts < 5; parts++) {
    if (among.filter((one) => end(one, parts) === end(path, parts)).length === 1) return end(path, parts);
  }
  return path;
}

function labelOf(id: string, isRun: boolean, label: string | undefined, step: number | null): string {
  if (label === undefined) return id;
  return isRun || step === null ? label : `${label}, step ${number(step)}`;
}

/** The comparison of these: of an id such as `s0~RUN` the run, of any other the weights. */
export function comparisonOf(ids: string[]): string {
  const query = new URLSearchParams();
  for (const id of ids) query.append(id.split("~").length === 2 ? "run" : "source", id);
  return link(["compare"], query);
}

/** A subject's name in few characters, for legends and choices. */
export function short({ label, path }: Subject, length = 28): string {
  const ending = path && label.length > length ? /\.[a-z0-9]{1,12}$/i : /$/;
  return shortened(visible(label.replace(ending, "")), length);
}

/** Where its own page is. */
export function pageOf({ id, isRun, source }: Subject): string {
  const [store, run] = id.split("~");
  return isRun ? link(["run", store, run ?? ""]) : link(["source", source ?? id]);
}

/** The two whose weights are compared: the first and the second that have any, unless the address names others. */
export function usePair(subjects: Subject[]): { base: Subject | null; other: Subject | null; choose: (base: string, other: string) => void } {
  const [baseId] = useParam("base");
  const [otherId] = useParam("with");
  const able = subjects.filter((one) => one.source !== null);
  const base = able.find((one) => one.id === baseId) ?? able[0] ?? null;
  const other = able.find((one) => one.id === otherId && one !== base) ?? able.find((one) => one !== base) ?? null;
  return { base, other, choose: (from, to) => setParams({ base: from, with: to }) };
}
