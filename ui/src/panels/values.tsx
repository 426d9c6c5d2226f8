/** How a weight's values are distributed, with the largest ones marked. */

import { useState } from "preact/hooks";
import type { Outlier, WeightDetail } from "../api/types";
import { axes, layout } from "../parts/axes";
import { Canvas, type Frame } from "../parts/canvas";
import { Toggle } from "../parts/controls";
import { Panel } from "../parts/panel";
import { Empty } from "../parts/states";
import { useParam } from "../router";
import { compact, count, number } from "../text";

const NEAR = 6; // pixels within which a click means an outlier

export function ValuesPanel({ weight, onOutlier }: { weight: WeightDetail; onOutlier: (outlier: Outlier) => void }) {
  const [log, setLog] = useParam("logv");
  const [hover, setHover] = useState("");
  const histogram = weight.histogram;
  if (!histogram?.counts.length) {
    return (
      <Panel title="Values">
        <Empty>There are no finite values to draw.</Empty>
      </Panel>
    );
  }
  const { edges, counts } = histogram;
  const widths = counts.map((_, i) => edges[i + 1] - edges[i]);
  const typical = [...widths].sort((a, b) => a - b)[widths.length >> 1] || 1;
  // The outermost bins may be wide: heights are counts by width, in counts of a typical bin.
  const heights = counts.map((amount, i) => (log ? Math.log10(1 + amount) : (amount * typical) / (widths[i] || 1)));
  const x = { low: edges[0], high: edges[edges.length - 1] };
  const y = { low: 0, high: Math.max(...heights) || 1, format: (value: number) => compact(Number((log ? 10 ** value - 1 : value).toPrecision(3))) };
  const draw = (frame: Frame) => {
    const { context, colors } = frame;
    const plot = axes(frame, x, y);
    context.fillStyle = colors.accent;
    heights.forEach((height, i) => {
      if (!counts[i]) return;
      const left = plot.x(edges[i]);
      const top = Math.min(plot.y(height), plot.bottom - 1);
      context.fillRect(left, top, Math.max(1, plot.x(edges[i + 1]) - left - 0.5), plot.bottom - top);
    });
    context.fillStyle = colors.alarm;
    for (const outlier of weight.outliers) {
      const at = plot.x(outlier.value);
      context.beginPath();
      context.moveTo(at, plot.bottom - 1);
      context.lineTo(at - 3.5, plot.bottom - 8);
      context.lineTo(at + 3.5, plot.bottom - 8);
      context.fill();
    }
  };
  const outlierAt = (pixel: number, width: number) => {
    const plot = layout(width, 200, x, y);
    const found = [...weight.outliers].sort((a, b) => Math.abs(plot.x(a.value) - pixel) - Math.abs(plot.x(b.value) - pixel))[0];
    return found && Math.abs(plot.x(found.value) - pixel) <= NEAR ? found : null;
  };
  return (
    <Panel
      title="Values"
      about="How many values lie where. The small triangles are the largest values by size; click one to go there. Healthy trained layers look like a hill around zero; a wall at one value, two hills or a few values far out deserve a look."
      picture
      controls={<Toggle label="Log counts" on={log === "1"} onChange={(on) => setLog(on ? "1" : "")} title="Makes thin tails visible" />}
      csv={() => [["from", "to", "count"], ...counts.map((amount, i) => [edges[i], edges[i + 1], amount])]}
    >
      <Canvas
        height={200}
        label={`Histogram from ${number(x.low)} to ${number(x.high)}`}
        draw={draw}
        onHover={(point, size) => {
          if (!point) return setHover("");
          const value = layout(size.width, 200, x, y).unX(point.x);
          const bin = edges.findIndex((edge, i) => i > 0 && value <= edge) - 1;
          setHover(bin >= 0 && value >= edges[0] ? `${number(edges[bin])} to ${number(edges[bin + 1])}: ${count(Math.round(counts[bin]))} values` : "");
        }}
        onPick={(point, size) => {
          const found = outlierAt(point.x, size.width);
          if (found) onOutlier(found);
        }}
      />
      <span class="readout" role="status">
        {hover || "Point at a bar to read it."}
      </span>
    </Panel>
  );
}
