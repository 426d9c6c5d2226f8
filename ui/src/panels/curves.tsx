/** Loss, metrics and everything else that a run recorded as one number a step. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { address } from "../api/client";
import { useData } from "../api/data";
import type { Maybe, RunDetail, SeriesData } from "../api/types";
import { Segments, Slider, Toggle } from "../parts/controls";
import { Panel, When } from "../parts/panel";
import { type Line, type Mark, SeriesChart, type Zoom } from "../parts/series_chart";
import { Empty } from "../parts/states";
import { verdictTone } from "../parts/status";
import { useNumber, useParam } from "../router";
import type { Table } from "../save";
import { smooth } from "../smooth";
import { number, title, words } from "../text";
import { type Colors, useTheme } from "../theme";

const POINTS = 1200;

export interface CurveView {
  smoothing: number;
  logX: boolean;
  /** Whether values are on a logarithmic axis; `auto` where that shows more. */
  values: "auto" | "linear" | "log";
  zoom: Zoom;
  onZoom: (zoom: Zoom) => void;
}

/** How all curves are shown; in the address, so that they stay linked. */
export function useCurveView(): CurveView & { controls: preact.JSX.Element } {
  const [smoothing, setSmoothing] = useNumber("smooth");
  const [logX, setLogX] = useParam("logx");
  const [values, setValues] = useParam("values", "auto");
  const [range, setRange] = useParam("zoom");
  const bounds = range.split(",").map(Number);
  const zoom: Zoom = bounds.length === 2 && bounds.every(Number.isFinite) && bounds[1] > bounds[0] ? [bounds[0], bounds[1]] : null;
  const onZoom = (next: Zoom) => setRange(next ? next.map((value) => Number(value.toPrecision(6))).join(",") : "");
  const factor = smoothing === null ? 0 : Math.min(0.99, Math.max(0, smoothing));
  const controls = (
    <div class="toolbar">
      <Slider label="Smoothing" value={factor} minimum={0} maximum={0.99} step={0.01} onChange={(value) => setSmoothing(value || null)} text={factor.toFixed(2)} title="Each point becomes a mean of itself and the points before it; the raw curve stays behind it, faint" />
      <span class="field" title="Auto takes a logarithmic axis for losses that fall by more than 30 times">
        <span>Values</span>
        <Segments label="Axis of values" value={values as CurveView["values"]} options={AXES} onChange={setValues} />
      </span>
      <Toggle label="Log steps" on={logX === "1"} onChange={(on) => setLogX(on ? "1" : "")} />
      {zoom && (
        <button type="button" onClick={() => onZoom(null)}>
          Show all steps
        </button>
      )}
      <span class="muted hint">Drag across a curve to zoom, double click to see all.</span>
    </div>
  );
  return { smoothing: factor, logX: logX === "1", values: values as CurveView["values"], zoom, onZoom, controls };
}

const AXES = [
  ["auto", "Auto"],
  ["linear", "Linear"],
  ["log", "Log"],
] as const;

const FAR = 30; // the same factor as in the pictures of `weightsmith plot`

/** Whether these values go on a logarithmic axis: as asked, or for losses that are positive and far apart. */
export function isLog(asked: CurveView["values"], name: string, values: Maybe[][]): boolean {
  const all = values.flat().filter((value): value is number => value !== null);
  const positive = all.filter((value) => value > 0);
  if (asked !== "auto") return asked === "log" && positive.length > 0;
  if (!/loss|gradient_norm/.test(name) || !positive.length || positive.length < all.length) return false;
  return positive.reduce((a, b) => Math.max(a, b)) / positive.reduce((a, b) => Math.min(a, b)) > FAR;
}

/** A series as it is drawn: the raw curve faint behind the smoothed one. */
export function lines(data: SeriesData, label: string, color: string, smoothing: number, width = 1.75): Line[] {
  const one: Line = { label, color, steps: data.steps, values: data.values, width };
  if (!smoothing || data.steps.length < 3) return [one];
  return [
    { ...one, label: `${label} (raw)`, faint: true, quiet: true, width: 1 },
    { ...one, values: smooth(data.values, smoothing) },
  ];
}

const WIDE = window.matchMedia("(min-width: 1700px)");

/** Whether the first chart stands beside the others, twice as tall, as the style sheet has it. */
export function useWide(): boolean {
  const [wide, set] = useState(WIDE.matches);
  useEffect(() => {
    const listener = () => set(WIDE.matches);
    WIDE.addEventListener("change", listener);
    return () => WIDE.removeEventListener("change", listener);
  }, []);
  return wide;
}

/** From the first to the last step of all series, so that linked charts show the same steps. */
export function spanOf(all: { steps: number[] }[]): Zoom {
  const ends = all.filter(({ steps }) => steps.length).map(({ steps }) => [steps[0], steps[steps.length - 1]]);
  const low = Math.min(...ends.map(([first]) => first));
  const high = Math.max(...ends.map(([, last]) => last));
  return high > low ? [low, high] : null;
}

export function seriesTable(all: SeriesData[]): Table {
  const table: Table = [["series", "step", "value"]];
  for (const one of all) one.steps.forEach((step, i) => table.push([one.name, step, one.values[i]]));
  return table;
}

interface Group {
  title: string;
  names: string[];
  about?: string;
}

