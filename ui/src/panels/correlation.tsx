/** Which neurons of a weight are alike: correlations of its rows, similar ones side by side. */

import { useMemo, useState } from "preact/hooks";
import { address } from "../api/client";
import { useLong } from "../api/data";
import type { Correlation } from "../api/types";
import { Canvas, type Frame, type Point } from "../parts/canvas";
import { Panel, When } from "../parts/panel";
import { ScaleBar } from "../parts/scale_bar";
import { Empty } from "../parts/states";
import { diverging, type Scale } from "../scales";
import { count, number } from "../text";
import { useTheme } from "../theme";

const HEIGHT = 300;

interface Props {
  base: (string | number)[];
  rows: ReadonlySet<number>;
  onPick: (a: number, b: number) => void;
}

function picture(data: Correlation, scale: Scale): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  const size = data.order.length;
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(size, size);
  data.values.forEach((row, r) =>
    row.forEach((value, c) => {
      const at = (r * size + c) * 4;
      [image.data[at], image.data[at + 1], image.data[at + 2]] = scale(value ?? NaN);
      image.data[at + 3] = 255;
    }),
  );
  context.putImageData(image, 0, 0);
  return canvas;
}

export function CorrelationPanel({ base, rows, onPick }: Props) {
  const loaded = useLong<Correlation>(address([...base, "correlation"]));
  const { colors } = useTheme();
  const scale = useMemo(() => diverging(colors, 1), [colors]);
  const image = useMemo(() => (loaded.data?.order.length ? picture(loaded.data, scale) : null), [loaded.data, scale]);
  const [hover, setHover] = useState("");
  const side = (width: number) => Math.min(width, HEIGHT);
  const pair = (point: Point, width: number, data: Correlation): [number, number] | null => {
    const left = (width - side(width)) / 2;
    const cell = side(width) / data.order.length;
    const [r, c] = [Math.floor(point.y / cell), Math.floor((point.x - left) / cell)];
    return r >= 0 && c >= 0 && r < data.order.length && c < data.order.length ? [r, c] : null;
  };
  const draw = ({ context, width, colors: shades }: Frame, data: Correlation) => {
    const left = (width - side(width)) / 2;
    const cell = side(width) / data.order.length;
    context.imageSmoothingEnabled = false;
    context.drawImage(image!, left, 0, side(width), side(width));
    context.fillStyle = shades.good;
    data.order.forEach((row, i) => {
      if (!rows.has(row)) return;
      context.fillRect(left - 6, i * cell, 5, Math.max(1.5, cell));
      context.fillRect(left + side(width) + 1, i * cell, 5, Math.max(1.5, cell));
    });
  };
  return (
    <Panel
      title="Correlation of rows"
      about="How alike the neurons are: orange pairs point the same way, blue ones opposite ways, and alike neurons stand side by side. Large blocks mean that several neurons do the same work. Click a cell to mark its two rows."
      note={loaded.data && loaded.data.total > loaded.data.order.length ? `${loaded.data.order.length} of ${count(loaded.data.total)} rows` : null}
      picture={(loaded.data?.order.length ?? 0) >= 2}
      csv={loaded.data ? () => [["row", ...loaded.data!.order], ...loaded.data!.values.map((row, i) => [loaded.data!.order[i], ...row])] : undefined}
    >
      <When loaded={loaded} height={HEIGHT}>
        {(data) =>
          data.order.length < 2 ? (
            <Empty>There are fewer than two rows to compare.</Empty>
          ) : (
            <>
              <Canvas
                height={HEIGHT}
                label={`Correlations of ${data.order.length} rows`}
                draw={(frame) => draw(frame, data)}
                onHover={(point, size) => {
                  const found = point && pair(point, size.width, data);
                  setHover(found ? `rows ${data.order[found[0]]} and ${data.order[found[1]]}: ${number(data.values[found[0]][found[1]])}` : "");
                }}
                onPick={(point, size) => {
                  const found = pair(point, size.width, data);
                  if (found) onPick(data.order[found[0]], data.order[found[1]]);
                }}
              />
              <div class="under">
                <ScaleBar scale={scale} low={-1} high={1} format={number} />
                <span class="readout" role="status">
                  {hover || "Point at a pair to read it."}
                </span>
              </div>
            </>
          )
        }
      </When>
    </Panel>
  );
}
