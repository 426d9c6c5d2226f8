"""`weightsmith runs`: which runs the store holds, everything about one of them, and its tags and note."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weightsmith.cli.options import JsonOption, StoreOption, open_store, print_json, read_note
from weightsmith.names import printable

if TYPE_CHECKING:
    from weightsmith.store import Run, RunSummary, Store

STATUS_COLORS = {"completed": "green", "running": "cyan", "failed": "red", "lost": "red", "interrupted": "yellow"}

NOTE_SHOWN = 60
"""Characters of a note that the list has room for."""


def runs(
    reference: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="A run's id, the start of it, its name, or 'latest'.", show_default=False),
    ] = None,
    *,
    tags: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="WORD", help="Tag RUN; without RUN, list what has all these tags. Repeatable."),
    ] = None,
    untag: Annotated[
        list[str] | None, typer.Option(metavar="WORD", help="Take a tag away from RUN. May be repeated.")
    ] = None,
    note: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="RUN's note; - reads standard input, '' removes it.", show_default=False),
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete RUN and its files, after asking.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before deleting.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Show at most this many runs.")] = 50,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List recorded runs, newest first; with RUN, show that one in full, or tag it and take notes.

    Examples: `weightsmith runs --tag baseline`, `weightsmith runs latest --json`,
    `weightsmith runs latest --tag baseline --note "the one to beat"`, `weightsmith runs 20261123-2047 --delete`
    """
    _check_options(reference, delete=delete, untag=untag, note=note, changes=bool(tags or untag) or note is not None)
    with open_store(store) as opened:
        if reference is None:
            wanted = set(tags or ())
            found = [summary for summary in opened.runs() if wanted <= set(summary.tags)]
            _list(found[:limit], opened.label, tags or [], as_json=as_json)
            return
        run = opened.run(reference)
        if delete:
            _delete(opened, run, sure=yes)
        elif tags or untag or note is not None:
            opened.annotate(run.id, tags=tags or (), untag=untag or (), note=read_note(note))
            _tell(opened.run(run.id), as_json=as_json)
        else:
            _show(run, as_json=as_json)


def _check_options(
    reference: str | None, *, delete: bool, untag: list[str] | None, note: str | None, changes: bool
) -> None:
    from weightsmith.errors import InputError

    if reference is None:
        for option, given in (("--delete", delete), ("--untag", untag), ("--note", note is not None)):
            if given:
                raise InputError(f"{option} needs the run that is meant: weightsmith runs RUN {option}")
    elif delete and changes:
        raise InputError("--delete goes without --tag, --untag and --note")


def _delete(store: "Store", run: "Run", *, sure: bool) -> None:
    if not sure:
        typer.confirm(f"Delete run {run.id} ({run.name or 'no name'}) and its files?", abort=True)
    store.delete_run(run.id)
    typer.echo(f"deleted {run.id}")


def _tell(run: "Run", *, as_json: bool) -> None:
    """What a run that was just annotated is tagged and noted with."""
    if as_json:
        print_json(run={"id": run.id, "tags": run.tags, "note": run.note})
        return
    tags = f"tagged {' '.join(run.tags)}" if run.tags else "without tags"
    lines = run.note.count("\n") + 1 if run.note else 0
    note = f"a note of {lines} line{'s' * (lines > 1)}" if lines else "no note"
    typer.echo(printable(f"{run.id}: {tags}, {note}"))


def _list(summaries: "list[RunSummary]", label: str, tags: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json(runs=[asdict(summary) for summary in summaries])
    elif not summaries and tags:
        typer.echo(printable(f"No run in {label} is tagged {' and '.join(tags)}."))
    elif not summaries:
        typer.echo(f"No runs in {label} yet. Start one with: weightsmith train")
    else:
        _print_table(summaries, label)


def _print_table(summaries: "list[RunSummary]", label: str) -> None:
    """Plain columns: a table library would take a fifth of the time that this command may."""
    typer.secho(f"Runs in {printable(label)}\n", bold=True)
    typer.secho(f"{'run':<22}{'status':<13}{'age':<8}{'result':<22}{'verdict':<14}name, tags, note", dim=True)
    for summary in summaries:
        status = typer.style(f"{summary.status:<13}", fg=STATUS_COLORS.get(summary.status))
        facts = f"{_age(summary.created):<8}{result(summary.summary):<22}{summary.summary.get('verdict') or '':<14}"
        remarks = typer.style(printable(_remarks(summary)), dim=True)
        typer.echo(f"{summary.id:<22}{status}{printable(facts)}{printable(summary.name or '')}{remarks}".rstrip())


def _remarks(summary: "RunSummary") -> str:
    """Tags and the beginning of the note, as they follow the name."""
    tags = "".join(f"  #{tag}" for tag in summary.tags)
    first = (summary.note or "").partition("\n")[0]
    return f"{tags}  {first if len(first) <= NOTE_SHOWN else first[: NOTE_SHOWN - 1] + '…'}" if first else tags


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
        "tags": list(run.tags),
        "note": run.note,
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
    typer.echo(yaml.dump(_readable(text), Dumper=_blocks(), sort_keys=False, allow_unicode=True).rstrip())
    typer.echo("weights:")
    for weight in run.weights:
        shape = " x ".join(map(str, weight.shape)) or "scalar"
        typer.echo(f"  {printable(weight.name):<40} {shape:<20} {weight.dtype:<10} {weight.role}")


def _blocks() -> type:
    """YAML that keeps the lines of a text as lines."""
    import yaml

    class Blocks(yaml.SafeDumper):
        pass

    def text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Blocks.add_representer(str, text)
    return Blocks


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    return value.isoformat(" ", "seconds") if isinstance(value, datetime) else value
