/** Statistics of corresponding weights side by side, those that differ most first; one weight's distributions overlaid. */

import { useMemo } from "preact/hooks";
import { address } from "../api/client";
import { useLong } from "../api/data";
import type { SideBySide, SideBySideEntry } from "../api/types";
import { Search, Segments } from "../parts/controls";
import { Name } from "../parts/name";
import { Panel, When } from "../parts/panel";
import { Empty } from "../parts/states";
import { Swatch } from "../parts/swatch";
import { type Column, DataTable } from "../parts/table";
import { link, useParam } from "../router";
import type { Table } from "../save";
import { number, percent, plural, visible } from "../text";
import { DistributionsPanel } from "./distributions";
import { short, type Subject } from "./subjects";

type Row = SideBySide["weights"][number];

const STATISTICS = [
  ["std", "Std"],
  ["norm", "Norm"],
  ["mean", "Mean"],
  ["sparsity", "Zeros"],
  ["minimum", "Min"],
  ["maximum", "Max"],
] as const;

type Statistic = (typeof STATISTICS)[number][0];

function valueOf(entry: SideBySideEntry | null, name: string): number | null {
  const value = entry?.[name];
  return typeof value === "number" ? value : null;
}

/** How far apart the subjects' values lie, over the largest of them by size; null where fewer than two have one. */
function spread(row: Row, name: string): number | null {
  const values = row.of.map((entry) => valueOf(entry, name)).filter((value): value is number => value !== null);
  if (values.length < 2) return null;
  const most = Math.max(...values.map(Math.abs));
  return most > 0 ? (Math.max(...values) - Math.min(...values)) / most : 0;
}

function columns(subjects: Subject[], name: Statistic, choose: (weight: string) => void): Column<Row>[] {
  const format = name === "sparsity" ? percent : number;
  return [
    {
      id: "name",
      head: "Weight",
      key: (row) => row.name,
      className: "wide",
      cell: (row) => (
        <button type="button" class="linklike" title="Show its distributions" onClick={() => choose(row.name)}>
          <Name text={row.name} length={44} />
        </button>
      ),
    },
    { id: "spread", head: "Apart", about: "From the smallest to the largest of these, over the largest by size", numeric: true, key: (row) => spread(row, name), cell: (row) => percent(spread(row, name)) },
    ...subjects.map(
      (one, i): Column<Row> => ({
        id: `s${i}`,
        head: short(one, 22),
        about: `${visible(one.label)}; a number opens the weight`,
        numeric: true,
        key: (row) => valueOf(row.of[i], name),
        cell: (row) => {
          const entry = row.of[i];
          if (!entry) return <span class="muted">–</span>;
          return (
            <a href={link(["source", one.source!, "weight", entry.index])} title={entry.reason && visible(entry.reason)}>
              {entry.reason ? "not read" : format(valueOf(entry, name))}
            </a>
          );
        },
      }),
    ),
  ];
}

function table(rows: Row[], subjects: Subject[], statistics: string[]): Table {
  return [
    ["weight", ...subjects.flatMap((one) => statistics.map((name) => `${name} of ${one.label}`))],
    ...rows.map((row) => [row.name, ...row.of.flatMap((entry) => statistics.map((name) => valueOf(entry, name)))]),
  ];
}

export function SideBySidePanels({ subjects }: { subjects: Subject[] }) {
  const able = subjects.filter((one) => one.source !== null);
  const [statistic, setStatistic] = useParam("stat", "std");
  const [search, setSearch] = useParam("search");
  const [weight, setWeight] = useParam("weight");
  const loaded = useLong<SideBySide>(able.length > 1 ? address(["compare", "statistics"], { source: able.map((one) => one.held!) }) : null);
  const name = STATISTICS.some(([one]) => one === statistic) ? (statistic as Statistic) : "std";
  const rows = loaded.data?.weights ?? [];
  const shown = rows.filter((row) => search.toLowerCase().split(/\s+/).every((word) => row.name.toLowerCase().includes(word)));
  const chosen = useMemo(() => (weight && rows.find((row) => row.name === weight)) || furthest(rows), [rows, weight]);
  if (able.length < 2) return null;
  // Many columns need the whole width; the picture then stands above, in sight of the names that choose it.
  const wide = able.length > 3;
  const picture = <DistributionsPanel subjects={able} row={chosen} rows={rows} onChoose={setWeight} />;
  return (
    <div class={wide ? "stack" : "grid wide-left"}>
      {wide && picture}
      <Panel
        title="Statistics side by side"
        about="One statistic of the weights of each name, in every checkpoint that has it. A weight's name shows its distributions, a number opens the weight."
        note={loaded.data && (shown.length === rows.length ? plural(rows.length, "weight") : `${shown.length} of ${plural(rows.length, "weight")}`)}
        csv={loaded.data ? () => table(shown, able, loaded.data!.statistics) : undefined}
        controls={
          <>
            <Segments label="Statistic" value={name} options={STATISTICS} onChange={setStatistic} />
            <Search label="Search names" value={search} onChange={setSearch} />
          </>
        }
      >
        <When loaded={loaded} height={160}>
          {() => (
            <>
              <ul class="legend" aria-label="Columns">
                {able.map((one) => (
                  <li key={one.id}>
                    <Swatch color={one.color} /> <Name text={one.label} length={60} />
                  </li>
                ))}
              </ul>
              <DataTable label="Statistics side by side" rows={shown} columns={columns(able, name, setWeight)} id={(row) => row.name} parameter="sort" initial="-spread" framed mark={(row) => (row === chosen ? "chosen" : undefined)} empty={<Empty>{rows.length ? "No name matches the search." : "There are no weights in any."}</Empty>} />
            </>
          )}
        </When>
      </Panel>
      {!wide && picture}
    </div>
  );
}

/** The weight whose spread differs most: what one would look at first. */
function furthest(rows: Row[]): Row | null {
  return rows.reduce<Row | null>((best, row) => ((spread(row, "std") ?? -1) > (best ? (spread(best, "std") ?? -1) : -1) ? row : best), null) ?? rows[0] ?? null;
}
