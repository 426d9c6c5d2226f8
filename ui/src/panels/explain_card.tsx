/** One explained row: pictures or bars, and what the model says of it. */

import { useMemo } from "preact/hooks";
import type { AttributionAnswer, ExplainedRow, Heat, Picture, Summary } from "../api/explained";
import { Bars } from "../parts/bars";
import { Canvas, type Frame, type Point } from "../parts/canvas";
import { fitted, heatImage, inputImage, overlayImage } from "../parts/pictures";
import { diverging } from "../scales";
import { number, percent, visible } from "../text";
import { useTheme } from "../theme";
import { answerText, className, explainedName, isWrong, METHODS, outputName } from "./explain_words";

const SIDE = 119; // pixels of an image, or a little less
const STRIP = 46; // pixels that a sequence is high
const CAPTION = 18;
const GAP = 8;
const FEATURES = 10;

interface Props {
  row: ExplainedRow;
  answer: AttributionAnswer;
  summary: Summary;
  /** Where colors end. */
  reach: number;
  onTarget: ((target: number) => void) | null;
  onPoint: (text: string) => void;
}

export function ExplainedCard({ row, answer, summary, reach, onTarget, onPoint }: Props) {
  const other = summary.outputs.length > 1 && row.target !== row.predicted ? `, explained for ${outputName(summary, row.target)}` : "";
  const title = `Row ${row.row}: ${answerText(summary, row)}${other}`;
  return (
    <article class={`explained-card ${isWrong(row) ? "wrong" : ""}`} aria-label={title}>
      <div class="explained-picture">
        {row.picture && row.heat ? (
          <Pictures title={title} method={METHODS[answer.method].name} picture={row.picture} heat={row.heat} reach={reach} sequence={summary.input === "sequence"} onPoint={(text) => onPoint(text && `row ${row.row}, ${text}`)} />
        ) : (
          <Bars title={title} bars={(row.features ?? []).slice(0, FEATURES).map((one) => ({ name: `${visible(one.name)} = ${number(one.value)}`, value: one.weight ?? 0 }))} />
        )}
        <p class="muted explained-note">
          Explained: {explainedName(summary, row.target)}, whose {summary.task !== "regression" ? "logit" : summary.standardized ? "standardized value" : "value"} is {number(row.output)}.{row.gap !== null && ` The parts miss its change by ${number(Math.abs(row.gap), 2)}.`}
          {row.heat?.reach === 0 && (answer.method === "grad-cam" ? " Nothing in this layer speaks for it." : " Nothing in the input changes it.")}
        </p>
      </div>
      {row.probabilities && <Probabilities row={row} summary={summary} onTarget={onTarget} />}
    </article>
  );
}

interface PicturesProps {
  title: string;
  method: string;
  picture: Picture;
  heat: Heat;
  reach: number;
  sequence: boolean;
  onPoint: (text: string) => void;
}

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Where the three pictures lie: images side by side, strips below each other. */
function boxes(picture: Picture, width: number, sequence: boolean): Box[] {
  const [wide, high] = sequence ? fitted(picture, width, STRIP, true) : fitted(picture, (width - 2 * GAP) / 3, SIDE, false);
  return [0, 1, 2].map((i) => (sequence ? { x: 0, y: CAPTION + i * (STRIP + CAPTION), width: wide, height: high } : { x: i * (wide + GAP), y: CAPTION, width: wide, height: high }));
}

function Pictures({ title, method, picture, heat, reach, sequence, onPoint }: PicturesProps) {
  const { colors } = useTheme();
  const images = useMemo(() => {
    const scale = diverging(colors, reach);
    return [inputImage(picture), heatImage(heat, scale), overlayImage(picture, heat, reach)];
  }, [picture, heat, reach, colors]);
  const draw = ({ context, width, colors: shades }: Frame) => {
    context.textBaseline = "top";
    context.font = "600 12px system-ui, sans-serif";
    context.fillStyle = shades.text;
    context.fillText(title, 0, 1, width);
    context.font = "11px system-ui, sans-serif";
    context.imageSmoothingEnabled = false;
    const captions = ["input", method.toLowerCase().replace("grad-cam", "Grad-CAM"), "both"];
    boxes(picture, width, sequence).forEach((box, i) => {
      context.drawImage(images[i], box.x, box.y, box.width, box.height);
      context.strokeStyle = shades.grid;
      context.strokeRect(box.x + 0.5, box.y + 0.5, box.width - 1, box.height - 1);
      context.fillStyle = shades.muted;
      context.fillText(captions[i], box.x, box.y + box.height + 3);
    });
  };
  const read = (point: Point, width: number): string => {
    const box = boxes(picture, width, sequence).find((one) => point.x >= one.x && point.x < one.x + one.width && point.y >= one.y && point.y < one.y + one.height);
    if (!box) return "";
    const row = Math.floor(((point.y - box.y) / box.height) * heat.height);
    const column = Math.floor(((point.x - box.x) / box.width) * heat.width);
    const place = sequence ? `step ${column}, feature ${row}` : `pixel (${row}, ${column})`;
    return `${place}: attribution ${number(heat.values[row * heat.width + column])}`;
  };
  const height = sequence ? 3 * (STRIP + CAPTION) + CAPTION : fitted(picture, SIDE, SIDE, false)[1] + 2 * CAPTION;
  return (
    <Canvas
      height={height}
      label={`${title}: the input, its attribution, and one over the other`}
      draw={draw}
      onHover={(point, size) => onPoint(point ? read(point, size.width) : "")}
    />
  );
}

/** The likeliest classes; where each has an output of its own, a click explains that one. */
function Probabilities({ row, summary, onTarget }: { row: ExplainedRow; summary: Summary; onTarget: ((target: number) => void) | null }) {
  return (
    <ul class="probabilities" aria-label={`Probabilities of row ${row.row}`}>
      {row.probabilities!.map(([place, share]) => {
        const inside = (
          <>
            <span class="probability-name">{className(summary, place)}</span>
            <span class="probability-share">{percent(share)}</span>
            <span class="probability-bar" aria-hidden="true">
              <span style={{ width: `${100 * share}%` }} />
            </span>
          </>
        );
        return (
          <li key={place} class={place === row.label ? "true" : ""}>
            {onTarget ? (
              <button type="button" aria-pressed={place === row.target} title={`Explain the output for ${className(summary, place)} in all rows`} onClick={() => onTarget(place)}>
                {inside}
              </button>
            ) : (
              <span class="probability">{inside}</span>
            )}
          </li>
        );
      })}
    </ul>
  );
}
