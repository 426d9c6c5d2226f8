/** What a weight is compared with: the one of its name at another step of its run, in another run, or in a file. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { pinned, useChanges } from "../api/changes";
import { address } from "../api/client";
import { type Loaded, useData } from "../api/data";
import type { Counterparts, Difference, WeightDetail } from "../api/types";
import { GroupedSelect, Segments } from "../parts/controls";
import { Failure } from "../parts/states";
import { useParam } from "../router";
import { baseName, number, percent, shortened, visible } from "../text";

export type Mode = "side" | "difference";

type Counterpart = Counterparts["counterparts"][number];

const GROUPS = [
  ["steps", "This run at"],
  ["runs", "Other runs"],
  ["files", "Files"],
] as const;

const MODES = [
  ["side", "Side by side"],
  ["difference", "Difference"],
] as const;

export interface Against {
  /** The other weights' id; null while nothing is compared. */
  source: string | null;
  /** The same with its content, for addresses. */
  held: string | null;
  label: string;
  mode: Mode;
  difference: Loaded<Difference>;
  known: Counterpart[];
  choose: (source: string) => void;
  setMode: (mode: Mode) => void;
}

function named({ group, label, step }: Counterpart): string {
  if (group === "files") return shortened(visible(baseName(label)), 40);
  return group === "steps" ? `step ${number(step)} (${visible(label)})` : `${shortened(visible(label), 40)}, step ${number(step)}`;
}

/** The comparison that the address names, as far as there is such a counterpart. */
export function useAgainst(source: string, weight: WeightDetail): Against {
  const [chosen, choose] = useParam("against");
  const [mode, setMode] = useParam("mode", "side");
  // Only the newest runs are offered by themselves: one that the address names is asked for.
  const [also, setAlso] = useState(chosen);
  const loaded = useData<Counterparts>(address(["sources", source, "weights", weight.index, "counterparts"], { also: also || null }), useChanges());
  const known = loaded.data?.counterparts ?? [];
  const found = known.find((one) => one.source === chosen);
  useEffect(() => {
    if (chosen && loaded.data && !found) setAlso(chosen);
  }, [chosen, loaded.data, found]);
  const held = found ? pinned(found.source, found.content) : null;
  const difference = useData<Difference>(held ? address(["sources", pinned(source, weight.content), "weights", weight.index, "difference"], { against: held }) : null);
  return useMemo(
    () => ({ source: found?.source ?? null, held, label: found ? named(found) : "", mode: mode === "difference" ? "difference" : "side", difference, known, choose, setMode }),
    [found, held, mode, difference, known],
  );
}

export function AgainstControls({ against }: { against: Against }) {
  if (!against.known.length) return null;
  const groups = GROUPS.map(([group, title]) => [title, against.known.filter((one) => one.group === group).map((one) => [one.source, named(one)] as const)] as const);
  return (
    <>
      <GroupedSelect label="Compare with" value={against.source ?? ""} none="nothing" groups={groups} onChange={against.choose} />
      {against.source && <Segments label="How to compare" value={against.mode} options={MODES} onChange={against.setMode} />}
    </>
  );
}

/** How much the two differ, in words. */
export function AgainstFacts({ against }: { against: Against }) {
  if (!against.source) return null;
  const { data, error } = against.difference;
  if (error && !data) return <Failure error={error} />;
  if (!data) return <p class="muted assumed">Taking the difference…</p>;
  const { statistics } = data;
  const largest = Math.max(Math.abs(statistics.minimum ?? 0), Math.abs(statistics.maximum ?? 0));
  const count = Number(statistics.count);
  const broken = ["nan", "positive_infinity", "negative_infinity"].reduce((sum, name) => sum + Number(statistics[name] ?? 0), 0);
  return (
    <p class="muted assumed" role="status" data-testid="difference">
      This weight less that of {against.label}: norm {number(statistics.norm)}
      {data.relative !== null && ` (${percent(data.relative)} of the other's)`}, largest change {number(largest)}, {percent(count ? statistics.zeros / count : null)} of the values are equal{broken > 0 && `, ${number(broken)} have no finite difference`}.
    </p>
  );
}
