/** The largest values by size, each a way to its place in the picture. */

import type { Outlier, WeightDetail } from "../api/types";
import { Panel } from "../parts/panel";
import { Empty } from "../parts/states";
import { exact, number } from "../text";

interface Props {
  weight: WeightDetail;
  chosen: { row: number; column: number } | null;
  onPick: (outlier: Outlier) => void;
}

export function OutliersPanel({ weight, chosen, onPick }: Props) {
  const { outliers, statistics } = weight;
  const mean = statistics?.mean ?? 0;
  const std = statistics?.std ?? 0;
  return (
    <Panel
      title="Largest values"
      about="The values furthest from zero, largest first, and how many standard deviations they lie from the mean. Click one to see it in the picture."
      note={String(outliers.length)}
      csv={() => [["row", "column", "value"], ...outliers.map((one) => [one.row, one.column, one.value])]}
    >
      {outliers.length === 0 ? (
        <Empty>There are none.</Empty>
      ) : (
        <div class="table-frame short" tabIndex={0} role="group" aria-label="Largest values">
          <table class="compact">
            <thead>
              <tr>
                <th scope="col" class="numeric">
                  Row
                </th>
                <th scope="col" class="numeric">
                  Column
                </th>
                <th scope="col" class="numeric">
                  Value
                </th>
                <th scope="col" class="numeric" title="Standard deviations from the mean">
                  Std
                </th>
              </tr>
            </thead>
            <tbody>
              {outliers.map((one) => (
                <tr key={`${one.row},${one.column}`} class={chosen?.row === one.row && chosen.column === one.column ? "chosen" : undefined}>
                  <td class="numeric">{one.row}</td>
                  <td class="numeric">{one.column}</td>
                  <td class="numeric">
                    <button type="button" class="linklike" onClick={() => onPick(one)}>
                      <span class="hidden">
                        Go to row {one.row}, column {one.column}:{" "}
                      </span>
                      {exact(one.value)}
                    </button>
                  </td>
                  <td class="numeric">{std ? number(Math.abs(one.value - mean) / std) : "–"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}
