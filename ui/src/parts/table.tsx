/** A table that sorts by its heads, also within groups; the order is in the address. Long ones draw only the rows in view. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useParam } from "../router";
import { type Grouping, lined } from "./sections";

export interface Column<Row> {
  id: string;
  head: string;
  about?: string;
  numeric?: boolean;
  /** What to sort by; null goes last. Columns without it do not sort. */
  key?: (row: Row) => number | string | null;
  cell: (row: Row) => ComponentChildren;
  className?: string;
}

interface Props<Row> {
  label: string;
  rows: Row[];
  columns: Column<Row>[];
  id: (row: Row) => string | number;
  /** The parameter of the address that holds the order. */
  parameter?: string;
  initial?: string;
  mark?: (row: Row) => string | undefined;
  /** Whether a long one scrolls within itself instead of making the page long. */
  framed?: boolean;
  grouping?: Grouping<Row> | null;
  className?: string;
  empty?: ComponentChildren;
}

const ROW = 33; // pixels, as the style sheet has it
const WINDOWED = 250;

/** Rows in the order that `order` names: a column's id, with a minus before it for the reverse. */
export function sorted<Row>(rows: Row[], columns: Column<Row>[], order: string): Row[] {
  const reverse = order.startsWith("-");
  const key = columns.find((column) => column.id === order.replace(/^-/, ""))?.key;
  if (!key) return rows;
  const sign = reverse ? -1 : 1;
  return rows
    .map((row) => ({ row, value: key(row) }))
    .sort((a, b) => {
      if (a.value === null || b.value === null) return a.value === b.value ? 0 : a.value === null ? 1 : -1;
      if (typeof a.value === "string" || typeof b.value === "string") {
        return sign * String(a.value).localeCompare(String(b.value), "en", { numeric: true });
      }
      return sign * (a.value - b.value);
    })
    .map(({ row }) => row);
}

export function DataTable<Row>({ label, rows, columns, id, parameter = "sort", initial = "", mark, framed = false, grouping = null, className, empty }: Props<Row>) {
  const [order, setOrder] = useParam(parameter, initial);
  const frame = useRef<HTMLDivElement>(null);
  const [range, setRange] = useState<[number, number]>([0, 80]);
  const all = lined(sorted(rows, columns, order), grouping);
  const windowed = all.length > WINDOWED;

  useEffect(() => {
    if (!windowed) return;
    const look = () => {
      const box = frame.current?.getBoundingClientRect();
      if (!box) return;
      const above = framed ? frame.current!.scrollTop : -box.top;
      const first = Math.max(0, Math.floor(above / ROW) - 20);
      setRange([first, first + Math.ceil(window.innerHeight / ROW) + 40]);
    };
    look();
    const scrolled = framed ? frame.current! : window;
    scrolled.addEventListener("scroll", look, { passive: true });
    window.addEventListener("resize", look);
    return () => {
      scrolled.removeEventListener("scroll", look);
      window.removeEventListener("resize", look);
    };
  }, [windowed, framed]);

  const [from, to] = windowed ? range : [0, all.length];
  const head = (column: Column<Row>) => {
    const direction = order === column.id ? "ascending" : order === `-${column.id}` ? "descending" : undefined;
    const next = direction === undefined ? (column.numeric ? `-${column.id}` : column.id) : order.startsWith("-") ? column.id : `-${column.id}`;
    return (
      <th key={column.id} scope="col" class={column.numeric ? "numeric" : column.className} aria-sort={direction} title={column.about}>
        {column.key ? (
          <button type="button" class="sort" onClick={() => setOrder(next)}>
            {column.head}
            <span aria-hidden="true">{direction === "ascending" ? " ▲" : direction === "descending" ? " ▼" : ""}</span>
          </button>
        ) : (
          column.head || <span class="hidden">{column.id}</span>
        )}
      </th>
    );
  };
  if (!rows.length && empty) return <>{empty}</>;
  return (
    <div class={`table-frame ${framed ? "framed" : ""}`} ref={frame} tabIndex={0} role="group" aria-label={label}>
      <table class={className}>
        <thead>
          <tr>{columns.map(head)}</tr>
        </thead>
        <tbody>
          {from > 0 && <tr aria-hidden="true" style={{ height: `${Math.min(from, all.length) * ROW}px` }} />}
          {all.slice(from, to).map((line) =>
            "rows" in line ? (
              <tr key={`group ${line.key}`} class="branch">
                {grouping?.head(line.key, line.rows, columns.length)}
              </tr>
            ) : (
              <tr key={`${line.key} ${id(line.row)}`} class={mark?.(line.row)}>
                {columns.map((column) => (
                  <td key={column.id} class={column.numeric ? "numeric" : column.className}>
                    {column.cell(line.row)}
                  </td>
                ))}
              </tr>
            ),
          )}
          {to < all.length && <tr aria-hidden="true" style={{ height: `${(all.length - to) * ROW}px` }} />}
        </tbody>
      </table>
    </div>
  );
}
