/** Named numbers as bars, orange above zero and blue below it. */

import { number } from "../text";
import { Canvas } from "./canvas";
import { fitting } from "./fitting";

const ROW = 18; // pixels
const HEAD = 22;
const NAME = 0.46; // of the width

export interface Bar {
  name: string;
  value: number;
}

interface Props {
  bars: Bar[];
  /** Drawn above the bars, so that a saved picture has it. */
  title: string;
  /** Muted words after the title. */
  note?: string;
  /** What the longest bar may stand for; by default the largest of these. */
  reach?: number;
}

export function Bars({ bars, title, note = "", reach }: Props) {
  const longest = reach || Math.max(...bars.map((bar) => Math.abs(bar.value)), 0) || 1;
  const negative = bars.some((bar) => bar.value < 0);
  return (
    <Canvas
      height={HEAD + ROW * bars.length + 4}
      label={`${title} ${note}: ${bars.map((bar) => `${bar.name} ${number(bar.value)}`).join(", ")}`}
      draw={({ context, width, colors }) => {
        const left = Math.round(width * NAME);
        const room = width - left - (negative ? 8 : 60);
        const zero = negative ? left + room / 2 : left;
        const unit = (negative ? room / 2 - 44 : room) / longest;
        context.textBaseline = "middle";
        context.textAlign = "left";
        context.fillStyle = colors.text;
        context.font = "600 12px system-ui, sans-serif";
        context.fillText(title, 0, 8, width);
        const end = context.measureText(`${title}  `).width;
        context.font = "12px system-ui, sans-serif";
        context.fillStyle = colors.muted;
        context.fillText(note, end, 8, Math.max(1, width - end));
        bars.forEach((bar, i) => {
          const middle = HEAD + 2 + ROW * (i + 0.5);
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
        context.moveTo(Math.round(zero) + 0.5, HEAD);
        context.lineTo(Math.round(zero) + 0.5, HEAD + ROW * bars.length + 4);
        context.stroke();
      }}
    />
  );
}
