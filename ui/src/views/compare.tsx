/** Runs side by side: first in what their recipes differ, then their curves over each other. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { address, getJson } from "../api/client";
import { useData } from "../api/data";
import { useRunEvents } from "../api/events";
import type { Comparison, RunRow, SeriesData } from "../api/types";
import { useTitle } from "../app";
import { isLog, lines, spanOf, useCurveView, useWide } from "../panels/curves";
import { plain } from "../panels/recipe";
import { Name } from "../parts/name";
import { Panel, When } from "../parts/panel";
import { SeriesChart, type Zoom } from "../parts/series_chart";
import { Empty } from "../parts/states";
import { StatusMark, VerdictMark } from "../parts/status";
import { link, useRoute } from "../router";
import { number, shortened, title, visible } from "../text";
import { useTheme } from "../theme";
import { reference } from "./runs";

const POINTS = 800;
const FIRST = ["val_loss", "train_loss", "loss"];

export function CompareView() {
  const { params } = useRoute();
  const wanted = params.getAll("run");
  useTitle("Compare");
  if (wanted.length < 2) {
    return (
      <Empty>
        <h1>Nothing to compare yet</h1>
        <p>
          Tick two to eight <a href={link([])}>runs</a>, then press Compare.
        </p>
      </Empty>
    );
  }
  return <Compared wanted={wanted} />;
}

function Compared({ wanted }: { wanted: string[] }) {
  const { colors } = useTheme();
  const live = useRunEvents((event) => wanted.includes(reference(event)));
  const comparison = useData<Comparison>(address(["compare"], { run: wanted }), live.version);
  const runs = useData<{ runs: RunRow[] }>("api/runs", live.version);
  const shown = wanted.map((id, i) => ({ id, color: colors.palette[i % colors.palette.length], run: runs.data?.runs.find((run) => reference(run) === id) ?? null }));
  return (
    <>
      <div class="heading">
        <h1>Comparing {wanted.length} runs</h1>
      </div>
      <Panel title="Runs" about="The color of each run is the same in all curves below.">
        <div class="table-frame" tabIndex={0} role="group" aria-label="Compared runs">
          <table>
            <thead>
              <tr>
                <th scope="col">Run</th>
                <th scope="col">Status</th>
                <th scope="col">Verdict</th>
                <th scope="col" class="numeric">
                  Val. loss
                </th>
                <th scope="col">Model</th>
                <th scope="col">Optimizer</th>
              </tr>
            </thead>
            <tbody>
              {shown.map(({ id, color, run }) => (
                <tr key={id}>
                  <td>
                    <Swatch color={color} /> {run ? <a href={link(["run", run.store, run.id])}><Name text={run.name ?? run.id} length={44} /></a> : <code>{shortened(visible(id), 40)}</code>}
                  </td>
                  <td>{run ? <StatusMark status={run.status} /> : runs.data ? "not there" : "…"}</td>
                  <td>{run && <VerdictMark verdict={(run.summary.verdict as string | undefined) ?? null} />}</td>
                  <td class="numeric">{number(run?.summary.val_loss)}</td>
                  <td>{visible(run?.model ?? "–")}</td>
                  <td>{visible(run?.optimizer ?? "–")}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </Panel>
      <Panel
        title="Recipe differences"
        about="Every field in which these runs' recipes differ; all others are the same."
        csv={comparison.data ? () => [["field", ...wanted], ...comparison.data!.recipes.differences.map((one) => [one.key, ...one.values.map(plain)])] : undefined}
      >
        <When loaded={comparison}>
          {(data) =>
            data.recipes.differences.length === 0 ? (
              <Empty>The recipes are the same.</Empty>
            ) : (
              <div class="table-frame" tabIndex={0} role="group" aria-label="Recipe differences">
                <table>
                  <thead>
                    <tr>
                      <th scope="col">Field</th>
                      {shown.map(({ id, color, run }) => (
                        <th key={id} scope="col">
                          <Swatch color={color} /> <Name text={run?.name ?? run?.id ?? id} length={26} />
                        </th>
                      ))}
                    </tr>
                  </thead>
                  <tbody>
                    {data.recipes.differences.map((one) => (
                      <tr key={one.key}>
                        <th scope="row">{visible(one.key)}</th>
                        {one.values.map((value, i) => (
                          <td key={i}>{shortened(plain(value), 80)}</td>
                        ))}
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )
          }
        </When>
      </Panel>
      <When loaded={comparison}>{(data) => <Overlays shown={shown} names={data.series} version={live.version} />}</When>
    </>
  );
}

function Swatch({ color }: { color: string }) {
  return <i class="swatch" style={{ background: color }} aria-hidden="true" />;
}

interface Shown {
  id: string;
  color: string;
  run: RunRow | null;
}

function Overlays({ shown, names, version }: { shown: Shown[]; names: string[]; version: number }) {
  const view = useCurveView();
  const ordered = useMemo(() => {
    const place = (name: string) => (FIRST.includes(name) ? FIRST.indexOf(name) : name.startsWith("val_") ? 3 : 4);
    return names.filter((name) => name !== "epoch").sort((a, b) => place(a) - place(b));
  }, [names]);
  const loaded = useSeries(shown.map((one) => one.id), ordered, version);
  const span = useMemo(() => spanOf([...loaded.values()].flat()), [loaded]);
  if (!ordered.length) return <Empty>These runs have no curves in common.</Empty>;
  return (
    <>
      {view.controls}
      <div class="grid charts">
        {ordered.map((name, i) => (
          <Overlay key={name} name={name} first={i === 0} shown={shown} loaded={loaded} view={view} span={span} />
        ))}
      </div>
    </>
  );
}

/** The series of several runs, by run; runs that fail are left out. */
function useSeries(ids: string[], names: string[], version: number): Map<string, SeriesData[]> {
  const [found, set] = useState<Map<string, SeriesData[]>>(new Map());
  useEffect(() => {
    const abort = new AbortController();
    const ask = ids.map(async (id) => {
      const [store, run] = id.split("~");
      const answer = await getJson<{ series: SeriesData[] }>(address(["stores", store, "runs", run ?? "", "series"], { name: names, points: POINTS }), abort.signal);
      return [id, answer.series] as const;
    });
    void Promise.allSettled(ask).then((results) => {
      if (abort.signal.aborted) return;
      set(new Map(results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []))));
    });
    return () => abort.abort();
  }, [ids.join(" "), names.join(" "), version]);
  return found;
}

interface OverlayProps {
  name: string;
  first: boolean;
  shown: Shown[];
  loaded: Map<string, SeriesData[]>;
  view: ReturnType<typeof useCurveView>;
  span: Zoom;
}

function Overlay({ name, first, shown, loaded, view, span }: OverlayProps) {
  const wide = useWide();
  const drawn = useMemo(
    () =>
      shown.flatMap(({ id, color, run }) => {
        const series = loaded.get(id)?.find((one) => one.name === name);
        return series && series.steps.length ? lines(series, shortened(visible(run?.name ?? run?.id ?? id), 28), color, view.smoothing) : [];
      }),
    [loaded, view.smoothing, name, shown.map((one) => one.color + (one.run?.name ?? "")).join()],
  );
  return (
    <Panel title={title(name)} className={first ? "span" : ""} picture legend={drawn.filter((line) => !line.quiet)}>
      {drawn.length ? <SeriesChart label={`${title(name)} of all runs`} lines={drawn} logX={view.logX} logY={isLog(view.values, name, drawn.map((one) => one.values))} zoom={view.zoom} onZoom={view.onZoom} span={span} height={!first ? 200 : wide ? 506 : 300} /> : <Empty>Loading…</Empty>}
    </Panel>
  );
}
