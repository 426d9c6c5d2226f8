/** The model as a tree by the parts of its weights' names; a branch sums up what is below it. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { Name } from "../parts/name";
import { rank, Severity } from "../parts/severity";
import { MiniHistogram } from "../parts/spark";
import { link } from "../router";
import { compact, number, percent, plural, shape, shortened, visible } from "../text";
import { FindingMark, type Row, statistic, worst, zeroShare } from "./weights";

interface Branch {
  path: string;
  label: string;
  branches: Map<string, Branch>;
  rows: Row[];
}

const OPEN_AT_MOST = 220; // rows that are shown without a click
const SPARED = 400; // rows drawn at once below one branch

function branch(path: string, label: string): Branch {
  return { path, label, branches: new Map(), rows: [] };
}

/** Parts between dots or slashes; a chain of branches with one child each becomes one branch. */
export function tree(rows: Row[]): Branch {
  const root = branch("", "");
  for (const row of rows) {
    const parts = row.weight.name.split(/[./]/).filter(Boolean);
    let at = root;
    for (const part of parts.slice(0, Math.min(parts.length - 1, 12))) {
      const path = `${at.path}/${part}`;
      if (!at.branches.has(part)) at.branches.set(part, branch(path, part));
      at = at.branches.get(part)!;
    }
    at.rows.push(row);
  }
  return squeezed(root);
}

function squeezed(one: Branch): Branch {
  let at = one;
  while (at.path && at.rows.length === 0 && at.branches.size === 1) {
    const [only] = at.branches.values();
    at = { ...only, label: `${at.label}.${only.label}` };
  }
  return { ...at, branches: new Map([...at.branches].map(([name, inner]) => [name, squeezed(inner)])) };
}

/** The branches that are open at first: all where that is little enough to look through, else a lone one at the top. */
function openAtFirst(root: Branch): Set<string> {
  const every = (one: Branch): Branch[] => [one, ...[...one.branches.values()].flatMap(every)];
  const branches = every(root);
  const rows = branches.length + branches.reduce((sum, one) => sum + one.rows.length, 0);
  if (rows <= OPEN_AT_MOST) return new Set(branches.map((one) => one.path));
  return new Set(root.branches.size === 1 ? [...root.branches.values()].map((one) => one.path) : []);
}

/** In the file's order, but numbered layers by their numbers: safetensors sorts 10 before 2. */
function ordered(branches: Map<string, Branch>): Branch[] {
  const all = [...branches.values()];
  return all.every((one) => /^\d+/.test(one.label)) ? all.sort((a, b) => parseInt(a.label) - parseInt(b.label)) : all;
}

function all(one: Branch): Row[] {
  return [...one.rows, ...[...one.branches.values()].flatMap(all)];
}

export function WeightTree({ source, rows, open }: { source: string; rows: Row[]; open: boolean }) {
  const root = useMemo(() => tree(rows), [rows]);
  const [toggled, setToggled] = useState<Set<string>>(new Set());
  useEffect(() => setToggled(new Set()), [open]);
  const first = useMemo(() => openAtFirst(root), [root]);
  const isOpen = (path: string) => (open || first.has(path)) !== toggled.has(path);
  const toggle = (path: string) => {
    const next = new Set(toggled);
    if (!next.delete(path)) next.add(path);
    setToggled(next);
  };
  return (
    <div class="table-frame" tabIndex={0} role="group" aria-label="Weights by layer">
      <table class="tree">
        <thead>
          <tr>
            <th scope="col">Layer</th>
            <th scope="col">Role</th>
            <th scope="col" class="numeric">
              Shape
            </th>
            <th scope="col">Type</th>
            <th scope="col" title="Distribution; heights go with the square root of the counts, the line is zero">
              Values
            </th>
            <th scope="col" class="numeric" title="Average value">
              Mean
            </th>
            <th scope="col" class="numeric" title="Standard deviation">
              Std
            </th>
            <th scope="col" class="numeric" title="Smallest and largest value">
              Range
            </th>
            <th scope="col" class="numeric" title="Share of values that are exactly zero">
              Zeros
            </th>
            <th scope="col" class="numeric">
              Findings
            </th>
          </tr>
        </thead>
        <tbody>
          <Below one={root} depth={0} source={source} isOpen={isOpen} toggle={toggle} />
        </tbody>
      </table>
    </div>
  );
}

