"""What a rule is: a fault's name, how to see it, and the documentation that its file opens with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from weightsmith.rules.finding import Finding, Number, Severity
from weightsmith.sketch import Sketch
from weightsmith.sources import Source, Weight
from weightsmith.store import Run


class NotCheckedError(Exception):
    """Raised by a rule that lacks what it needs; the reason is listed with the findings, never dropped."""


@dataclass(frozen=True)
class Subject:
    """What is checked: weights, and the run they come from where there is one."""

    weights: Source | None
    run: Run | None = None
    _sketches: dict[str, Sketch] = field(default_factory=dict, repr=False)

    def require_run(self) -> Run:
        """The run, for rules about how weights move."""
        if self.run is None:
            raise NotCheckedError("needs a recorded run, not weights alone")
        return self.run

    def require_weights(self) -> Source:
        """The weights, for rules about their values."""
        if self.weights is None:
            raise NotCheckedError("the run has no snapshot of its weights yet")
        return self.weights

    def sketch(self, weight: Weight) -> Sketch:
        """The sketch of one of the weights, made by the first rule that asks."""
        if weight.name not in self._sketches:
            self._sketches[weight.name] = weight.sketch()
        return self._sketches[weight.name]


@dataclass(frozen=True)
class Rule:
    """One fault that can be looked for.

    Attributes:
        code: `WS1xx` for how weights move, `WS2xx` for what their values are.
        name: the defect, in kebab-case.
        severity: of its findings, unless one says otherwise.
        documentation: the docstring of the rule's file (Markdown).
        look: yields what it found in a subject.
    """

    code: str
    name: str
    severity: Severity
    documentation: str | None
    look: Callable[["Rule", Subject], Iterator[Finding]]

    @property
    def summary(self) -> str:
        """The first line of the documentation."""
        return (self.documentation or "").strip().splitlines()[0]

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
        """A finding of this rule."""
        return Finding(self.code, self.name, severity or self.severity, weight, message, advice, evidence, since)
