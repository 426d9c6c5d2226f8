/** One quantity of all layers over the steps: as a picture of layers by steps, or as one curve a layer. */

import { useMemo, useState } from "preact/hooks";
import { address } from "../api/client";
import { useData } from "../api/data";
import type { LayerSeries, Maybe, RunDetail } from "../api/types";
import { Panel, When } from "../parts/panel";
import { ScaleBar } from "../parts/scale_bar";
import { Empty } from "../parts/states";
import { useNumber } from "../router";
import { number, shortened, visible } from "../text";
import { useTheme } from "../theme";
import { columnAt, LayerHeat } from "./layer_heat";
import { LayerCurves } from "./layer_curves";
import { formatted, type Quantity, shade, unshaded } from "./layer_quantities";
import { lastStepOf } from "./scrubber";

export interface Layers {
  names: string[];
  steps: number[];
  /** NaN where anything measured was not finite. */
  values: Maybe[][];
}

interface Props {
  base: string[];
  run: RunDetail;
  quantity: Quantity;
  version: number;
  all: boolean;
  curves: boolean;
}

/** Weights that are looked at by default: those that biases and the scales of norms would crowd out. */
export function isMatrix(role: string | undefined): boolean {
  return role !== "bias" && role !== "norm";
}

export function QuantityPanel({ base, run, quantity, version, all, curves }: Props) {
  const loaded = useData<LayerSeries>(address([...base, "layers"], { name: quantity.name }), version);
  const shown = useMemo((): Layers | null => {
    if (!loaded.data) return null;
    const { weights, values, steps, not_finite } = loaded.data;
    const measured = values.map((row, i) => {
      const broken = new Set(not_finite[i]);
      return broken.size ? row.map((value, column) => (broken.has(column) ? NaN : value)) : row;
    });
    const roles = new Map(run.weights.map((weight) => [weight.name, weight.role]));
    const kept = weights.map((_, i) => i).filter((i) => all || isMatrix(roles.get(weights[i])));
    const rows = kept.length ? kept : weights.map((_, i) => i);
    return { names: rows.map((i) => weights[i]), values: rows.map((i) => measured[i]), steps };
  }, [loaded.data, all, run.weights]);
  const nothing = shown !== null && (quantity.share ?? false) && shown.values.every((row) => row.every((value) => value === null || value === 0));
  return (
    <Panel
      title={quantity.title}
      about={quantity.about}
      note={curves && quantity.share && !nothing ? "in %" : null}
      className={nothing ? "last" : ""}
      picture
      csv={() => [["weight", ...(shown?.steps ?? [])], ...(shown?.names ?? []).map((name, i) => [name, ...shown!.values[i]])]}
    >
      <When loaded={loaded} height={180}>
        {() => {
          if (!shown || !shown.names.length) return <Empty>Not measured in this run.</Empty>;
          if (nothing) return <Empty>None, in any layer at any step.</Empty>;
          return curves ? <LayerCurves quantity={quantity} layers={shown} last={lastStepOf(run)} /> : <HeatBody quantity={quantity} layers={shown} />;
        }}
      </When>
    </Panel>
  );
}

function HeatBody({ quantity, layers }: { quantity: Quantity; layers: Layers }) {
  const { colors } = useTheme();
  const [step, setStep] = useNumber("step");
  const [readout, setReadout] = useState("");
  const { names, steps, values } = layers;
  const scale = useMemo(() => quantity.scale(values.flat().map((value) => shade(quantity, value)).filter((value): value is number => value !== null && Number.isFinite(value)), colors), [layers, colors, quantity]);
  const format = (value: number) => (Number.isNaN(value) ? "not finite" : formatted(quantity, value));
  const say = (row: number, column: number) => {
    const value = values[row][column];
    setReadout(`${shortened(visible(names[row]), 40)} · step ${number(steps[column])} · ${value === null ? "not measured" : format(value)}`);
  };
  return (
    <>
      <LayerHeat
        label={`${quantity.title}: layers by steps`}
        names={names}
        steps={steps}
        values={values}
        scale={(value) => scale.scale(Number.isNaN(value) ? NaN : (shade(quantity, value) ?? scale.low))}
        format={format}
        marked={step === null ? null : columnAt(steps, step)}
        onHover={(place) => (place ? say(place.row, place.column) : setReadout(""))}
        onPick={(place) => setStep(steps[place.column])}
      />
      <div class="under">
        <ScaleBar scale={scale.scale} low={scale.low} high={scale.high} format={(value) => unshaded(quantity, value)} />
        <span class="readout" role="status">
          {readout || "Point at a cell to read it; click to move all panels to its step."}
        </span>
      </div>
    </>
  );
}
