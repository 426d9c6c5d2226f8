/** Filters of a convolution, or neurons over an input image, as small pictures; a click marks the row in all panels. */

import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { address } from "../api/client";
import { useData } from "../api/data";
import type { Filter, Filters, ImageShape, WeightDetail } from "../api/types";
import { Select, Toggle } from "../parts/controls";
import { Panel, When } from "../parts/panel";
import { ScaleBar } from "../parts/scale_bar";
import { keepDrawing, type Pen } from "../pen";
import { setParams, useNumber, useParam } from "../router";
import { diverging, type Rgb, rgb } from "../scales";
import { count, number, plural } from "../text";
import { type Colors, useTheme } from "../theme";
import { reachOf } from "./matrix";

const SIDE = 72; // pixels of an image's longer side, or a little less
const LABEL = 16; // pixels of the row's number below it

interface Props {
  base: (string | number)[];
  weight: WeightDetail;
  rows: ReadonlySet<number>;
  onRows: (rows: Iterable<number>) => void;
}

function written(shape: ImageShape): string {
  return `${shape.height}x${shape.width}${shape.channels_last ? "l" : ""}`;
}

function parsed(text: string): { height: number; width: number; channels_last: string } | null {
  const found = /^(\d{1,3})x(\d{1,3})(l?)$/.exec(text);
  return found && { height: Number(found[1]), width: Number(found[2]), channels_last: String(found[3] === "l") };
}

function described(shape: ImageShape): string {
  const size = `${shape.height} × ${shape.width}`;
  if (shape.channels === 1) return size;
  return `${size}, ${shape.channels} channels${shape.assumed ? (shape.channels_last ? " in each pixel" : " one after another") : ""}`;
}

export function FiltersPanel({ base, weight, rows, onRows }: Props) {
  const [first, setFirst] = useNumber("filter");
  const [channel, setChannel] = useParam("channel", "strongest");
  const [shape, setShape] = useParam("image");
  const [own, setOwn] = useParam("contrast");
  const [clip] = useParam("clip", "0.99");
  const { colors } = useTheme();
  const loaded = useData<Filters>(address([...base, "filters"], { first: Math.max(0, Math.floor(first ?? 0)), channel: /^(strongest|color|\d{1,9})$/.test(channel) ? channel : "strongest", ...parsed(shape) }));
  const reach = reachOf(weight, clip);
  const toggle = (row: number) => onRows(rows.has(row) ? [...rows].filter((other) => other !== row) : [...rows, row]);
  const data = loaded.data;
  return (
    <Panel
      title={weight.role === "conv" ? "Filters" : "Neurons as images"}
      about="Each row of the matrix as an image: what the filter or neuron looks for in its input. Orange wants bright there, blue wants dark; noise means that it has learned little, a blank one does nothing. Click one to mark its row in all panels."
      note={data && `${plural(data.total, "row")} of ${described(data)}`}
      picture={data !== null}
      csv={data ? () => [["row", "channel", "norm", "values by row"], ...data.filters.flatMap((one) => one.planes.map((plane, i) => [one.row, one.channels[i], one.norm, ...plane]))] : undefined}
      controls={
        data && (
          <>
            {data.choices.length > 1 && <Select label="Image" value={written(data)} options={data.choices.map((one) => [written(one), described(one)] as const)} onChange={(next) => setShape(next === written(data.choices[0]) ? "" : next)} />}
            {data.channels > 1 && <Channel filters={data} onChange={setChannel} />}
            <Toggle label="Own contrast" on={own === "1"} onChange={(on) => setOwn(on ? "1" : "")} title="Colors of each image reach its own largest value, so that faint ones can be seen" />
          </>
        )
      }
    >
      {loaded.error && !data && (
        <button type="button" onClick={() => setParams({ filter: null, channel: null, image: null })}>
          Show them as they come
        </button>
      )}
      <When loaded={loaded} height={220}>
        {(filters) => (
          <>
            {filters.assumed && (
              <p class="muted assumed">
                Assumed: the {count(filters.channels * filters.height * filters.width)} inputs of this first layer are the pixels of an image of {described(filters)}, row by row. The file does not say so.
              </p>
            )}
            <div class="filters" role="group" aria-label={`Images of rows ${filters.first} to ${filters.first + filters.filters.length - 1}`}>
              {filters.filters.map((one) => (
                <Tile key={one.row} filter={one} shape={filters} reach={own === "1" ? largest(one) : reach} marked={rows.has(one.row)} colors={colors} onPick={() => toggle(one.row)} />
              ))}
            </div>
            <div class="under">
              <Pager filters={filters} onFirst={(next) => setFirst(next || null)} />
              {own !== "1" && channel !== "color" && <ScaleBar scale={diverging(colors, reach)} low={-reach} high={reach} format={number} />}
            </div>
          </>
        )}
      </When>
    </Panel>
  );
}

