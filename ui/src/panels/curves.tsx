/** Loss, metrics and everything else that a run recorded as one number a step. */

import { useMemo } from "preact/hooks";
import { address } from "../api/client";
import { useData } from "../api/data";
import type { RunDetail, SeriesData } from "../api/types";
import { Panel, When } from "../parts/panel";
import { SeriesChart } from "../parts/series_chart";
import { Empty } from "../parts/states";
import type { Table } from "../save";
import { number, title, words } from "../text";
import { type Colors, useTheme } from "../theme";
import { isLog, lines, spanOf, useCurveView, useWide } from "./curve_view";
import { marks, VerdictList } from "./verdicts";

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
    .map(([key, members]) => ({ title: title(key), names: members, about: Object.hasOwn(ABOUT, key) ? ABOUT[key] : undefined }));
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

export function CurvesPanels({ base, run, version }: { base: string[]; run: RunDetail; version: number }) {
  const view = useCurveView();
  const { colors } = useTheme();
  const wide = useWide();
  const own = run.series.filter((one) => !one.weight).map((one) => one.name);
  const wanted = own.join("\n");
  const series = useData<{ series: SeriesData[] }>(own.length ? address([...base, "series"], { name: own }) : null, version);
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
  const stands = useMemo(() => (view.step === null ? [] : [{ step: view.step, label: `step ${number(view.step)}`, color: colors.text }]), [view.step, colors]);
  const marked = useMemo(() => [...marks(run, colors), ...stands], [run, colors, stands]);
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
                  marks={group.names.some((name) => name === "loss" || name.startsWith("val_")) ? marked : stands}
                  logX={view.logX}
                  logY={isLog(view.values, group.names[0], data.map((one) => one.values))}
                  zoom={view.zoom}
                  onZoom={view.onZoom}
                  span={span}
                  height={i > 0 ? 200 : wide ? (run.events.some((event) => event.kind === "verdict") ? 430 : 506) : 300}
                />
                {i === 0 && <VerdictList run={run} onStep={view.onStep} />}
              </Panel>
            ))}
          </div>
        )}
      </When>
    </>
  );
}
