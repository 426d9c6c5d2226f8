/** What is compared, and in what the recipes of the runs among it differ. */

import type { Loaded } from "../api/data";
import type { Comparison } from "../api/types";
import { Name } from "../parts/name";
import { Panel, When } from "../parts/panel";
import { Empty } from "../parts/states";
import { StatusMark, VerdictMark } from "../parts/status";
import { Swatch } from "../parts/swatch";
import { link } from "../router";
import { number, shortened, visible } from "../text";
import { plain } from "./recipe";
import { pageOf, type Subject } from "./subjects";

interface Props {
  subjects: Subject[];
  /** Whether the list of runs, and of weights, has come. */
  runsKnown: boolean;
  weightsKnown: boolean;
}

export function SubjectsPanel({ subjects, runsKnown, weightsKnown }: Props) {
  const runs = subjects.some((one) => one.isRun);
  return (
    <Panel title={!runs ? "Checkpoints" : subjects.every((one) => one.isRun) ? "Runs" : "Runs and checkpoints"} about="The color of each is the same in all pictures below.">
      <div class="table-frame" tabIndex={0} role="group" aria-label="What is compared">
        <table>
          <thead>
            <tr>
              <th scope="col">{runs ? "Run" : "Checkpoint"}</th>
              {runs && (
                <>
                  <th scope="col">Status</th>
                  <th scope="col">Verdict</th>
                  <th scope="col" class="numeric">
                    Val. loss
                  </th>
                  <th scope="col">Model</th>
                  <th scope="col">Optimizer</th>
                </>
              )}
              <th scope="col">Weights</th>
            </tr>
          </thead>
          <tbody>
            {subjects.map((one) => (
              <tr key={one.id}>
                <td>
                  <Swatch color={one.color} /> {one.run || !one.isRun ? <a href={pageOf(one)}><Name text={one.label} length={52} /></a> : <code>{shortened(visible(one.id), 40)}</code>}
                </td>
                {runs && <RunCells subject={one} known={runsKnown} />}
                <td>
                  <WeightsLink subject={one} known={weightsKnown} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function RunCells({ subject: { run, isRun }, known }: { subject: Subject; known: boolean }) {
  if (!isRun) return <td colSpan={5} class="muted">a checkpoint</td>;
  return (
    <>
      <td>{run ? <StatusMark status={run.status} /> : known ? "not there" : "…"}</td>
      <td>{run && <VerdictMark verdict={(run.summary.verdict as string | undefined) ?? null} />}</td>
      <td class="numeric">{number(run?.summary.val_loss)}</td>
      <td>{visible(run?.model ?? "–")}</td>
      <td>{visible(run?.optimizer ?? "–")}</td>
    </>
  );
}

function WeightsLink({ subject: { source, step, path, reason }, known }: { subject: Subject; known: boolean }) {
  if (!known) return <span class="muted">…</span>;
  if (reason !== null) return <span class="unread">{shortened(visible(reason), 160)}</span>;
  if (path !== null) return <span class="muted"><Name text={path} length={90} /></span>;
  if (source === null) return <span class="muted">none kept</span>;
  return <a href={link(["source", source])}>at step {number(step)}</a>;
}

export function RecipeDifferencesPanel({ runs, comparison }: { runs: Subject[]; comparison: Loaded<Comparison> }) {
  return (
    <Panel
      title="Recipe differences"
      about="Every field in which these runs' recipes differ; all others are the same."
      csv={comparison.data ? () => [["field", ...runs.map((one) => one.id)], ...comparison.data!.recipes.differences.map((one) => [one.key, ...one.values.map(plain)])] : undefined}
    >
      <When loaded={comparison}>
        {(data) =>
          data.recipes.differences.length === 0 ? (
            <Empty>The recipes are the same.</Empty>
          ) : (
            <div class="table-frame" tabIndex={0} role="group" aria-label="Recipe differences">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Field</th>
                    {runs.map((one) => (
                      <th key={one.id} scope="col">
                        <Swatch color={one.color} /> <Name text={one.run?.name ?? one.run?.id ?? one.id} length={26} />
                      </th>
                    ))}
                  </tr>
                </thead>
                <tbody>
                  {data.recipes.differences.map((one) => (
                    <tr key={one.key}>
                      <th scope="row">{visible(one.key)}</th>
                      {one.values.map((value, i) => (
                        <td key={i}>{shortened(plain(value), 80)}</td>
                      ))}
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </When>
    </Panel>
  );
}
