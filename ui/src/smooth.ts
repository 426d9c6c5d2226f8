/** Exponential smoothing, corrected for its start. */

import type { Maybe } from "./api/types";

/** Each value's weighted mean with those before it, of weight `factor` to the power of their distance; gaps stay gaps. */
export function smooth(values: Maybe[], factor: number): Maybe[] {
  if (factor <= 0) return values;
  let sum = 0;
  let weight = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = sum * factor + value * (1 - factor);
    weight = weight * factor + (1 - factor);
    return sum / weight;
  });
}
