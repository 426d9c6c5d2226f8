/** One run: what it is, how it goes, and its panels behind tabs. */

import { useData, useLong } from "../api/data";
import { useRunEvents } from "../api/events";
import { address } from "../api/client";
import { useQuiet } from "../api/quiet";
import type { Findings as FindingsAnswer, RunDetail } from "../api/types";
import { useTitle } from "../app";
import { Tabs } from "../parts/controls";
import { Name } from "../parts/name";
import { Empty, Failure, Loading } from "../parts/states";
import { StatusMark, VerdictMark } from "../parts/status";
import { CurvesPanels } from "../panels/curves";
import { ExplainPanels } from "../panels/explain";
import { FindingsPanel } from "../panels/findings";
import { HistogramsPanel } from "../panels/histograms";
import { LayersPanels } from "../panels/layers";
import { RecipePanels } from "../panels/recipe";
import { SnapshotWeights } from "../panels/snapshot_weights";
import { link, useNumber, useParam } from "../router";
import { nameOf } from "../runs/facts";
import { TagLinks } from "../runs/tags";
import { ago, moment, number, percent, plural, seconds, visible, visibleLines } from "../text";

export const MAIN_TABS = ["curves", "layers", "histograms", "weights", "explain", "findings", "recipe"] as const;

export function RunView({ store, id }: { store: string; id: string }) {
  const live = useRunEvents((event) => event.store === store && event.id === id);
  const base = ["stores", store, "runs", id];
  const run = useData<RunDetail>(address(base), live.version);
  const quiet = useQuiet(run.data !== null);
  const findings = useLong<FindingsAnswer>(quiet ? address([...base, "findings"]) : null, run.data?.status === "running" ? 0 : live.version);
  const [tab] = useParam("tab", "curves");
  const [step] = useNumber("step"); // which the tabs share
  const title = run.data ? nameOf(run.data) : id;
  useTitle(title);
  const deleted = live.last?.status === "deleted" || (run.error?.status === 404 && run.data !== null);
  if (!run.data) {
    if (run.error?.status === 404) {
      return (
        <Empty>
          <h1>This run is not there</h1>
          <p>
            {visible(run.error.message)}. It may have been deleted. <a href={link([])}>All runs</a>
          </p>
        </Empty>
      );
    }
    return run.error ? <Failure error={run.error} /> : <Loading height={300} what="Loading the run" />;
  }
  const detail = run.data;
  const panels = new Map<string, () => preact.JSX.Element>(Object.entries({
    curves: () => <CurvesPanels base={base} run={detail} version={live.version} />,
    layers: () => <LayersPanels base={base} run={detail} version={live.version} />,
    histograms: () => <HistogramsPanel base={base} run={detail} version={live.version} />,
    weights: () => <SnapshotWeights run={detail} />,
    explain: () => <ExplainPanels base={base} run={detail} />,
    findings: () => (
      <FindingsPanel
        findings={findings}
        weightLink={(name) => link(["run", store, id], { tab: "histograms", weight: name })}
        stepLink={(finding, at) => link(["run", store, id], { tab: finding.weight ? "layers" : null, step: at })}
      />
    ),
    recipe: () => <RecipePanels base={base} run={detail} version={live.version} />,
  }));
  const amount = findings.data?.findings.length;
  return (
    <>
      <Heading run={detail} />
      {deleted && (
        <div class="notice" role="alert">
          This run has been deleted from its store. What you see is what was there. <a href={link([])}>All runs</a>
        </div>
      )}
      <Tabs
        value={tab}
        href={(one) => link(["run", store, id], { tab: one === "curves" ? null : one, step })}
        options={[
          ["curves", "Curves"],
          ["layers", "Layers"],
          ["histograms", "Histograms"],
          ["weights", "Weights"],
          ["explain", "Explain"],
          ["findings", "Findings", amount],
          ["recipe", "Recipe"],
        ]}
      />
      {(panels.get(tab) ?? (() => <Empty>There is no part of this page called “{visible(tab)}”.</Empty>))()}
    </>
  );
}

/** How a run ended that did not end as planned. */
function Ending({ run }: { run: RunDetail }) {
  // Runs of earlier releases hold the error's class as well.
  const reason = (run.error ?? "").replace(/^(StoppedError|BrokenError|KeyboardInterrupt): ?/, "").replace(/; resume it to go on$/, "");
  if (run.status !== "interrupted" && run.status !== "lost") return reason ? <Failure error={reason} /> : null;
  return (
    <div class="notice">
      <span>
        {run.status === "lost" ? "This run was lost: it says that it is running, but its process gives no sign of life." : `This run was interrupted${reason ? `: ${visible(reason)}` : " before its end"}.`}
        {run.recipe && (
          <>
            {" "}
            Go on with it: <code>weightsmith train --resume {run.id}</code>
          </>
        )}
      </span>
    </div>
  );
}

function Heading({ run }: { run: RunDetail }) {
  const summary = run.summary;
  const metric = typeof summary.metric === "string" ? summary.metric : null;
  const recorder = summary.recorder as { share?: number } | undefined;
  const last = [...run.events].reverse().find((event) => event.kind === "verdict");
  const verdict = last?.payload.verdict ?? summary.verdict;
  // What it said of a healthy run was true when it said it; the numbers below are newer.
  const text = verdict !== "healthy" && typeof last?.payload.text === "string" ? last.payload.text : "";
  const facts: [string, string, string][] = [
    ["Validation loss", number(summary.val_loss), "Of the weights that were kept"],
    ...(metric ? [[`Validation ${metric.replaceAll("_", " ")}`, metric === "accuracy" ? percent(summary[`val_${metric}`]) : number(summary[`val_${metric}`]), "Of the weights that were kept"] as [string, string, string]] : []),
    ["Parameters", number(summary.parameters ?? null), "Trainable values in all weights together"],
    ["Steps", number(summary.steps ?? null), "Optimizer steps"],
    ["Training time", seconds(summary.training_seconds ?? summary.seconds), ""],
    ["Recorder's share", percent(recorder?.share), "Part of the training time that recording took"],
  ];
  return (
    <div class="heading">
      <div class="heading-line">
        <h1>
          <Name text={nameOf(run)} length={80} />
        </h1>
        <StatusMark status={run.status} />
        {verdict ? <VerdictMark verdict={verdict} /> : null}
        <TagLinks tags={run.tags} />
        <span class="muted">
          <code>{run.id}</code> · started <time title={moment(run.created)}>{ago(run.created)}</time> · {plural(run.weights.length, "weight")}
        </span>
      </div>
      {run.note && (
        <p class="note" tabIndex={0} aria-label="Note">
          {visibleLines(run.note)}
        </p>
      )}
      {text && !run.error?.includes(text) && <p class="verdict-text">{visible(text)}</p>}
      <Ending run={run} />
      {run.status !== "running" && (
        <dl class="facts">
          {facts
            .filter(([, value]) => value !== "–")
            .map(([name, value, about]) => (
              <div key={name} title={about || undefined}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
        </dl>
      )}
    </div>
  );
}
