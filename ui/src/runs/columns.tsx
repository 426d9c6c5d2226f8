/** The columns of the list of runs, and the same as a table to keep. */

import { isHere } from "../api/saved";
import type { RunRow } from "../api/types";
import { Name } from "../parts/name";
import { Sparkline } from "../parts/spark";
import { StatusMark, VerdictMark } from "../parts/status";
import type { Column } from "../parts/table";
import { link } from "../router";
import type { Table } from "../save";
import { smooth } from "../smooth";
import { ago, moment, number, percent, seconds, visible, visibleLines } from "../text";
import { duration, figure, metric, metricName, nameOf, reference, steps, verdict } from "./facts";
import { TagButtons } from "./tags";
import type { Ticks } from "./ticks";

interface Shared {
  ticks: Ticks;
  filter: string;
  onFilter: (filter: string) => void;
  /** Whether any run has tags; a column of nothing would only take room. */
  tagged: boolean;
}

const NAME: Column<RunRow> = {
  id: "name",
  head: "Run",
  key: nameOf,
  className: "wide",
  cell: (run) => (
    <span class="run-name">
      <a class="strong" href={link(["run", run.store, run.id])}>
        <Name text={nameOf(run)} length={44} />
      </a>
      {run.note && (
        <span class="note-line" title={visibleLines(run.note)}>
          {visible(run.note.split("\n")[0])}
        </span>
      )}
    </span>
  ),
};

const OUTCOME: Column<RunRow>[] = [
  { id: "status", head: "Status", key: (run) => run.status, cell: (run) => <StatusMark status={run.status} /> },
  { id: "loss", head: "Loss", about: "Training loss over the steps, smoothed; on a logarithmic scale where it falls by more than 30 times", cell: (run) => <Sparkline values={smooth(run.sparkline.values, 0.6)} /> },
  { id: "verdict", head: "Verdict", about: "What the monitor said last about the course of the losses", key: verdict, cell: (run) => <VerdictMark verdict={verdict(run)} /> },
  { id: "val_loss", head: "Val. loss", numeric: true, about: "Validation loss of the weights that were kept", key: (run) => figure(run, "val_loss"), cell: (run) => number(figure(run, "val_loss")) },
  {
    id: "metric",
    head: "Val. metric",
    numeric: true,
    about: "The task's own measure on the validation data, such as accuracy",
    key: metric,
    cell: (run) => measured(metric(run), metricName(run)),
  },
  { id: "model", head: "Model", key: (run) => run.model, cell: (run) => (run.model ? <Name text={run.model} length={24} /> : "–") },
  { id: "optimizer", head: "Optimizer", key: (run) => run.optimizer, cell: (run) => (run.optimizer ? <Name text={run.optimizer} length={20} /> : "–") },
  { id: "steps", head: "Steps", numeric: true, key: steps, cell: (run) => number(steps(run)) },
  { id: "duration", head: "Time", numeric: true, about: "Time spent training", key: duration, cell: (run) => seconds(duration(run)) },
  { id: "created", head: "Started", numeric: true, key: (run) => Date.parse(run.created), cell: (run) => <time dateTime={run.created} title={moment(run.created)}>{ago(run.created)}</time> },
];

/** A measure as people read it: accuracy is a share. */
export function measured(value: number | null, name: string | null): string {
  return name === "accuracy" ? percent(value) : number(value);
}

export function columns({ ticks, filter, onFilter, tagged }: Shared): Column<RunRow>[] {
  const tick: Column<RunRow> = {
    id: "compare",
    head: "",
    cell: (run) => (
      <input type="checkbox" aria-label={`Compare ${visible(nameOf(run))}`} checked={ticks.has(reference(run))} disabled={!ticks.has(reference(run)) && ticks.room <= 0} onChange={(event) => ticks.set([reference(run)], event.currentTarget.checked)} />
    ),
  };
  const tags: Column<RunRow> = {
    id: "tags",
    head: "Tags",
    about: "Words given with weightsmith runs RUN --tag WORD; press one to see only what has it",
    key: (run) => run.tags.join(" ") || null,
    cell: (run) => <TagButtons tags={run.tags} filter={filter} onFilter={onFilter} />,
  };
  return [...(isHere(["compare"]) ? [tick] : []), NAME, ...(tagged ? [tags] : []), ...OUTCOME];
}

export function table(runs: RunRow[]): Table {
  return [
    ["store", "run", "name", "status", "verdict", "val_loss", "metric", "model", "optimizer", "steps", "seconds", "created", "tags", "note"],
    ...runs.map((run) => [run.store, run.id, run.name, run.status, verdict(run), figure(run, "val_loss"), metric(run), run.model, run.optimizer, figure(run, "steps"), duration(run), run.created, run.tags.join(" "), run.note]),
  ];
}

