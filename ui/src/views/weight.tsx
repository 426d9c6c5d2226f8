/** One weight, from its picture to single values; rows marked in one panel are marked in all. */

import { useEffect, useMemo, useRef } from "preact/hooks";
import { pinned, useChanges, useReplaced } from "../api/changes";
import { address, isGone } from "../api/client";
import { useData } from "../api/data";
import { isHere } from "../api/saved";
import type { SourceDetail, WeightDetail } from "../api/types";
import { useTitle } from "../app";
import { Name } from "../parts/name";
import { Panel } from "../parts/panel";
import { ReplacedNote } from "../parts/replaced";
import { Empty, Failure, Loading } from "../parts/states";
import { CorrelationPanel } from "../panels/correlation";
import { EmbeddingPanel } from "../panels/embedding";
import { FiltersPanel } from "../panels/filters";
import { MatrixPanel } from "../panels/matrix";
import { OutliersPanel } from "../panels/outliers";
import { SpectrumPanel } from "../panels/spectrum";
import { ValuesPanel } from "../panels/values";
import { joinedRows, parsedRows } from "../rows";
import { go, link, setParams, useParam, useRoute } from "../router";
import { baseName, compact, number, percent, shape, visible } from "../text";
import { RunLink } from "./source";

export function WeightView({ source, index }: { source: string; index: string }) {
  const version = useChanges(source);
  const detail = useData<WeightDetail>(address(["sources", source, "weights", index]), version);
  const whole = useData<SourceDetail>(address(["sources", source]), version);
  const replaced = useReplaced(detail.data?.content);
  const base = ["sources", pinned(source, detail.data?.content), "weights", index];
  const [cellText, setCell] = useParam("cell");
  const [rowsText, setRows] = useParam("rows");
  const rows = useMemo(() => parsedRows(rowsText), [rowsText]);
  useTitle(detail.data?.name ?? "Weight");
  useSameName(source, detail.data, whole.data);
  if (!detail.data || isGone(detail.error)) {
    if (!detail.error) return <Loading height={400} what="Reading the weight" />;
    return (
      <Empty>
        <h1>This weight cannot be shown</h1>
        <p role="alert">{visible(detail.error.message)}</p>
        <p>
          <a href={link(["source", source])}>All weights of this file</a>
        </p>
      </Empty>
    );
  }
  const weight = detail.data;
  const place = cellText.split(",").map(Number);
  const cell = place.length === 2 && cellText && place.every((one) => Number.isInteger(one) && one >= 0) ? { row: place[0], column: place[1] } : null;
  const many = (weight.matrix?.rows ?? 0) > 1 && (weight.matrix?.columns ?? 0) > 1;
  const finite = notFinite(weight) === 0;
  const mark = (marked: Iterable<number>) => setRows(joinedRows(marked));
  const goTo = (row: number, column: number) => setCell(`${row},${column}`);
  return (
    <>
      <div class="heading">
        <nav class="crumbs" aria-label="Where this is">
          <a href={link(["source", source])}>{whole.data ? <Name text={baseName(whole.data.label)} length={60} /> : "All weights"}</a>
          <RunLink source={source} />
        </nav>
        <div class="heading-line">
          <h1>
            <Name text={weight.name} length={90} />
          </h1>
          <span class="muted">
            {shape(weight.shape)} · {weight.dtype} · {weight.role}
          </span>
          <Neighbors source={source} index={Number(index)} whole={whole.data} />
        </div>
        <Facts weight={weight} />
        <ReplacedNote when={replaced} />
      </div>
      {weight.reason && <Failure error={weight.reason} />}
      {weight.matrix && (
        <div class="grid wide-left">
          {weight.matrix.rows * weight.matrix.columns > 0 ? (
            <MatrixPanel source={source} weight={weight} matrix={weight.matrix} cell={cell} rows={rows} onCell={(at) => goTo(at.row, at.column)} onRows={mark} />
          ) : (
            <Panel title="Matrix">
              <Empty>There are no values in it.</Empty>
            </Panel>
          )}
          <div class="stack">
            <ValuesPanel weight={weight} onOutlier={(one) => goTo(one.row, one.column)} />
            <OutliersPanel weight={weight} chosen={cell} onPick={(one) => goTo(one.row, one.column)} />
          </div>
        </div>
      )}
      {weight.matrix && weight.image && <FiltersPanel base={base} weight={weight} rows={rows} onRows={mark} />}
      {weight.matrix && many && (
        <div class="grid three">
          <EmbeddingPanel base={base} weight={weight} rows={rows} onRows={mark} />
          <CorrelationPanel base={base} rows={rows} onPick={(a, b) => (setParams({ rows: joinedRows([a, b]) }), undefined)} />
          {finite ? (
            <SpectrumPanel base={base} />
          ) : (
            <Panel title="Spectrum">
              <Empty>Some values are NaN or infinite, so there is no spectrum.</Empty>
            </Panel>
          )}
        </div>
      )}
    </>
  );
}

