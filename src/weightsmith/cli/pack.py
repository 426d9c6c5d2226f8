"""`weightsmith pack`: binary and sparse weights as bits and columns, in a file that is really smaller."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weightsmith.cli.options import JsonOption, StoreOption, console, print_json
from weightsmith.cli.progress import ReadingProgress
from weightsmith.cli.subject import RoleOption, subject

if TYPE_CHECKING:
    from rich.console import Console

    from weightsmith.packing import Floats
    from weightsmith.sources import Source
    from weightsmith.sources.packed_source import PackedEntry


def pack(
    reference: Annotated[
        str, typer.Argument(metavar="RUN|FILE", help="A run trained by weightsmith train, or any file of weights.")
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help="File to write.", show_default="NAME.packed.safetensors"),
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(
            "--values",
            metavar="TYPE",
            help="Round values that are no bits: float32, float16, bfloat16.",
            show_default="nothing is rounded",
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option("--batch", min=1, help="Of a run: rows at once that its layers are to be fast for.")
    ] = 1,
    smallest: Annotated[
        bool, typer.Option("--smallest", help="Of a run: pack all that can be, even where dense is faster here.")
    ] = False,
    report: Annotated[
        bool,
        typer.Option("--report", help="Of a run: measure accuracy, parity, bytes and latency of the packed model."),
    ] = False,
    theme: Annotated[str, typer.Option("--theme", help="Of the report's picture: light or dark.")] = "light",
    roles: RoleOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write weights as small as they really are: bits, masks and columns in place of floats.

    Of a FILE each matrix is kept in the smallest format that loses nothing: two values as bits,
    three as bits and a mask, many zeros as a mask or columns. A RUN's model is built again and
    packed into fast layers, which stay dense where that is faster on this machine; --report
    measures the packed model against the trained one and draws it. The file opens in scan, check,
    diff and plot; docs/packing.md has its layout.

    Exit code 0: packed; 1: --report found that the packed model decides otherwise on more than one
    row in a thousand; 2: bad input.

    Examples: `weightsmith pack model.safetensors`, `weightsmith pack latest --report`,
    `weightsmith pack model.pt -o small.safetensors --values float16`
    """
    from typing import cast, get_args

    from weightsmith.names import choose
    from weightsmith.packing import Floats as Types
    from weightsmith.plots.style import theme_named
    from weightsmith.sources import Source as Opened

    rounded = cast("Floats | None", choose(values, get_args(Types), "type of values") if values else None)
    theme_named(theme)
    with subject(reference, store, roles) as opened:
        if isinstance(opened, Opened):
            _pack_file(opened, output, rounded, report=report, as_json=as_json)
            return
        from weightsmith.cli.pack_run import pack_run

        target = _target(output, opened.name or opened.id)
        code = pack_run(
            opened, target, rounded, None if smallest else batch, theme if report else None, as_json=as_json
        )
    raise typer.Exit(code)


def _target(output: Path | None, label: str, source: "Source | None" = None) -> Path:
    """Where to write: what was asked for, or a file in the working folder called after what is packed."""
    from weightsmith.errors import InputError
    from weightsmith.names import printable
    from weightsmith.sources import LocalFile

    target = output if output is not None else Path(f"{_stem(label)}.packed.safetensors")
    if target.is_dir():
        raise InputError(f"{printable(str(target))} is a folder: give a file to write with -o")
    own = [file.path for file in source.files if isinstance(file, LocalFile)] if source is not None else []
    if target.exists() and any(target.samefile(path) for path in own):
        raise InputError(f"{printable(str(target))} holds the weights themselves: give another file with -o")
    return target


def _stem(label: str) -> str:
    """The name of a file or folder without what says its format."""
    from weightsmith.sources.formats import FORMATS

    name = label.replace("\\", "/").rstrip("/").rpartition("/")[2]
    suffixes = sorted((suffix for each in FORMATS.values() for suffix in each.suffixes), key=len, reverse=True)
    return next((name[: -len(suffix)] for suffix in suffixes if name.lower().endswith(suffix)), name) or "weights"


def _pack_file(source: "Source", output: Path | None, values: "Floats | None", *, report: bool, as_json: bool) -> None:
    from weightsmith.errors import InputError
    from weightsmith.sources.packed import write_packed
    from weightsmith.sources.packed_source import pack_source, refuse_packed

    if report:
        raise InputError("--report measures a model, and a file has weights alone: give a run, or leave --report out")
    refuse_packed(source)
    target = _target(output, source.label, source)
    with ReadingProgress("packing", shown=not as_json) as progress:
        found = pack_source(source, values=values, progress=progress)
        write_packed(target, {each.info.name: each.entry for each in found}, source.metadata)
    if as_json:
        print_json(**_facts(source, target, found))
    else:
        _print(source, target, found, console())


def _facts(source: "Source", target: Path, found: "list[PackedEntry]") -> dict[str, Any]:
    from dataclasses import asdict

    weights = [
        {
            "name": each.info.name,
            "shape": list(each.info.shape),
            "dtype": each.info.dtype,
            "role": each.info.role,
            "format": each.format,
            "values": each.values,
            "before": each.before,
            "after": each.after,
            "candidates": [asdict(candidate) for candidate in each.candidates],
        }
        for each in found
    ]
    before = sum(each.before for each in found)
    return {
        "file": source.label,
        "output": str(target),
        "bytes": {"before": before, "after": target.stat().st_size},
        "weights": weights,
        "aside": [asdict(item) for item in source.aside],
    }


def _print(source: "Source", target: Path, found: "list[PackedEntry]", out: "Console") -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from weightsmith.names import printable

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("weight", "shape", "kept as"):
        table.add_column(heading, overflow="fold")
    for heading in ("before", "after", "times smaller"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("next best")
    for each in found:
        shape = "x".join(map(str, each.info.shape)) or "1"
        kept = f"{each.format} {each.values}"
        sizes = f"{each.before:,}", f"{each.after:,}", _times(each.before, each.after)
        table.add_row(escape(printable(each.info.name)), shape, kept, *sizes, _next_best(each))
    out.print(table)
    before, after = sum(each.before for each in found), target.stat().st_size
    out.print(
        f"{printable(source.label)}: {before:,} bytes of weights, packed into {after:,} bytes with the header, "
        f"{_times(before, after)} times smaller.",
        markup=False,
        soft_wrap=True,
    )
    if not any(each.format != "dense" for each in found):
        out.print("No weight is binary, ternary or sparse: what became smaller did so by a shorter type alone.")
    for item in source.aside:
        out.print(f"left aside: {printable(item.name)}: {item.reason}", markup=False, style="dim", soft_wrap=True)
    out.print(str(target), soft_wrap=True, markup=False)


def _times(before: int, after: int) -> str:
    return f"{before / after:.3g}" if after else "-"


def _next_best(each: "PackedEntry") -> str:
    """The smallest candidate of another format, and what it would take."""
    other = next((one for one in each.candidates if one.format != each.format), None)
    return "" if other is None else f"{other.format} {other.values}: {other.nbytes:,}"
