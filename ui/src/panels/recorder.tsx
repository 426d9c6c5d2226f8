/** What recording cost: its share of the training over the steps, what it was spent on, and what was left out for it. */

import { useMemo } from "preact/hooks";
import { address } from "../api/client";
import { useData } from "../api/data";
import type { RunDetail, SeriesData } from "../api/types";
import { Panel, When } from "../parts/panel";
import { type Line, SeriesChart } from "../parts/series_chart";
import { Empty } from "../parts/states";
import { bytes, count, number, percent, plural, seconds, words } from "../text";
import { useTheme } from "../theme";
import { spanOf, useZoom } from "./curve_view";

interface Recorder {
  budget?: number;
  share?: number;
  setup?: number;
  training?: number;
  seconds?: Record<string, number>;
  steps?: number;
  measured?: number;
  sketched?: number;
  snapshots?: number;
  snapshot_bytes?: number;
}

export function RecorderPanel({ base, run, version }: { base: string[]; run: RunDetail; version: number }) {
  const recorder = run.summary.recorder as Recorder | undefined;
  const recorded = run.series.some((one) => one.name === "recorder_share" && !one.weight);
  const planned = (run.recipe?.record as { budget?: number } | undefined)?.budget;
  return (
    <Panel title="What recording cost" about="The recorder measures its own time and keeps to a budget, 2 % of the training by default. Setting up, and the first and last look, come on top, so short runs cost more.">
      {!recorder && !recorded && <Empty>{run.status === "running" ? "Known when the run has ended." : "Not known for this run."}</Empty>}
      {recorder && <Facts recorder={recorder} />}
      {recorded && <ShareCurve base={base} budget={recorder?.budget ?? planned} version={version} />}
      {recorder && <Spent spent={recorder.seconds ?? {}} />}
    </Panel>
  );
}

function Facts({ recorder }: { recorder: Recorder }) {
  const { steps, measured } = recorder;
  const facts: [string, string][] = [
    ["Share of training", percent(recorder.share)],
    ["Budget", recorder.budget === undefined || recorder.budget === null ? "none" : percent(recorder.budget)],
    ["Setting up", seconds(recorder.setup)],
    ["Steps measured", steps && measured !== undefined ? `${count(measured)} of ${count(steps)}` : number(measured)],
    ["Distributions at", plural(recorder.sketched ?? 0, "step")],
    ["Snapshots", `${number(recorder.snapshots)} (${bytes(recorder.snapshot_bytes ?? 0)})`],
  ];
  const skipped = steps !== undefined && measured !== undefined ? steps - measured : 0;
  return (
    <>
      <dl class="facts tight">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <p class="muted">
        {skipped > 0
          ? `Loss and metrics are there for every step. At ${plural(skipped, "step")} (${percent(skipped / steps!)}) weights and gradients were not measured, so that recording stays near its budget.`
          : "Nothing was left out: weights and gradients were measured at every step."}
      </p>
    </>
  );
}

/** In percent, beside the budget. */
function ShareCurve({ base, budget, version }: { base: string[]; budget?: number | null; version: number }) {
  const { colors } = useTheme();
  const [zoom, onZoom] = useZoom();
  const loaded = useData<{ series: SeriesData[] }>(address([...base, "series"], { name: "recorder_share" }), version);
  const lines = useMemo(() => {
    const data = loaded.data?.series[0];
    if (!data?.steps.length) return [];
    const share: Line = { label: "share so far, in %", color: colors.accent, steps: data.steps, values: data.values.map((value) => value && 100 * value) };
    const allowed: Line = { label: "budget, in %", color: colors.second, dash: [6, 4], steps: data.steps, values: data.steps.map(() => 100 * (budget ?? 0)) };
    return budget ? [share, allowed] : [share];
  }, [loaded.data, budget, colors]);
  return <When loaded={loaded} height={150}>{() => (lines.length ? <SeriesChart label="Recorder's share of the training over steps" lines={lines} logX={false} logY={false} zoom={zoom} onZoom={onZoom} span={spanOf(lines)} height={150} /> : null)}</When>;
}

function Spent({ spent }: { spent: Record<string, number> }) {
  const sorted = Object.entries(spent).sort((a, b) => b[1] - a[1]);
  const most = Math.max(...sorted.map(([, value]) => value), 1e-9);
  return (
    <table class="pairs">
      <tbody>
        {sorted.map(([name, value]) => (
          <tr key={name}>
            <th scope="row">{words(name)}</th>
            <td class="numeric">{seconds(value)}</td>
            <td class="bar-cell">
              <i class="bar" style={{ width: `${(value / most) * 100}%` }} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
