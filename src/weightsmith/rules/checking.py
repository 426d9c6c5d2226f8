"""Run the rules over a run, a file or a live model, and say what was not checked and why."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Union

from weightsmith.rules.baseline import Baseline
from weightsmith.rules.catalog import RULES
from weightsmith.rules.configuration import Configuration
from weightsmith.rules.finding import Finding
from weightsmith.rules.report import SEVERITIES, Location, Report, Skipped, Unchecked
from weightsmith.rules.rule import NotCheckedError, Rule
from weightsmith.rules.selection import choose_rules
from weightsmith.rules.subject import Progress, Subject
from weightsmith.rules.suppression import suppress
from weightsmith.sources import Source
from weightsmith.sources import open as open_source

if TYPE_CHECKING:
    from torch import nn

    from weightsmith.scan import Cache
    from weightsmith.store import Run

Checkable = Union["Run", Source, str, "os.PathLike[str]", "nn.Module"]


def check(
    subject: Checkable,
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    configuration: Configuration | None = None,
    baseline: Baseline | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
    cache: "Cache | None" = None,
) -> Report:
    """Look for every known fault in a run, a source of weights, a live model or a file.

    Args:
        subject: a `Run`, or anything `weightsmith.open` takes. A run is checked by what was recorded and by the
            weights of its latest snapshot.
        select: codes, the start of codes (`WS1`) or names of the only rules to apply; where empty, those that the
            configuration selects, or all.
        ignore: the same for rules to leave out; where empty, those that the configuration ignores.
        configuration: thresholds, severities and suppressions, such as `Configuration.find()` reads for the command
            line; by default none, whatever files lie about.
        baseline: findings that are known already; they are reported apart.
        progress: told about the pass over the weights as it goes on: bytes done, bytes in all, what is at hand.
        threads: most threads to read with; by default all the process may use. The result does not depend on it.
        cache: where the pass over the same weights is looked up and kept; see `weightsmith.scan.Cache`.

    Raises:
        InputError: a code or name that no rule has.
        SourceError: the weights cannot be opened, or a file is damaged or changes meanwhile.
    """
    settings = configuration or Configuration()
    rules = choose_rules(select or settings.select, ignore or settings.ignore)
    run, weights = _opened(subject)
    target = Subject(weights, run, thresholds=settings.thresholds, progress=progress, threads=threads, cache=cache)
    findings, skipped = _look(rules, target)
    findings = [
        replace(finding, severity=settings.severity.get(finding.code, finding.severity)) for finding in findings
    ]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    unapplied = {item.code for item in skipped}
    checked = tuple(rule.code for rule in rules if rule.code not in unapplied)
    remaining, suppressed, idle = suppress(findings, settings.suppressions, checked)
    known: list[Finding] = []
    gone = 0
    if baseline is not None:
        remaining, known, missing = baseline.split(remaining)
        gone = sum(item.code in checked for item in missing)
    return Report(
        findings=tuple(remaining),
        skipped=tuple(skipped),
        checked=checked,
        label=_label(target),
        unchecked=tuple(
            Unchecked(code, RULES[code].name, reason, tuple(names)) for (code, reason), names in target.skipped.items()
        ),
        unreadable=target.unreadable if any(rule.applies == "weights" for rule in rules) else {},
        aside=target.source.aside if target.source is not None else (),
        suppressed=tuple(suppressed),
        idle=tuple(idle),
        known=tuple(known),
        gone=gone,
        has_baseline=baseline is not None,
        locations=_locations(target, [*remaining, *known, *(item.finding for item in suppressed)]),
    )


def _opened(subject: Checkable) -> "tuple[Run | None, Source | None]":
    if isinstance(subject, Source):
        return None, subject
    if isinstance(subject, (str, os.PathLike)):
        return None, open_source(subject)
    from weightsmith.store import Run  # its database library takes longer to load than a small file to check

    if isinstance(subject, Run):
        return subject, subject.source() if subject.snapshots() else None
    return None, open_source(subject)


def _look(rules: Sequence[Rule], target: Subject) -> tuple[list[Finding], list[Skipped]]:
    findings: list[Finding] = []
    skipped: list[Skipped] = []
    for rule in rules:
        if rule.applies == "weights" and target.source is not None:
            target.require_weights()  # the pass over the weights tells of its own progress
            target.tell(f"{rule.code} {rule.name}")
        try:
            findings.extend(rule.look(rule, target))
        except NotCheckedError as reason:
            skipped.append(Skipped(rule.code, rule.name, str(reason)))
    return findings, skipped


def _label(target: Subject) -> str:
    if target.source is not None:
        return target.source.label
    assert target.run is not None
    return f"run {target.run.id}"


def _locations(target: Subject, findings: Sequence[Finding]) -> dict[str, Location]:
    found: dict[str, Location] = {}
    for finding in findings:
        weight = target.source.get(finding.weight) if target.source is not None and finding.weight else None
        if weight is None:
            continue
        if weight.place is not None:
            found[weight.name] = Location(weight.place.file.label, weight.place.offset, weight.nbytes)
        elif target.source is not None and len(target.source.files) == 1:
            found[weight.name] = Location(target.source.files[0].label)
    return found
