/** What the outputs of chosen rows depend on: each row's input, its attribution, and one over the other. */

import { useState } from "preact/hooks";
import { type ApiError, address } from "../api/client";
import { useData } from "../api/data";
import type { Answered, AttributionAnswer, Method, Summary } from "../api/explained";
import { Bars } from "../parts/bars";
import { Segments, Select, Toggle } from "../parts/controls";
import { Panel, When } from "../parts/panel";
import { ScaleBar } from "../parts/scale_bar";
import { Empty, Failure, Loading } from "../parts/states";
import { setParams, useNumber, useParam } from "../router";
import type { Table } from "../save";
import { diverging } from "../scales";
import { number, percent, plural, visible } from "../text";
import { useTheme } from "../theme";
import { ExplainedCard } from "./explain_card";
import { METHODS, outputName } from "./explain_words";

const RANKED = 12;

interface Props {
  base: (string | number)[];
  summary: Summary;
  /** Which rows; null while they are not known. */
  rows: number[] | null;
  /** Why they are not known. */
  failed: ApiError | null;
}

export function AttributionPanel({ base, summary, rows, failed }: Props) {
  const [wanted, setMethod] = useParam("method", summary.methods[0]);
  const [target, setTarget] = useNumber("target");
  const [layer, setLayer] = useParam("layer");
  const [common, setCommon] = useParam("colors");
  const [chosen] = useParam("rows");
  const method = summary.methods.find((one) => one === wanted) ?? summary.methods[0];
  const asked = target !== null && Number.isInteger(target) && target >= 0 ? Math.min(target, 1e9) : null;
  const parameters = { method, rows: rows?.join(","), target: asked, layer: method === "grad-cam" && layer ? layer : null };
  const loaded = useData<AttributionAnswer>(rows?.length ? address([...base, "explain", "attribution"], parameters) : null, summary.step);
  const convolutions = summary.layers.filter((one) => one.is_convolution);
  return (
    <Panel
      title="What outputs depend on"
      about={METHODS[method].about}
      note={loaded.data && plural(loaded.data.rows.length, "row")}
      picture
      csv={loaded.data ? () => tableOf(summary, loaded.data!) : undefined}
      controls={
        <>
          <Segments label="Method" value={method} options={summary.methods.map((one) => [one, METHODS[one].name] as [Method, string])} onChange={setMethod} />
          {summary.outputs.length > 1 && <Target summary={summary} value={asked} onChange={setTarget} />}
          {method === "grad-cam" && (
            <Select
              label="Layer"
              value={loaded.data?.layer ?? layer}
              options={[...(loaded.data ? [] : [["", "the last"] as const]), ...convolutions.map((one) => [one.name, visible(one.name)] as const)]}
              onChange={setLayer}
            />
          )}
          {summary.input !== "features" && (
            <Toggle label="Same colors for all" on={common === "same"} onChange={(on) => setCommon(on ? "same" : "")} title="Otherwise the colors of each row reach its own strongest values" />
          )}
        </>
      }
    >
      {failed && !rows ? (
        <Failure error={failed} />
      ) : rows === null ? (
        <Loading height={220} what="Asking the model" />
      ) : !rows.length ? (
        <Empty>Choose rows above to see what their outputs depend on.</Empty>
      ) : (
        <>
          {loaded.error && (chosen || asked !== null || layer) && (
            <button type="button" onClick={() => setParams({ rows: null, target: null, layer: null })}>
              Begin again with the first rows
            </button>
          )}
          <When loaded={loaded} height={220}>
            {(data) => <Explained data={data} summary={summary} common={common === "same"} onTarget={summary.outputs.length > 1 ? setTarget : null} />}
          </When>
        </>
      )}
    </Panel>
  );
}

function Target({ summary, value, onChange }: { summary: Summary; value: number | null; onChange: (target: number | null) => void }) {
  const options: [string, string][] = [["", "each row's largest"], ...summary.outputs.map((_, i) => [String(i), outputName(summary, i)] as [string, string])];
  if (value !== null && value >= summary.outputs.length) options.push([String(value), String(value)]);
  return <Select label="Output" value={value === null ? "" : String(value)} options={options} onChange={(next) => onChange(next === "" ? null : Number(next))} />;
}

interface ExplainedProps {
  data: AttributionAnswer;
  summary: Summary;
  common: boolean;
  onTarget: ((target: number) => void) | null;
}

function Explained({ data, summary, common, onTarget }: ExplainedProps) {
  const { colors } = useTheme();
  const [pointed, setPointed] = useState("");
  const reach = Math.max(...data.rows.map((row) => row.heat?.reach ?? 0));
  const plain = summary.input === "features";
  const words = (value: number) => (value === 0 ? "nothing" : !data.signed ? "strongest" : value > 0 ? "speaks for it" : "against it");
  const end = common ? reach : 1;
  return (
    <>
      {data.overall && data.rows.length > 1 && (
        <div class="ranking">
          <Bars title={`What counts most over these ${data.rows.length} rows`} note={`mean magnitude of ${METHODS[data.method].name.toLowerCase()}`} bars={data.overall.slice(0, RANKED).map((one) => ({ name: visible(one.name), value: one.mean ?? 0 }))} />
          <p class="muted">{percent(data.overall.slice(0, RANKED).reduce((sum, one) => sum + one.share, 0))} of all magnitude lies in these features.</p>
        </div>
      )}
      <div class={`explained ${plain ? "plain" : ""}`}>
        {data.rows.map((row) => (
          <ExplainedCard key={row.row} row={row} answer={data} summary={summary} reach={common ? reach : (row.heat?.reach ?? 0)} onTarget={onTarget} onPoint={setPointed} />
        ))}
      </div>
      {plain && data.signed && <p class="muted">Orange bars speak for the output that is explained, blue ones against it.</p>}
      {!plain && (
        <div class="under">
          <ScaleBar scale={diverging(colors, end)} low={data.signed ? -end : 0} high={end} format={common ? (value) => number(value) : words} />
          <span class="readout" role="status">
            {pointed || `${summary.input === "sequence" ? "Time runs from left to right, features downwards. " : ""}Point at a picture to read it.`}
          </span>
        </div>
      )}
    </>
  );
}

function tableOf(summary: Summary, data: AttributionAnswer): Table {
  const named = (value: Answered["predicted"]) => (typeof value === "number" ? (summary.classes?.[value] ?? value) : value?.join(" "));
  const begin = data.rows.map((row) => [row.row, named(row.label), named(row.predicted), summary.outputs[row.target] ?? row.target, row.output]);
  const head = ["row", "label", "predicted", "output explained", "its value"];
  if (data.overall) {
    return [[...head, "feature", "value of the feature", "attribution"], ...data.rows.flatMap((row, i) => (row.features ?? []).map((one) => [...begin[i], one.name, one.value, one.weight]))];
  }
  return [[...head, "height", "width", "attributions by row"], ...data.rows.map((row, i) => [...begin[i], row.heat?.height, row.heat?.width, ...(row.heat?.values ?? [])])];
}
