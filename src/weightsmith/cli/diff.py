"""`weightsmith diff`: what changed between two checkpoints, in any formats, or between two steps of a run."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weightsmith.cli.options import JsonOption, StoreOption, console, print_json
from weightsmith.cli.subject import RoleOption

if TYPE_CHECKING:
    from rich.console import Console

    from weightsmith.analysis.diff import Change, Diff
    from weightsmith.sources import Source

_STEP = re.compile(r"(?P<run>.+)@(?P<step>\d+)")
_ORDER = (
    "incomparable",
    "reordered",
    "transposed",
    "changed",
    "quantized",
    "pruned",
    "reshaped",
    "converted",
    "identical",
)


def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A file, folder, URL, run, or RUN@STEP.")],
    after: Annotated[str, typer.Argument(metavar="B", help="What to compare it with; the format may differ.")],
    *,
    top: Annotated[int, typer.Option("--top", min=1, help="Show this many changed weights.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Show all weights, the equal ones too.")] = False,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Most threads to use.")] = None,
    roles: RoleOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what changed: tuned, pruned, converted, reordered, renamed or replaced, and where most.

    Exit code 0: the same weights under the same names; 1: something differs; 2: bad input.

    Examples: `weightsmith diff base.safetensors tuned.safetensors`, `weightsmith diff model.pt model.onnx --json`,
    `weightsmith diff latest@0 latest`
    """
    from weightsmith.analysis.diff import diff as compare
    from weightsmith.cli.progress import ReadingProgress

    with (
        _weights(before, store, roles) as old,
        _weights(after, store, roles) as new,
        ReadingProgress("comparing", shown=not as_json) as progress,
    ):
        found = compare(old, new, threads, progress)
    if as_json:
        print_json(**found.to_json())
    else:
        _print(found, None if everything else top, console())
    raise typer.Exit(0 if found.same else 1)


@contextmanager
def _weights(reference: str, store: str | None, roles: list[str] | None) -> "Iterator[Source]":
    from weightsmith.cli.subject import subject
    from weightsmith.store import Run

    named = None if Path(reference).exists() else _STEP.fullmatch(reference)
    with subject(named["run"] if named else reference, store, roles) as opened:
        if isinstance(opened, Run):
            yield opened.source(int(named["step"]) if named else None)
        else:
            yield opened


def _print(found: "Diff", top: int | None, out: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    from weightsmith.names import printable

    out.print(Text(found.verdict, style="bold"))
    shown = sorted(found.changes, key=_remarkable)
    if top is not None:
        shown = [change for change in shown if change.relation != "identical" or change.renamed][:top]
    if shown:
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("weight", overflow="fold")
        table.add_column("what")
        for header in ("change", "cosine", "signs flipped", "rank"):
            table.add_column(header, justify="right", no_wrap=True)
        table.add_column("rows that moved most", overflow="fold")
        for change in shown:
            table.add_row(*map(Text, _cells(change)))
        out.print(table)
    remaining = sum(change.relation != "identical" or change.renamed for change in found.changes) - len(shown)
    if top is not None and remaining > 0:
        out.print(Text(f"and {remaining} more (--all shows them)", style="dim"))
    for word, infos in (("only in A", found.removed), ("only in B", found.added)):
        for info in infos[: top or len(infos)]:
            out.print(Text(f"{word}: {printable(info.name)} {list(info.shape)} {info.dtype}"))
        if top is not None and len(infos) > top:
            out.print(Text(f"and {len(infos) - top} more {word}", style="dim"))


def _remarkable(change: "Change") -> tuple[int, float]:
    relative = change.relative if change.relative == change.relative else 0.0
    return _ORDER.index(change.relation), -relative


def _cells(change: "Change") -> tuple[str, ...]:
    from weightsmith.names import printable

    name = printable(change.before.name)
    if change.renamed:
        name += f" -> {printable(change.after.name)}"
    what: str = change.relation
    if change.retyped:
        what += f" {change.before.dtype} -> {change.after.dtype}"
    if change.through is not None:
        what += f" through {change.through}"
    compared = change.relation in ("changed", "pruned", "converted") or change.relative > 0
    rows = ", ".join(f"{row.row} ({row.relative:.1%})" for row in change.top_rows[:3])
    return (
        name,
        what,
        _relative(change.relative) if compared else "",
        f"{change.cosine:.5f}"
        if (compared or change.relation == "quantized") and change.cosine == change.cosine
        else "",
        f"{change.sign_flips:.2%}" if compared and change.sign_flips == change.sign_flips else "",
        _rank(change),
        change.reason or rows,
    )


def _relative(relative: float) -> str:
    return "from zero" if relative == float("inf") else f"{relative:.3%}"


def _rank(change: "Change") -> str:
    if change.rank is None:
        return ""
    return f"{change.rank.rank}" if change.rank.low else f"full ({change.rank.rank}/{change.rank.limit})"
