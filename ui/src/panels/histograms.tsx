/** How a layer's values spread over the training: as ridges, or as heat with quantile lines; one step in detail. */

import { useMemo, useState } from "preact/hooks";
import { address } from "../api/client";
import { useData } from "../api/data";
import type { HistogramsOverTime, RunDetail } from "../api/types";
import { Segments, Select, Toggle } from "../parts/controls";
import { Panel, When } from "../parts/panel";
import { Empty } from "../parts/states";
import { useNumber, useParam } from "../router";
import { count, number, shortened, visible } from "../text";
import { binAt, drawHeat, drawRidges, drawStep, quantileNames, RIDGE_TOP } from "./histogram_pictures";
import { Canvas } from "../parts/canvas";
import { nearest, Scrubber } from "./scrubber";

const VIEWS = [
  ["ridge", "Ridges"],
  ["heat", "Heat"],
] as const;

export function HistogramsPanel({ base, run, version }: { base: string[]; run: RunDetail; version: number }) {
  const first = run.weights.find((weight) => !["bias", "norm"].includes(weight.role)) ?? run.weights[0];
  const [weight, setWeight] = useParam("weight", first?.name ?? "");
  const [quantity, setQuantity] = useParam("quantity", run.sketched[0] ?? "weight");
  const [view, setView] = useParam("view", "ridge");
  const [log, setLog] = useParam("logc");
  const [step, setStep] = useNumber("step");
  const [hover, setHover] = useState("");
  const there = run.sketched.length > 0 && first !== undefined;
  const loaded = useData<HistogramsOverTime>(there ? address([...base, "histograms"], { weight, quantity }) : null, version);
  const steps = useMemo(() => loaded.data?.steps ?? [], [loaded.data]);
  if (!there) return <Empty>{run.status === "running" ? "No distribution has been recorded yet; the first appears by itself." : "This run has recorded no distributions."}</Empty>;
  const at = step === null ? steps.length - 1 : nearest(steps, step);
  const draw = view === "heat" ? drawHeat : drawRidges;
  const title = `${quantity === "gradient" ? "Gradient" : "Values"} of ${shortened(visible(weight), 48)}`;
  return (
    <>
      <div class="toolbar">
        <Select label="Layer" value={weight} options={run.weights.map((one) => [one.name, shortened(visible(one.name), 60)] as const)} onChange={setWeight} />
        {run.sketched.length > 1 && <Select label="Of" value={quantity} options={run.sketched.map((one) => [one, one === "weight" ? "weights" : `${one}s`] as const)} onChange={setQuantity} />}
        <Segments label="View" value={view as "ridge" | "heat"} options={VIEWS} onChange={setView} />
        <Toggle label="Log counts" on={log === "1"} onChange={(on) => setLog(on ? "1" : "")} title="Makes thin tails visible" />
        <Scrubber run={run} steps={steps.length ? steps : undefined} />
      </div>
      <div class="grid wide-left">
        <Panel
          title={`${title} over time`}
          about="Each ridge is the distribution at one step, from the first (back) to the last (front). In the heat view a column is a recorded step and the lines are quantiles: half of all values lie between the two inner ones. Healthy layers change shape slowly; a spike at zero, two far humps or a spread that keeps growing deserve a look."
          note={steps.length ? `${steps.length} recorded steps` : null}
          picture
          csv={() => [["step", ...(loaded.data?.edges.slice(0, -1) ?? [])], ...steps.map((one, i) => [one, ...loaded.data!.counts[i]])]}
        >
          <When loaded={loaded} height={420}>
            {(data) =>
              data.steps.length === 0 ? (
                <Empty>Nothing was recorded of this layer.</Empty>
              ) : (
                <Canvas
                  height={440}
                  label={`Distribution of ${visible(weight)} at ${data.steps.length} steps`}
                  draw={(frame) => draw(frame, data, at, log === "1")}
                  onPick={({ x, y }, size) => {
                    const share = view === "heat" ? (x - 58) / (size.width - 88) : (y - RIDGE_TOP) / (size.height - RIDGE_TOP - 34);
                    const place = Math.round(Math.max(0, Math.min(1, share)) * (data.steps.length - 1));
                    setStep(data.steps[place]);
                  }}
                />
              )
            }
          </When>
        </Panel>
        <Panel title={steps.length ? `At step ${number(steps[at])}` : "At one step"} about="The distribution at the step that the slider stands at. Point at it to read a bin." picture>
          <When loaded={loaded} height={260}>
            {(data) =>
              data.steps.length === 0 ? (
                <Empty>Nothing was recorded of this layer.</Empty>
              ) : (
                <>
                  <Canvas
                    height={260}
                    label={`Distribution at step ${data.steps[at]}`}
                    draw={(frame) => drawStep(frame, data, at, log === "1")}
                    onHover={(point, size) => {
                      const bin = point ? binAt(data, point.x, size.width) : -1;
                      setHover(bin >= 0 ? `${number(data.edges[bin])} to ${number(data.edges[bin + 1])}: ${count(Math.round(data.counts[at][bin]))} values` : "");
                    }}
                  />
                  <span class="readout" role="status">
                    {hover || "Point at a bar to read it."}
                  </span>
                  <dl class="facts tight">
                    {quantileNames(data).map((name) => (
                      <div key={name}>
                        <dt>{Number((Number(name) * 100).toPrecision(4))} %</dt>
                        <dd>{number(data.quantiles[name][at])}</dd>
                      </div>
                    ))}
                  </dl>
                </>
              )
            }
          </When>
        </Panel>
      </div>
    </>
  );
}
