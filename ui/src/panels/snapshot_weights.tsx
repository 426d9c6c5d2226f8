/** The weights of a run at one of its snapshots. */

import { isHere } from "../api/saved";
import type { RunDetail } from "../api/types";
import { Select } from "../parts/controls";
import { Empty } from "../parts/states";
import { useParam } from "../router";
import { bytes, number, visible } from "../text";
import { comparisonOf } from "./subjects";
import { WeightsPanel } from "./weights";

export function SnapshotWeights({ run }: { run: RunDetail }) {
  const newest = run.snapshots.at(-1)?.source ?? "";
  const [chosen, choose] = useParam("snapshot", newest);
  if (!run.snapshots.length) return <Empty>This run has kept no snapshot of its weights.</Empty>;
  const source = run.snapshots.some((one) => one.source === chosen) ? chosen : newest;
  const first = run.snapshots[0].source;
  return (
    <>
      <div class="toolbar">
        <Select
          label="Snapshot"
          value={source}
          options={run.snapshots.map((one) => [one.source, `${visible(one.label)}, step ${number(one.step)} (${bytes(one.bytes)})`] as const)}
          onChange={choose}
        />
        {first !== source && isHere(["compare"]) && (
          <a class="button" href={comparisonOf([first, source])}>
            What changed since step {number(run.snapshots[0].step)}
          </a>
        )}
      </div>
      <WeightsPanel key={source} source={source} />
    </>
  );
}
