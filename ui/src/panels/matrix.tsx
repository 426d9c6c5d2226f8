/** The weight's matrix as a zoomable picture, with what its colors mean and a way to any value. */

import { useState } from "preact/hooks";
import type { Matrix, WeightDetail } from "../api/types";
import { type Cell, Heatmap } from "../heatmap/heatmap";
import { Select, Toggle } from "../parts/controls";
import { Panel } from "../parts/panel";
import { ScaleBar } from "../parts/scale_bar";
import { useParam } from "../router";
import { diverging } from "../scales";
import { number, plural, shape, visible } from "../text";
import { useTheme } from "../theme";

const STATISTICS = [
  ["mean", "mean"],
  ["magnitude", "largest by size"],
  ["minimum", "smallest"],
  ["maximum", "largest"],
] as const;

const CLIPS = [
  ["0.95", "95 % of values"],
  ["0.99", "99 % of values"],
  ["0.999", "99.9 % of values"],
  ["1", "all values"],
] as const;

/** The magnitude up to which colors differ: a quantile on the side where it lies further out. */
export function reachOf(weight: WeightDetail, clip: string): number {
  const { quantiles, statistics } = weight;
  const size = (value: unknown) => (typeof value === "number" ? Math.abs(value) : 0);
  const all = Math.max(size(statistics?.minimum), size(statistics?.maximum));
  if (clip === "1") return all;
  const low = String(Number((1 - Number(clip)).toFixed(4)));
  return Math.max(size(quantiles[low]), size(quantiles[clip])) || all;
}

interface Props {
  source: string;
  weight: WeightDetail;
  matrix: Matrix;
  cell: Cell | null;
  rows: ReadonlySet<number>;
  onCell: (cell: Cell) => void;
  onRows: (rows: Iterable<number>) => void;
}

export function MatrixPanel({ source, weight, matrix, cell, rows, onCell, onRows }: Props) {
  const [statistic, setStatistic] = useParam("block", "mean");
  const [clip, setClip] = useParam("clip", "0.99");
  const [brushing, setBrushing] = useState(false);
  const { colors } = useTheme();
  const reach = reachOf(weight, clip);
  const single = matrix.levels === 1;
  const inside = cell && cell.row < matrix.rows && cell.column < matrix.columns ? cell : null;
  return (
    <Panel
      title="Matrix"
      about="Every value as a color: blue below zero, orange above, the background's tone at zero. Scroll or pinch to zoom, drag to move; from near enough the numbers themselves show. Each row is one neuron (an output), each column one of its inputs. Bars at the edges are the lengths of rows and columns; rings mark the largest values."
      note={`${plural(matrix.rows, "row")} × ${plural(matrix.columns, "column")}${weight.shape.length > 2 ? `, from ${shape(weight.shape)}` : ""}`}
      picture
      controls={
        <>
          {!single && <Select label="Blocks show" value={statistic as "mean"} options={STATISTICS as unknown as readonly (readonly ["mean", string])[]} onChange={setStatistic} />}
          <Select label="Colors span" value={clip as "1"} options={CLIPS as unknown as readonly (readonly ["1", string])[]} onChange={setClip} />
        </>
      }
    >
      <Heatmap
        source={source}
        index={weight.index}
        matrix={matrix}
        statistic={single ? "mean" : statistic}
        reach={reach}
        rows={rows}
        outliers={weight.outliers.slice(0, 12)}
        cell={inside}
        brushing={brushing}
        onCell={onCell}
        onRows={(from, to) => onRows(Array.from({ length: to - from + 1 }, (_, i) => from + i))}
        label={visible(weight.name)}
      />
      <div class="under">
        <ScaleBar scale={diverging(colors, reach)} low={-reach} high={reach} format={number} />
        <Goto matrix={matrix} onCell={onCell} />
        <Toggle label="Drag marks rows" on={brushing} onChange={setBrushing} title="Instead of moving the picture; holding shift does the same" />
        {rows.size > 0 && (
          <span class="chip" data-testid="marked-rows">
            {plural(rows.size, "row")} marked
            <button type="button" aria-label="Unmark all rows" onClick={() => onRows([])}>
              ×
            </button>
          </span>
        )}
      </div>
    </Panel>
  );
}

function Goto({ matrix, onCell }: { matrix: Matrix; onCell: (cell: Cell) => void }) {
  const [row, setRow] = useState("");
  const [column, setColumn] = useState("");
  const number = (label: string, value: string, set: (value: string) => void, most: number) => (
    <label class="field">
      <span>{label}</span>
      <input type="number" min={0} max={most - 1} value={value} required onInput={(event) => set(event.currentTarget.value)} />
    </label>
  );
  return (
    <form
      class="goto"
      onSubmit={(event) => {
        event.preventDefault();
        onCell({ row: Number(row), column: Number(column) });
      }}
    >
      {number("Row", row, setRow, matrix.rows)}
      {number("Column", column, setColumn, matrix.columns)}
      <button type="submit">Go</button>
    </form>
  );
}
