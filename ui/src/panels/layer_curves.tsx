/** One curve a layer, from the input (dark) to the output (bright) where they are too many for colors of their own. */

import { useMemo } from "preact/hooks";
import { type Line, SeriesChart } from "../parts/series_chart";
import { useNumber } from "../router";
import { css, sequential } from "../scales";
import { number, shortened, visible } from "../text";
import { type Colors, useTheme } from "../theme";
import { useZoom } from "./curve_view";
import type { Layers } from "./layer_panel";
import type { Quantity } from "./layer_quantities";

const LISTED = 12; // lines that a legend has room for
const HEIGHT = 220;

function colorOf(place: number, count: number, colors: Colors): string {
  if (count <= colors.palette.length) return colors.palette[place];
  const [low, high] = colors.name === "dark" ? [-0.35 * count, count - 1] : [0, 1.2 * count]; // leaves out what the background swallows
  return css(sequential(colors, low, high)(place));
}

/** Shares are drawn in percent; `last` is the last step of the run, so that linked charts show the same steps. */
export function LayerCurves({ quantity, layers, last }: { quantity: Quantity; layers: Layers; last: number }) {
  const { colors } = useTheme();
  const [zoom, onZoom] = useZoom();
  const [step] = useNumber("step");
  const { names, steps, values } = layers;
  const lines = useMemo(
    () =>
      names.map((name, i): Line => {
        const measured = steps.map((_, at) => at).filter((at) => values[i][at] !== null && !Number.isNaN(values[i][at]));
        return { label: shortened(visible(name), 28), color: colorOf(i, names.length, colors), steps: measured.map((at) => steps[at]), values: measured.map((at) => values[i][at]! * (quantity.share ? 100 : 1)), width: 1.5, quiet: names.length > LISTED && i > 0 && i < names.length - 1 };
      }),
    [layers, colors, quantity],
  );
  const marks = useMemo(() => (step === null ? [] : [{ step, label: `step ${number(step)}`, color: colors.text }]), [step, colors]);
  // A share of zero is worth seeing, and a logarithmic axis has no place for it.
  const logY = quantity.log && !quantity.share && values.some((row) => row.some((value) => value !== null && value > 0));
  return <SeriesChart label={`${quantity.title} of each layer over steps`} lines={lines} marks={marks} logX={false} logY={logY} zoom={zoom} onZoom={onZoom} span={[0, last]} height={HEIGHT} />;
}
