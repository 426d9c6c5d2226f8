/** What a weight is compared with: the one of its name at another step of its run, or in another file. */

import { useMemo } from "preact/hooks";
import { address } from "../api/client";
import { type Loaded, useData } from "../api/data";
import type { Counterparts, Difference } from "../api/types";
import { Segments, Select } from "../parts/controls";
import { Failure } from "../parts/states";
import { useParam } from "../router";
import { baseName, number, percent, shortened, visible } from "../text";

export type Mode = "side" | "difference";

const MODES = [
  ["side", "Side by side"],
  ["difference", "Difference"],
] as const;

export interface Against {
  /** The other weights' id; null while nothing is compared. */
  source: string | null;
  label: string;
  mode: Mode;
  difference: Loaded<Difference>;
  known: Counterparts["counterparts"];
  choose: (source: string) => void;
  setMode: (mode: Mode) => void;
}

function named({ label, step }: Counterparts["counterparts"][number]): string {
  return step === null ? shortened(visible(baseName(label)), 40) : `step ${number(step)} (${visible(label)})`;
}

/** The comparison that the address names, as far as there is such a counterpart. */
export function useAgainst(base: (string | number)[]): Against {
  const [chosen, choose] = useParam("against");
  const [mode, setMode] = useParam("mode", "side");
  const loaded = useData<Counterparts>(address([...base, "counterparts"]));
  const known = loaded.data?.counterparts ?? [];
  const found = known.find((one) => one.source === chosen);
  const difference = useData<Difference>(found ? address([...base, "difference"], { against: found.source }) : null);
  return useMemo(
    () => ({ source: found?.source ?? null, label: found ? named(found) : "", mode: mode === "difference" ? "difference" : "side", difference, known, choose, setMode }),
    [found, mode, difference, known],
  );
}

export function AgainstControls({ against }: { against: Against }) {
  if (!against.known.length) return null;
  return (
    <>
      <Select label="Compare with" value={against.source ?? ""} options={[["", "nothing"] as const, ...against.known.map((one) => [one.source, named(one)] as const)]} onChange={against.choose} />
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
