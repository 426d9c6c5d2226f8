/** Which color stands for which number. */

import type { Scale } from "../scales";
import { css } from "../scales";
import { Canvas } from "./canvas";

interface Props {
  scale: Scale;
  low: number;
  high: number;
  format: (value: number) => string;
}

export function ScaleBar({ scale, low, high, format }: Props) {
  return (
    <div class="scale-bar">
      <span>{format(low)}</span>
      <Canvas
        height={10}
        label={`Colors from ${format(low)} to ${format(high)}`}
        draw={({ context, width, height }) => {
          for (let x = 0; x < width; x++) {
            context.fillStyle = css(scale(low + ((high - low) * x) / Math.max(1, width - 1)));
            context.fillRect(x, 0, 1.5, height);
          }
        }}
      />
      <span>{format(high)}</span>
    </div>
  );
}
