/** What was trained and where: recipe, environment, and what recording it cost. */

import type { RunDetail } from "../api/types";
import { Toggle } from "../parts/controls";
import { Panel } from "../parts/panel";
import { Empty } from "../parts/states";
import { useParam } from "../router";
import { bytes, number, percent, seconds, shortened, visible, words } from "../text";

/** Nested values as dotted keys, in their own order. */
export function flattened(value: unknown, prefix = ""): [string, unknown][] {
  if (value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length) {
    return Object.entries(value).flatMap(([key, inner]) => flattened(inner, prefix ? `${prefix}.${key}` : key));
  }
  return [[prefix, value]];
}

export function plain(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return visible(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value) && value.every((one) => typeof one !== "object")) return value.map((one) => visible(String(one))).join(", ") || "none";
  return visible(JSON.stringify(value));
}

function Pairs({ pairs }: { pairs: [string, unknown][] }) {
  return (
    <table class="pairs">
      <tbody>
        {pairs.map(([key, value]) => (
          <tr key={key}>
            <th scope="row">{shortened(visible(key), 60)}</th>
            <td class={value === null ? "muted" : ""}>{shortened(plain(value), 400)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface Recorder {
  budget?: number;
  share?: number;
  setup?: number;
  training?: number;
  seconds?: Record<string, number>;
  measured?: number;
  sketched?: number;
  snapshots?: number;
  snapshot_bytes?: number;
}

export function RecipePanels({ run }: { run: RunDetail }) {
  const [whole, setWhole] = useParam("unset");
  const recipe = run.recipe ? flattened(run.recipe).filter(([, value]) => whole === "1" || value !== null) : [];
  const environment = flattened(run.environment);
  return (
    <div class="grid two">
      <Panel
        title="Recipe"
        controls={run.recipe && <Toggle label="Unset fields too" on={whole === "1"} onChange={(on) => setWhole(on ? "1" : "")} />}
        about="The full description of this training, every default included. `weightsmith train` takes it." csv={() => [["field", "value"], ...recipe.map(([key, value]): [string, string] => [key, plain(value)])]}>
        {recipe.length ? <Pairs pairs={recipe} /> : <Empty>This run was recorded from a loop of your own: it has no recipe.</Empty>}
      </Panel>
      <div class="stack">
        <RecorderPanel recorder={run.summary.recorder as Recorder | undefined} running={run.status === "running"} />
        <Panel title="Environment" about="Where this training ran." csv={() => [["field", "value"], ...environment.map(([key, value]): [string, string] => [key, plain(value)])]}>
          <Pairs pairs={environment} />
        </Panel>
      </div>
    </div>
  );
}

function RecorderPanel({ recorder, running }: { recorder?: Recorder; running: boolean }) {
  const spent = Object.entries(recorder?.seconds ?? {}).sort((a, b) => b[1] - a[1]);
  const most = Math.max(...spent.map(([, value]) => value), 1e-9);
  return (
    <Panel title="What recording cost" about="The recorder measures its own time and keeps to a budget, 2 % of the training by default. Setting up, and the first and last look, come on top.">
      {!recorder ? (
        <Empty>{running ? "Known when the run has ended; the curve of the recorder's share tells meanwhile." : "Not known for this run."}</Empty>
      ) : (
        <>
          <dl class="facts tight">
            <Fact name="Share of training" value={percent(recorder.share)} />
            <Fact name="Budget" value={percent(recorder.budget)} />
            <Fact name="Setting up" value={seconds(recorder.setup)} />
            <Fact name="Steps measured" value={number(recorder.measured)} />
            <Fact name="Distributions" value={number(recorder.sketched)} />
            <Fact name="Snapshots" value={`${number(recorder.snapshots)} (${bytes(recorder.snapshot_bytes ?? 0)})`} />
          </dl>
          <table class="pairs">
            <tbody>
              {spent.map(([name, value]) => (
                <tr key={name}>
                  <th scope="row">{words(name)}</th>
                  <td class="numeric">{seconds(value)}</td>
                  <td class="bar-cell">
                    <i class="bar" style={{ width: `${(value / most) * 100}%` }} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
    </Panel>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
