"""`weightsmith scan`: every statistic of every weight, in one pass."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weightsmith.cli.options import JsonOption, StoreOption, print_json
from weightsmith.cli.subject import RoleOption, subject

if TYPE_CHECKING:
    from weightsmith.scan import Scan
    from weightsmith.scan.layers import Node
    from weightsmith.scan.table import Row
    from weightsmith.scan.where import Condition
    from weightsmith.sources import Source

_PATIENCE = 0.3
"""Seconds before the progress bar is made at all; it appears somewhat later."""


def scan(
    reference: Annotated[str, typer.Argument(metavar="FILE|FOLDER|URL|RUN", help="What to scan.")],
    *,
    sort: Annotated[
        str | None, typer.Option("--sort", metavar="COLUMN", help="Order by a column.", show_default=False)
    ] = None,
    descending: Annotated[bool, typer.Option("--descending", help="The largest first.")] = False,
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            help="Only rows such as \"std > 0.1 and role == 'linear'\".",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="A,B,...", help="Show these columns.", show_default=False)
    ] = None,
    by_layer: Annotated[bool, typer.Option("--layers", help="A row for each layer instead of each weight.")] = False,
    as_tree: Annotated[bool, typer.Option("--tree", help="The modules with subtotals.")] = False,
    rank: Annotated[bool, typer.Option("--rank", help="Ranks of the matrices as well (takes longer).")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="PATH", help="Write all columns as CSV.")] = None,
    parquet: Annotated[Path | None, typer.Option("--parquet", metavar="PATH", help="... as Parquet.")] = None,
    executor: Annotated[
        str, typer.Option("--executor", metavar="NAME", help="Who counts: threads, processes or ray.")
    ] = "threads",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Most threads or processes.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither look up nor keep the scan.")] = False,
    role: RoleOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure every weight in one pass: moments, quantiles, zeros, NaN and Inf, outliers, norms, effective bits.

    Columns: name shape ndim dtype role elements bytes mean std min max p001 p01 p05 p25 p50 p75 p95 p99 p999 zeros
    sparsity nan inf subnormals skewness kurtosis outliers l1 l2 max_abs rms bits tied_to reason; with --rank also
    rank stable_rank effective_rank. In --where, matches(name, 'encoder.*') compares with a pattern.

    Examples: `weightsmith scan model.safetensors`, `weightsmith scan model.gguf --sort kurtosis --descending`,
    `weightsmith scan hf://org/model --where "sparsity > 0.5"`, `weightsmith scan latest --tree`
    """
    from weightsmith.cli import scan_table
    from weightsmith.scan import table
    from weightsmith.scan.where import where as understand

    ranks = table.RANKS if rank else ()
    known = (*table.COLUMNS, *ranks)
    condition, used = understand(where, known) if where else (None, set[str]())
    asked = table.check_columns([name.strip() for name in columns.split(",")], known) if columns else None
    table.check_columns([sort] if sort else [], known)
    if not as_json:  # which holds all that was asked for side by side
        _refuse_contradictions(as_tree, by_layer, rank, {"--sort": sort, "--columns": columns})
    with subject(reference, store, role) as opened:
        source = _source(opened)
        _refuse_overwriting(source, csv, parquet)
        found = _scan(source, store, threads, executor, cached=not no_cache, quiet=as_json)
        all_columns = bool(as_json or csv or parquet)
        wanted = (
            known if all_columns else tuple({*(asked or scan_table.candidates()), *used, *([sort] if sort else [])})
        )
        rows = _rows(found, source, wanted, by_layer=by_layer and not as_json, ranks=ranks)
        layers = _rows(found, source, known, by_layer=True, ranks=ranks) if as_json and by_layer else []
    rows = _chosen(rows, condition, sort, descending=descending)
    _export(rows, csv, parquet, known)
    if as_json:
        extra = {"layers": _chosen(layers, condition, sort, descending=descending)} if by_layer else {}
        extra.update({"modules": _modules(_tree(found, rows))} if as_tree else {})
        _print_json(found, rows, extra)
        return
    typer.secho(scan_table.headline(found, table.totals(found)), bold=True)
    if as_tree:
        scan_table.print_tree(_tree(found, rows), scan_table.width())
    else:
        scan_table.print_table(rows, asked, ranks, scan_table.width())
    scan_table.print_remainder(found)


def _refuse_contradictions(as_tree: bool, by_layer: bool, rank: bool, of_tables: "dict[str, str | None]") -> None:
    from weightsmith.errors import InputError

    if as_tree and by_layer:
        raise InputError("--tree and --layers are two views of the same: leave one out")
    for option, value in of_tables.items():
        if as_tree and value:
            raise InputError(f"{option} is for tables, and --tree has its own order and columns: leave one out")
    if by_layer and rank:
        raise InputError("--rank is of single matrices, and a layer may hold several: leave out --layers")


