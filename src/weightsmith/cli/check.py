"""`weightsmith check`: what is wrong with a run or with a file of weights."""

import io
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weightsmith.cli.findings import SHOWN, print_report
from weightsmith.cli.options import JsonOption, StoreOption, console
from weightsmith.cli.progress import ReadingProgress
from weightsmith.cli.subject import RoleOption, subject

if TYPE_CHECKING:
    from weightsmith.rules import Configuration, Report

__all__ = ["check", "print_report"]


class Format(StrEnum):
    """What a report can be printed as."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"
    JUNIT = "junit"


class Level(StrEnum):
    """From which severity on a check fails."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


def check(
    reference: Annotated[
        str, typer.Argument(metavar="[RUN|FILE]", help="A run, or a file, folder or URL of weights.")
    ] = "latest",
    *,
    select: Annotated[
        list[str] | None, typer.Option("--select", help="Only these rules: WS101, WS2, dead-units.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="All rules but these.")] = None,
    fail_on: Annotated[
        Level | None,
        typer.Option("--fail-on", help="Least severity for exit code 1.", show_default="warning"),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.TEXT,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead.", show_default=False)
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help=f"Show more than {SHOWN} findings of a rule.")] = False,
    hints: Annotated[bool, typer.Option("--fix-hint", help="Show code or steps that mend each finding.")] = False,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="FILE", help="Fail only on what is not in it.", show_default=False),
    ] = None,
    write_baseline: Annotated[
        Path | None,
        typer.Option("--write-baseline", metavar="FILE", help="Accept all that is found.", show_default=False),
    ] = None,
    show_known: Annotated[bool, typer.Option("--show-known", help="Show what the baseline holds too.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Settings.",
            show_default="the nearest weightsmith.toml or pyproject.toml",
        ),
    ] = None,
    no_config: Annotated[bool, typer.Option("--no-config", help="Read no settings.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither use nor keep statistics of a scan.")] = False,
    roles: RoleOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for faults and say what to do about them.

    Exit code 0: nothing at or above --fail-on; 1: something; 2: bad input.

    Examples: `weightsmith check`, `weightsmith check model.safetensors --json`, `weightsmith check --select WS1`,
    `weightsmith check model.safetensors --baseline known.json --format sarif -o report.sarif`
    """
    from weightsmith.rules import Baseline
    from weightsmith.rules import check as look
    from weightsmith.scan import Cache, cache_folder

    form = _form(form, as_json)
    settings = _settings(config, no_config)
    known = Baseline.load(baseline) if baseline is not None else None
    shown = form is Format.TEXT
    with subject(reference, store, roles) as opened, ReadingProgress("checking", shown=shown) as progress:
        report = look(
            opened,
            select=_listed(select),
            ignore=_listed(ignore),
            configuration=settings,
            baseline=known,
            progress=progress,
            cache=None if no_cache else Cache(cache_folder(store)),
        )
    level = fail_on.value if fail_on is not None else settings.fail_on
    if write_baseline is not None:
        accepted = Baseline.of([*report.findings, *report.known])
        accepted.save(write_baseline)
        typer.echo(f"{len(accepted.known)} findings written to {write_baseline}", err=True)
    if form is Format.TEXT:
        _print_text(report, output, shown=None if show_all else SHOWN, known=show_known, hints=hints)
    else:
        _write(_machine_text(report, form, level, hints), output)
    raise typer.Exit(0 if write_baseline is not None else int(bool(report.at_least(level))))


def _form(form: Format, as_json: bool) -> Format:
    from weightsmith.errors import InputError

    if not as_json:
        return form
    if form not in (Format.TEXT, Format.JSON):
        raise InputError(f"--json is short for --format json: leave it out for --format {form.value}")
    return Format.JSON


def _settings(path: Path | None, none: bool) -> "Configuration":
    from weightsmith.errors import InputError
    from weightsmith.rules import Configuration

    if path is not None and none:
        raise InputError("--config and --no-config contradict each other: leave one out")
    if none:
        return Configuration()
    return Configuration.find() if path is None else Configuration.load(path)


def _listed(given: list[str] | None) -> list[str]:
    """Rules given one by one or several to an option, with commas between."""
    return [part.strip() for item in given or () for part in item.split(",") if part.strip()]


def _machine_text(report: "Report", form: Format, level: Any, hints: bool) -> str:
    from weightsmith.rules import fix_hint, reports

    if form is Format.GITHUB:
        return reports.github(report)
    if form is Format.JUNIT:
        return reports.junit(report, level)
    if form is Format.SARIF:
        facts = reports.sarif(report, hints=hints)
    else:
        facts = report.to_json()
        for fields, finding in zip(facts["findings"], report, strict=True) if hints else ():
            fields["fix_hint"] = fix_hint(finding)
    return json.dumps(facts, indent=2, allow_nan=False) + "\n"


def _print_text(report: "Report", output: Path | None, **how: Any) -> None:
    if output is None:
        print_report(report, console(), **how)
        return
    from rich.console import Console

    text = io.StringIO()
    print_report(report, Console(file=text, width=10_000, highlight=False, color_system=None), **how)
    _write(text.getvalue(), output)


def _write(text: str, output: Path | None) -> None:
    from weightsmith.rules.baseline import write_whole

    if output is None:
        sys.stdout.write(text)
    else:
        write_whole(output, text)