/** Go where the weight of this name stands once another version of the file has put it elsewhere. */
function useSameName(source: string, weight: WeightDetail | null, whole: SourceDetail | null): void {
  const { params } = useRoute();
  const name = useRef<string | null>(null);
  useEffect(() => {
    if (!weight || !whole || weight.content !== whole.content) return;
    const found = whole.weights.find((one) => one.name === (name.current ?? weight.name));
    name.current ??= weight.name;
    if (found && found.name !== weight.name) go(link(["source", source, "weight", found.index], params));
  }, [weight, whole]);
}

function Neighbors({ source, index, whole }: { source: string; index: number; whole: SourceDetail | null }) {
  if (!whole) return null;
  const step = (to: number, text: string, label: string) => {
    const weight = whole.weights[to];
    return weight && isHere(["source", source, "weight", String(to)]) ? (
      <a class="button" href={link(["source", source, "weight", to])} aria-label={`${label}: ${visible(weight.name)}`} title={visible(weight.name)}>
        {text}
      </a>
    ) : null;
  };
  return (
    <span class="neighbors">
      {step(index - 1, "‹ Previous", "Previous weight")}
      {step(index + 1, "Next ›", "Next weight")}
    </span>
  );
}

const FACTS: [string, string, string][] = [
  ["mean", "Mean", "Average value"],
  ["std", "Std", "Standard deviation: how far values typically lie from the mean"],
  ["minimum", "Min", "Smallest value"],
  ["maximum", "Max", "Largest value"],
  ["norm", "Norm", "Square root of the sum of all squares"],
  ["skewness", "Skewness", "0 is symmetric; positive leans to large values"],
  ["kurtosis", "Kurtosis", "How heavy the tails are"],
];

function notFinite({ statistics }: WeightDetail): number {
  return ["nan", "positive_infinity", "negative_infinity"].reduce((sum, name) => sum + Number(statistics?.[name] ?? 0), 0);
}

function Facts({ weight }: { weight: WeightDetail }) {
  const { statistics } = weight;
  if (!statistics) return null;
  const elements = weight.shape.reduce((product, one) => product * one, 1);
  const broken = notFinite(weight);
  return (
    <dl class="facts">
      <div>
        <dt>Values</dt>
        <dd>{compact(elements)}</dd>
      </div>
      {FACTS.filter(([name]) => typeof statistics[name] === "number").map(([name, head, about]) => (
        <div key={name} title={about}>
          <dt>{head}</dt>
          <dd>{number(statistics[name])}</dd>
        </div>
      ))}
      <div title="Share of values that are exactly zero">
        <dt>Zeros</dt>
        <dd>{percent(elements ? statistics.zeros / elements : null)}</dd>
      </div>
      {broken > 0 && (
        <div title="Values that are NaN or infinite">
          <dt>Not finite</dt>
          <dd class="bad">{number(broken)}</dd>
        </div>
      )}
    </dl>
  );
}
