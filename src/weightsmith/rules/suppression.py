"""Findings that someone looked at and lets pass, with the reason."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from weightsmith.names import matches
from weightsmith.rules.finding import Finding
from weightsmith.rules.report import Suppressed


@dataclass(frozen=True)
class Suppression:
    """Lets findings of some rules in some weights pass.

    Attributes:
        rule: as it was written: a code, the start of codes, or a name.
        codes: the codes it stands for.
        reason: why they may pass; shown wherever they are counted.
        weights: shell patterns of weight names. A finding about the whole run is matched by `*` alone.
    """

    rule: str
    codes: frozenset[str]
    reason: str
    weights: tuple[str, ...] = ("*",)

    def covers(self, finding: Finding) -> bool:
        """Whether it lets this finding pass."""
        return finding.code in self.codes and matches(finding.weight or "", self.weights)


def suppress(
    findings: Sequence[Finding], suppressions: Sequence[Suppression], checked: Collection[str]
) -> tuple[list[Finding], list[Suppressed], list[str]]:
    """Part the findings.

    Args:
        findings: everything that was found.
        suppressions: the first that covers a finding gives its reason; each that covers one has done its work.
        checked: codes of the rules that were applied.

    Returns:
        The findings that remain, those let pass, and in words the suppressions that covered nothing although one of
        their rules was applied.
    """
    remaining: list[Finding] = []
    passed: list[Suppressed] = []
    used: set[Suppression] = set()
    for finding in findings:
        covering = [suppression for suppression in suppressions if suppression.covers(finding)]
        used.update(covering)
        if covering:
            passed.append(Suppressed(finding, covering[0].reason))
        else:
            remaining.append(finding)
    idle = [
        f"{suppression.rule} for {', '.join(suppression.weights)} ({suppression.reason})"
        for suppression in suppressions
        if suppression not in used and suppression.codes & set(checked)
    ]
    return remaining, passed, idle
