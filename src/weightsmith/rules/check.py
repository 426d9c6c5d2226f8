"""Run the rules over a run, a file or a live model, and say what was not checked and why."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Union

from weightsmith.errors import InputError
from weightsmith.names import suggestion
from weightsmith.rules.catalog import RULES
from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import NotCheckedError, Rule, Subject
from weightsmith.sources import Source
from weightsmith.sources import open as open_source
from weightsmith.store import Run

if TYPE_CHECKING:
    from torch import nn

SEVERITY_ORDER = ("error", "warning", "info")


@dataclass(frozen=True)
class Skipped:
    """A rule that could not be applied, and the reason."""

    code: str
    name: str
    reason: str


@dataclass(frozen=True)
class Report:
    """All findings, the worst first, and what was not checked."""

    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]
    checked: tuple[str, ...]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that ask for something to be done: errors and warnings."""
        return tuple(finding for finding in self.findings if finding.severity != "info")

    def _repr_html_(self) -> str:
        body = "".join(finding._repr_html_() for finding in self.findings) or "<p>No findings.</p>"
        skipped = "".join(f"<li>{item.code} {item.name}: {escape(item.reason)}</li>" for item in self.skipped)
        return body + (
            f"<details><summary>{len(self.skipped)} not checked</summary><ul>{skipped}</ul></details>" * bool(skipped)
        )


def check(
    subject: Union[Run, Source, str, "os.PathLike[str]", "nn.Module"],
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> Report:
    """Look for every known fault in a run, a source of weights, a live model or a file.

    Args:
        subject: a `Run`, or anything `weightsmith.open` takes. A run is checked by what was recorded and by the
            weights of its latest snapshot.
        select: codes, the start of codes (`WS1`) or names of the only rules to apply; all rules where empty.
        ignore: the same for rules to leave out.

    Raises:
        InputError: a code or name that no rule has.
    """
    if isinstance(subject, Run):
        weights = subject.source() if subject.snapshots() else None
        target = Subject(weights=weights, run=subject)
    else:
        target = Subject(weights=subject if isinstance(subject, Source) else open_source(subject))
    findings: list[Finding] = []
    skipped: list[Skipped] = []
    checked: list[str] = []
    for rule in _chosen(select, ignore):
        try:
            findings.extend(rule.look(rule, target))
            checked.append(rule.code)
        except NotCheckedError as reason:
            skipped.append(Skipped(rule.code, rule.name, str(reason)))
    findings.sort(key=lambda finding: SEVERITY_ORDER.index(finding.severity))
    return Report(tuple(findings), tuple(skipped), tuple(checked))


def explain(code: str) -> str:
    """The documentation of a rule, as Markdown, by its code (`WS101`) or name.

    Raises:
        InputError: no rule is called that.
    """
    rule = find_rule(code)
    return f"# {rule.code}: {rule.name}\n\n{(rule.documentation or '').strip()}\n"


def find_rule(given: str) -> Rule:
    """The one rule of a code (`WS101`) or name.

    Raises:
        InputError: no rule is called that.
    """
    for rule in RULES.values():
        if given.lower() in (rule.name, rule.code.lower()):
            return rule
    raise _unknown(given)


def _chosen(select: Sequence[str], ignore: Sequence[str]) -> list[Rule]:
    wanted = [rule.code for given in select for rule in _find(given)] or list(RULES)
    unwanted = {rule.code for given in ignore for rule in _find(given)}
    return [rule for code, rule in RULES.items() if code in wanted and code not in unwanted]


def _find(given: str) -> list[Rule]:
    found = [
        rule
        for rule in RULES.values()
        if rule.name == given.lower() or (given.upper().startswith("WS") and rule.code.startswith(given.upper()))
    ]
    if not found:
        raise _unknown(given)
    return found


def _unknown(given: str) -> InputError:
    close = suggestion(given, [rule.name for rule in RULES.values()])
    return InputError(f"no rule is called '{given}'{close} (weightsmith explain lists them all)")
