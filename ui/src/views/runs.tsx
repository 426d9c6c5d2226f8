/** All runs of all stores, newest first or in groups, as they happen; ticked ones can be compared. */

import { useEffect, useState } from "preact/hooks";
import { useData } from "../api/data";
import { useRunEvents } from "../api/events";
import { isHere } from "../api/saved";
import type { Hello, RunRow } from "../api/types";
import { useTitle } from "../app";
import { Search, Segments, Select } from "../parts/controls";
import { Name } from "../parts/name";
import { Panel, When } from "../parts/panel";
import { Empty } from "../parts/states";
import { comparisonOf } from "../panels/subjects";
import { DataTable } from "../parts/table";
import { go, link, useParam } from "../router";
import { columns, table } from "../runs/columns";
import { reference } from "../runs/facts";
import { matches } from "../runs/filter";
import { GROUPINGS, useGroups } from "../runs/groups";
import { type Ticks, useTicks } from "../runs/ticks";
import { baseName, visible } from "../text";

const STATES = [
  ["", "All"],
  ["running", "Running"],
  ["completed", "Completed"],
  ["other", "Broken off"],
] as const;

/** Draws this view anew now and then: how long ago something was changes by itself. */
function useClock(): void {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 30_000);
    return () => clearInterval(timer);
  }, []);
}

export function RunsView() {
  useTitle("Runs");
  useClock();
  const live = useRunEvents(() => true);
  const hello = useData<Hello>("api/hello");
  const runs = useData<{ runs: RunRow[] }>("api/runs", live.version);
  const [filter, setFilter] = useParam("filter");
  const [state, setState] = useParam("status");
  const ticks = useTicks();
  const groups = useGroups(ticks);
  const compare = () => go(comparisonOf(ticks.references));
  const all = runs.data?.runs ?? [];
  const shown = all.filter((run) => matches(run, filter, state));
  const files = hello.data?.files ?? [];
  const ticked = ticks.references.length;
  const canCompare = isHere(["compare"]);
  return (
    <>
      <h1 class="hidden">Runs and files</h1>
      {files.length > 0 && <FilesPanel files={files} ticks={ticks} compare={compare} />}
      {hello.data && hello.data.stores.length === 0 && files.length > 0 ? null : (
        <Panel
          title="Runs"
          about="Every training that was recorded in this store, newest first. Tick two or more to compare them. The filter takes words, and tag:baseline for what has that tag. Groups keep the order of the table; one with the first run comes first."
          note={runs.data ? (shown.length === runs.data.runs.length ? String(shown.length) : `${shown.length} of ${runs.data.runs.length}`) : null}
          csv={() => table(shown)}
          controls={
            <>
              {canCompare && (
                <button type="button" class="primary" disabled={ticked < 2 || ticks.room < 0} onClick={compare} title="Tick two to eight runs first">
                  Compare{ticked ? ` ${ticked}` : ""}
                </button>
              )}
              <Select label="Group by" value={groups.by} options={GROUPINGS} onChange={groups.setBy} />
              {groups.grouping && (
                <button type="button" class="quiet" onClick={() => groups.foldAll(shown)}>
                  {groups.anyOpen(shown) ? "Fold all" : "Open all"}
                </button>
              )}
              <Segments label="Status" value={state as "" | "running" | "completed" | "other"} options={STATES} onChange={setState} />
              <Search label="Filter runs" value={filter} onChange={setFilter} />
            </>
          }
        >
          <When loaded={runs} height={200}>
            {(data) =>
              data.runs.length === 0 ? (
                <Empty>
                  <p>There are no runs yet.</p>
                  <p>
                    <code>weightsmith train</code> makes the first one; it appears here while it trains.
                  </p>
                </Empty>
              ) : (
                <DataTable label="Runs" rows={shown} columns={columns({ ticks, filter, onFilter: setFilter, tagged: all.some((run) => run.tags.length > 0) })} id={reference} grouping={groups.grouping} className="runs" empty={<Empty>No run matches the filter.</Empty>} />
              )
            }
          </When>
        </Panel>
      )}
    </>
  );
}

interface FilesProps {
  files: Hello["files"];
  ticks: Ticks;
  compare: () => void;
}

function FilesPanel({ files, ticks, compare }: FilesProps) {
  const canCompare = isHere(["compare"]);
  return (
    <Panel
      title="Files"
      about="The checkpoints that this page was started with. They are read piece by piece and never run. Tick two or more, or runs as well, to compare them."
      note={String(files.length)}
      controls={
        canCompare &&
        files.some((file) => ticks.has(file.source)) && (
          <button type="button" class="primary" disabled={ticks.references.length < 2} onClick={compare} title="Tick two to eight files or runs first">
            Compare {ticks.references.length}
          </button>
        )
      }
    >
      <ul class="file-list">
        {files.map((file) => (
          <li key={file.id}>
            {canCompare && (
              <input
                type="checkbox"
                aria-label={`Compare ${visible(file.label)}`}
                checked={ticks.has(file.source)}
                disabled={!ticks.has(file.source) && ticks.room <= 0}
                onChange={(event) => ticks.set([file.source], event.currentTarget.checked)}
              />
            )}
            <a class="strong" href={link(["source", file.source])}>
              <Name text={baseName(file.label)} length={80} />
            </a>{" "}
            <span class="muted">
              <Name text={file.label} length={110} />
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
