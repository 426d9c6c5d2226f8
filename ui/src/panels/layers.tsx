/** What happens in each layer over the steps: gradients through depth, update ratios, zeros, flips and masks. */

import type { RunDetail } from "../api/types";
import { Segments, Toggle } from "../parts/controls";
import { Empty } from "../parts/states";
import { useParam } from "../router";
import { GradientFlow } from "./gradient_flow";
import { QuantityPanel } from "./layer_panel";
import { QUANTITIES } from "./layer_quantities";
import { Scrubber } from "./scrubber";

const VIEWS = [
  ["", "Heat"],
  ["lines", "Curves"],
] as const;

export function LayersPanels({ base, run, version }: { base: string[]; run: RunDetail; version: number }) {
  const [biases, setBiases] = useParam("biases");
  const [view, setView] = useParam("as");
  const recorded = new Set(run.series.filter((one) => one.weight).map((one) => one.name));
  const there = QUANTITIES.filter((one) => recorded.has(one.name));
  if (!there.length) return <Empty>{run.status === "running" ? "Nothing has been measured yet; it appears here by itself." : "This run has recorded nothing by layer."}</Empty>;
  const all = biases === "1";
  return (
    <>
      <div class="toolbar">
        <Scrubber run={run} />
        <Segments label="View of all layers" value={view as "" | "lines"} options={VIEWS} onChange={setView} />
        <Toggle label="Biases and norms too" on={all} onChange={(on) => setBiases(on ? "1" : "")} />
      </div>
      <div class="grid two">
        {recorded.has("gradient_norm") && <GradientFlow base={base} version={version} all={all} />}
        {there.map((quantity) => (
          <QuantityPanel key={quantity.name} base={base} run={run} quantity={quantity} version={version} all={all} curves={view === "lines"} />
        ))}
      </div>
    </>
  );
}
