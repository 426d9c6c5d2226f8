/** Runs and checkpoints side by side: recipes' differences first, then curves over each other, then the weights. */

import { useChanges } from "../api/changes";
import { address, isGone } from "../api/client";
import { useData } from "../api/data";
import { useRunEvents } from "../api/events";
import type { Comparison, RunRow } from "../api/types";
import { useTitle } from "../app";
import { RecipeDifferencesPanel, SubjectsPanel } from "../panels/compared";
import { Overlays } from "../panels/overlays";
import { SideBySidePanels } from "../panels/side_by_side";
import { useSubjects, useWanted, type Wanted } from "../panels/subjects";
import { WeightChangesPanel } from "../panels/weight_changes";
import { When } from "../parts/panel";
import { Empty, Failure } from "../parts/states";
import { link } from "../router";
import { reference } from "../runs/facts";
import { count } from "../text";

export function CompareView() {
  const wanted = useWanted();
  useTitle("Compare");
  if (wanted.all.length < 2) {
    return (
      <Empty>
        <h1>Nothing to compare yet</h1>
        <p>
          Tick two to eight <a href={link([])}>runs or files</a>, then press Compare.
        </p>
      </Empty>
    );
  }
  return <Compared wanted={wanted} />;
}

function Compared({ wanted }: { wanted: Wanted }) {
  const live = useRunEvents((event) => wanted.runs.includes(reference(event)));
  const changes = useChanges();
  const comparison = useData<Comparison>(address(["compare"], { run: wanted.runs, source: wanted.sources }), live.version + changes);
  const runs = useData<{ runs: RunRow[] }>(wanted.runs.length ? "api/runs" : null, live.version);
  const subjects = useSubjects(wanted, comparison.data, runs.data?.runs ?? null);
  const runsAsked = subjects.filter((one) => one.isRun);
  const compared = runsAsked.filter((one) => one.reason === null);
  return (
    <>
      <div class="heading">
        <h1>Comparing {counted(wanted)}</h1>
        {wanted.beyond > 0 && (
          <span class="muted" role="status">
            The address names {count(wanted.all.length + wanted.beyond)}; the first {count(wanted.all.length)} are compared.
          </span>
        )}
      </div>
      <SubjectsPanel subjects={subjects} runsKnown={runs.data !== null} weightsKnown={comparison.data !== null} />
      {comparison.data && isGone(comparison.error) && <Failure error={comparison.error!} />}
      {compared.length > 1 && <RecipeDifferencesPanel runs={runsAsked} comparison={comparison} />}
      <When loaded={comparison}>
        {(data) => (
          <>
            {compared.length > 1 && <Overlays runs={compared} names={data.series} version={live.version} />}
            <WeightChangesPanel subjects={subjects} />
            <SideBySidePanels subjects={subjects} />
          </>
        )}
      </When>
    </>
  );
}

function counted({ runs, sources }: Wanted): string {
  const parts = [runs.length && `${runs.length} ${runs.length === 1 ? "run" : "runs"}`, sources.length && `${sources.length} ${sources.length === 1 ? "checkpoint" : "checkpoints"}`];
  return parts.filter(Boolean).join(" and ");
}