function Channel({ filters, onChange }: { filters: Filters; onChange: (channel: string) => void }) {
  const few = filters.channels <= 512;
  const options: [string, string][] = [["strongest", "the strongest of each"]];
  if (filters.channels === 3) options.push(["color", "all three as red, green, blue"]);
  if (few) for (let i = 0; i < filters.channels; i++) options.push([String(i), String(i)]);
  else if (/^\d+$/.test(filters.channel)) options.push([filters.channel, filters.channel]);
  return <Select label="Channel" value={filters.channel} options={options} onChange={onChange} />;
}

function Pager({ filters, onFirst }: { filters: Filters; onFirst: (first: number) => void }) {
  const { first, total, per_page, filters: shown } = filters;
  if (shown.length === total) return null;
  return (
    <span class="pager">
      <button type="button" disabled={first === 0} onClick={() => onFirst(Math.max(0, first - per_page))}>
        ‹ Previous
      </button>
      <span role="status" data-testid="filters-shown">
        {shown.length ? `rows ${count(first)} to ${count(first + shown.length - 1)} of ${count(total)}` : `no row ${count(first)}: there are ${count(total)}`}
      </span>
      <button type="button" disabled={first + shown.length >= total} onClick={() => onFirst(first + per_page)}>
        Next ›
      </button>
    </span>
  );
}

function largest(filter: Filter): number {
  return Math.max(0, ...filter.planes.flat().map((value) => Math.abs(value ?? 0)));
}

interface TileProps {
  filter: Filter;
  shape: ImageShape;
  reach: number;
  marked: boolean;
  colors: Colors;
  onPick: () => void;
}

function Tile({ filter, shape, reach, marked, colors, onPick }: TileProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const cell = Math.max(1, Math.floor(SIDE / Math.max(shape.width, shape.height)));
  const [wide, high] = [Math.max(34, cell * shape.width), cell * shape.height];
  const image = useMemo(() => painted(filter, shape, reach, colors), [filter, shape, reach, colors]);
  useLayoutEffect(() => {
    const element = canvas.current!;
    const ratio = window.devicePixelRatio || 1;
    element.width = Math.round(wide * ratio);
    element.height = Math.round((high + LABEL) * ratio);
    const draw = (pen: Pen) => {
      pen.imageSmoothingEnabled = false;
      pen.drawImage(image, (wide - cell * shape.width) / 2, 0, cell * shape.width, high);
      pen.fillStyle = marked ? colors.good : colors.muted;
      pen.font = `${marked ? "600 " : ""}11px system-ui, sans-serif`;
      pen.textAlign = "center";
      pen.textBaseline = "bottom";
      pen.fillText(String(filter.row), wide / 2, high + LABEL);
    };
    const context = element.getContext("2d")!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw(context);
    keepDrawing(element, draw);
  });
  const channel = shape.channels > 1 && filter.channels.length === 1 ? `, channel ${filter.channels[0]}` : "";
  const label = `Row ${filter.row}${channel}, norm ${number(filter.norm)}`;
  return (
    <button type="button" class="filter" aria-pressed={marked} aria-label={label} title={label} onClick={onPick}>
      <canvas ref={canvas} style={{ width: `${wide}px`, height: `${high + LABEL}px` }} />
    </button>
  );
}

/** The image, one pixel a value. */
export function painted({ planes }: Filter, { width, height }: ImageShape, reach: number, colors: Colors): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(width, height);
  const scale = diverging(colors, reach);
  const alarm = rgb(colors.alarm);
  const level = (value: number) => Math.round(127.5 + 127.5 * Math.max(-1, Math.min(1, value / (reach || 1))));
  for (let i = 0; i < width * height; i++) {
    const values = planes.map((plane) => plane[i]);
    const color: Rgb = values.length === 1 ? scale(values[0] ?? NaN) : values.includes(null) ? alarm : (values.map((value) => level(value!)) as unknown as Rgb);
    image.data.set([...color, 255], i * 4);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
