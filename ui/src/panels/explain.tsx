/** What a run's model looks at: rows to choose, what their outputs depend on, what units like, and its first weights. */

import { address } from "../api/client";
import { useData } from "../api/data";
import type { Explain, Samples, Summary } from "../api/explained";
import type { RunDetail } from "../api/types";
import { Panel } from "../parts/panel";
import { Empty, Failure, Loading } from "../parts/states";
import { useNumber, useParam } from "../router";
import { baseName, count, visible } from "../text";
import { AttributionPanel } from "./explain_attribution";
import { FirstLayerPanel } from "./explain_first";
import { SamplesPanel } from "./explain_samples";
import { UnitsPanel } from "./explain_units";
import { numbersIn } from "./explain_words";

const BEGIN = 6; // rows that are explained before anybody has chosen
const NONE = "none"; // in the address, where somebody has taken the last one away

interface Props {
  base: (string | number)[];
  run: RunDetail;
}

export function ExplainPanels({ base, run }: Props) {
  const loaded = useData<Explain>(address([...base, "explain"]), run.snapshots.length);
  if (loaded.data?.possible) return <Panels base={base} run={run} summary={loaded.data} />;
  return (
    <Panel title="Explain">
      {loaded.data ? <Impossible reason={loaded.data.reason} /> : loaded.error ? <Failure error={loaded.error} /> : <Loading height={220} what="Building the model again and reading its data" />}
    </Panel>
  );
}

function Impossible({ reason }: { reason: string }) {
  return (
    <Empty>
      <h3>This run cannot be explained here</h3>
      <p>{visible(reason)}</p>
      <p>
        The page builds a run's model again from its recipe, fills it with the weights that were kept, and reads the data from where the training found them. All three must be
        at hand.
      </p>
    </Empty>
  );
}

function Panels({ base, run, summary }: Props & { summary: Summary }) {
  const [first, setFirst] = useNumber("first");
  const [wrong, setWrong] = useParam("wrong");
  const [rowsText, setRows] = useParam("rows");
  const samples = useData<Samples>(
    address([...base, "explain", "rows"], { first: Math.min(1e9, Math.max(0, Math.floor(first ?? 0))), wrong: String(wrong === "1") }),
    summary.step,
  );
  const chosen = numbersIn(rowsText, summary.at_once);
  const beginning = samples.data ? samples.data.rows.slice(0, Math.min(BEGIN, summary.at_once)).map((one) => one.row) : null;
  const rows = rowsText ? chosen : beginning;
  const toggle = (row: number) => {
    const now = rows ?? [];
    const next = now.includes(row) ? now.filter((one) => one !== row) : [...now, row];
    setRows(next.slice(-summary.at_once).join(",") || NONE);
  };
  return (
    <div class="stack">
      <p class="explain-facts">
        The model of step {count(summary.step)} and the {count(summary.rows)} {summary.split} rows of {visible(baseName(summary.data))}
        {summary.note && <span class="muted"> · {visible(summary.note)}</span>}
      </p>
      <SamplesPanel
        summary={summary}
        loaded={samples}
        rows={rows ?? []}
        wrong={wrong === "1"}
        onWrong={(on) => {
          setWrong(on ? "1" : "");
          setFirst(null);
        }}
        onFirst={(next) => setFirst(next || null)}
        onToggle={toggle}
        onClear={rowsText ? () => setRows("") : null}
      />
      <AttributionPanel base={base} summary={summary} rows={rows} failed={samples.error} />
      <UnitsPanel base={base} summary={summary} />
      <FirstLayerPanel run={run} step={summary.step} />
    </div>
  );
}
