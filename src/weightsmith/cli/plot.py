"""`weightsmith plot`: pictures of a run or of a file of weights."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weightsmith.cli.options import JsonOption, StoreOption, console, print_json
from weightsmith.cli.progress import CountingProgress

if TYPE_CHECKING:
    from rich.console import Console

    from weightsmith.plots import Pictures
    from weightsmith.sources import Source
    from weightsmith.store import Run


def plot(
    reference: Annotated[
        str, typer.Argument(metavar="[RUN|FILE]", help="A run, or a file of weights of any format and size.")
    ] = "latest",
    *,
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", "-k", help="Only this picture; may be repeated. See --list.")
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weight",
            "-w",
            metavar="NAME|PATTERN",
            help="Draw these weights, such as 'encoder.*.key.weight'; may be repeated.",
            show_default="all matrices, or of more than 8 the 4 most remarkable",
        ),
    ] = None,
    statistics: Annotated[
        list[str] | None,
        typer.Option(
            "--statistic",
            "-s",
            help="Of the profile: rms, norm, kurtosis, sparsity, stable_rank or alpha; may be repeated.",
        ),
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", help="Of the embedding: tsne, pca or umap.", show_default="tsne")
    ] = None,
    dimensions: Annotated[
        int | None, typer.Option("--dimensions", help="Of the embedding: 2 or 3.", show_default="2")
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option("--time-limit", metavar="SECONDS", help="For each spectrum, layout, or profile's spectra."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the pictures.", show_default="beside the run, in the store"),
    ] = None,
    picture_format: Annotated[str, typer.Option("--format", "-f", help="png, svg or pdf.")] = "png",
    theme: Annotated[str, typer.Option("--theme", help="light or dark.")] = "light",
    list_kinds: Annotated[bool, typer.Option("--list", help="List the kinds of pictures and stop.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw pictures of a training, or of the weights of any file: heatmaps, spectra, profiles, t-SNE and more.

    Examples: `weightsmith plot`, `weightsmith plot latest --kind curves --format svg -o pictures`,
    `weightsmith plot model.onnx --kind profile --statistic kurtosis`,
    `weightsmith plot model.safetensors -k heatmap -k spectrum --weight '*.key.weight' --theme dark`,
    `weightsmith plot model.gguf -k embedding --method pca --dimensions 3 -w token_embd.weight --json`
    """
    if list_kinds:
        _list(as_json=as_json)
        return
    from weightsmith.cli.subject import subject
    from weightsmith.plots import plot_run, plot_source
    from weightsmith.store import Run

    with subject(reference, store) as opened, CountingProgress("drawing", shown=not as_json) as progress:
        folder = output or _default_folder(opened, reference, store)
        given = {"statistics": statistics, "method": method, "dimensions": dimensions, "time_limit": time_limit}
        options = {name: value for name, value in given.items() if value is not None}
        draw = partial(plot_run, opened) if isinstance(opened, Run) else partial(plot_source, opened)
        pictures = draw(folder, kinds, picture_format, weights=weights, theme=theme, progress=progress, **options)
    if as_json:
        skipped = [{"picture": picture, "reason": reason} for picture, reason in pictures.skipped]
        print_json(pictures=[str(path) for path in pictures], records=_records(pictures), skipped=skipped)
    else:
        _print(pictures, folder, console())


def _records(pictures: "Pictures") -> list[dict[str, object]]:
    """What was drawn, and from which numbers."""
    from weightsmith.plots.numbers import numbers

    return [
        {"file": str(one.path), "kind": one.kind, "weight": one.weight, "numbers": numbers(one.record)}
        for one in pictures.drawn
    ]


def _list(*, as_json: bool) -> None:
    from weightsmith.plots import PLOTS

    kinds = [{"name": info.name, "reads": info.reads, "description": info.description} for info in PLOTS.values()]
    if as_json:
        print_json(kinds=kinds)
    else:
        for kind in kinds:
            typer.echo(f"{kind['name']:<12} {kind['reads']:<7} {kind['description']}")


def _default_folder(opened: "Run | Source", reference: str, store: str | None) -> Path:
    """A folder inside the store, as nothing is written elsewhere unasked."""
    from weightsmith.store import Run, Store

    if isinstance(opened, Run):
        return opened.files / "pictures"
    with Store.open(store) as kept:
        return kept.files / "pictures" / Path(reference).stem


def _print(pictures: "Pictures", folder: Path, out: "Console") -> None:
    for path in pictures:
        out.print(str(path), soft_wrap=True, markup=False)
    plural = "s" * (len(pictures) != 1)
    out.print(f"{len(pictures)} picture{plural} in {folder}", soft_wrap=True, markup=False)
    if pictures.skipped:
        out.print("[dim]Not drawn:[/]")
        for picture, reason in pictures.skipped:
            out.print(f"  {picture}: {reason}", style="dim", markup=False)
