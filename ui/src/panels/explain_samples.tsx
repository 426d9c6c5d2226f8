/** Rows of the data with what the model says of them; a click chooses which ones are explained. */

import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { Loaded } from "../api/data";
import type { Picture, Sample, Samples, Summary } from "../api/explained";
import { Toggle } from "../parts/controls";
import { Panel, When } from "../parts/panel";
import { fitted, inputImage } from "../parts/pictures";
import { Empty } from "../parts/states";
import { count, number, percent } from "../text";
import { answerText, isWrong } from "./explain_words";

const SIDE = 60; // pixels of an image
const STRIP = 120; // pixels that a sequence is wide

interface Props {
  summary: Summary;
  loaded: Loaded<Samples>;
  rows: number[];
  wrong: boolean;
  onWrong: (on: boolean) => void;
  onFirst: (first: number) => void;
  onToggle: (row: number) => void;
  onClear: (() => void) | null;
}

export function SamplesPanel({ summary, loaded, rows, wrong, onWrong, onFirst, onToggle, onClear }: Props) {
  const data = loaded.data;
  const values = summary.task === "regression";
  return (
    <Panel
      title="Rows"
      about={`Rows of the ${summary.split} set with what the model says of them. Click rows to explain them below, at most ${summary.at_once} at once. ${values ? "Rows that the model is furthest off can come first." : "Of rows that it gets wrong, the ones it is surest of come first."}`}
      note={data && noteOf(data)}
      csv={data ? () => [["row", "label", "predicted", "probability"], ...data.rows.map((one) => [one.row, told(summary, one.label), told(summary, one.predicted), one.probabilities?.[0]?.[1]])] : undefined}
      controls={
        <>
          {onClear && (
            <button type="button" class="quiet" onClick={onClear}>
              Choose the first ones
            </button>
          )}
          <Toggle label={values ? "Furthest off first" : "Only wrong ones"} on={wrong} onChange={onWrong} />
        </>
      }
    >
      <When loaded={loaded} height={120}>
        {(samples) => (
          <>
            {samples.rows.length ? (
              <div class="samples">
                {samples.rows.map((one) => (
                  <SampleTile key={one.row} summary={summary} sample={one} chosen={rows.includes(one.row)} onClick={() => onToggle(one.row)} />
                ))}
              </div>
            ) : (
              <Empty>{samples.total ? `There is no row ${count(samples.first)} here: there are ${count(samples.total)}.` : "The model gets none of them wrong."}</Empty>
            )}
            <SamplePager samples={samples} onFirst={onFirst} />
          </>
        )}
      </When>
    </Panel>
  );
}

function noteOf({ wrong, answered }: Samples): string {
  return wrong === null ? `${count(answered)} rows` : `${count(wrong)} of ${count(answered)} wrong (${percent(wrong / answered)})`;
}

function told(summary: Summary, value: Sample["predicted"]): string {
  if (value === null) return "";
  return typeof value === "number" ? (summary.classes?.[value] ?? String(value)) : value.join(" ");
}

function SamplePager({ samples, onFirst }: { samples: Samples; onFirst: (first: number) => void }) {
  const { first, total, rows, per_page: size } = samples;
  if (rows.length === total) return null;
  return (
    <div class="under">
      <span class="pager">
        <button type="button" disabled={first === 0} onClick={() => onFirst(Math.max(0, Math.min(first - size, size * (Math.ceil(total / size) - 1))))}>
          ‹ Previous
        </button>
        <span role="status" data-testid="samples-shown">
          {rows.length ? `${count(first + 1)} to ${count(first + rows.length)} of ${count(total)}` : "none"}
        </span>
        <button type="button" disabled={first + rows.length >= total} onClick={() => onFirst(first + size)}>
          Next ›
        </button>
      </span>
    </div>
  );
}

interface TileProps {
  summary: Summary;
  sample: Sample;
  chosen: boolean;
  onClick: () => void;
}

function SampleTile({ summary, sample, chosen, onClick }: TileProps) {
  const answer = answerText(summary, sample);
  const likely = sample.probabilities?.[0]?.[1];
  const label = `Row ${sample.row}: ${answer}${likely === undefined ? "" : `, ${percent(likely)}`}`;
  const features = sample.features?.map((one) => `${one.name} ${number(one.value)}`).join(", ");
  return (
    <button type="button" class={`sample ${isWrong(sample) ? "wrong" : ""}`} aria-pressed={chosen} aria-label={sample.picture ? label : undefined} title={features ? `${label}; most unusual: ${features}` : label} onClick={onClick}>
      {sample.picture && <Thumbnail picture={sample.picture} fill={summary.input === "sequence"} />}
      <span class="sample-answer">{answer}</span>
      {!sample.picture && (
        <span class="muted">
          row {sample.row}
          {likely === undefined ? "" : `, ${percent(likely)}`}
        </span>
      )}
    </button>
  );
}

function Thumbnail({ picture, fill }: { picture: Picture; fill: boolean }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const image = useMemo(() => inputImage(picture), [picture]);
  const [wide, high] = fitted(picture, fill ? STRIP : SIDE, fill ? SIDE / 2 : SIDE, fill);
  useLayoutEffect(() => {
    const element = canvas.current!;
    const ratio = window.devicePixelRatio || 1;
    [element.width, element.height] = [Math.round(wide * ratio), Math.round(high * ratio)];
    const context = element.getContext("2d")!;
    context.imageSmoothingEnabled = false;
    context.drawImage(image, 0, 0, element.width, element.height);
  });
  return <canvas ref={canvas} style={{ width: `${wide}px`, height: `${high}px` }} />;
}
