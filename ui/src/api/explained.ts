/** What the server answers below `.../explain`. */

import type { Maybe } from "./types";

export type Method = "saliency" | "integrated-gradients" | "grad-cam";

export interface Layer {
  name: string;
  kind: string;
  units: number;
  is_convolution: boolean;
}

export interface Summary {
  possible: true;
  methods: Method[];
  layers: Layer[];
  input: "image" | "sequence" | "features";
  input_shape: number[];
  task: string;
  /** Whether outputs are values less their mean and by their deviation, as the training had them. */
  standardized: boolean;
  outputs: string[];
  classes: string[] | null;
  data: string;
  split: string;
  rows: number;
  step: number;
  /** What is not as it was in the training. */
  note: string;
  at_once: number;
}

export type Explain = Summary | { possible: false; reason: string };

/** Levels 0 to 255 by row, of one plane or of red, green and blue. */
export interface Picture {
  height: number;
  width: number;
  planes: number[][];
}

export interface Heat {
  height: number;
  width: number;
  values: Maybe[];
  /** Where colors end, so that one value does not fade all others. */
  reach: number;
}

export interface Feature {
  index: number;
  name: string;
  value: Maybe;
  weight: Maybe;
}

/** A row with its label and what the model says: numbers of classes, or values. */
export interface Answered {
  row: number;
  label: number | Maybe[];
  /** Null where the model puts out NaN. */
  predicted: Maybe | Maybe[];
  probabilities?: [number, number][];
}

export interface Sample extends Answered {
  picture?: Picture;
  features?: Feature[];
}

export interface Samples {
  total: number;
  answered: number;
  wrong: Maybe;
  first: number;
  per_page: number;
  rows: Sample[];
}

export interface ExplainedRow extends Sample {
  target: number;
  output: Maybe;
  gap: Maybe;
  heat?: Heat;
  share?: number;
}

export interface AttributionAnswer {
  method: Method;
  layer: string | null;
  signed: boolean;
  rows: ExplainedRow[];
  overall: { index: number; name: string; mean: Maybe; share: number }[] | null;
}

export interface LikedUnit {
  unit: number;
  before: Maybe;
  after: Maybe;
  picture?: Picture;
  features?: Feature[];
}

export interface MaximizedAnswer {
  layer: string;
  units: LikedUnit[];
}
