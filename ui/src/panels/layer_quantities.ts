/** What is shown of each layer over the steps, and in which colors. */

import { diverging, type Scale, sequential } from "../scales";
import { number, percent } from "../text";
import type { Colors } from "../theme";

export interface Quantity {
  name: string;
  title: string;
  about: string;
  /** Colors and curves go by the logarithm. */
  log: boolean;
  /** With `log`: the least value that colors tell apart, which zero has as well. */
  floor?: number;
  share?: boolean;
  /** From the values that are colored, as `shade` gives them. */
  scale: (values: number[], colors: Colors) => { scale: Scale; low: number; high: number };
}

function spread(values: number[]): [number, number] {
  const all = [...values].sort((a, b) => a - b);
  if (!all.length) return [0, 1];
  const at = (share: number) => all[Math.min(all.length - 1, Math.floor(share * all.length))];
  return [at(0.01), at(0.99)];
}

const rising: Quantity["scale"] = (values, colors) => {
  const [low, high] = spread(values);
  const top = high > low ? high : low + 1;
  return { scale: sequential(colors, low, top), low, high: top };
};
const fromZero: Quantity["scale"] = (values, colors) => {
  const high = values.reduce((a, b) => Math.max(a, b), 1e-12);
  return { scale: sequential(colors, 0, high), low: 0, high };
};

/** Powers of ten between two ends, whatever is there: the same colors for every run. */
const fixed = (low: number, high: number): Quantity["scale"] => (_, colors) => ({ scale: sequential(colors, low, high), low, high });

/** The number that a value is colored by; null where there is none. */
export function shade({ log, floor }: Quantity, value: number | null): number | null {
  if (value === null || !log) return value;
  const least = floor ?? 0;
  return value > least ? Math.log10(value) : floor ? Math.log10(floor) : null;
}

/** A colored number as people read it. */
export function unshaded(quantity: Quantity, shaded: number): string {
  return formatted(quantity, quantity.log ? 10 ** shaded : shaded);
}

export function formatted(quantity: Quantity, value: number): string {
  return quantity.share ? percent(value) : number(value);
}

export const QUANTITIES: Quantity[] = [
  {
    name: "update_ratio",
    title: "Update to weight ratio",
    about: "How much one step changes a layer, relative to its size. About 0.001 is usual (pale); blue is slower, orange is faster. A layer that stays dark blue hardly learns, one that stays dark orange is shaken.",
    log: true,
    scale: (_, colors) => ({ scale: diverging(colors, 3, -3), low: -6, high: 0 }),
  },
  {
    name: "gradient_norm",
    title: "Gradient norm",
    about: "Length of each layer's gradient. Colors that fade towards the first layers mean that the gradient vanishes on its way back; ones that brighten mean that it explodes.",
    log: true,
    scale: rising,
  },
  { name: "norm", title: "Weight norm", about: "Length of each layer's weights. It should level off; steady growth without a better loss points to missing weight decay.", log: true, scale: rising },
  {
    name: "flip_rate",
    title: "Flip rate",
    about: "Share of a binary or ternary layer's values that flipped in one step, as the model uses them. It should fall as the training settles; one that stays high means that the values go back and forth.",
    log: true,
    floor: 1e-5,
    share: true,
    scale: fixed(-5, -1),
  },
  { name: "oscillating", title: "Oscillating values", about: "Share of values that flip back again and again: in more than a tenth of the measured steps. They add noise and learn nothing; a lower learning rate at the end calms them.", log: false, share: true, scale: fromZero },
  { name: "unflipped", title: "Never flipped", about: "Share of values that still have the sign they began with. Near 100 % late in a training, the layer is a random draw.", log: false, share: true, scale: fromZero },
  { name: "stuck", title: "Stuck latent values", about: "Share of values whose latent weight lies beyond the bound within which its gradient passes: they can no longer flip.", log: false, share: true, scale: fromZero },
  { name: "sign_entropy", title: "Balance of signs", about: "Entropy of the values in bits: 1 where both signs are as frequent, near 0 where a layer has almost only one.", log: false, scale: fromZero },
  { name: "zeros", title: "Zeros", about: "Share of values that are exactly zero.", log: false, share: true, scale: fromZero },
  { name: "mask_churn", title: "Mask churn", about: "Share of a sparse layer's places that changed since the last look. Methods that move their masks, such as RigL, show it at each of their moves.", log: false, share: true, scale: fromZero },
  { name: "mask_overlap_first", title: "Overlap with the first mask", about: "Places kept both now and in the first mask, over places kept in either. Pruning lowers it once, rewiring again and again.", log: false, share: true, scale: fromZero },
  { name: "sign_flips", title: "Sign flips", about: "Share of values that changed their sign in one step.", log: false, share: true, scale: fromZero },
  { name: "dead_units", title: "Dead units", about: "Share of units before a rectifier that were zero for every sample looked at.", log: false, share: true, scale: fromZero },
  { name: "saturated_units", title: "Saturated units", about: "Share of units before tanh or sigmoid that stand at its flat ends, where hardly any gradient passes.", log: false, share: true, scale: fromZero },
];
