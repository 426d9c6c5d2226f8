/** The weight's matrix as a zoomable picture, with what its colors mean and a way to any value. */

import { useMemo, useState } from "preact/hooks";
import { pinned } from "../api/changes";
import type { LineOrder, Matrix, WeightDetail } from "../api/types";
import { fileNumber, type Placed, useArrangement } from "../heatmap/arrangement";
import { type Cell, Heatmap } from "../heatmap/heatmap";
import { Link } from "../heatmap/link";
import { Select, Toggle } from "../parts/controls";
import { Panel, When } from "../parts/panel";
import { ScaleBar } from "../parts/scale_bar";
import { useParam } from "../router";
import { diverging } from "../scales";
import { number, plural, shape, visible } from "../text";
import { useTheme } from "../theme";
import { type Against, AgainstControls, AgainstFacts, useAgainst } from "./against";

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

const ORDERS: [LineOrder, string][] = [
  ["norm", "longest first"],
  ["similarity", "similar side by side"],
];

/** The magnitude up to which colors differ: a quantile on the side where it lies further out. */
export function reachOf(weight: Pick<WeightDetail, "quantiles" | "statistics">, clip: string): number {
  const { quantiles, statistics } = weight;
  const size = (value: unknown) => (typeof value === "number" ? Math.abs(value) : 0);
  const all = Math.max(size(statistics?.minimum), size(statistics?.maximum));
  if (clip === "1") return all;
  const low = String(Number((1 - Number(clip)).toFixed(4)));
  return Math.max(size(quantiles[low]), size(quantiles[clip])) || all;
}

const FLOAT32_MOST = 3.4028234663852886e38;

/** Whether values are so large that tiles, which hold float32, make infinities of them. */
function isBeyondFloat32({ statistics }: WeightDetail): boolean {
  return Math.max(Math.abs(statistics?.minimum ?? 0), Math.abs(statistics?.maximum ?? 0)) > FLOAT32_MOST;
}

interface Pictured {
  title: string;
  /** Of the comparison; without it, this weight itself. */
  show?: "other" | "difference";
}

function picturesOf({ source, label, mode }: Against): Pictured[] {
  if (source === null) return [{ title: "" }];
  if (mode === "difference") return [{ title: `This weight less ${label}`, show: "difference" }];
  return [{ title: "This weight" }, { title: label, show: "other" }];
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
  const [rowOrder, setRowOrder] = useLineOrder("rorder", weight.orders.rows);
  const [columnOrder, setColumnOrder] = useLineOrder("corder", weight.orders.columns);
  const held = pinned(source, weight.content);
  const arrangement = useArrangement(["sources", held, "weights", weight.index], rowOrder, columnOrder);
  const against = useAgainst(source, weight);
  const link = useMemo(() => new Link(), []);
  const sideBySide = against.source !== null && against.mode === "side";
  const apart = against.source !== null && against.mode === "difference";
  const pictures = picturesOf(against);
  // The other one has this one's colors, so that the same color is the same value; a difference has its own.
  const shownReach = apart ? (against.difference.data ? reachOf(against.difference.data, clip) : 0) : reach;
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
      <div class="toolbar">
        <OrderSelect label="Order of rows" value={rowOrder} orders={weight.orders.rows} onChange={setRowOrder} />
        <OrderSelect label="Order of columns" value={columnOrder} orders={weight.orders.columns} onChange={setColumnOrder} />
        <AgainstControls against={against} />
      </div>
      <AgainstFacts against={against} />
      {isBeyondFloat32(weight) && (
        <p class="muted assumed" role="note">
          Some values lie beyond {number(FLOAT32_MOST)}, the largest that the picture can hold: they are drawn as infinite. The statistics and the largest values are exact.
        </p>
      )}
      <When loaded={arrangement} height={400}>
        {(placed) => (
          <div class={sideBySide ? "pictures" : ""}>
            {pictures.map((picture) => (
              <div key={picture.show ?? "own"}>
                {picture.title && <h3 class="picture-title">{picture.title}</h3>}
                <Heatmap
                  key={`${rowOrder} ${columnOrder} ${picture.show && against.source}`}
                  source={held}
                  index={weight.index}
                  arrangement={picture.show ? { ...placed, parameters: { ...placed.parameters, against: against.held!, show: picture.show } } : placed}
                  matrix={matrix}
                  statistic={single ? "mean" : statistic}
                  reach={shownReach}
                  rows={shownRows(rows, placed)}
                  outliers={picture.show ? [] : weight.outliers.slice(0, 12).map((one) => shownCell(one, placed))}
                  cell={inside && shownCell(inside, placed)}
                  brushing={brushing}
                  onCell={(at) => onCell({ row: fileNumber(placed.orders.rows, at.row), column: fileNumber(placed.orders.columns, at.column) })}
                  onRows={(from, to) => onRows(Array.from({ length: to - from + 1 }, (_, i) => fileNumber(placed.orders.rows, from + i)))}
                  label={`${visible(weight.name)}${picture.title ? `, ${picture.title}` : ""}`}
                  link={sideBySide ? link : undefined}
                  readoutId={picture.show === "other" ? "readout-other" : "readout"}
                />
              </div>
            ))}
          </div>
        )}
      </When>
      <div class="under">
        <ScaleBar scale={diverging(colors, shownReach)} low={-shownReach} high={shownReach} format={number} />
        <Goto matrix={matrix} onCell={onCell} />
        <Toggle label="Drag marks rows" on={brushing} onChange={setBrushing} title="Instead of moving the picture; holding shift does the same" />
        {rows.size > 0 ? (
          <span class="chip" data-testid="marked-rows">
            {plural(rows.size, "row")} marked
            <button type="button" aria-label="Unmark all rows" onClick={() => onRows([])}>
              ×
            </button>
          </span>
        ) : (
          <span class="chip none">No rows marked</span> // so that the panels below stay where they are when the first is
        )}
      </div>
    </Panel>
  );
}

/** An order that the address names and this weight can be put in. */
function useLineOrder(parameter: string, orders: LineOrder[]): [LineOrder | null, (order: string) => void] {
  const [text, set] = useParam(parameter);
  return [orders.find((one) => one === text) ?? null, set];
}

function OrderSelect({ label, value, orders, onChange }: { label: string; value: LineOrder | null; orders: LineOrder[]; onChange: (order: string) => void }) {
  if (!orders.length) return null;
  return <Select label={label} value={value ?? ""} options={[["", "as in the file"] as const, ...ORDERS.filter(([one]) => orders.includes(one))]} onChange={onChange} />;
}

function shownRows(rows: ReadonlySet<number>, { placeOf }: Placed): ReadonlySet<number> {
  return placeOf.rows ? new Set([...rows].flatMap((row) => placeOf.rows![row] ?? [])) : rows;
}

function shownCell(cell: Cell, { placeOf }: Placed): Cell {
  return { row: placeOf.rows?.[cell.row] ?? cell.row, column: placeOf.columns?.[cell.column] ?? cell.column };
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
