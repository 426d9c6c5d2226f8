"""A report as people read it: by rule, the worst first, what to do once for each, and all that was not checked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from weightsmith.names import printable

if TYPE_CHECKING:
    from rich.console import Console

    from weightsmith.rules import Finding, Report

SEVERITY_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
SHOWN = 5
"""Findings of one rule that are shown before the rest is counted."""


def print_report(
    report: "Report", out: "Console", *, shown: int | None = SHOWN, known: bool = False, hints: bool = False
) -> None:
    """Print the findings, a summary, what was let pass and why, and what was not checked and why.

    Args:
        report: what a check left.
        out: where to.
        shown: findings of one rule and severity to show; None for all.
        known: whether to show those that the baseline holds as well.
        hints: whether to show the lines that mend them.
    """
    findings = [*report.findings, *(report.known if known else ())]
    for group in _grouped(findings):
        _print_group(group, out, shown, hints)
    out.print(_summary(report))
    _print_passed(report, out)
    _print_not_checked(report, out)


def _grouped(findings: "Sequence[Finding]") -> "list[list[Finding]]":
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.code), []).append(finding)
    order = list(SEVERITY_STYLES)
    return sorted(groups.values(), key=lambda group: (order.index(group[0].severity), group[0].code))


def _print_group(group: "list[Finding]", out: "Console", shown: int | None, hints: bool) -> None:
    first = group[0]
    style = SEVERITY_STYLES[first.severity]
    out.print(f"[{style}]{first.severity}[/] [bold]{first.code} {first.name}[/]")
    visible = group if shown is None else group[:shown]
    same_advice = len({finding.advice for finding in group}) == 1
    for finding in visible:
        _print_finding(finding, out)
        if not same_advice:
            _print_advice(finding, out)
    if len(group) > len(visible):
        out.print(f"  [dim]and {len(group) - len(visible)} more like it (--all shows them)[/]")
    if same_advice:
        _print_advice(first, out)
    if hints:
        _print_hints(group, out)
    out.print()


def _print_finding(finding: "Finding", out: "Console") -> None:
    from rich.markup import escape

    where = f"[bold]{escape(printable(finding.weight))}[/]: " if finding.weight else ""
    since = f" [dim](since step {finding.since})[/]" if finding.since is not None else ""
    out.print(f"  {where}{escape(printable(finding.message))}{since}")


def _print_advice(finding: "Finding", out: "Console") -> None:
    from rich.markup import escape

    if finding.advice:
        out.print(f"  [dim]What to do:[/] {escape(printable(finding.advice))}")


def _print_hints(findings: "Sequence[Finding]", out: "Console") -> None:
    from weightsmith.rules import fix_hint

    out.print("  [dim]A way to mend it, to be read before it is used:[/]")
    for line in fix_hint(*findings).splitlines():
        out.print(f"    {printable(line)}", markup=False, style="green", soft_wrap=True)


def _summary(report: "Report") -> str:
    counts = [sum(finding.severity == severity for finding in report) for severity in SEVERITY_STYLES]
    parts = [
        f"[{style}]{_counted(count, 'note' if severity == 'info' else severity)}[/]"
        for count, (severity, style) in zip(counts, SEVERITY_STYLES.items(), strict=True)
        if count
    ]
    found = ", ".join(parts) or "No findings" + " that are new" * report.has_baseline
    return f"{found} from {_counted(len(report.checked), 'rule')}."


def _print_passed(report: "Report", out: "Console") -> None:
    from rich.markup import escape

    if report.has_baseline:
        verb = "is" if report.gone == 1 else "are"
        gone = f"; {report.gone} of the baseline {verb} gone: write it anew" if report.gone else ""
        out.print(f"[dim]In the baseline: {_counted(len(report.known), 'known finding')}{gone}.[/]")
    reasons: dict[str, int] = {}
    for item in report.suppressed:
        reasons[item.reason] = reasons.get(item.reason, 0) + 1
    for reason, count in reasons.items():
        out.print(f"[dim]Suppressed: {_counted(count, 'finding')}: {escape(printable(reason))}[/]")
    for text in report.idle:
        out.print(f"[dim]info: a suppression matched nothing: {escape(printable(text))}[/]")


def _print_not_checked(report: "Report", out: "Console") -> None:
    from rich.markup import escape

    from weightsmith.rules.reports.unjudged import not_checked

    lines = list(not_checked(report))
    if lines:
        out.print("[dim]Not checked:[/]")
        for line in lines:
            out.print(f"[dim]  {escape(line)}[/]")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
