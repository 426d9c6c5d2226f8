/** The distributions of one weight in several checkpoints, over each other. */

import { useMemo, useState } from "preact/hooks";
import { address } from "../api/client";
import { useEach } from "../api/data";
import type { Histogram, SideBySide, WeightDetail } from "../api/types";
import { axes, type Axis, layout } from "../parts/axes";
import { Canvas, type Frame } from "../parts/canvas";
import { Select, Toggle } from "../parts/controls";
import { NAMELESS } from "../parts/name";
import { Panel } from "../parts/panel";
import { Empty, Failure, Loading } from "../parts/states";
import { useParam } from "../router";
import { number, percent, shortened, visible } from "../text";
import { short, type Subject } from "./subjects";

const HEIGHT = 260;
const DECADES = 4; // below the peak, where heights are logarithmic

interface Curve {
  subject: Subject;
  histogram: Histogram;
  /** Share of the values in a bin over its width. */
  densities: number[];
  /** Share of the values below each edge. */
  below: number[];
  /** Where all but a thousandth at either end lie. */
  span: [number, number];
}

/** Neighboring bins as one where there are too few values for so many bins; as many as Rice's rule says. */
function merged({ edges, counts }: Histogram): Histogram {
  const wanted = Math.max(8, 2 * Math.cbrt(counts.reduce((sum, one) => sum + one, 0)));
  const size = Math.max(1, Math.round(counts.length / wanted));
  const places = counts.map((_, i) => i).filter((i) => i % size === 0);
  return {
    edges: [...places.map((i) => edges[i]), edges[counts.length]],
    counts: places.map((i) => counts.slice(i, i + size).reduce((sum, one) => sum + one, 0)),
  };
}

function curveOf(subject: Subject, detail: WeightDetail | null): Curve[] {
  if (!detail?.histogram?.counts.length) return [];
  const histogram = merged(detail.histogram);
  const { edges, counts } = histogram;
  const total = counts.reduce((sum, one) => sum + one, 0);
  const below = [0];
  counts.forEach((amount, i) => below.push(below[i] + amount / total));
  const quantile = (name: string, fallback: number) => detail.quantiles[name] ?? fallback;
  return [
    {
      subject,
      histogram,
      densities: counts.map((amount, i) => amount / total / (edges[i + 1] - edges[i] || 1)),
      below,
      span: [quantile("0.001", edges[0]), quantile("0.999", edges[edges.length - 1])],
    },
  ];
}

/** The share of a curve's values that lie below a value. */
function shareBelow({ histogram: { edges }, below }: Curve, value: number): number {
  if (value <= edges[0]) return 0;
  const bin = edges.findIndex((edge, i) => i > 0 && value <= edge) - 1;
  if (bin < 0) return 1;
  return below[bin] + (below[bin + 1] - below[bin]) * ((value - edges[bin]) / (edges[bin + 1] - edges[bin] || 1));
}

function axesOf(curves: Curve[], log: boolean): [Axis, Axis] {
  const low = Math.min(...curves.map((one) => one.span[0]));
  const high = Math.max(...curves.map((one) => one.span[1]));
  const margin = (high - low) * 0.12 || Math.abs(high) * 0.1 || 1;
  const peak = Math.max(...curves.flatMap((one) => one.densities)) || 1;
  return [
    { low: low - margin, high: high + margin },
    { low: log ? peak / 10 ** DECADES : 0, high: peak * (log ? 1.5 : 1.05), log },
  ];
}

function draw(frame: Frame, curves: Curve[], x: Axis, y: Axis): void {
  const { context } = frame;
  const plot = axes(frame, x, y);
  context.save();
  context.beginPath();
  context.rect(plot.left, plot.top, plot.right - plot.left, plot.bottom - plot.top);
  context.clip();
  for (const { subject, histogram, densities } of curves) {
    context.strokeStyle = subject.color;
    context.lineWidth = 1.75;
    context.beginPath();
    context.moveTo(plot.x(histogram.edges[0]), plot.bottom);
    densities.forEach((density, i) => {
      const height = density > y.low ? plot.y(density) : plot.bottom;
      context.lineTo(plot.x(histogram.edges[i]), height);
      context.lineTo(plot.x(histogram.edges[i + 1]), height);
    });
    context.lineTo(plot.x(histogram.edges[densities.length]), plot.bottom);
    context.stroke();
  }
  context.restore();
}

interface Props {
  subjects: Subject[];
  row: SideBySide["weights"][number] | null;
  rows: SideBySide["weights"];
  onChoose: (weight: string) => void;
}

export function DistributionsPanel({ subjects, row, rows, onChoose }: Props) {
  const [log, setLog] = useParam("logd");
  const [hover, setHover] = useState("");
  const loaded = useEach<WeightDetail>(subjects.map((one, i) => (row?.of[i] ? address(["sources", one.held!, "weights", row.of[i]!.index]) : null)));
  const curves = useMemo(() => loaded.flatMap(({ data }, i) => (subjects[i] ? curveOf(subjects[i], data) : [])), [loaded, subjects]);
  const failed = loaded.find((one) => one.error)?.error;
  const [x, y] = axesOf(curves, log === "1");
  return (
    <Panel
      title="Distributions"
      about="How the values of one weight are distributed in each checkpoint: the area under every curve is one. The outermost thousandths may lie beyond the picture. Point at a value to read which share of each lies below it."
      picture
      legend={curves.map(({ subject }) => ({ label: short(subject), color: subject.color }))}
      controls={<Toggle label="Log heights" on={log === "1"} onChange={(on) => setLog(on ? "1" : "")} title="Makes thin tails visible beside a spike" />}
      csv={curves.length ? () => [["checkpoint", "from", "to", "count"], ...curves.flatMap(({ subject, histogram }) => histogram.counts.map((amount, i) => [subject.label, histogram.edges[i], histogram.edges[i + 1], amount]))] : undefined}
    >
      {row && (
        <div class="toolbar">
          <Select label="Weight" value={row.name} options={rows.map((one) => [one.name, shortened(visible(one.name), 44) || NAMELESS] as const)} onChange={onChoose} />
        </div>
      )}
      {failed && <Failure error={failed} />}
      {curves.length ? (
        <>
          <ul class="legend">
            {curves.map(({ subject }) => (
              <li key={subject.id}>
                <i style={{ background: subject.color }} /> {short(subject)}
              </li>
            ))}
          </ul>
          <Canvas
            height={HEIGHT}
            label={`Distributions of ${visible(row?.name ?? "")} from ${number(x.low)} to ${number(x.high)}`}
            draw={(frame) => draw(frame, curves, x, y)}
            onHover={(point, size) => {
              if (!point) return setHover("");
              const value = layout(size.width, HEIGHT, x, y).unX(point.x);
              setHover(`Below ${number(value)}: ${curves.map((one) => `${percent(shareBelow(one, value))} of ${short(one.subject)}`).join(", ")}`);
            }}
          />
          <span class="readout" role="status">
            {hover || "Point at a value to read the shares below it."}
          </span>
        </>
      ) : loaded.some((one) => one.loading) ? (
        <Loading height={HEIGHT} />
      ) : (
        !failed && <Empty>There are no finite values to draw.</Empty>
      )}
    </Panel>
  );
}
