/** All runs of all stores, newest first, as they happen; ticked ones can be compared. */

import { useEffect, useState } from "preact/hooks";
import { useData } from "../api/data";
import { useRunEvents } from "../api/events";
import type { Hello, RunRow } from "../api/types";
import { useTitle } from "../app";
import { Search, Segments } from "../parts/controls";
import { Name } from "../parts/name";
import { Panel, When } from "../parts/panel";
import { Sparkline } from "../parts/spark";
import { Empty } from "../parts/states";
import { comparisonOf } from "../panels/subjects";
import { StatusMark, VerdictMark } from "../parts/status";
import { type Column, DataTable } from "../parts/table";
import { go, link, useParam } from "../router";
import type { Table } from "../save";
import { smooth } from "../smooth";
import { ago, baseName, moment, number, percent, seconds, visible } from "../text";

const MOST_COMPARED = 8;

const STATES = [
  ["", "All"],
  ["running", "Running"],
  ["completed", "Completed"],
  ["other", "Broken off"],
] as const;

export function reference(run: { store: string; id: string }): string {
  return `${run.store}~${run.id}`;
}

function figure(run: RunRow, name: string): number | null {
  const value = run.summary[name];
  return typeof value === "number" ? value : null;
}

function metric(run: RunRow): number | null {
  const name = run.summary.metric;
  return typeof name === "string" ? (figure(run, `val_${name}`) ?? figure(run, `best_val_${name}`)) : null;
}

const MOST = 8; // runs beside each other that colors still tell apart

function duration(run: RunRow): number {
  return figure(run, "training_seconds") ?? figure(run, "seconds") ?? (Date.parse(run.finished ?? run.updated) - Date.parse(run.created)) / 1000;
}

function columns(ticked: Set<string>, tick: (run: string, on: boolean) => void): Column<RunRow>[] {
  return [
    {
      id: "compare",
      head: "",
      cell: (run) => (
        <input
          type="checkbox"
          aria-label={`Compare ${visible(run.name ?? run.id)}`}
          checked={ticked.has(reference(run))}
          disabled={!ticked.has(reference(run)) && ticked.size >= MOST_COMPARED}
          onChange={(event) => tick(reference(run), event.currentTarget.checked)}
        />
      ),
    },
    {
      id: "name",
      head: "Run",
      key: (run) => run.name ?? run.id,
      className: "wide",
      cell: (run) => (
        <a class="strong" href={link(["run", run.store, run.id])}>
          <Name text={run.name ?? run.id} length={44} />
        </a>
      ),
    },
    { id: "status", head: "Status", key: (run) => run.status, cell: (run) => <StatusMark status={run.status} /> },
    { id: "loss", head: "Loss", about: "Training loss over the steps, smoothed; on a logarithmic scale where it falls by more than 30 times", cell: (run) => <Sparkline values={smooth(run.sparkline.values, 0.6)} /> },
    {
      id: "verdict",
      head: "Verdict",
      about: "What the monitor said last about the course of the losses",
      key: (run) => (run.summary.verdict as string | undefined) ?? null,
      cell: (run) => <VerdictMark verdict={(run.summary.verdict as string | undefined) ?? null} />,
    },
    { id: "val_loss", head: "Val. loss", numeric: true, about: "Validation loss of the weights that were kept", key: (run) => figure(run, "val_loss"), cell: (run) => number(figure(run, "val_loss")) },
    {
      id: "metric",
      head: "Val. metric",
      numeric: true,
      about: "The task's own measure on the validation data, such as accuracy",
      key: metric,
      cell: (run) => (run.summary.metric === "accuracy" ? percent(metric(run)) : number(metric(run))),
    },
    { id: "model", head: "Model", key: (run) => run.model, cell: (run) => (run.model ? <Name text={run.model} length={24} /> : "–") },
    { id: "optimizer", head: "Optimizer", key: (run) => run.optimizer, cell: (run) => (run.optimizer ? <Name text={run.optimizer} length={20} /> : "–") },
    { id: "steps", head: "Steps", numeric: true, key: (run) => figure(run, "steps") ?? run.sparkline.steps.at(-1) ?? null, cell: (run) => number(figure(run, "steps") ?? run.sparkline.steps.at(-1) ?? null) },
    { id: "duration", head: "Time", numeric: true, about: "Time spent training", key: duration, cell: (run) => seconds(duration(run)) },
    { id: "created", head: "Started", numeric: true, key: (run) => Date.parse(run.created), cell: (run) => <time dateTime={run.created} title={moment(run.created)}>{ago(run.created)}</time> },
  ];
}

