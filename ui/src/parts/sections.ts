/** The rows of a table under heads of groups, as one list of lines of the same height. */

import type { ComponentChildren } from "preact";

export interface Grouping<Row> {
  /** The groups that a row belongs to. */
  keys: (row: Row) => string[];
  folded: ReadonlySet<string>;
  /** The cells of a group's own row, over `width` columns. */
  head: (key: string, rows: Row[], width: number) => ComponentChildren;
}

export type Line<Row> = { key: string; rows: Row[] } | { key: string; row: Row };

/** Lines in the order of the rows: a group comes where its first row is, the one without a name last. */
export function lined<Row>(rows: Row[], grouping: Grouping<Row> | null): Line<Row>[] {
  if (!grouping) return rows.map((row) => ({ key: "", row }));
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    for (const key of grouping.keys(row)) {
      const group = groups.get(key);
      if (group) group.push(row);
      else groups.set(key, [row]);
    }
  }
  const named = [...groups].sort(([a], [b]) => Number(a === "") - Number(b === ""));
  return named.flatMap(([key, group]) => [{ key, rows: group }, ...(grouping.folded.has(key) ? [] : group.map((row) => ({ key, row })))]);
}
