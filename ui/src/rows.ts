/** Marked rows as text for the address: `3,7-12`. */

const MOST = 4000; // rows that an address can hold without growing absurd

export function parsedRows(text: string): ReadonlySet<number> {
  const rows = new Set<number>();
  for (const part of text.split(",")) {
    const found = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part);
    if (!found) continue;
    const last = Number(found[2] ?? found[1]);
    for (let row = Number(found[1]); row <= last && rows.size < MOST; row++) rows.add(row);
  }
  return rows;
}

export function joinedRows(rows: Iterable<number>): string {
  const sorted = [...new Set(rows)].sort((a, b) => a - b).slice(0, MOST);
  const parts: string[] = [];
  for (let i = 0; i < sorted.length; ) {
    let j = i;
    while (sorted[j + 1] === sorted[j] + 1) j++;
    parts.push(i === j ? `${sorted[i]}` : `${sorted[i]}-${sorted[j]}`);
    i = j + 1;
  }
  return parts.join(",");
}
