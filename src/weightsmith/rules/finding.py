"""What a rule says: one fault, in numbers, with what to do about it."""

import html
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "info"]
Number = float | int | str


@dataclass(frozen=True)
class Finding:
    """One fault that a rule saw in a run or in a set of weights.

    Attributes:
        code: the rule's code, such as `WS101`.
        name: the rule's name, such as `exploding-gradients`.
        severity: `error` (the result cannot be used), `warning` (it is worse than it could be), `info` (worth knowing).
        weight: the weight it was seen in, or None where it concerns the whole run.
        message: what was seen, in one sentence with its numbers.
        evidence: the numbers themselves, thresholds included. The first number is the one that was judged; its bound is
            called `threshold` or `<name>_threshold`. Larger is worse, unless the number is under its bound. Texts are
            names (another weight, a part) or positions. A baseline relies on this.
        advice: what to do about it.
        since: the step at which it began, or None where that is not known.
    """

    code: str
    name: str
    severity: Severity
    weight: str | None
    message: str
    advice: str
    evidence: dict[str, Number] = field(default_factory=dict)
    since: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The finding as plain JSON values; null for a number that is not finite."""
        evidence = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in self.evidence.items()
        }
        return asdict(self) | {"evidence": evidence}

    def __str__(self) -> str:
        """One line, as linters print theirs: where, code, what, what to do."""
        where = f"{self.weight}: " if self.weight else ""
        return f"{where}{self.code} {self.name}: {self.message} {self.advice}"

    def _repr_html_(self) -> str:
        cells = (self.severity, f"{self.code} {self.name}", self.weight or "", self.message, self.advice)
        row = "".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in cells)
        return f"<table><tr>{row}</tr></table>"
