/** From numbers to colors: blue through the background to orange around zero, and a viridis-like ramp from low to high. */

import type { Colors } from "./theme";

export type Rgb = readonly [number, number, number];

const DIVERGING = {
  light: ["#08306b", "#2171b5", "#86bbdd", "#fbfbfb", "#fbb06c", "#d95f02", "#7a2604"],
  dark: ["#b5dcff", "#4a9be0", "#1f5285", "#1b1e24", "#8c4512", "#ea7d2e", "#ffd6ab"],
};
const SEQUENTIAL = ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725"];
const STEPS = 256;

export function rgb(hex: string): Rgb {
  const value = parseInt(hex.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

function ramp(stops: string[]): Rgb[] {
  const colors = stops.map(rgb);
  return Array.from({ length: STEPS }, (_, i) => {
    const place = (i / (STEPS - 1)) * (colors.length - 1);
    const low = Math.min(Math.floor(place), colors.length - 2);
    const mix = place - low;
    return [0, 1, 2].map((c) => Math.round(colors[low][c] * (1 - mix) + colors[low + 1][c] * mix)) as unknown as Rgb;
  });
}

const RAMPS = { light: ramp(DIVERGING.light), dark: ramp(DIVERGING.dark), sequential: ramp(SEQUENTIAL) };

export type Scale = (value: number) => Rgb;

/** Colors of a table at `share` 0..1; beyond both ends the last color. */
function at(table: Rgb[], share: number): Rgb {
  return table[Math.max(0, Math.min(STEPS - 1, Math.round(share * (STEPS - 1))))];
}

/** `center` has the background's tone; `reach` beyond it on either side the strongest color. What is not finite has the alarm's color. */
export function diverging(colors: Colors, reach: number, center = 0): Scale {
  const table = RAMPS[colors.name];
  const alarm = rgb(colors.alarm);
  const width = reach > 0 ? reach : 1;
  return (value) => (!Number.isFinite(value) ? alarm : at(table, 0.5 + (value - center) / (2 * width)));
}

export function sequential(colors: Colors, low: number, high: number): Scale {
  const alarm = rgb(colors.alarm);
  const width = high > low ? high - low : 1;
  return (value) => (!Number.isFinite(value) ? alarm : at(RAMPS.sequential, (value - low) / width));
}

export function css([red, green, blue]: Rgb): string {
  return `rgb(${red} ${green} ${blue})`;
}

/** Black or white, whichever reads better on that color. */
export function ink([red, green, blue]: Rgb): string {
  const linear = (c: number) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const light = 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  return light > 0.179 ? "#000000" : "#ffffff";
}

/** Round numbers between two bounds, about `wanted` of them. */
export function ticks(low: number, high: number, wanted = 5): number[] {
  if (!(high > low)) return [low];
  const rough = high / wanted - low / wanted; // the whole may be more than a number holds
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.7) ?? rough;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}
