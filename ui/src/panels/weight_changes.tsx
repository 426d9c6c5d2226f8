/** What became of each weight from one checkpoint to another, and what kind of change it was; furthest first. */

import { useMemo } from "preact/hooks";
import { address } from "../api/client";
import { useLong } from "../api/data";
import type { ChangeSide, WeightChange, WeightChanges } from "../api/types";
import { Search, Segments, Select } from "../parts/controls";
import { Name } from "../parts/name";
import { Panel, When } from "../parts/panel";
import { Empty } from "../parts/states";
import { type Column, DataTable } from "../parts/table";
import { joinedRows } from "../rows";
import { link, useParam } from "../router";
import type { Table } from "../save";
import { number, percent, plural, shape, visible } from "../text";
import { short, type Subject, usePair } from "./subjects";

interface Row {
  before: ChangeSide | null;
  after: ChangeSide | null;
  change: WeightChange | null;
}

const KINDS: Record<string, string> = {
  identical: "Equal to the last bit",
  converted: "Of another type, each value the nearest one to what it was",
  quantized: "Floats on one side, whole numbers that grow with them on the other",
  pruned: "Some values became zero, no other changed",
  changed: "Other values",
  reshaped: "The same values in another shape",
  transposed: "The same values along other axes",
  reordered: "The same rows or columns in another order",
  incomparable: "No difference can be taken",
  removed: "Only the first has it",
  added: "Only the second has it",
};

const SHOWN = [
  ["", "All"],
  ["changed", "What differs"],
] as const;

function kindOf({ change, after }: Row): string {
  return change?.relation ?? (after ? "added" : "removed");
}

function told(row: Row): string {
  const { change } = row;
  if (!change) return kindOf(row);
  const { before, after, through, rank } = change;
  const type = before.dtype === after.dtype ? "" : ` ${before.dtype} → ${after.dtype}`;
  const way = through ? ` through ${through}` : rank?.low ? ` by rank ${number(rank.rank)}` : "";
  return `${change.relation}${type}${way}${isRenamed(row) ? ", renamed" : ""}`;
}

function isRenamed({ before, after }: Row): boolean {
  return before !== null && after !== null && before.name !== after.name;
}

function relative({ change }: Row): number | null {
  return change?.from_zero ? Number.MAX_VALUE : (change?.relative ?? null);
}

/** The weight's own page, with the difference open where both are of one name and shape. */
function pageOf({ before, after }: Row, base: Subject, other: Subject, rows?: number[]): string {
  if (!after) return link(["source", base.source!, "weight", before!.index]);
  const alike = before !== null && before.name === after.name && shape(before.shape) === shape(after.shape);
  const asked = alike ? { against: base.source, mode: "difference" } : {};
  return link(["source", other.source!, "weight", after.index], { ...asked, rows: rows ? joinedRows(rows) : null });
}

function columns(base: Subject, other: Subject): Column<Row>[] {
  const figure = (name: "cosine" | "differing" | "sign_flips", head: string, about: string, format: (value: unknown) => string): Column<Row> => ({
    id: name,
    head,
    about,
    numeric: true,
    key: ({ change }) => change?.[name] ?? null,
    cell: ({ change }) => format(change?.[name]),
  });
  return [
    {
      id: "name",
      head: "Weight",
      key: (row) => (row.after ?? row.before)!.name,
      className: "wide",
      cell: (row) => (
        <a href={pageOf(row, base, other)}>
          {isRenamed(row) && (
            <>
              <Name text={row.before!.name} length={34} /> →{" "}
            </>
          )}
          <Name text={(row.after ?? row.before)!.name} length={isRenamed(row) ? 34 : 58} />
        </a>
      ),
    },
    { id: "kind", head: "What happened", key: told, cell: (row) => <span class={kindOf(row) === "identical" ? "muted" : ""} title={KINDS[kindOf(row)]}>{told(row)}</span> },
    {
      id: "change",
      head: "Change",
      about: "Norm of the difference over the norm before",
      numeric: true,
      key: relative,
      cell: ({ change }) => (change?.from_zero ? "from zero" : percent(change?.relative)),
    },
    figure("cosine", "Cosine", "How far both point the same way: 1 is the same direction, 0 nothing in common", (value) => number(value, 5)),
    figure("differing", "Differing", "Share of the values that differ", percent),
    figure("sign_flips", "Signs flipped", "Share of the values whose sign changed", percent),
    {
      id: "rank",
      head: "Rank",
      about: "Rank of the difference, of the highest that could be found: low where few directions changed, as LoRA does",
      numeric: true,
      key: ({ change }) => change?.rank?.rank ?? null,
      cell: ({ change }) => (change?.rank ? `${number(change.rank.rank)} of ${number(change.rank.limit)}` : "–"),
    },
    { id: "shape", head: "Shape", numeric: true, key: (row) => (row.after ?? row.before)!.shape.reduce((product, one) => product * one, 1), cell: shapes },
    {
      id: "rows",
      head: "Rows that moved most, remarks",
      cell: (row) =>
        row.change?.rows.length ? (
          <a href={pageOf(row, base, other, row.change.rows.map((one) => one.row))} title={row.change.rows.map((one) => `row ${one.row}: ${percent(one.relative)}`).join("\n")}>
            {row.change.rows.map((one) => one.row).join(", ")}
          </a>
        ) : (
          <span class="muted">{row.change?.reason ? visible(row.change.reason) : ""}</span>
        ),
    },
  ];
}

