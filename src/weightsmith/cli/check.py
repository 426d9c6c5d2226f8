"""`weightsmith check`: what is wrong with a run or with a file of weights."""

from typing import TYPE_CHECKING, Annotated

import typer

from weightsmith.cli.options import JsonOption, StoreOption, console, print_json
from weightsmith.names import printable

if TYPE_CHECKING:
    from rich.console import Console

    from weightsmith.rules import Report

SEVERITY_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def check(
    reference: Annotated[str, typer.Argument(metavar="[RUN|FILE]", help="A run, or a .safetensors file.")] = "latest",
    *,
    select: Annotated[
        list[str] | None, typer.Option("--select", help="Only these rules: WS101, WS2, dead-units.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="All rules but these.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for faults and say what to do about them.

    Exit code 0: no errors or warnings; 1: some; 2: bad input.

    Examples: `weightsmith check`, `weightsmith check model.safetensors --json`, `weightsmith check latest --select WS1`
    """
    from weightsmith.cli.subject import subject
    from weightsmith.rules import check as look

    with subject(reference, store) as opened:
        report = look(opened, select=select or (), ignore=ignore or ())
    if as_json:
        print_json(
            findings=[finding.to_json() for finding in report],
            not_checked=[{"code": item.code, "name": item.name, "reason": item.reason} for item in report.skipped],
            checked=list(report.checked),
        )
    else:
        print_report(report, console())
    raise typer.Exit(1 if report.faults else 0)


def print_report(report: "Report", out: "Console") -> None:
    """Print findings as linters do, then what was not checked and why."""
    from rich.markup import escape

    for finding in report:
        where = f"[bold]{escape(printable(finding.weight))}[/] " if finding.weight else ""
        since = f" [dim](since step {finding.since})[/]" if finding.since is not None else ""
        out.print(f"{where}[{SEVERITY_STYLES[finding.severity]}]{finding.code} {finding.name}[/]{since}")
        out.print(f"  {escape(printable(finding.message))}\n  [dim]{escape(printable(finding.advice))}[/]")
    counted = f"{len(report)} finding{'s' * (len(report) != 1)}"
    out.print(f"{counted if len(report) else 'No findings'} from {len(report.checked)} rules.")
    if report.skipped:
        out.print("[dim]Not checked:[/]")
        for item in report.skipped:
            out.print(f"[dim]  {item.code} {item.name}: {escape(printable(item.reason))}[/]")
