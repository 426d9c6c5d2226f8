/** The singular values of a weight: which rise above what noise of its size would have. */

import { address } from "../api/client";
import { useLong } from "../api/data";
import type { Spectrum } from "../api/types";
import { axes } from "../parts/axes";
import { Canvas, type Frame } from "../parts/canvas";
import { Panel, When } from "../parts/panel";
import { Empty } from "../parts/states";
import { number, visible } from "../text";

const HEIGHT = 300;

/** Of so many singular values that not all are handed out, one stands for these. */
function every(data: Spectrum): number {
  return Math.round(data.count / data.singular_values.length);
}

function draw(frame: Frame, data: Spectrum): void {
  const { context, colors } = frame;
  const values = data.singular_values.filter((value) => value > 0);
  const low = Math.max(values[values.length - 1], values[0] * 1e-6);
  const step = every(data);
  const plot = axes(frame, { low: 1, high: Math.max(2, data.count), log: true, label: "place, largest first" }, { low, high: values[0] * 1.1, log: true });
  const edge = data.bulk_edge;
  if (edge !== null && edge > low && edge < values[0] * 1.1) {
    const y = plot.y(edge);
    context.fillStyle = colors.muted;
    context.globalAlpha = 0.1;
    context.fillRect(plot.left, y, plot.right - plot.left, plot.bottom - y);
    context.globalAlpha = 1;
    context.strokeStyle = colors.muted;
    context.setLineDash([5, 4]);
    context.beginPath();
    context.moveTo(plot.left, y);
    context.lineTo(plot.right, y);
    context.stroke();
    context.setLineDash([]);
    context.textAlign = "right"; // what rises above the noise lies at the left
    context.textBaseline = "bottom";
    context.fillText("edge of the noise", plot.right - 6, y - 3);
  }
  values.forEach((value, i) => {
    context.fillStyle = i * step < data.spikes ? colors.second : colors.accent;
    context.beginPath();
    context.arc(plot.x(1 + i * step), plot.y(Math.max(low, value)), i * step < data.spikes ? 3 : 2, 0, 2 * Math.PI);
    context.fill();
  });
}

export function SpectrumPanel({ base }: { base: (string | number)[] }) {
  const loaded = useLong<Spectrum>(address([...base, "spectrum"]));
  return (
    <Panel
      title="Spectrum"
      about="Singular values, largest first, on logarithmic axes. Those within the shaded part could come from noise of this size; orange ones rise above it and carry what was learned. Alpha is the exponent of the tail: 2 to 6 is usual in trained layers."
      picture={loaded.data?.singular_values.some((value) => value > 0)}
      csv={loaded.data ? () => [["place", "singular_value"], ...loaded.data!.singular_values.map((value, i) => [1 + i * every(loaded.data!), value])] : undefined}
    >
      <When loaded={loaded} height={HEIGHT}>
        {(data) =>
          data.singular_values.some((value) => value > 0) ? (
            <>
              <Canvas height={HEIGHT} label={`${data.count} singular values, the largest ${number(data.singular_values[0])}, ${data.spikes} above the noise`} draw={(frame) => draw(frame, data)} />
              {!data.exact && <p class="readout">Estimated: {visible(data.error)}</p>}
              <dl class="facts tight">
                <Fact name="Rank" value={number(data.rank)} about="How many directions are used at all" />
                <Fact name="Stable rank" value={number(data.stable_rank)} about="Sum of the squared singular values over the largest one" />
                <Fact name="Effective rank" value={number(data.effective_rank)} about="How many directions carry weight, by the entropy of their shares" />
                <Fact name="Above noise" value={number(data.spikes)} about="Singular values beyond the edge of the noise" />
                <Fact name="Alpha" value={number(data.alpha)} about="Exponent of the power law of the tail" />
              </dl>
            </>
          ) : (
            <Empty>All values are zero: there is no spectrum.</Empty>
          )
        }
      </When>
    </Panel>
  );
}

function Fact({ name, value, about }: { name: string; value: string; about: string }) {
  return (
    <div title={about}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