function table(runs: RunRow[]): Table {
  return [
    ["store", "run", "name", "status", "verdict", "val_loss", "metric", "model", "optimizer", "steps", "seconds", "created"],
    ...runs.map((run) => [run.store, run.id, run.name, run.status, run.summary.verdict as string, figure(run, "val_loss"), metric(run), run.model, run.optimizer, figure(run, "steps"), duration(run), run.created]),
  ];
}

function matches(run: RunRow, filter: string, state: string): boolean {
  if (state === "other" ? ["running", "completed"].includes(run.status) : state && run.status !== state) return false;
  const text = [run.name, run.id, run.status, run.model, run.optimizer, run.summary.verdict].join(" ").toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

export function RunsView() {
  useTitle("Runs");
  const live = useRunEvents(() => true);
  const hello = useData<Hello>("api/hello");
  const runs = useData<{ runs: RunRow[] }>("api/runs", live.version);
  const [filter, setFilter] = useParam("filter");
  const [state, setState] = useParam("status");
  const [ticks, setTicks] = useParam("compare");
  const [, tickClock] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tickClock((n) => n + 1), 30_000);
    return () => clearInterval(timer);
  }, []);
  const ticked = new Set(ticks.split(",").filter(Boolean));
  const tick = (run: string, on: boolean) => {
    const next = new Set(ticked);
    if (on) next.add(run);
    else next.delete(run);
    setTicks([...next].join(","));
  };
  const compare = () => go(comparisonOf([...ticked]));
  const shown = (runs.data?.runs ?? []).filter((run) => matches(run, filter, state));
  const files = hello.data?.files ?? [];
  return (
    <>
      <h1 class="hidden">Runs and files</h1>
      {files.length > 0 && <FilesPanel files={files} ticked={ticked} tick={tick} compare={compare} />}
      {hello.data && hello.data.stores.length === 0 && files.length > 0 ? null : (
        <Panel
          title="Runs"
          about="Every training that was recorded in this store, newest first. Tick two or more to compare them."
          note={runs.data ? (shown.length === runs.data.runs.length ? String(shown.length) : `${shown.length} of ${runs.data.runs.length}`) : null}
          csv={() => table(shown)}
          controls={
            <>
              <button type="button" class="primary" disabled={ticked.size < 2 || ticked.size > MOST} onClick={compare} title="Tick two to eight runs first">
                Compare{ticked.size ? ` ${ticked.size}` : ""}
              </button>
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
                <DataTable label="Runs" rows={shown} columns={columns(ticked, tick)} id={reference} initial="" empty={<Empty>No run matches the filter.</Empty>} />
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
  ticked: Set<string>;
  tick: (file: string, on: boolean) => void;
  compare: () => void;
}

function FilesPanel({ files, ticked, tick, compare }: FilesProps) {
  return (
    <Panel
      title="Files"
      about="The checkpoints that this page was started with. They are read piece by piece and never run. Tick two or more, or runs as well, to compare them."
      note={String(files.length)}
      controls={
        files.some((file) => ticked.has(file.source)) && (
          <button type="button" class="primary" disabled={ticked.size < 2} onClick={compare} title="Tick two to eight files or runs first">
            Compare {ticked.size}
          </button>
        )
      }
    >
      <ul class="file-list">
        {files.map((file) => (
          <li key={file.id}>
            <input
              type="checkbox"
              aria-label={`Compare ${visible(file.label)}`}
              checked={ticked.has(file.source)}
              disabled={!ticked.has(file.source) && ticked.size >= MOST_COMPARED}
              onChange={(event) => tick(file.source, event.currentTarget.checked)}
            />
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