interface BelowProps {
  one: Branch;
  depth: number;
  source: string;
  isOpen: (path: string) => boolean;
  toggle: (path: string) => void;
}

function Below({ one, depth, source, isOpen, toggle }: BelowProps) {
  const spared = one.rows.length - SPARED;
  return (
    <>
      {ordered(one.branches).map((inner) => (
        <BranchRows key={inner.path} one={inner} depth={depth} source={source} isOpen={isOpen} toggle={toggle} />
      ))}
      {one.rows.slice(0, SPARED).map((row) => (
        <Leaf key={row.weight.index} row={row} depth={depth} source={source} />
      ))}
      {spared > 0 && (
        <tr>
          <td colSpan={10} class="muted">
            {plural(spared, "more weight")}: see the table, or search.
          </td>
        </tr>
      )}
    </>
  );
}

function indent(depth: number) {
  return { paddingLeft: `${8 + depth * 18}px` };
}

function BranchRows({ one, depth, source, isOpen, toggle }: BelowProps) {
  const rows = all(one);
  const findings = rows.flatMap((row) => row.findings);
  const open = isOpen(one.path);
  const elements = rows.reduce((sum, row) => sum + row.weight.elements, 0);
  return (
    <>
      <tr class="branch">
        <th scope="row" style={indent(depth)}>
          <button type="button" class="twist" aria-expanded={open} onClick={() => toggle(one.path)}>
            <span aria-hidden="true">{open ? "▾" : "▸"}</span> {shortened(visible(one.label), 60)}
          </button>
        </th>
        <td colSpan={8} class="muted">
          {plural(rows.length, "weight")}, {compact(elements)} values
        </td>
        <td class="numeric">{findings.length > 0 && !open && <Severity level={findings.map((f) => f.severity).sort((a, b) => rank(a) - rank(b))[0]} amount={findings.length} />}</td>
      </tr>
      {open && <Below one={one} depth={depth + 1} source={source} isOpen={isOpen} toggle={toggle} />}
    </>
  );
}

function range(row: Row): string {
  const [low, high] = [statistic(row, "minimum"), statistic(row, "maximum")];
  return low === null && high === null ? "–" : `${number(low)} to ${number(high)}`;
}

function Leaf({ row, depth, source }: { row: Row; depth: number; source: string }) {
  const { weight, statistics } = row;
  const parts = weight.name.split(/[./]/).filter(Boolean);
  const pending = <span class="pending" />;
  return (
    <tr class={worst(row.findings) ?? undefined}>
      <th scope="row" style={indent(depth)}>
        <a href={link(["source", source, "weight", weight.index])} title={shortened(visible(weight.name), 300)}>
          <Name text={parts.at(-1) ?? weight.name} length={60} />
        </a>
      </th>
      <td>{weight.role}</td>
      <td class="numeric">{shape(weight.shape)}</td>
      <td>{weight.dtype}</td>
      <td>{statistics ? statistics.histogram ? <MiniHistogram histogram={statistics.histogram} /> : <span class="muted">{shortened(visible(String(statistics.reason ?? "–")), 40)}</span> : pending}</td>
      <td class="numeric">{statistics ? number(statistic(row, "mean")) : pending}</td>
      <td class="numeric">{statistics ? number(statistic(row, "std")) : pending}</td>
      <td class="numeric">{statistics ? range(row) : pending}</td>
      <td class="numeric">{percent(zeroShare(row))}</td>
      <td class="numeric">{row.findings.length > 0 && <FindingMark findings={row.findings} />}</td>
    </tr>
  );
}
