"""The model of a run, packed and measured, for `weightsmith pack`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightsmith.cli.options import console, print_json
from weightsmith.cli.progress import CountingProgress
from weightsmith.names import printable

if TYPE_CHECKING:
    from rich.console import Console
    from torch import Tensor, nn

    from weightsmith.kinds.packed.choice import Choices
    from weightsmith.kinds.packed.report import PackReport, Timing
    from weightsmith.packing import Floats
    from weightsmith.store import Run
    from weightsmith.train.rebuild import Rebuilt

MOST_ROWS = 10_000
"""Test rows on which outputs are compared."""

TOLERATED = 1e-3
"""Share of rows whose decision may change before the exit code says so."""


def pack_run(
    run: "Run", target: Path, values: "Floats | None", batch: int | None, theme: str | None, *, as_json: bool
) -> int:
    """Pack a run's model, write it, and say what became of it.

    Args:
        run: with a recipe.
        target: file to write.
        values: to round to.
        batch: rows at once that layers are to be fast for; None to pack all that can be.
        theme: of the report's picture; None for no report.
        as_json: print facts instead of tables.

    Returns:
        The exit code.
    """
    from weightsmith.kinds import pack
    from weightsmith.kinds.packed import save_packed
    from weightsmith.train.rebuild import rebuild

    with CountingProgress("building the model", shown=not as_json) as progress:
        rebuilt = rebuild(run)
        rows, split = _rows(rebuilt)
        progress(0, 2, "packing" if batch is None else "measuring layers")
        sample = None if batch is None else _repeated(rows, batch)
        packed = pack(rebuilt.model, sample=sample, measure=batch is not None, values=values or "float32")
        progress(1, 2, "writing")
        save_packed(packed, target)
        report = None if theme is None else _measure(rebuilt, packed, rows, target, progress)
    picture = None if report is None or theme is None else _draw(run, rebuilt, report, split, target, theme)
    choices: Choices = packed.report  # type: ignore[assignment]
    size = target.stat().st_size
    if as_json:
        print_json(**_facts(run, rebuilt, target, choices, report, picture))
    else:
        _print_choices(choices, console())
        if rebuilt.note:
            console().print(rebuilt.note, markup=False, style="dim", soft_wrap=True)
        if report is not None:
            print_report(report, split, console())
        before = sum(parameter.nbytes for parameter in rebuilt.model.parameters())
        console().print(f"{before:,} bytes of weights, packed into {size:,} bytes, {before / size:.3g} times smaller.")
        for path in (target, *([picture] if picture else [])):
            console().print(str(path), soft_wrap=True, markup=False)
    return int(report is not None and report.parity.changed > TOLERATED * report.parity.rows)


def _rows(rebuilt: "Rebuilt") -> "tuple[Tensor, str]":
    import torch

    which, split = rebuilt.held_out
    return split.batch(torch.arange(min(len(split), MOST_ROWS)))[0], which


def _repeated(rows: "Tensor", count: int) -> "Tensor":
    import torch

    return rows[torch.arange(count) % len(rows)]


def _measure(
    rebuilt: "Rebuilt", packed: "nn.Module", rows: "Tensor", target: Path, progress: CountingProgress
) -> "PackReport":
    from contextlib import nullcontext

    import torch

    from weightsmith.kinds.packed.report import measure_packed
    from weightsmith.train.evaluate import Measured
    from weightsmith.train.feed import Feed
    from weightsmith.train.objective import OBJECTIVES
    from weightsmith.train.processes import Processes

    here = torch.device("cpu")
    objective = OBJECTIVES[rebuilt.data.task]
    split = Feed(rebuilt.data.test or rebuilt.data.validation, here)
    measured = Measured(split, objective, Processes(0, 1, here), 1)
    return measure_packed(
        rebuilt.model,
        packed,
        rows,
        file_bytes=target.stat().st_size,
        score=lambda model: measured.scores(model, nullcontext()).metric,
        metric=objective.metric,
        progress=progress,
    )


def _draw(run: "Run", rebuilt: "Rebuilt", report: "PackReport", split: str, target: Path, theme: str) -> Path:
    from weightsmith.plots import save
    from weightsmith.plots.packed import draw_report
    from weightsmith.plots.style import theme_named
    from weightsmith.plots.subject import run_line

    line = run_line(run, f"weights of step {rebuilt.step:,}", f"{split} rows of {Path(rebuilt.data.name).name}")
    return save(draw_report(report, theme_named(theme), line), target.with_suffix(".report.png"))


def _facts(
    run: "Run", rebuilt: "Rebuilt", target: Path, choices: "Choices", report: "PackReport | None", picture: Path | None
) -> dict[str, Any]:
    weights = [
        {
            "name": choice.weight,
            "form": choice.form,
            "reason": choice.reason,
            "resident": choice.nbytes,
            "seconds": dict(choice.seconds),
        }
        for choice in choices.choices
    ]
    before = sum(parameter.nbytes for parameter in rebuilt.model.parameters())
    return {
        "run": run.id,
        "step": rebuilt.step,
        "output": str(target),
        "bytes": {"before": before, "after": target.stat().st_size},
        "weights": weights,
        "notes": [*choices.notes, *([rebuilt.note] if rebuilt.note else [])],
        "report": report and report.to_json(),
        "picture": picture and str(picture),
    }


def _print_choices(choices: "Choices", out: "Console") -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("weight", overflow="fold")
    table.add_column("kept as")
    table.add_column("bytes in memory", justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for choice in choices.choices:
        nbytes = f"{choice.nbytes:,}" if choice.nbytes else ""
        table.add_row(escape(printable(choice.weight)), choice.form, nbytes, escape(printable(choice.reason)))
    out.print(table)
    for note in choices.notes:
        out.print(printable(note), markup=False, style="dim", soft_wrap=True)


def print_report(report: "PackReport", split: str, out: "Console") -> None:
    """Print what was measured: quality and parity, bytes, and latency as a table."""
    from rich import box
    from rich.table import Table

    for name in ("trained", "packed"):
        if name in report.scores:
            out.print(f"{name.capitalize():<8} {report.metric} on the {split} rows: {report.scores[name]:.4f}")
    parity = report.parity
    out.print(_parity(parity.exact, parity.difference, parity.largest, parity.rows))
    if parity.changed:
        out.print(f"{parity.changed} of {parity.rows:,} rows are decided otherwise.")
    sizes = Table(box=box.SIMPLE_HEAD)
    for heading in ("bytes", "float32", "bfloat16", "packed", "times smaller"):
        sizes.add_column(heading, justify="left" if heading == "bytes" else "right")
    for what, found in (("on disk", report.disk), ("in memory", report.resident)):
        times = f"{found['float32'] / max(1, found['packed']):.3g}"
        sizes.add_row(what, *(f"{found[kind]:,}" for kind in ("float32", "bfloat16", "packed")), times)
    out.print(sizes)
    out.print(_latencies(report))
    out.print(f"Medians on this machine, {report.threads} threads; times faster than dense float32 and bfloat16.")
    for note in report.notes:
        out.print(note, markup=False, style="dim")


def _parity(exact: bool, difference: float, largest: float, rows: int) -> str:
    if exact:
        return f"The outputs of {rows:,} rows are equal to the last bit."
    return f"The outputs of {rows:,} rows differ by {difference:.2g} at most, where the largest is {largest:.3g}."


def _latencies(report: "PackReport") -> Any:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("packed, ms", overflow="fold")
    for timing in report.whole:
        table.add_column(f"batch {timing.batch}", justify="right", no_wrap=True)
    table.add_row("[bold]whole model[/]", *map(_latency, report.whole))
    for layer in report.layers:
        table.add_row(f"{escape(printable(layer.weight))} [dim]{layer.layer}[/]", *map(_latency, layer.timings))
    return table


def _latency(timing: "Timing") -> str:
    gains = [timing.speedup(kind) for kind in ("float32", "bfloat16")]
    shown = " ".join("-" if gain is None else f"{gain:.3g}x" for gain in gains)
    return f"{timing.seconds['packed'] * 1e3:.3g} ({shown})"
