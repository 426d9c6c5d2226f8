"""What a check leaves: what was found, what was let pass and why, and what was not checked and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from weightsmith.names import printable
from weightsmith.rules.finding import Finding, Severity
from weightsmith.sources.source import Aside

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""From the worst down."""


@dataclass(frozen=True)
class Skipped:
    """A rule that could not be applied, and the reason."""

    code: str
    name: str
    reason: str


@dataclass(frozen=True)
class Unchecked:
    """Weights that a rule should have judged and did not, for one reason."""

    code: str
    name: str
    reason: str
    weights: tuple[str, ...]


@dataclass(frozen=True)
class Suppressed:
    """A finding that the configuration lets pass, with the reason given there."""

    finding: Finding
    reason: str


@dataclass(frozen=True)
class Location:
    """Where a weight lies: a file, and the bytes in it where they lie back to back.

    Attributes:
        file: its label: a path or an address.
        offset: of the first byte, or None where the values are compressed or computed.
        length: number of bytes.
    """

    file: str
    offset: int | None = None
    length: int = 0


@dataclass(frozen=True)
class Report:
    """All findings, the worst first, and everything that was not judged.

    Attributes:
        findings: what is wrong and not let pass, the worst first.
        skipped: rules that could not be applied at all.
        checked: codes of the rules that were applied.
        label: what was checked, as people call it.
        unchecked: weights that single rules left out.
        unreadable: by weight, why its values could not be read and so were judged by no rule.
        aside: what else the file holds and what is no weight.
        suppressed: findings that the configuration lets pass.
        idle: suppressions that matched nothing although their rules were applied, each in words.
        known: findings that the baseline holds, and that have not become worse.
        gone: number of findings that the baseline holds and that rules which were applied no longer see.
        has_baseline: whether there was a baseline to compare with.
        locations: by weight, where those with a finding lie.
    """

    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]
    checked: tuple[str, ...]
    label: str = ""
    unchecked: tuple[Unchecked, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    aside: tuple[Aside, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    idle: tuple[str, ...] = ()
    known: tuple[Finding, ...] = ()
    gone: int = 0
    has_baseline: bool = False
    locations: Mapping[str, Location] = field(default_factory=dict, repr=False)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def at_least(self, level: Severity) -> tuple[Finding, ...]:
        """The findings of this severity or a worse one."""
        return tuple(finding for finding in self.findings if _rank(finding.severity) <= _rank(level))

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that ask for something to be done: errors and warnings."""
        return self.at_least("warning")

    def to_json(self) -> dict[str, Any]:
        """The whole report as plain JSON values."""
        return {
            "label": self.label,
            "findings": [finding.to_json() for finding in self.findings],
            "not_checked": [vars(item) for item in self.skipped],
            "checked": list(self.checked),
            "unchecked_weights": [{**vars(item), "weights": list(item.weights)} for item in self.unchecked],
            "unreadable": [{"weight": name, "reason": reason} for name, reason in self.unreadable.items()],
            "aside": [vars(item) for item in self.aside],
            "suppressed": [{**item.finding.to_json(), "reason": item.reason} for item in self.suppressed],
            "idle_suppressions": list(self.idle),
            "known": [finding.to_json() for finding in self.known],
            "gone": self.gone,
        }

    def _repr_html_(self) -> str:
        body = "".join(finding._repr_html_() for finding in self.findings) or "<p>No findings.</p>"
        left = [f"{item.code} {item.name}: {item.reason}" for item in self.skipped]
        left += [f"{item.code} {item.name}: {len(item.weights)} weights: {item.reason}" for item in self.unchecked]
        left += [f"{name}: {reason}" for name, reason in self.unreadable.items()]
        if not left:
            return body
        items = "".join(f"<li>{escape(printable(line))}</li>" for line in left)
        return f"{body}<details><summary>{len(left)} not checked</summary><ul>{items}</ul></details>"


def _rank(severity: Severity) -> int:
    return SEVERITIES.index(severity)
