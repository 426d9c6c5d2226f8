/** How bad a finding is, as a word with a color and a shape of its own. */

const MARKS: Record<string, string> = { error: "▲", warning: "◆", info: "●" };

export function Severity({ level, amount }: { level: string; amount?: number }) {
  return (
    <span class={`severity ${level}`}>
      <span aria-hidden="true">{MARKS[level] ?? "●"}</span> {amount === undefined ? level : amount}
      {amount !== undefined && <span class="hidden"> {level}</span>}
    </span>
  );
}

const RANK: Record<string, number> = { error: 0, warning: 1, info: 2 };

export function rank(level: string): number {
  return RANK[level] ?? 3;
}
