/** How curves over steps are shown: smoothing, axes, zoom and the marked step, in the address and the same for all. */

import { useEffect, useState } from "preact/hooks";
import type { Maybe, SeriesData } from "../api/types";
import { Segments, Slider, Toggle } from "../parts/controls";
import type { Line, Zoom } from "../parts/series_chart";
import { useNumber, useParam } from "../router";
import { smooth } from "../smooth";
import { number } from "../text";

export interface CurveView {
  smoothing: number;
  logX: boolean;
  /** Whether values are on a logarithmic axis; `auto` where that shows more. */
  values: "auto" | "linear" | "log";
  zoom: Zoom;
  onZoom: (zoom: Zoom) => void;
  /** The step that is marked, the same as the slider's beside other panels. */
  step: number | null;
  onStep: (step: number | null) => void;
}

/** The stretch of steps that linked charts show, in the address. */
export function useZoom(): [Zoom, (zoom: Zoom) => void] {
  const [range, setRange] = useParam("zoom");
  const bounds = range.split(",").map(Number);
  const zoom: Zoom = bounds.length === 2 && bounds.every(Number.isFinite) && bounds[1] > bounds[0] ? [bounds[0], bounds[1]] : null;
  return [zoom, (next) => setRange(next ? next.map((value) => Number(value.toPrecision(6))).join(",") : "")];
}

/** How all curves are shown; in the address, so that they stay linked. */
export function useCurveView(): CurveView & { controls: preact.JSX.Element } {
  const [smoothing, setSmoothing] = useNumber("smooth");
  const [logX, setLogX] = useParam("logx");
  const [values, setValues] = useParam("values", "auto");
  const [zoom, onZoom] = useZoom();
  const [step, onStep] = useNumber("step");
  const factor = smoothing === null ? 0 : Math.min(0.99, Math.max(0, smoothing));
  const controls = (
    <div class="toolbar">
      <Slider label="Smoothing" value={factor} minimum={0} maximum={0.99} step={0.01} onChange={(value) => setSmoothing(value || null)} text={factor.toFixed(2)} title="Each point becomes a mean of itself and the points before it; the raw curve stays behind it, faint" />
      <span class="field" title="Auto takes a logarithmic axis for losses that fall by more than 30 times">
        <span>Values</span>
        <Segments label="Axis of values" value={values as CurveView["values"]} options={AXES} onChange={setValues} />
      </span>
      <Toggle label="Log steps" on={logX === "1"} onChange={(on) => setLogX(on ? "1" : "")} />
      {zoom && (
        <button type="button" onClick={() => onZoom(null)}>
          Show all steps
        </button>
      )}
      {step !== null && (
        <button type="button" title="Take the mark away" onClick={() => onStep(null)}>
          Step {number(step)} ×
        </button>
      )}
      <span class="muted hint">Drag across a curve to zoom, double click to see all.</span>
    </div>
  );
  return { smoothing: factor, logX: logX === "1", values: values as CurveView["values"], zoom, onZoom, step, onStep, controls };
}

const AXES = [
  ["auto", "Auto"],
  ["linear", "Linear"],
  ["log", "Log"],
] as const;

const FAR = 30; // the same factor as in the pictures of `weightsmith plot`

/** Whether these values go on a logarithmic axis: as asked, or for losses that are positive and far apart. */
export function isLog(asked: CurveView["values"], name: string, values: Maybe[][]): boolean {
  const all = values.flat().filter((value): value is number => value !== null);
  const positive = all.filter((value) => value > 0);
  if (asked !== "auto") return asked === "log" && positive.length > 0;
  if (!/loss|gradient_norm/.test(name) || !positive.length || positive.length < all.length) return false;
  return positive.reduce((a, b) => Math.max(a, b)) / positive.reduce((a, b) => Math.min(a, b)) > FAR;
}

/** A series as it is drawn: the raw curve faint behind the smoothed one. */
export function lines(data: SeriesData, label: string, color: string, smoothing: number, width = 1.75): Line[] {
  const one: Line = { label, color, steps: data.steps, values: data.values, width };
  if (!smoothing || data.steps.length < 3) return [one];
  return [
    { ...one, label: `${label} (raw)`, faint: true, quiet: true, width: 1 },
    { ...one, values: smooth(data.values, smoothing) },
  ];
}

const WIDE = window.matchMedia("(min-width: 1700px)");

/** Whether the first chart stands beside the others, twice as tall, as the style sheet has it. */
export function useWide(): boolean {
  const [wide, set] = useState(WIDE.matches);
  useEffect(() => {
    const listener = () => set(WIDE.matches);
    WIDE.addEventListener("change", listener);
    return () => WIDE.removeEventListener("change", listener);
  }, []);
  return wide;
}

/** From the first to the last step of all series, so that linked charts show the same steps. */
export function spanOf(all: { steps: number[] }[]): Zoom {
  const ends = all.filter(({ steps }) => steps.length).map(({ steps }) => [steps[0], steps[steps.length - 1]]);
  const low = Math.min(...ends.map(([first]) => first));
  const high = Math.max(...ends.map(([, last]) => last));
  return high > low ? [low, high] : null;
}
