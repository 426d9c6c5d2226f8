/** All weights of a file or snapshot, as a tree of the model or as a table, filled while they are scanned. */

import { useMemo } from "preact/hooks";
import { pinned, useChanges } from "../api/changes";
import { address } from "../api/client";
import { useData, useLong } from "../api/data";
import { type Scan, useScan } from "../api/events";
import type { Finding, Findings, SourceDetail, SourceWeight, StreamedStatistics } from "../api/types";
import { Search, Segments } from "../parts/controls";
import { Name } from "../parts/name";
import { Panel, When } from "../parts/panel";
import { rank, Severity } from "../parts/severity";
import { MiniHistogram } from "../parts/spark";
import { Empty, Failure } from "../parts/states";
import { type Column, DataTable } from "../parts/table";
import { link, useParam } from "../router";
import type { Table } from "../save";
import { bytes, compact, count, number, percent, plural, shape, visible } from "../text";
import { useTheme } from "../theme";
import { depthLegend, DepthProfile, depthTable } from "./depth";
import { FindingsPanel } from "./findings";
import { WeightTree } from "./weight_tree";

export interface Row {
  weight: SourceWeight;
  statistics: StreamedStatistics | null;
  findings: Finding[];
}

const VIEWS = [
  ["tree", "Tree"],
  ["table", "Table"],
  ["depth", "Depth"],
] as const;

export function zeroShare(row: Row): number | null {
  const { statistics, weight } = row;
  return statistics && typeof statistics.zeros === "number" && weight.elements > 0 ? statistics.zeros / weight.elements : null;
}

export function statistic(row: Row, name: string): number | null {
  const value = row.statistics?.[name];
  return typeof value === "number" ? value : null;
}

export function worst(findings: Finding[]): string | null {
  return findings.length ? findings.map((one) => one.severity).sort((a, b) => rank(a) - rank(b))[0] : null;
}

const figure = (id: string, head: string, about: string): Column<Row> => ({
  id,
  head,
  about,
  numeric: true,
  key: (row) => statistic(row, id),
  cell: (row) => (row.statistics ? number(statistic(row, id)) : <span class="pending" aria-label="not scanned yet" />),
});

function columns(source: string): Column<Row>[] {
  return [
    { id: "index", head: "#", about: "Place in the file", numeric: true, key: (row) => row.weight.index, cell: (row) => row.weight.index },
    {
      id: "name",
      head: "Weight",
      key: (row) => row.weight.name,
      className: "wide",
      cell: (row) => (
        <a href={link(["source", source, "weight", row.weight.index])}>
          <Name text={row.weight.name} length={58} />
        </a>
      ),
    },
    { id: "role", head: "Role", key: (row) => row.weight.role, cell: (row) => row.weight.role },
    { id: "shape", head: "Shape", numeric: true, key: (row) => row.weight.elements, cell: (row) => shape(row.weight.shape) },
    { id: "dtype", head: "Type", key: (row) => row.weight.dtype, cell: (row) => row.weight.dtype },
    {
      id: "values",
      head: "Values",
      about: "Distribution; heights go with the square root of the counts, the line is zero",
      cell: (row) => (row.statistics ? <MiniHistogram histogram={row.statistics.histogram} /> : <span class="pending" />),
    },
    figure("mean", "Mean", "Average value"),
    figure("std", "Std", "Standard deviation: how far values typically lie from the mean"),
    figure("minimum", "Min", "Smallest value"),
    figure("maximum", "Max", "Largest value"),
    { id: "zeros", head: "Zeros", about: "Share of values that are exactly zero", numeric: true, key: zeroShare, cell: (row) => percent(zeroShare(row)) },
    {
      id: "findings",
      head: "Findings",
      about: "What the rules see in this weight",
      numeric: true,
      key: (row) => (row.findings.length ? (3 - rank(worst(row.findings)!)) * 100 + row.findings.length : 0),
      cell: (row) => (row.findings.length ? <FindingMark findings={row.findings} /> : null),
    },
  ];
}

export function FindingMark({ findings }: { findings: Finding[] }) {
  return (
    <span title={findings.slice(0, 4).map((one) => `${one.code} ${one.name}: ${visible(one.message)}`).join("\n")}>
      <Severity level={worst(findings)!} amount={findings.length} />
    </span>
  );
}

