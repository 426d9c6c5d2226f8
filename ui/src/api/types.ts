/** What the server answers, one interface an address. Numbers that are not finite arrive as null. */

export type Maybe = number | null;

export interface Hello {
  version: string;
  stores: { id: string; label: string }[];
  files: { id: string; label: string; source: string }[];
}

export type Status = "running" | "completed" | "failed" | "interrupted" | "lost" | "deleted" | string;

export interface RunRow {
  store: string;
  id: string;
  name: string | null;
  status: Status;
  created: string;
  updated: string;
  finished: string | null;
  error: string | null;
  summary: Record<string, unknown>;
  tags: string[];
  note: string | null;
  model: string | null;
  optimizer: string | null;
  sparkline: { steps: number[]; values: Maybe[] };
}

export interface RunEvent {
  store: string;
  id: string;
  status: Status;
  updated: string;
  step: number | null;
}

export interface WeightFacts {
  name: string;
  shape: number[];
  dtype: string;
  role: string;
}

export interface RunDetail extends Omit<RunRow, "sparkline" | "model" | "optimizer"> {
  recipe: Record<string, unknown> | null;
  environment: Record<string, unknown>;
  weights: WeightFacts[];
  series: { name: string; weight: string | null }[];
  /** Of what was recorded of the run itself; null where nothing was. */
  last_step: number | null;
  snapshots: { step: number; label: string; bytes: number; source: string }[];
  events: { step: number; kind: string; payload: Record<string, unknown> }[];
  sketched: string[];
}

export interface SeriesData {
  name: string;
  weight: string | null;
  steps: number[];
  values: Maybe[];
}

export interface LayerSeries {
  name: string;
  weights: string[];
  steps: number[];
  values: Maybe[][];
  /** For each weight the columns in which NaN or an infinity was measured. */
  not_finite: number[][];
}

export interface GradientRow {
  name: string;
  role: string;
  size: number;
  measured: number;
  low: Maybe;
  median: Maybe;
  high: Maybe;
  broken_since: number | null;
  state: "healthy" | "vanishing" | "exploding" | "non_finite" | null;
}

export interface Gradients {
  weights: GradientRow[];
  band: [number, number];
  thresholds: { ratio: number; floor: number; jump: number; larger: number };
}

export interface HistogramsOverTime {
  weight: string;
  quantity: string;
  edges: number[];
  steps: number[];
  counts: number[][];
  quantiles: Record<string, Maybe[]>;
}

export interface Finding {
  code: string;
  name: string;
  severity: "error" | "warning" | "info";
  weight: string | null;
  message: string;
  fix: string;
  evidence: Record<string, Maybe | string>;
  step: number | null;
}

export interface Findings {
  findings: Finding[];
  not_judged: { code: string | null; name: string | null; reason: string; weights: string[] }[];
}

export interface SourceWeight extends WeightFacts {
  index: number;
  elements: number;
  bytes: number;
  /** Place in the model's order, which need not be the file's. */
  depth: number;
}

export interface SourceDetail {
  id: string;
  /** Changes with the values; null for live models. */
  content: string | null;
  label: string;
  format: string;
  metadata: Record<string, unknown>;
  weights: SourceWeight[];
}

export interface Histogram {
  edges: number[];
  counts: number[];
}

export interface Statistics {
  mean: Maybe;
  std: Maybe;
  minimum: Maybe;
  maximum: Maybe;
  zeros: number;
  [name: string]: unknown;
}

export interface StreamedStatistics extends Partial<Statistics> {
  index: number;
  histogram?: Histogram;
  reason?: string;
}

export interface Matrix {
  rows: number;
  columns: number;
  levels: number;
  tile: number;
}

export interface Outlier {
  row: number;
  column: number;
  value: number;
}

export interface WeightDetail extends WeightFacts {
  index: number;
  statistics: Statistics | null;
  quantiles: Record<string, Maybe>;
  histogram: Histogram | null;
  outliers: Outlier[];
  matrix: Matrix | null;
  /** In which orders its rows and columns can be put. */
  orders: { rows: LineOrder[]; columns: LineOrder[] };
  /** Whether its rows can be shown as images. */
  image: boolean;
  /** Why the values cannot be read, where they cannot. */
  reason: string | null;
  /** Changes with the values; null for live models. */
  content: string | null;
}

export type LineOrder = "norm" | "similarity";

/** The file's rows and columns as they follow in a picture; null where they stand as in the file. */
export interface Orders {
  rows: number[] | null;
  columns: number[] | null;
}

export interface ImageShape {
  channels: number;
  height: number;
  width: number;
  channels_last: boolean;
  /** Whether only the number of columns speaks for it. */
  assumed: boolean;
}

export interface Filter {
  row: number;
  channels: number[];
  norm: Maybe;
  planes: Maybe[][];
}

export interface Filters extends ImageShape {
  choices: ImageShape[];
  total: number;
  first: number;
  per_page: number;
  channel: string;
  filters: Filter[];
}

/** Where the same weight is as well: at another step of its run, in another run, or in a file, which has no step. */
export interface Counterparts {
  counterparts: { source: string; content: string | null; group: "steps" | "runs" | "files"; label: string; step: Maybe }[];
}

export interface Difference {
  statistics: Statistics;
  quantiles: Record<string, Maybe>;
  histogram: Histogram;
  relative: Maybe;
}

export interface Marginals {
  norms: Maybe[];
  means: Maybe[];
}

export interface Spectrum {
  rows: number;
  columns: number;
  singular_values: number[];
  rank: number;
  stable_rank: Maybe;
  effective_rank: Maybe;
  bulk_edge: Maybe;
  bulk_limit: Maybe;
  spikes: number;
  alpha: Maybe;
  count: number;
  exact: boolean;
  error: string;
}

export interface Correlation {
  order: number[];
  values: Maybe[][];
  total: number;
}

export interface Embedding {
  points: number[][];
  rows: number[];
  method: string;
  total: number;
  explained: number[];
  finished: boolean;
}

export interface Comparison {
  recipes: { differences: { key: string; values: unknown[] }[] };
  series: string[];
  /** Which weights stand for each run and source: null for a run that has kept none, and with a `reason` for what cannot be read. */
  weights: { subject: string; source: string | null; content: string | null; label: string; step: Maybe; reason: string | null }[];
}

/** A weight on one side of a comparison of checkpoints. */
export interface ChangeSide {
  index: number;
  name: string;
  shape: number[];
  dtype: string;
}

export interface WeightChange {
  before: ChangeSide;
  after: ChangeSide;
  relation: string;
  matched: string;
  /** Norm of the difference over the norm before. */
  relative: Maybe;
  from_zero: boolean;
  cosine: Maybe;
  sign_flips: Maybe;
  differing: Maybe;
  zeroed: Maybe;
  rank: { rank: number; limit: number; low: boolean } | null;
  rows: { row: number; relative: Maybe }[];
  through: string | null;
  reason: string | null;
}

export interface WeightChanges {
  verdict: string;
  same: boolean;
  changes: WeightChange[];
  removed: ChangeSide[];
  added: ChangeSide[];
}

export interface SideBySideEntry {
  index: number;
  shape: number[];
  reason?: string;
  [statistic: string]: unknown;
}

export interface SideBySide {
  statistics: string[];
  weights: { name: string; of: (SideBySideEntry | null)[] }[];
}
