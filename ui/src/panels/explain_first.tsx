/** The weights that read the input: as images where they are some, else as a matrix. */

import { useState } from "preact/hooks";
import { address } from "../api/client";
import { useData } from "../api/data";
import type { RunDetail, SourceDetail, WeightDetail } from "../api/types";
import { Name } from "../parts/name";
import { Panel } from "../parts/panel";
import { Failure, Loading } from "../parts/states";
import { joinedRows, parsedRows } from "../rows";
import { link, useParam } from "../router";
import { FiltersPanel } from "./filters";
import { MatrixPanel } from "./matrix";

export function FirstLayerPanel({ run, step }: { run: RunDetail; step: number }) {
  const source = (run.snapshots.find((one) => one.step === step) ?? run.snapshots.at(-1))?.source ?? "";
  const whole = useData<SourceDetail>(source ? address(["sources", source]) : null);
  const first = whole.data?.weights.filter((one) => one.shape.length > 1).sort((a, b) => a.depth - b.depth)[0];
  const base = ["sources", source, "weights", first?.index ?? 0];
  const detail = useData<WeightDetail>(first ? address(base) : null);
  const [marked, setMarked] = useParam("marked");
  const [cell, setCell] = useState<{ row: number; column: number } | null>(null);
  const weight = detail.data;
  const error = whole.error ?? detail.error;
  if (!weight) return <Panel title="The first weights">{error ? <Failure error={error} /> : whole.data && !first ? <p>No weight of this model is a matrix.</p> : <Loading height={160} />}</Panel>;
  const shared = { rows: parsedRows(marked), onRows: (rows: Iterable<number>) => setMarked(joinedRows(rows)) };
  return (
    <div class="stack">
      <p class="explain-facts">
        The first weights of the model:{" "}
        <a href={link(["source", source, "weight", weight.index])}>
          <Name text={weight.name} />
        </a>
      </p>
      {weight.image ? (
        <FiltersPanel base={base} weight={weight} {...shared} />
      ) : (
        weight.matrix && <MatrixPanel source={source} weight={weight} matrix={weight.matrix} cell={cell} onCell={setCell} {...shared} />
      )}
    </div>
  );
}