function table(rows: Row[]): Table {
  const names = ["mean", "std", "minimum", "maximum"];
  return [
    ["index", "name", "role", "shape", "dtype", "elements", "bytes", ...names, "zeros", "findings"],
    ...rows.map((row) => [row.weight.index, row.weight.name, row.weight.role, row.weight.shape.join("x"), row.weight.dtype, row.weight.elements, row.weight.bytes, ...names.map((name) => statistic(row, name)), zeroShare(row), row.findings.map((one) => one.code).join(" ")]),
  ];
}

export function WeightsPanel({ source }: { source: string }) {
  const detail = useData<SourceDetail>(address(["sources", source]), useChanges(source));
  const held = detail.data && pinned(source, detail.data.content);
  const scan = useScan(held);
  const findings = useLong<Findings>(scan.done && held ? address(["sources", held, "findings"]) : null);
  const [view, setView] = useParam("as", "tree");
  const [search, setSearch] = useParam("search");
  const { colors } = useTheme();
  const rows = useMemo(() => joined(detail.data, scan, findings.data), [detail.data, scan, findings.data]);
  const shown = search ? rows.filter(({ weight }) => matches(weight, search)) : rows;
  const weightLink = (name: string) => {
    const found = detail.data?.weights.find((weight) => weight.name === name);
    return found ? link(["source", source, "weight", found.index]) : link(["source", source]);
  };
  return (
    <>
      <Panel
        title="Weights"
        about="Every weight with the statistics of one pass over its values. Names open the weight; heads of the table sort."
        note={detail.data && <Summary detail={detail.data} scan={scan} shown={shown.length} />}
        controls={
          <>
            <Segments label="View" value={view as "tree" | "table" | "depth"} options={VIEWS} onChange={setView} />
            <Search label="Search names" value={search} onChange={setSearch} />
          </>
        }
        csv={() => (view === "depth" ? depthTable(shown) : table(shown))}
        picture={view === "depth"}
        legend={view === "depth" ? depthLegend(shown, colors) : []}
      >
        {scan.error && <Failure error={scan.error} />}
        <When loaded={detail} height={300}>
          {(data) =>
            data.weights.length === 0 ? (
              <Empty>There are no weights in it.</Empty>
            ) : shown.length === 0 ? (
              <Empty>No name matches the search.</Empty>
            ) : view === "table" ? (
              <DataTable label="Weights" rows={shown} columns={columns(source)} id={(row) => row.weight.index} mark={(row) => worst(row.findings) ?? undefined} />
            ) : view === "depth" ? (
              <DepthProfile source={source} rows={shown} />
            ) : (
              <WeightTree source={source} rows={shown} open={search !== ""} />
            )
          }
        </When>
      </Panel>
      {scan.done && !scan.error && <FindingsPanel findings={findings} weightLink={weightLink} />}
    </>
  );
}

function matches(weight: SourceWeight, search: string): boolean {
  const text = `${weight.name} ${weight.role} ${weight.dtype}`.toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function joined(detail: SourceDetail | null, scan: Scan, findings: Findings | null): Row[] {
  const byName = new Map<string, Finding[]>();
  for (const one of findings?.findings ?? []) if (one.weight) byName.set(one.weight, [...(byName.get(one.weight) ?? []), one]);
  return (detail?.weights ?? []).map((weight) => ({ weight, statistics: scan.statistics.get(weight.index) ?? null, findings: byName.get(weight.name) ?? [] }));
}

function Summary({ detail, scan, shown }: { detail: SourceDetail; scan: Scan; shown: number }) {
  const elements = detail.weights.reduce((sum, weight) => sum + weight.elements, 0);
  const size = detail.weights.reduce((sum, weight) => sum + weight.bytes, 0);
  const all = detail.weights.length;
  return (
    <>
      {shown === all ? plural(all, "weight") : `${count(shown)} of ${plural(all, "weight")}`} · {compact(elements)} values · {bytes(size)}
      {!scan.done && (
        <span class="scanning" role="status">
          {" "}
          · scanned {count(scan.statistics.size)} of {count(all)}
        </span>
      )}
    </>
  );
}
