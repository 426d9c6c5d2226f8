/** What happens in each layer over the steps: update ratios, gradient flow, zeros and flips as heat pictures. */

import { useMemo, useState } from "preact/hooks";
import { address } from "../api/client";
import { useData } from "../api/data";
import type { LayerSeries, Maybe, RunDetail } from "../api/types";
import { Toggle } from "../parts/controls";
import { Panel, When } from "../parts/panel";
import { ScaleBar } from "../parts/scale_bar";
import { Empty } from "../parts/states";
import { useNumber, useParam } from "../router";
import { diverging, type Scale, sequential } from "../scales";
import { number, percent, shortened, visible } from "../text";
import { type Colors, useTheme } from "../theme";
import { columnAt, LayerHeat } from "./layer_heat";
import { Scrubber } from "./scrubber";

interface Quantity {
  name: string;
  title: string;
  about: string;
  /** Values are shown by their decimal logarithm. */
  log: boolean;
  share?: boolean;
  scale: (values: number[], colors: Colors) => { scale: Scale; low: number; high: number };
}

function spread(values: number[]): [number, number] {
  const all = [...values].sort((a, b) => a - b);
  if (!all.length) return [0, 1];
  const at = (share: number) => all[Math.min(all.length - 1, Math.floor(share * all.length))];
  return [at(0.01), at(0.99)];
}

const rising = (values: number[], colors: Colors) => {
  const [low, high] = spread(values);
  const top = high > low ? high : low + 1;
  return { scale: sequential(colors, low, top), low, high: top };
};
const fromZero = (values: number[], colors: Colors) => {
  const high = Math.max(1e-12, ...values);
  return { scale: sequential(colors, 0, high), low: 0, high };
};

const QUANTITIES: Quantity[] = [
  {
    name: "update_ratio",
    title: "Update to weight ratio",
    about: "How much one step changes a layer, relative to its size. About 0.001 is usual (pale); blue is slower, orange is faster. A layer that stays dark blue hardly learns, one that stays dark orange is shaken.",
    log: true,
    scale: (_, colors) => ({ scale: diverging(colors, 3, -3), low: -6, high: 0 }),
  },
  {
    name: "gradient_norm",
    title: "Gradient flow",
    about: "Length of each layer's gradient. Colors that fade towards the first layers mean that the gradient vanishes on its way back; ones that brighten mean that it explodes.",
    log: true,
    scale: rising,
  },
  { name: "norm", title: "Weight norm", about: "Length of each layer's weights. It should level off; steady growth without a better loss points to missing weight decay.", log: true, scale: rising },
  { name: "zeros", title: "Zeros", about: "Share of values that are exactly zero.", log: false, share: true, scale: fromZero },
  { name: "sign_flips", title: "Sign flips", about: "Share of values that changed their sign in one step. Binary weights that keep flipping have not settled.", log: false, share: true, scale: fromZero },
  { name: "mask_churn", title: "Mask churn", about: "Share of a sparse layer's kept places that changed since the last look.", log: false, share: true, scale: fromZero },
  { name: "mask_overlap_first", title: "Overlap with the first mask", about: "Share of kept places that were kept in the first mask as well.", log: false, share: true, scale: fromZero },
  { name: "dead_units", title: "Dead units", about: "Share of units before a rectifier that were zero for every sample looked at.", log: false, share: true, scale: fromZero },
];

export function LayersPanels({ base, run, version }: { base: string[]; run: RunDetail; version: number }) {
  const [biases, setBiases] = useParam("biases");
  const recorded = new Set(run.series.filter((one) => one.weight).map((one) => one.name));
  const there = QUANTITIES.filter((one) => recorded.has(one.name));
  if (!there.length) return <Empty>{run.status === "running" ? "Nothing has been measured yet; it appears here by itself." : "This run has recorded nothing by layer."}</Empty>;
  return (
    <>
      <div class="toolbar">
        <Scrubber run={run} />
        <Toggle label="Biases and norms too" on={biases === "1"} onChange={(on) => setBiases(on ? "1" : "")} />
      </div>
      <div class="grid two">
        {there.map((quantity) => (
          <QuantityPanel key={quantity.name} base={base} run={run} quantity={quantity} version={version} all={biases === "1"} />
        ))}
      </div>
    </>
  );
}

interface PanelProps {
  base: string[];
  run: RunDetail;
  quantity: Quantity;
  version: number;
  all: boolean;
}

function QuantityPanel({ base, run, quantity, version, all }: PanelProps) {
  const loaded = useData<LayerSeries>(address([...base, "layers"], { name: quantity.name, columns: 300 }), version);
  const { colors } = useTheme();
  const [step, setStep] = useNumber("step");
  const [readout, setReadout] = useState("");
  const roles = useMemo(() => new Map(run.weights.map((weight) => [weight.name, weight.role])), [run.weights]);
  const shown = useMemo(() => {
    if (!loaded.data) return null;
    const { weights, values } = loaded.data;
    const kept = weights.map((_, i) => i).filter((i) => all || !["bias", "norm"].includes(roles.get(weights[i]) ?? ""));
    const rows = kept.length ? kept : weights.map((_, i) => i);
    const into = (value: Maybe) => (value === null ? null : quantity.log ? (value > 0 ? Math.log10(value) : null) : value);
    return { names: rows.map((i) => weights[i]), values: rows.map((i) => values[i].map(into)), steps: loaded.data.steps };
  }, [loaded.data, all, roles, quantity]);
  const scale = useMemo(() => {
    const values = shown ? shown.values.flat().filter((value): value is number => value !== null) : [];
    return quantity.scale(values, colors);
  }, [shown, colors, quantity]);
  const format = (value: number) => (quantity.share ? percent(value) : number(quantity.log ? 10 ** value : value));
  const say = (row: number, column: number) => {
    if (!shown) return;
    const value = shown.values[row][column];
    setReadout(`${shortened(visible(shown.names[row]), 40)} · step ${number(shown.steps[column])} · ${value === null ? "not measured" : format(value)}`);
  };
  return (
    <Panel
      title={quantity.title}
      about={quantity.about}
      picture
      csv={() => [["weight", ...(shown?.steps ?? [])], ...(shown?.names ?? []).map((name, i) => [name, ...shown!.values[i].map((value) => (value === null ? null : quantity.log ? 10 ** value : value))])]}
    >
      <When loaded={loaded} height={180}>
        {() =>
          !shown || !shown.names.length ? (
            <Empty>Not measured in this run.</Empty>
          ) : quantity.share && shown.values.every((row) => row.every((value) => !value)) ? (
            <Empty>None, in any layer at any step.</Empty>
          ) : (
            <>
              <LayerHeat
                label={`${quantity.title}: layers by steps`}
                names={shown.names}
                steps={shown.steps}
                values={shown.values}
                scale={scale.scale}
                format={format}
                marked={step === null ? null : columnAt(shown.steps, step)}
                onHover={(place) => (place ? say(place.row, place.column) : setReadout(""))}
                onPick={(place) => setStep(shown.steps[place.column])}
              />
              <div class="under">
                <ScaleBar scale={scale.scale} low={scale.low} high={scale.high} format={format} />
                <span class="readout" role="status">
                  {readout || "Point at a cell to read it; click to move all panels to its step."}
                </span>
              </div>
            </>
          )
        }
      </When>
    </Panel>
  );
}
