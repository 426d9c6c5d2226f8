/** The neurons of a weight as points, alike ones near each other; brushing points marks their rows everywhere. */

import { useState } from "preact/hooks";
import { address } from "../api/client";
import { useLong } from "../api/data";
import type { Embedding, WeightDetail } from "../api/types";
import type { Point } from "../parts/canvas";
import { Segments } from "../parts/controls";
import { Panel, When } from "../parts/panel";
import { Empty } from "../parts/states";
import { setParams, useParam } from "../router";
import { count, number, percent } from "../text";
import { NeuronGlance } from "./neuron_glance";
import { FlatPoints, SolidPoints } from "./points";

const HEIGHT = 300;

const METHODS = [
  ["pca", "PCA"],
  ["tsne", "t-SNE"],
] as const;

const DIMENSIONS = [
  ["2", "2-D"],
  ["3", "3-D"],
] as const;

interface Props {
  base: (string | number)[];
  weight: WeightDetail;
  rows: ReadonlySet<number>;
  onRows: (rows: Iterable<number>) => void;
}

export function EmbeddingPanel({ base, weight, rows, onRows }: Props) {
  const [methodText] = useParam("method", "pca");
  const [dimensionsText] = useParam("dimensions", "2");
  const method = methodText === "tsne" ? "tsne" : "pca";
  const dimensions = dimensionsText === "3" ? "3" : "2";
  const loaded = useLong<Embedding>(address([...base, "embedding"], { method, dimensions }));
  const total = weight.matrix!.rows;
  return (
    <Panel
      title="Neurons as points"
      about="Every row of the matrix is a point; rows with similar weights lie near each other. PCA keeps the directions of largest spread, t-SNE keeps neighbors together (its distances between groups mean little). Point at one to see its weights, click it or drag a box to mark rows in all panels, scroll to zoom. In 3-D dragging turns it, and shift draws the box."
      note={loaded.data && loaded.data.rows.length < total ? `${count(loaded.data.rows.length)} of ${count(total)} rows` : null}
      picture={(loaded.data?.points.length ?? 0) >= 3}
      controls={
        <>
          <Segments label="Method" value={method} options={METHODS} onChange={(next) => setParams({ method: next === "pca" ? null : next, look: null })} />
          <Segments label="Dimensions" value={dimensions} options={DIMENSIONS} onChange={(next) => setParams({ dimensions: next === "2" ? null : next, look: null })} />
        </>
      }
      csv={loaded.data ? () => [["row", ...["x", "y", "z"].slice(0, Number(dimensions))], ...loaded.data!.rows.map((row, i) => [row, ...loaded.data!.points[i]])] : undefined}
    >
      <When loaded={loaded} height={HEIGHT}>
        {(data) => (data.points.length < 3 ? <Empty>There are too few rows for a map.</Empty> : <Cloud key={[...base, method, dimensions].join(" ")} data={data} method={method} base={base} weight={weight} rows={rows} onRows={onRows} />)}
      </When>
    </Panel>
  );
}

/** What the answer says of itself. */
function about(data: Embedding, method: string): string {
  const instead = data.method.toLowerCase().replace("-", "") !== method ? "t-SNE of so few or equal rows means nothing: this is PCA. " : "";
  const early = data.finished ? "" : "Taken as it was after a minute. ";
  const held = data.explained.reduce((sum, share) => sum + share, 0);
  const explained = data.method === "PCA" && data.explained.length ? `The ${data.explained.length === 3 ? "three" : "two"} directions hold ${percent(held)} of the spread.` : "";
  return instead + early + (explained || "Point at a neuron to name it.");
}

function Cloud({ data, method, base, weight, rows, onRows }: Props & { data: Embedding; method: string }) {
  const [near, setNear] = useState<number | null>(null);
  const [place, setPlace] = useState<Point | null>(null);
  const Points = data.points[0].length === 3 ? SolidPoints : FlatPoints;
  return (
    <>
      <div class="points">
        <Points
          data={data}
          height={HEIGHT}
          marked={rows}
          near={near}
          onRows={onRows}
          onNear={(next, at) => {
            setNear(next);
            setPlace(at);
          }}
        />
        {near !== null && place && <NeuronGlance base={base} weight={weight} row={data.rows[near]} left={place.x > 170} />}
      </div>
      <span class="readout" role="status">
        {near !== null ? `neuron ${data.rows[near]} at ${data.points[near].map((value) => number(value)).join(", ")}` : about(data, method)}
      </span>
    </>
  );
}
