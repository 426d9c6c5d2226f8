/** What the rules say: the worst first, each with its evidence, since when, and what to do. */

import { useState } from "preact/hooks";
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

const FOLDED = 3; // places of one rule that show without a click

interface Links {
  weightLink: (name: string) => string;
  /** Where the step is seen at which a finding began; nowhere for weights without a history. */
  stepLink?: (finding: Finding, step: number) => string;
}

export function FindingsPanel({ findings, ...links }: Links & { findings: Loaded<Findings> }) {
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
                {grouped(shown).map((group) => (
                  <Group key={group[0].code + group[0].severity} group={group} {...links} />
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

/** Findings of one rule, in the order in which the worst of each comes. */
export function grouped(findings: Finding[]): Finding[][] {
  const found = new Map<string, Finding[]>();
  for (const one of findings) {
    const key = `${one.code} ${one.severity}`;
    found.set(key, [...(found.get(key) ?? []), one]);
  }
  return [...found.values()];
}

interface GroupProps extends Links {
  group: Finding[];
}

/** One rule's findings: what to do once, where it differs with each, and every place with its evidence. */
function Group({ group, ...links }: GroupProps) {
  const [first] = group;
  const [open, setOpen] = useState(false);
  const alike = group.every((one) => one.fix === first.fix);
  const shown = open ? group : group.slice(0, FOLDED);
  return (
    <li class={`finding ${first.severity}`}>
      <div class="finding-head">
        <Severity level={first.severity} />
        <b>{first.name.replaceAll("-", " ")}</b>
        <code>{first.code}</code>
        {group.length > 1 && <span class="muted">{plural(group.length, "time")}</span>}
      </div>
      {alike && <p class="advice">{visible(first.fix)}</p>}
      {shown.map((one, i) => (
        <Place key={i} finding={one} advice={!alike} {...links} />
      ))}
      {group.length > FOLDED && (
        <button type="button" class="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? "Show fewer" : `Show ${group.length - FOLDED} more`}
        </button>
      )}
    </li>
  );
}

function Place({ finding, weightLink, stepLink, advice }: Links & { finding: Finding; advice: boolean }) {
  const evidence = Object.entries(finding.evidence);
  return (
    <div class="place">
      <p>
        {finding.weight && (
          <>
            <a href={weightLink(finding.weight)}>
              <Name text={finding.weight} length={60} />
            </a>{" "}
          </>
        )}
        {visible(finding.message)}
        {finding.step !== null && (
          <span class="muted">
            {" "}
            Since {stepLink ? <a href={stepLink(finding, finding.step)} title={finding.weight ? "Show all layers at this step" : "Mark this step in all curves"}>step {number(finding.step)}</a> : `step ${number(finding.step)}`}.
          </span>
        )}
      </p>
      {advice && <p class="advice">{visible(finding.fix)}</p>}
      {evidence.length > 0 && (
        <dl class="evidence">
          {evidence.map(([name, value]) => (
            <div key={name}>
              <dt>{words(name)}</dt>
              <dd>{typeof value === "string" ? <Name text={value} length={48} /> : number(value)}</dd>
            </div>
          ))}
        </dl>
      )}
    </div>
  );
}