def _refuse_overwriting(source: "Source", csv: Path | None, parquet: Path | None) -> None:
    from weightsmith.errors import InputError
    from weightsmith.names import printable
    from weightsmith.sources import LocalFile

    weights = [file.path for file in source.files if isinstance(file, LocalFile)]
    for target in (csv, parquet):
        if target is not None and any(target.exists() and target.samefile(path) for path in weights):
            raise InputError(f"{printable(str(target))} holds the weights themselves: give another file for the table")
    if csv is not None and parquet is not None and csv.resolve() == parquet.resolve():
        raise InputError(f"--csv and --parquet would both write {printable(str(csv))}: give two files")


def _tree(found: "Scan", rows: "list[Row]") -> "Node":
    """The modules of the weights that the rows are about."""
    from dataclasses import replace

    from weightsmith.scan.layers import tree

    names = {entry["name"] for entry in rows}
    return tree(replace(found, summaries=tuple(one for one in found.summaries if one.name in names)))


def _modules(root: "Node") -> "list[Row]":
    from weightsmith.scan.layers import modules

    return modules(root)


def _source(opened: Any) -> "Source":
    from weightsmith.sources import Source

    return opened if isinstance(opened, Source) else opened.source()


def _scan(
    source: "Source", store: str | None, threads: int | None, executor: str, *, cached: bool, quiet: bool
) -> "Scan":
    from weightsmith.names import printable
    from weightsmith.scan import Cache, cache_folder
    from weightsmith.scan import scan as run

    began = time.monotonic()
    with ExitStack() as stack:
        bars: list[Any] = []

        def progress(done: int, total: int, name: str) -> None:
            if not bars and time.monotonic() - began > _PATIENCE:  # what ends sooner need not load a bar
                from weightsmith.cli.progress import ReadingProgress

                bars.append(stack.enter_context(ReadingProgress("scanning", shown=not quiet)))
            for bar in bars:
                bar(done, total, name)

        cache = Cache(cache_folder(store)) if cached else None
        found = run(source, threads=threads, progress=progress, cache=cache, executor=executor)
    if found.remark:
        typer.echo(f"warning: {printable(found.remark)}", err=True)
    return found


def _rows(
    found: "Scan", source: "Source", columns: tuple[str, ...], *, by_layer: bool, ranks: tuple[str, ...]
) -> "list[Row]":
    from weightsmith.scan import table

    own = tuple(name for name in columns if name not in table.RANKS)
    if by_layer:
        from weightsmith.scan.layers import layers

        return [{**dict.fromkeys(ranks), **entry} for entry in layers(found, own)]
    rows = table.rows(found.summaries, own)
    if ranks:
        for entry, weight in zip(rows, source.values(), strict=True):
            entry.update(_ranks(weight, source.file_format))
    return rows


def _ranks(weight: Any, file_format: str) -> "Row":
    from weightsmith.analysis import spectrum
    from weightsmith.errors import InputError
    from weightsmith.scan.table import RANKS
    from weightsmith.weight import MATRIX_ROLES

    if len(weight.shape) < 2 or weight.role not in MATRIX_ROLES:
        return dict.fromkeys(RANKS)
    try:
        found = spectrum(weight, file_format=file_format)
    except InputError:  # NaN, Inf, or not readable: the scan has said so
        return dict.fromkeys(RANKS)
    return {"rank": found.rank, "stable_rank": found.stable_rank, "effective_rank": found.effective_rank}


def _chosen(rows: "list[Row]", condition: "Condition | None", sort: str | None, *, descending: bool) -> "list[Row]":
    from weightsmith.scan.table import ordered

    kept = rows if condition is None else [entry for entry in rows if condition(entry)]
    return ordered(kept, sort, descending=descending) if sort else kept


def _export(rows: "list[Row]", csv: Path | None, parquet: Path | None, columns: tuple[str, ...]) -> None:
    from weightsmith.scan import export

    if csv is not None:
        export.write_csv(csv, rows, columns)
    if parquet is not None:
        export.write_parquet(parquet, rows, columns)


def _print_json(found: "Scan", rows: "list[Row]", extra: "dict[str, Any]") -> None:
    from dataclasses import asdict

    from weightsmith.scan.table import totals

    print_json(
        file=found.label,
        format=found.file_format,
        tensors=rows,
        **extra,
        aside=[asdict(item) for item in found.aside],
        totals=asdict(totals(found)),
        cached=found.cached,
    )
