/** What was trained and where: recipe and environment, beside what recording it cost. */

import type { RunDetail } from "../api/types";
import { Toggle } from "../parts/controls";
import { Panel } from "../parts/panel";
import { Empty } from "../parts/states";
import { useParam } from "../router";
import { shortened, visible } from "../text";
import { RecorderPanel } from "./recorder";

/** Nested values as dotted keys, in their own order. */
export function flattened(value: unknown, prefix = ""): [string, unknown][] {
  if (value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length) {
    return Object.entries(value).flatMap(([key, inner]) => flattened(inner, prefix ? `${prefix}.${key}` : key));
  }
  return prefix ? [[prefix, value]] : []; // nothing was kept at all
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

export function RecipePanels({ base, run, version }: { base: string[]; run: RunDetail; version: number }) {
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
        <RecorderPanel base={base} run={run} version={version} />
        <Panel title="Environment" about="Where this training ran." csv={() => [["field", "value"], ...environment.map(([key, value]): [string, string] => [key, plain(value)])]}>
          {environment.length ? <Pairs pairs={environment} /> : <Empty>Nothing was kept of where this run was recorded.</Empty>}
        </Panel>
      </div>
    </div>
  );
}
