/** What each unit of a layer likes: inputs made to excite it as far as it goes. */

import { useMemo } from "preact/hooks";
import { address } from "../api/client";
import { useData } from "../api/data";
import type { LikedUnit, MaximizedAnswer, Picture, Summary } from "../api/explained";
import { Bars } from "../parts/bars";
import { Canvas } from "../parts/canvas";
import { Select } from "../parts/controls";
import { Panel } from "../parts/panel";
import { fitted, inputImage } from "../parts/pictures";
import { Failure, Loading } from "../parts/states";
import { setParams, useNumber, useParam } from "../router";
import { count, number, plural, visible } from "../text";
import { outputName } from "./explain_words";

const SIDE = 112; // pixels of an image
const STRIP = 56; // pixels that a sequence is high
const LABEL = 36;
const FEATURES = 8;

interface Props {
  base: (string | number)[];
  summary: Summary;
}

export function UnitsPanel({ base, summary }: Props) {
  const [of] = useParam("of");
  const [unit, setUnit] = useNumber("unit");
  const layer = summary.layers.find((one) => one.name === of) ?? summary.layers[0];
  const first = Math.min(Math.max(0, Math.floor(unit ?? 0)), Math.max(0, layer ? layer.units - 1 : 0));
  const units = layer ? Array.from({ length: Math.min(summary.at_once, layer.units - first) }, (_, i) => first + i) : [];
  const loaded = useData<MaximizedAnswer>(layer ? address([...base, "explain", "maximized"], { layer: layer.name, units: units.join(",") }) : null, summary.step);
  if (!layer) return null;
  const data = loaded.data;
  const nameOf = (one: number) => (layer.name ? `unit ${one}` : outputName(summary, one));
  return (
    <Panel
      title="What each unit likes"
      about="An input made to excite one unit as far as it goes: its gradient is climbed from faint noise, with the input held in range and, for images, smooth (Erhan et al., 2009; Simonyan, Vedaldi and Zisserman, 2014; Olah, Mordvintsev and Schubert, 2017). Below each: the unit's value on the noise, and on the input shown. A unit of a convolution is a channel, whose mean over all places is raised."
      note={plural(layer.units, "unit")}
      picture
      csv={data ? () => tableOf(data, nameOf) : undefined}
      controls={
        <Select
          label="Layer"
          value={layer.name}
          options={summary.layers.map((one) => [one.name, one.name ? `${visible(one.name)} (${one.kind}, ${count(one.units)})` : `the output (${count(one.units)})`] as const)}
          onChange={(next) => setParams({ of: next, unit: null })}
        />
      }
    >
      {data ? (
        <div class={`liked ${summary.input}`}>
          {data.units.map((one) => (
            <Liked key={one.unit} unit={one} name={nameOf(one.unit)} sequence={summary.input === "sequence"} />
          ))}
        </div>
      ) : loaded.error ? (
        <Failure error={loaded.error} />
      ) : (
        <Loading height={SIDE + LABEL} what="Searching for inputs" />
      )}
      {layer.units > units.length && (
        <div class="under">
          <span class="pager">
            <button type="button" disabled={first === 0} onClick={() => setUnit(Math.max(0, first - summary.at_once) || null)}>
              ‹ Previous
            </button>
            <span role="status" data-testid="units-shown">
              units {count(first)} to {count(first + units.length - 1)} of {count(layer.units)}
            </span>
            <button type="button" disabled={first + units.length >= layer.units} onClick={() => setUnit(first + units.length)}>
              Next ›
            </button>
          </span>
        </div>
      )}
    </Panel>
  );
}

function Liked({ unit, name, sequence }: { unit: LikedUnit; name: string; sequence: boolean }) {
  const values = `${number(unit.before)} → ${number(unit.after)}`;
  if (unit.picture) return <LikedPicture picture={unit.picture} name={name} values={values} sequence={sequence} />;
  return (
    <article class="liked-features" aria-label={name}>
      <Bars title={name} note={values} bars={(unit.features ?? []).slice(0, FEATURES).map((one) => ({ name: visible(one.name), value: one.weight ?? 0 }))} />
    </article>
  );
}

function LikedPicture({ picture, name, values, sequence }: { picture: Picture; name: string; values: string; sequence: boolean }) {
  const image = useMemo(() => inputImage(picture), [picture]);
  const high = sequence ? STRIP : SIDE;
  return (
    <div class="liked-picture">
      <Canvas
        height={high + LABEL}
        label={`What ${name} likes: ${values}`}
        draw={({ context, width, colors }) => {
          const [wide, tall] = fitted(picture, width, high, sequence);
          const left = (width - wide) / 2;
          context.imageSmoothingEnabled = false;
          context.drawImage(image, left, 0, wide, tall);
          context.textAlign = "center";
          context.textBaseline = "top";
          context.fillStyle = colors.text;
          context.font = "600 12px system-ui, sans-serif";
          context.fillText(name, width / 2, tall + 4, width);
          context.fillStyle = colors.muted;
          context.font = "11px system-ui, sans-serif";
          context.fillText(values, width / 2, tall + 19, width);
        }}
      />
    </div>
  );
}

function tableOf(data: MaximizedAnswer, nameOf: (unit: number) => string): (string | number | null)[][] {
  const rows = data.units.map((one) => [one.unit, nameOf(one.unit), one.before, one.after]);
  if (!data.units.some((one) => one.features)) return [["unit", "name", "before", "after"], ...rows];
  return [["unit", "name", "before", "after", "feature", "value in deviations"], ...data.units.flatMap((one, i) => (one.features ?? []).map((feature) => [...rows[i], feature.name, feature.weight]))];
}
