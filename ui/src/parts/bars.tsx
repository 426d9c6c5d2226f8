/** Named numbers as bars, orange above zero and blue below it. */

import type { Pen } from "../pen";
import { number, shortened } from "../text";
import { Canvas } from "./canvas";

const ROW = 18; // pixels
const NAME = 0.46; // of the width

export interface Bar {
  name: string;
  value: number;
}

interface Props {
  bars: Bar[];
  label: string;
  /** What the longest bar may stand for; by default the largest of these. */
  reach?: number;
}

export function Bars({ bars, label, reach }: Props) {
  const longest = reach || Math.max(...bars.map((bar) => Math.abs(bar.value)), 0) || 1;
  const negative = bars.some((bar) => bar.value < 0);
  return (
    <Canvas
      height={ROW * bars.length + 4}
      label={`${label}: ${bars.map((bar) => `${bar.name} ${number(bar.value)}`).join(", ")}`}
      draw={({ context, width, colors }) => {
        const left = Math.round(width * NAME);
        const room = width - left - (negative ? 8 : 60);
        const zero = negative ? left + room / 2 : left;
        const unit = (negative ? room / 2 - 44 : room) / longest;
        context.textBaseline = "middle";
        context.font = "12px system-ui, sans-serif";
        bars.forEach((bar, i) => {
          const middle = 2 + ROW * (i + 0.5);
          context.fillStyle = colors.text;
          context.textAlign = "right";
          context.fillText(fitting(context, bar.name, left - 8), left - 8, middle);
          const length = Math.max(-longest, Math.min(longest, bar.value)) * unit;
          context.fillStyle = bar.value < 0 ? colors.accent : colors.second;
          context.fillRect(zero, middle - 6, length || 0.5, 12);
          context.fillStyle = colors.muted;
          context.textAlign = length < 0 ? "right" : "left";
          context.fillText(number(bar.value), zero + length + (length < 0 ? -4 : 4), middle);
        });
        context.strokeStyle = colors.muted;
        context.beginPath();
        context.moveTo(Math.round(zero) + 0.5, 0);
        context.lineTo(Math.round(zero) + 0.5, ROW * bars.length + 4);
        context.stroke();
      }}
    />
  );
}

/** The text, its middle left out where it is too long for so many pixels. */
function fitting(context: Pen, text: string, width: number): string {
  let length = text.length;
  let short = text;
  while (length > 6 && context.measureText(short).width > width) short = shortened(text, --length);
  return short;
}
