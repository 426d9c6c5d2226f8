"""What a rule is: a fault's name, how to see it, and the documentation that its file opens with."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from weightsmith.rules.finding import Finding, Number, Severity
from weightsmith.rules.subject import NotCheckedError, Subject, UnreadableError

__all__ = ["NotCheckedError", "Rule", "Subject", "UnreadableError"]


@dataclass(frozen=True)
class Rule:
    """One fault that can be looked for.

    Attributes:
        code: `WS1xx` for how weights move, `WS2xx` for what their values are; `WS30x` and `WS31x` for the same two of
            binary, ternary and sparse weights.
        name: the defect, in kebab-case.
        severity: of its findings, unless one says otherwise.
        documentation: the docstring of the rule's file (Markdown).
        look: yields what it found in a subject.
        thresholds: name (snake_case) to default of every number that a configuration may change; the `THRESHOLDS` of
            the rule's file. Ask for the value in force by `subject.threshold(rule, name)`.
    """

    code: str
    name: str
    severity: Severity
    documentation: str | None
    look: Callable[["Rule", Subject], Iterator[Finding]]
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @property
    def applies(self) -> str:
        """What it judges: `run` (WS1xx, WS30x: how weights moved) or `weights` (others: what their values are)."""
        return "run" if self.code.startswith(("WS1", "WS30")) else "weights"

    @property
    def summary(self) -> str:
        """The first line of the documentation."""
        return (self.documentation or "").strip().splitlines()[0]

    def section(self, heading: str) -> str:
        """The text under one heading of the documentation, such as `What to do`; empty where there is none."""
        _, _, after = (self.documentation or "").partition(f"## {heading}\n")
        return after.partition("\n## ")[0].strip()

    def finding(
        self,
        message: str,
        advice: str,
        evidence: dict[str, Number],
        *,
        weight: str | None = None,
        since: int | None = None,
        severity: Severity | None = None,
    ) -> Finding:
        """A finding of this rule; numbers of NumPy's in its evidence become Python's."""
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in evidence.items()}
        return Finding(self.code, self.name, severity or self.severity, weight, message, advice, plain, since)
