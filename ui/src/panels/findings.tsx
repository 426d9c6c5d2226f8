/** What the rules say: the worst first, each with its evidence, since when, and what to do. */

import type { Loaded } from "../api/data";
import type { Finding, Findings } from "../api/types";
import { Segments } from "../parts/controls";
import { Name } from "../parts/name";
import { Panel, When } from "../parts/panel";
import { rank, Severity } from "../parts/severity";
import { Empty } from "../parts/states";
import { useParam } from "../router";
import { number, plural, visible, words } from "../text";

const LEVELS = [
  ["", "All"],
  ["error", "Errors"],
  ["warning", "Warnings"],
  ["info", "Notes"],
] as const;

export function FindingsPanel({ findings, weightLink }: { findings: Loaded<Findings>; weightLink: (name: string) => string }) {
  const [level, setLevel] = useParam("severity");
  const shown = (findings.data?.findings ?? []).filter((one) => !level || one.severity === level).sort((a, b) => rank(a.severity) - rank(b.severity));
  const unjudged = findings.data?.not_judged ?? [];
  return (
    <Panel
      title="Findings"
      about="What the rules of `weightsmith check` see in these weights, with the numbers that decided. `weightsmith explain CODE` tells where a threshold comes from."
      note={findings.data ? String(shown.length) : null}
      controls={<Segments label="Severity" value={level as "" | "error" | "warning" | "info"} options={LEVELS} onChange={setLevel} />}
      csv={() => [["code", "name", "severity", "weight", "step", "message", "fix"], ...shown.map((one) => [one.code, one.name, one.severity, one.weight, one.step, one.message, one.fix])]}
    >
      <When loaded={findings} height={160}>
        {(data) => (
          <>
            {data.findings.length === 0 ? (
              <Empty>
                <p>No findings: no rule saw anything wrong.</p>
              </Empty>
            ) : shown.length === 0 ? (
              <Empty>No finding of this severity.</Empty>
            ) : (
              <ul class="findings">
                {shown.map((one, i) => (
                  <One key={i} finding={one} weightLink={weightLink} />
                ))}
              </ul>
            )}
            {unjudged.length > 0 && (
              <details class="unjudged">
                <summary>{plural(unjudged.length, "thing")} that no rule could judge</summary>
                <ul>
                  {unjudged.map((one, i) => (
                    <li key={i}>
                      {one.code && <code>{one.code}</code>} {one.name} {one.weights.length > 0 && <Name text={one.weights.join(", ")} length={80} />}: {visible(one.reason)}
                    </li>
                  ))}
                </ul>
              </details>
            )}
          </>
        )}
      </When>
    </Panel>
  );
}

function One({ finding, weightLink }: { finding: Finding; weightLink: (name: string) => string }) {
  return (
    <li class={`finding ${finding.severity}`}>
      <div class="finding-head">
        <Severity level={finding.severity} />
        <b>{finding.name.replaceAll("-", " ")}</b>
        <code>{finding.code}</code>
        {finding.weight && (
          <a href={weightLink(finding.weight)}>
            <Name text={finding.weight} length={60} />
          </a>
        )}
        {finding.step !== null && <span class="muted">since step {number(finding.step)}</span>}
      </div>
      <p>{visible(finding.message)}</p>
      <p class="advice">{visible(finding.fix)}</p>
      <dl class="evidence">
        {Object.entries(finding.evidence).map(([name, value]) => (
          <div key={name}>
            <dt>{words(name)}</dt>
            <dd>{typeof value === "string" ? <Name text={value} length={48} /> : number(value)}</dd>
          </div>
        ))}
      </dl>
    </li>
  );
}
