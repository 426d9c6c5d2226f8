/** The curves of several runs over each other. */

import { useMemo } from "preact/hooks";
import { address } from "../api/client";
import { useEach } from "../api/data";
import type { SeriesData } from "../api/types";
import { Panel } from "../parts/panel";
import { SeriesChart, type Zoom } from "../parts/series_chart";
import { Empty } from "../parts/states";
import { title } from "../text";
import { isLog, lines, spanOf, useCurveView, useWide } from "./curve_view";
import { short, type Subject } from "./subjects";

const FIRST = ["val_loss", "train_loss", "loss"];

export function Overlays({ runs, names, version }: { runs: Subject[]; names: string[]; version: number }) {
  const view = useCurveView();
  const asked = useMemo(() => names.filter((name) => name !== "epoch"), [names]);
  const ordered = useMemo(() => {
    const place = (name: string) => (FIRST.includes(name) ? FIRST.indexOf(name) : name.startsWith("val_") ? 3 : 4);
    return [...asked].sort((a, b) => place(a) - place(b));
  }, [asked]);
  const loaded = useSeries(runs, asked, version);
  const span = useMemo(() => spanOf([...loaded.values()].flat()), [loaded]);
  if (!ordered.length) return <Empty>These runs have no curves in common.</Empty>;
  return (
    <>
      {view.controls}
      <div class="grid charts">
        {ordered.map((name, i) => (
          <Overlay key={name} name={name} first={i === 0} runs={runs} loaded={loaded} view={view} span={span} />
        ))}
      </div>
    </>
  );
}

/** The series of several runs, by run; runs that fail are left out. */
function useSeries(runs: Subject[], names: string[], version: number): Map<string, SeriesData[]> {
  const answers = useEach<{ series: SeriesData[] }>(
    runs.map(({ id }) => {
      const [store, run] = id.split("~");
      return address(["stores", store, "runs", run ?? "", "series"], { name: names });
    }),
    version,
  );
  return useMemo(() => new Map(answers.flatMap(({ data }, i) => (data ? [[runs[i].id, data.series] as const] : []))), [answers]);
}

interface OverlayProps {
  name: string;
  first: boolean;
  runs: Subject[];
  loaded: Map<string, SeriesData[]>;
  view: ReturnType<typeof useCurveView>;
  span: Zoom;
}

function Overlay({ name, first, runs, loaded, view, span }: OverlayProps) {
  const wide = useWide();
  const drawn = useMemo(
    () =>
      runs.flatMap((one) => {
        const series = loaded.get(one.id)?.find((each) => each.name === name);
        return series && series.steps.length ? lines(series, short(one), one.color, view.smoothing) : [];
      }),
    [loaded, view.smoothing, name, runs],
  );
  return (
    <Panel title={title(name)} className={first ? "span" : ""} picture legend={drawn.filter((line) => !line.quiet)}>
      {drawn.length ? <SeriesChart label={`${title(name)} of all runs`} lines={drawn} logX={view.logX} logY={isLog(view.values, name, drawn.map((one) => one.values))} zoom={view.zoom} onZoom={view.onZoom} span={span} height={!first ? 200 : wide ? 506 : 300} /> : <Empty>Loading…</Empty>}
    </Panel>
  );
}
