/** A curve or a histogram the size of a word. */

import type { Histogram, Maybe } from "../api/types";

const WIDTH = 96;
const HEIGHT = 22;
const NARROWEST = 1e-9; // share of the picture

export function Sparkline({ values }: { values: Maybe[] }) {
  const finite = values.filter((value): value is number => value !== null);
  if (finite.length < 2) return <span class="muted">–</span>;
  // A loss falls by factors: where all values are positive and far apart, the picture is of their logarithms.
  const least = Math.min(...finite);
  const most = Math.max(...finite);
  const into = least > 0 && most / least > 30 ? Math.log : (value: number) => value;
  const low = into(least);
  const span = into(most) - low || 1;
  let path = "";
  let pen = "M";
  values.forEach((value, i) => {
    if (value === null) {
      pen = "M";
      return;
    }
    const x = 1 + (i / (values.length - 1)) * (WIDTH - 2);
    const y = HEIGHT - 2 - ((into(value) - low) / span) * (HEIGHT - 4);
    path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  });
  return (
    <svg class="spark" width={WIDTH} height={HEIGHT} role="img" aria-label={`loss over ${values.length} points`}>
      <path d={path} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linejoin="round" />
    </svg>
  );
}

/**
 * One bar a bin, of one width each: the outermost bins may reach far. Heights go with the square root of the density, so
 * that tails stay visible beside a tall middle.
 */
export function MiniHistogram({ histogram }: { histogram: Histogram | null | undefined }) {
  if (!histogram || !histogram.counts.length) return <span class="muted">–</span>;
  const { edges, counts } = histogram;
  // In shares of the whole, by halves: the numbers may be the largest or smallest that there are.
  const span = edges[counts.length] / 2 - edges[0] / 2 || 1;
  const densities = counts.map((amount, i) => Math.sqrt(amount / Math.max((edges[i + 1] / 2 - edges[i] / 2) / span, NARROWEST)));
  const most = Math.max(...densities) || 1;
  const bar = WIDTH / counts.length;
  let path = "";
  densities.forEach((density, i) => {
    if (!density) return;
    const height = Math.max(1, (density / most) * HEIGHT);
    path += `M${(i * bar).toFixed(2)} ${HEIGHT}v${(-height).toFixed(2)}h${(bar * 0.86).toFixed(2)}v${height.toFixed(2)}z`;
  });
  const low = edges[0];
  const high = edges[edges.length - 1];
  const after = edges.findIndex((edge) => edge > 0);
  const zero = low < 0 && after > 0 ? (after - 1 + -edges[after - 1] / (edges[after] - edges[after - 1])) * bar : null;
  return (
    <svg class="spark filled" width={WIDTH} height={HEIGHT} role="img" aria-label={`values from ${low.toPrecision(3)} to ${high.toPrecision(3)}`}>
      {zero !== null && <line x1={zero} x2={zero} y1="0" y2={HEIGHT} class="zero-line" />}
      <path d={path} fill="currentColor" />
    </svg>
  );
}