const ABOUT: Record<string, string> = {
  loss: "How far the model's answers are off. The thin curve is the loss of single steps on training data, the others are means over an epoch. A validation curve that turns up while the training curve falls means overfitting.",
  accuracy: "Share of right answers.",
  learning_rate: "How large the optimizer's steps are allowed to be.",
  gradient_norm: "Length of the gradient of all weights together. Growing without end: exploding gradients; near zero from the start: vanishing ones.",
  steps_per_second: "How fast the training went.",
  recorder_share: "Part of the training time that recording took so far; it is held near the recorder's budget.",
};

/** Series that belong into one picture: training and validation of the same thing. */
function groups(names: string[]): Group[] {
  const found = new Map<string, string[]>();
  for (const name of names) {
    if (name === "epoch") continue;
    const key = name.replace(/^(train|val|test)_/, "");
    found.set(key, [...(found.get(key) ?? []), name]);
  }
  const rank = (key: string) => (key === "loss" ? 0 : found.get(key)!.some((name) => name.startsWith("val_")) ? 1 : 2);
  return [...found]
    .sort(([a], [b]) => rank(a) - rank(b))
    .map(([key, members]) => ({ title: title(key), names: members, about: ABOUT[key] }));
}

function labelled(name: string): string {
  if (name === "loss") return "single steps";
  if (name.startsWith("train_")) return "training";
  if (name.startsWith("val_")) return "validation";
  if (name.startsWith("test_")) return "test";
  return words(name);
}

function color(name: string, colors: Colors): string {
  if (name.startsWith("val_")) return colors.second;
  if (name === "loss") return colors.palette[5];
  return colors.accent;
}

/** Where the monitor changed its mind, and the step that was kept. */
function marks(run: RunDetail, colors: Colors): Mark[] {
  const found: (Mark & { verdict?: string })[] = [];
  const verdicts = run.events.filter((event) => event.kind === "verdict");
  verdicts.forEach((event, i) => {
    const verdict = String(event.payload.verdict);
    // The monitor may say the same again in other words: that is one stretch.
    if (verdict === "healthy" || verdict === verdicts[i - 1]?.payload.verdict) return;
    const said = typeof event.payload.since === "number" ? event.payload.since : event.step;
    const since = Math.max(said, verdicts[i - 1]?.step ?? said);
    const until = verdicts.slice(i + 1).find((later) => later.payload.verdict !== verdict)?.step ?? lastStep(run);
    const before = found.find((mark) => mark.verdict === verdict && mark.until! >= since);
    if (before) before.until = until;
    else found.push({ step: since, until: Math.max(until, since), label: found.some((mark) => mark.verdict === verdict) ? "" : verdict.replaceAll("_", "-"), verdict, color: verdictTone(verdict) === "bad" ? colors.alarm : colors.palette[4] });
  });
  if (typeof run.summary.best_step === "number") found.push({ step: run.summary.best_step, label: "best", color: colors.good });
  return found;
}

function lastStep(run: RunDetail): number {
  return Math.max(Number(run.summary.steps ?? 0), ...run.snapshots.map((snapshot) => snapshot.step), ...run.events.map((event) => event.step));
}

export function CurvesPanels({ base, run, version }: { base: string[]; run: RunDetail; version: number }) {
  const view = useCurveView();
  const { colors } = useTheme();
  const wide = useWide();
  const own = run.series.filter((one) => !one.weight).map((one) => one.name);
  const wanted = own.join("\n");
  const series = useData<{ series: SeriesData[] }>(own.length ? address([...base, "series"], { name: own, points: POINTS }) : null, version);
  const drawn = useMemo(() => {
    const byName = new Map((series.data?.series ?? []).filter((one) => !one.weight).map((one) => [one.name, one]));
    return groups(own)
      .map((group) => ({ group, data: group.names.map((name) => byName.get(name)).filter((one): one is SeriesData => !!one && one.steps.length > 0) }))
      .filter(({ data }) => data.length > 0)
      .map(({ group, data }) => ({
        group,
        data,
        lines: data
          .sort((a, b) => Number(b.name === "loss") - Number(a.name === "loss"))
          .flatMap((one) => lines(one, labelled(one.name), color(one.name, colors), one.name === "learning_rate" ? 0 : view.smoothing, one.name === "loss" ? 1 : 1.9)),
      }));
  }, [series.data, wanted, view.smoothing, colors]);
  const marked = useMemo(() => marks(run, colors), [run, colors]);
  const span = useMemo(() => spanOf(drawn.flatMap(({ data }) => data)), [drawn]);
  if (!own.length) return <Empty>{run.status === "running" ? "Nothing has been recorded yet; the first curves appear by themselves." : "This run has recorded no curves."}</Empty>;
  return (
    <>
      {view.controls}
      <When loaded={series} height={300}>
        {() => (
          <div class="grid charts">
            {drawn.map(({ group, data, lines: curves }, i) => (
              <Panel
                key={group.title}
                title={group.title}
                about={group.about}
                className={i === 0 ? "span" : ""}
                csv={() => seriesTable(data)}
                picture
                legend={curves.filter((line) => !line.quiet)}
                note={data.length === 1 ? number(data[0].values.at(-1)) : null}
              >
                <SeriesChart
                  label={`${group.title} over steps`}
                  lines={curves}
                  marks={group.names.some((name) => name === "loss" || name.startsWith("val_")) ? marked : []}
                  logX={view.logX}
                  logY={isLog(view.values, group.names[0], data.map((one) => one.values))}
                  zoom={view.zoom}
                  onZoom={view.onZoom}
                  span={span}
                  height={i > 0 ? 200 : wide ? 506 : 300}
                />
              </Panel>
            ))}
          </div>
        )}
      </When>
    </>
  );
}
