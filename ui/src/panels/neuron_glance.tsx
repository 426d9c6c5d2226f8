/** What a neuron's weights look like, at a glance: as an image where its inputs are one, else as a strip. */

import { useEffect, useState } from "preact/hooks";
import { address, getCells } from "../api/client";
import { useData } from "../api/data";
import { saved } from "../api/saved";
import type { Filters, WeightDetail } from "../api/types";
import { Canvas } from "../parts/canvas";
import { useParam } from "../router";
import { diverging } from "../scales";
import { count } from "../text";
import { useTheme } from "../theme";
import { painted } from "./filters";
import { reachOf } from "./matrix";

const SIDE = 112; // pixels of an image's longer side
const MOST_TILES = 4;
const STRIP = 22; // pixels

interface Props {
  base: (string | number)[];
  weight: WeightDetail;
  row: number;
  /** Whether it lies at the left, out of the way. */
  left: boolean;
}

export function NeuronGlance({ base, weight, row, left }: Props) {
  return (
    <div class={`glance ${left ? "left" : ""}`} aria-hidden="true" data-testid="glance">
      <b>neuron {count(row)}</b>
      {weight.image ? <AsImage base={base} weight={weight} row={row} /> : <AsStrip base={base} weight={weight} row={row} />}
    </div>
  );
}

type Shown = Omit<Props, "left">;

function AsImage({ base, weight, row }: Shown) {
  const { colors } = useTheme();
  const [clip] = useParam("clip", "0.99");
  const data = useImages(base, row);
  const filter = data?.filters.find((one) => one.row === row);
  if (!data || !filter) return <i style={{ width: `${SIDE}px`, height: `${SIDE}px` }} />;
  const cell = SIDE / Math.max(data.width, data.height);
  const [wide, high] = [cell * data.width, cell * data.height];
  const image = painted(filter, data, reachOf(weight, clip), colors);
  return (
    <span style={{ width: `${wide}px` }}>
      <Canvas
        height={high}
        label=""
        draw={({ context }) => {
          context.imageSmoothingEnabled = false;
          context.drawImage(image, 0, 0, wide, high);
        }}
      />
    </span>
  );
}

/** Images with that of a row among them: that one alone, or in a saved page, which holds whole pages, the one it is on. */
function useImages(base: (string | number)[], row: number): Filters | null {
  const page = (first: number) => address([...base, "filters"], { first, channel: "strongest" });
  const size = useData<Filters>(saved ? page(0) : null).data?.per_page ?? null;
  const place = saved ? size && page(row - (row % size)) : address([...base, "filters"], { first: row, count: 1 });
  return useData<Filters>(place || null).data;
}

/** The first values of a row, from as many tiles as that takes. */
function useValues(base: (string | number)[], weight: WeightDetail, row: number): Float32Array | null {
  const [found, set] = useState<{ row: number; values: Float32Array } | null>(null);
  const { tile, columns } = weight.matrix!;
  useEffect(() => {
    const abort = new AbortController();
    const places = Array.from({ length: Math.min(MOST_TILES, Math.ceil(columns / tile)) }, (_, i) => address([...base, "tiles", 0, Math.floor(row / tile), i]));
    Promise.all(places.map((place) => getCells(place, abort.signal))).then(
      (tiles) => {
        const parts = tiles.map((one) => one.values.subarray((row % tile) * one.columns, (row % tile + 1) * one.columns));
        set({ row, values: Float32Array.from(parts.flatMap((part) => [...part])) });
      },
      () => {}, // the panel of the matrix says why there are no values
    );
    return () => abort.abort();
  }, [base.join("/"), row, tile, columns]);
  return found?.row === row ? found.values : null;
}

function AsStrip({ base, weight, row }: Shown) {
  const { colors } = useTheme();
  const [clip] = useParam("clip", "0.99");
  const values = useValues(base, weight, row);
  const scale = diverging(colors, reachOf(weight, clip));
  const { columns } = weight.matrix!;
  return (
    <>
      <span class="strip">
        <Canvas
          height={STRIP}
          label=""
          draw={({ context, width }) => {
            if (!values) return;
            context.imageSmoothingEnabled = false;
            context.drawImage(line(values, scale), 0, 0, width, STRIP);
          }}
        />
      </span>
      {values && values.length < columns && (
        <small>
          {count(values.length)} of {count(columns)} weights
        </small>
      )}
    </>
  );
}

function line(values: Float32Array, scale: ReturnType<typeof diverging>): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [values.length, 1];
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(values.length, 1);
  values.forEach((value, i) => image.data.set([...scale(value), 255], i * 4));
  context.putImageData(image, 0, 0);
  return canvas;
}
