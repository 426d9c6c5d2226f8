"""`weightsmith runs`: which runs the store holds, or everything about one of them."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weightsmith.cli.options import JsonOption, StoreOption, open_store, print_json
from weightsmith.names import printable

if TYPE_CHECKING:
    from weightsmith.store import Run, RunSummary

STATUS_COLORS = {"completed": "green", "running": "cyan", "failed": "red", "lost": "red", "interrupted": "yellow"}


def runs(
    reference: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="A run's id, the start of it, its name, or 'latest'.", show_default=False),
    ] = None,
    *,
    delete: Annotated[bool, typer.Option("--delete", help="Delete RUN and its files, after asking.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before deleting.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Show at most this many runs.")] = 50,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List recorded runs, newest first; with RUN, show that one in full.

    Examples: `weightsmith runs`, `weightsmith runs latest --json`, `weightsmith runs 20261123-2047 --delete`
    """
    from weightsmith.errors import InputError

    with open_store(store) as opened:
        if reference is None:
            if delete:
                raise InputError("--delete needs the run to delete: weightsmith runs RUN --delete")
            _list(opened.runs()[:limit], opened.label, as_json=as_json)
        elif delete:
            run = opened.run(reference)
            if not yes:
                typer.confirm(f"Delete run {run.id} ({run.name or 'no name'}) and its files?", abort=True)
            opened.delete_run(run.id)
            typer.echo(f"deleted {run.id}")
        else:
            _show(opened.run(reference), as_json=as_json)


def _list(summaries: "list[RunSummary]", label: str, *, as_json: bool) -> None:
    if as_json:
        print_json(runs=[asdict(summary) for summary in summaries])
    elif not summaries:
        typer.echo(f"No runs in {label} yet. Start one with: weightsmith train")
    else:
        _print_table(summaries, label)


def _print_table(summaries: "list[RunSummary]", label: str) -> None:
    """Plain columns: a table library would take a fifth of the time that this command may."""
    typer.secho(f"Runs in {printable(label)}\n", bold=True)
    typer.secho(f"{'run':<22}{'status':<13}{'age':<8}{'result':<22}{'verdict':<14}name", dim=True)
    for summary in summaries:
        status = typer.style(f"{summary.status:<13}", fg=STATUS_COLORS.get(summary.status))
        facts = f"{_age(summary.created):<8}{result(summary.summary):<22}{summary.summary.get('verdict') or '':<14}"
        typer.echo(f"{summary.id:<22}{status}{printable(facts)}{printable(summary.name or '')}".rstrip())


def result(summary: dict[str, Any]) -> str:
    """The one number a run is judged by, in words: `0.981 accuracy` on the test rows, else on the validation rows."""
    metric = summary.get("metric", "loss")
    for prefix, rows in (("test", ""), ("val", "val. ")):
        value = summary.get(f"{prefix}_{metric}")
        if isinstance(value, int | float):
            return f"{value:.4g} {rows}{metric}"
    return ""


def _age(moment: datetime) -> str:
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _show(run: "Run", *, as_json: bool) -> None:
    facts = {
        "id": run.id,
        "name": run.name,
        "status": run.status,
        "created": run.created,
        "finished": run.finished,
        "error": run.error,
        "summary": run.summary,
        "recipe": run.recipe,
        "environment": run.environment,
        "weights": [weight.to_json() for weight in run.weights],
        "snapshots": [{"step": shot.step, "label": shot.label, "path": str(shot.path)} for shot in run.snapshots()],
        "events": [asdict(event) for event in run.events()],
    }
    if as_json:
        print_json(run=facts)
        return
    import yaml

    text = {key: value for key, value in facts.items() if value not in (None, [], {}) and key != "weights"}
    typer.echo(yaml.safe_dump(_readable(text), sort_keys=False, allow_unicode=True).rstrip())
    typer.echo("weights:")
    for weight in run.weights:
        shape = " x ".join(map(str, weight.shape)) or "scalar"
        typer.echo(f"  {printable(weight.name):<40} {shape:<20} {weight.dtype:<10} {weight.role}")


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    return value.isoformat(" ", "seconds") if isinstance(value, datetime) else value
