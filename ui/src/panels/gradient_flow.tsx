/** The gradient of each weight on its way from the output back to the input, and where it vanishes or explodes. */

import { useMemo, useState } from "preact/hooks";
import { address } from "../api/client";
import { useData } from "../api/data";
import type { GradientRow, Gradients, LayerSeries, Maybe } from "../api/types";
import { Segments } from "../parts/controls";
import { Panel, When } from "../parts/panel";
import { Empty } from "../parts/states";
import { useNumber, useParam } from "../router";
import { number, plural, shortened, visible } from "../text";
import { FlowPicture, type Shown } from "./gradient_picture";
import { columnAt } from "./layer_heat";
import { isMatrix } from "./layer_panel";

const SCALES = [
  ["", "Per value"],
  ["norm", "Norm"],
] as const;

const WORDS: Record<string, [string, string]> = {
  healthy: ["good", "healthy"],
  vanishing: ["warn", "vanishing"],
  exploding: ["bad", "exploding"],
  non_finite: ["bad", "NaN or infinite"],
};

/** Each weight's norm at the last measurement up to a step. */
function valuesAt(layers: LayerSeries | null, step: number | null): Map<string, number> {
  const found = new Map<string, number>();
  if (!layers?.steps.length) return found;
  const column = step === null ? layers.steps.length - 1 : columnAt(layers.steps, step);
  layers.weights.forEach((name, i) => {
    for (let at = column; at >= 0; at--) {
      const value = layers.values[i][at];
      if (value === null) continue;
      found.set(name, value);
      break;
    }
  });
  return found;
}

function scaled(value: Maybe | undefined, row: GradientRow, each: boolean): Maybe {
  return value === null || value === undefined ? null : each ? value / Math.sqrt(Math.max(1, row.size)) : value;
}

/** What is to be seen, in one sentence. */
function sentence(rows: Shown[], each: boolean): string {
  const known = rows.filter((row): row is Shown & { median: number } => row.median !== null && row.median > 0);
  if (known.length < 2) return "";
  const least = known.reduce((a, b) => (b.median < a.median ? b : a));
  const most = known.reduce((a, b) => (b.median > a.median ? b : a));
  const ratio = most.median / least.median;
  const what = each ? "gradient per value" : "gradient";
  if (ratio < 10) return `Alike in all ${known.length} layers: the typical ${what} is within a factor of ${number(ratio, 2)}.`;
  return `${shortened(visible(least.name), 36)} gets ${number(ratio, 2)} times less ${what} than ${shortened(visible(most.name), 36)}.`;
}

export function GradientFlow({ base, version, all }: { base: string[]; version: number; all: boolean }) {
  const loaded = useData<Gradients>(address([...base, "gradients"]), version);
  const layers = useData<LayerSeries>(address([...base, "layers"], { name: "gradient_norm" }), version);
  const [step] = useNumber("step");
  const [scale, setScale] = useParam("gradient");
  const [readout, setReadout] = useState("");
  const each = scale !== "norm";
  const rows = useMemo((): Shown[] => {
    const now = valuesAt(layers.data, step);
    const found = loaded.data?.weights ?? [];
    const kept = found.filter((row) => all || isMatrix(row.role));
    return (kept.length ? kept : found).map((row) => ({
      name: row.name,
      state: row.state,
      low: scaled(row.low, row, each),
      median: scaled(row.median, row, each),
      high: scaled(row.high, row, each),
      now: scaled(now.get(row.name), row, each),
    }));
  }, [loaded.data, layers.data, step, all, each]);
  const say = (row: Shown | null) =>
    setReadout(row ? `${shortened(visible(row.name), 40)} · ${number(row.now)} at ${step === null ? "the last step" : `step ${number(step)}`} · ${number(row.low)} to ${number(row.high)} in nine of ten steps, median ${number(row.median)}` : "");
  return (
    <Panel
      title="Gradient flow"
      about="The gradient of each weight, from the input (top) to the output (bottom), on a logarithmic scale. A bar holds nine of ten recorded steps, its line is their median, and the dots are the step of the slider. Per value means the root mean square, which layers of different size share; the rules WS101 and WS102 judge by it. A path that bends to the left towards the top vanishes on its way back: beyond the shaded edge a layer gets 1000 times less than the last one, and does not learn. To the right it explodes, as it does where it is a hundred times as long as its weight was at first or jumps to a hundred times what is usual."
      note={loaded.data && <States rows={rows} />}
      controls={<Segments label="Measure of gradients" value={scale as "" | "norm"} options={SCALES} onChange={setScale} />}
      picture
      csv={() => [["weight", "state", "low", "median", "high", "now"], ...rows.map((row) => [row.name, row.state, row.low, row.median, row.high, row.now])]}
    >
      <When loaded={loaded} height={180}>
        {(data) =>
          rows.length === 0 ? (
            <Empty>No gradient of a weight was recorded.</Empty>
          ) : (
            <>
              <FlowPicture rows={rows} ratio={each ? data.thresholds.ratio : null} floor={data.thresholds.floor} onHover={say} />
              <div class="under">
                <span class="readout" role="status">
                  {readout || sentence(rows, each) || "Point at a layer to read it."}
                </span>
              </div>
            </>
          )
        }
      </When>
    </Panel>
  );
}

/** How many layers fare badly, or that none does. */
function States({ rows }: { rows: Shown[] }) {
  const judged = rows.filter((row) => row.state !== null);
  const bad = ["non_finite", "exploding", "vanishing"].filter((state) => judged.some((row) => row.state === state));
  if (!judged.length) return null;
  return (
    <>
      {(bad.length ? bad : ["healthy"]).map((state) => {
        const [tone, word] = WORDS[state];
        const amount = judged.filter((row) => row.state === state).length;
        return (
          <span key={state} class={`verdict ${tone}`} title={`${plural(amount, "layer")} of ${judged.length}`}>
            {state === "healthy" ? word : `${word} in ${amount} of ${judged.length}`}
          </span>
        );
      })}
    </>
  );
}