function shapes({ before, after }: Row): string {
  if (!before || !after) return shape((after ?? before)!.shape);
  return shape(before.shape) === shape(after.shape) ? shape(after.shape) : `${shape(before.shape)} → ${shape(after.shape)}`;
}

function rowsOf(data: WeightChanges): Row[] {
  return [
    ...data.changes.map((change) => ({ before: change.before, after: change.after, change })),
    ...data.removed.map((before) => ({ before, after: null, change: null })),
    ...data.added.map((after) => ({ before: null, after, change: null })),
  ];
}

function table(rows: Row[]): Table {
  return [
    ["before", "after", "what", "relative_change", "cosine", "differing", "sign_flips", "zeroed", "rank", "shape", "remark"],
    ...rows.map((row) => [row.before?.name, row.after?.name, told(row), row.change?.relative, row.change?.cosine, row.change?.differing, row.change?.sign_flips, row.change?.zeroed, row.change?.rank?.rank, shapes(row), row.change?.reason]),
  ];
}

function matches(row: Row, search: string, differing: boolean): boolean {
  if (differing && kindOf(row) === "identical" && !isRenamed(row)) return false;
  const text = `${row.before?.name ?? ""} ${row.after?.name ?? ""} ${told(row)}`.toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

export function WeightChangesPanel({ subjects }: { subjects: Subject[] }) {
  const { base, other, choose } = usePair(subjects);
  const [search, setSearch] = useParam("csearch");
  const [which, setWhich] = useParam("changes");
  const loaded = useLong<WeightChanges>(base?.held && other?.held ? address(["compare", "weights"], { source: [base.held, other.held] }) : null);
  const all = useMemo(() => (loaded.data ? rowsOf(loaded.data) : []), [loaded.data]);
  const shown = all.filter((row) => matches(row, search, which === "changed"));
  const able = subjects.filter((one) => one.source !== null);
  if (!base || !other) {
    return (
      <Panel title="What changed in the weights">
        <Empty>Fewer than two of these have kept weights. Runs that record snapshots do.</Empty>
      </Panel>
    );
  }
  const options = able.map((one) => [one.id, short(one)] as const);
  return (
    <Panel
      title="What changed in the weights"
      about="Weights are matched by name, or by content where names differ, and compared value by value, whatever their types. A name opens the weight with the picture of the difference."
      note={loaded.data && (shown.length === all.length ? plural(all.length, "weight") : `${shown.length} of ${plural(all.length, "weight")}`)}
      csv={loaded.data ? () => table(shown) : undefined}
      controls={
        <>
          <Segments label="Which weights" value={which as "" | "changed"} options={SHOWN} onChange={setWhich} />
          <Search label="Search names and kinds" value={search} onChange={setSearch} />
        </>
      }
    >
      <div class="toolbar">
        <Select label="From" value={base.id} options={options} onChange={(id) => choose(id, id === other.id ? base.id : other.id)} />
        <Select label="to" value={other.id} options={options} onChange={(id) => choose(id === base.id ? other.id : base.id, id)} />
        <button type="button" onClick={() => choose(other.id, base.id)}>
          ⇄ Swap
        </button>
      </div>
      <When loaded={loaded} height={160}>
        {(data) => (
          <>
            <p class="sentence" role="status" data-testid="verdict">
              {visible(data.verdict)}
            </p>
            <DataTable label="Changes of weights" rows={shown} columns={columns(base, other)} id={(row) => `${row.before?.index} ${row.after?.index}`} parameter="csort" initial="-change" framed empty={<Empty>{all.length ? "No weight matches." : "There are no weights in either."}</Empty>} />
          </>
        )}
      </When>
    </Panel>
  );
}
