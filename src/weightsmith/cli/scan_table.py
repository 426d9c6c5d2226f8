"""A scan as people read it: columns chosen for the width of the terminal, numbers never cut, long names shortened.

Plain columns, as for `weightsmith runs`: a table library would take longer than all the rest of a cached scan.
"""

import itertools
import math
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import typer

from weightsmith.cli.options import PIPE_WIDTH
from weightsmith.names import printable
from weightsmith.scan.layers import Node
from weightsmith.scan.summary import Scan
from weightsmith.scan.table import Row, Totals

SHOWN: Final = (
    "name",
    "shape",
    "dtype",
    "role",
    "elements",
    "mean",
    "std",
    "min",
    "max",
    "zeros",
    "kurtosis",
    "outliers",
)
"""Columns of the table, in order, where there is room for all; more than that belongs into --columns, CSV or JSON."""

_FIRST: Final = (
    "name",
    "shape",
    "std",
    "min",
    "max",
    "zeros",
    "dtype",
    "role",
    "kurtosis",
    "mean",
    "outliers",
    "elements",
)
"""The same columns, the ones to keep longest first."""

_LAST: Final = ("p50", "bits", "l2")
"""Columns that are added where there is room."""

_NAME: Final = 24
"""Least width of names."""

_GAP: Final = 2
_LEFT: Final = frozenset({"name", "dtype", "role", "shape", "tied_to", "reason"})
_TITLES: Final = {"sparsity": "zeros"}
_SHARES: Final = frozenset({"sparsity", "outliers"})
_COUNTS: Final = frozenset({"elements", "bytes", "zeros", "nan", "inf", "subnormals"})
_UNITS: Final = ("", "K", "M", "G", "T", "P")


def width() -> int:
    """Columns of the terminal; many where the output goes into a pipe or a file."""
    fixed = sys.stdout.isatty() or "COLUMNS" in os.environ
    return shutil.get_terminal_size().columns if fixed else PIPE_WIDTH


def candidates(extra: Sequence[str] = ()) -> tuple[str, ...]:
    """Every column that the table could show without being asked."""
    return (*SHOWN, *_LAST, *extra, "nan", "inf", "tied_to", "reason", "sparsity")


def print_table(table: Sequence[Row], columns: Sequence[str] | None, extra: Sequence[str], room: int) -> None:
    """Print rows.

    Args:
        table: rows with all columns of `candidates`, or with `columns`.
        columns: which to show; None for as many as fit.
        extra: columns that must be among them.
        room: width of the terminal.
    """
    cells = {name: [_cell(name, entry) for entry in table] for name in columns or (*SHOWN, *_LAST, *extra)}
    widths = {name: max([len(name), *map(_cells, texts)]) for name, texts in cells.items()}
    notes = [] if columns else [_note(entry) for entry in table]
    noted = min(max(map(_cells, notes), default=0), max(room // 4, _NAME))
    room -= noted + _GAP if noted else 0
    chosen = list(columns or _fitting(widths, extra, room))
    if not columns:
        others = sum(widths[name] + _GAP for name in chosen if name != "name")
        widths["name"] = min(widths["name"], max(room - others, _NAME))
    typer.secho(_line({name: name for name in chosen}, widths), dim=True)
    for index in range(len(table)):
        line = _line({name: cells[name][index] for name in chosen}, widths)
        if notes and notes[index]:
            line += " " * _GAP + _warning(_shortened(notes[index], noted))
        typer.echo(line.rstrip())


def _fitting(widths: Mapping[str, int], extra: Sequence[str], room: int) -> list[str]:
    left = room - min(widths["name"], max(_NAME, room // 3))
    chosen = {"name"}
    for name in (*extra, *_FIRST[1:], *_LAST):
        if widths[name] + _GAP > left:
            if name in extra:
                chosen.add(name)
                continue
            break
        chosen.add(name)
        left -= widths[name] + _GAP
    return [name for name in (*SHOWN, *_LAST, *extra) if name in chosen]


def _line(texts: Mapping[str, str], widths: Mapping[str, int]) -> str:
    cells = []
    for name, text in texts.items():
        size = widths[name]
        cells.append(_padded(_shortened(text, size), size) if name in _LEFT else text.rjust(size))
    return (" " * _GAP).join(cells)


def _cells(text: str) -> int:
    """Columns of a terminal that it takes: ideographs two, accents that combine none."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def _cells_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _padded(text: str, size: int) -> str:
    return text + " " * (size - _cells(text))


def _shortened(text: str, size: int) -> str:
    """At most `size` columns, the middle left out: the start says where, the end says what."""
    if _cells(text) <= size:
        return text
    start = (size - 1) // 3
    return f"{_beginning(text, start)}…{_beginning(text[::-1], size - 1 - start)[::-1]}"


def _beginning(text: str, size: int) -> str:
    ends = itertools.accumulate(map(_cells_of, text))
    return text[: sum(1 for _ in itertools.takewhile(lambda end: end <= size, ends))]


def _warning(text: str) -> str:
    """In yellow, where colors are wanted (no-color.org)."""
    return text if os.environ.get("NO_COLOR") else typer.style(text, fg="yellow")


def _note(entry: Row) -> str:
    """What is wrong or special, in few words."""
    if entry.get("reason"):
        return f"not read: {printable(entry['reason'])}"
    notes = [f"{entry[name]:,} {word}" for name, word in (("nan", "NaN"), ("inf", "Inf")) if entry.get(name)]
    if entry.get("tied_to"):
        notes.append(f"= {printable(entry['tied_to'])}")
    return ", ".join(notes)


def _cell(column: str, entry: Row) -> str:
    value = entry[column]
    if column == "zeros" and value:
        return _share(value / entry["elements"])
    return format_value(column, value)


def format_value(column: str, value: Any) -> str:
    """A value as the table shows it."""
    if value is None:
        return "" if column in _LEFT else "-"
    if isinstance(value, list):
        return "x".join(map(str, value)) or "scalar"
    if isinstance(value, str):
        return printable(value)
    if column in _SHARES:
        return _share(value)
    if column in _COUNTS:
        return quantity(value)
    return _number(value)


def _number(value: float) -> str:
    """Three significant digits in as few characters as they take."""
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1000):
        return str(int(value))
    text = f"{value:.3g}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    return f"{mantissa}e{int(exponent)}" if math.isfinite(value) else text


def _share(value: float) -> str:
    if value == 0:
        return "0"
    percent = 100 * value
    if percent < 0.001:
        return f"{_number(float(f'{percent:.1g}'))}%"
    return "100%" if value == 1 else f"{min(percent, 99.99):.{3 if percent < 99.9 else 4}g}%"


def quantity(value: float) -> str:
    """A count in at most five characters: `987`, `1.23K`, `23.8M`."""
    size = float(value)
    unit = 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size /= 1000
        unit += 1
    return f"{size:.3g}{_UNITS[unit]}"


def headline(scan: Scan, found: Totals) -> str:
    """What was scanned, in a line."""
    some = "weight" if found.tensors == 1 else "weights"
    dtypes = " + ".join(f"{_share(count / (found.elements or 1))} {name}" for name, count in found.dtypes.items())
    only = next(iter(found.dtypes), "") if len(found.dtypes) < 2 else dtypes
    parts = [
        f"{found.tensors:,} {some}",
        f"{quantity(found.elements)} values" if found.elements >= 1000 else f"{found.elements} values",
        f"{quantity(found.bytes)}B",
        *([only] if only else []),
        *([scan.file_format] if scan.file_format else []),
    ]
    how = "cached" if scan.cached else f"{scan.seconds:.2f} s"
    return f"{printable(scan.label)}: {', '.join(parts)} ({how})"


def print_remainder(scan: Scan) -> None:
    """List what was not read and what the source left aside, each with its reason."""
    for title, lines in (("Not read", list(_unread(scan))), ("Left aside", list(_aside(scan)))):
        if lines:
            typer.secho(f"\n{title}:", dim=True)
            for line in lines:
                typer.secho(f"  {line}", dim=True)


def _unread(scan: Scan) -> Iterator[str]:
    for summary in scan.unread:
        yield f"{printable(summary.name)}: {printable(summary.reason or '')}"


def _aside(scan: Scan) -> Iterator[str]:
    """Things of one reason in one line."""
    groups: dict[str, list[tuple[str, int]]] = {}
    for item in scan.aside:
        groups.setdefault(item.reason, []).append((item.name, item.nbytes))
    for reason, items in groups.items():
        size = sum(nbytes for _, nbytes in items)
        names = ", ".join(_shortened(printable(name), 40) for name, _ in items[:3])
        more = f" and {len(items) - 3:,} more" if len(items) > 3 else ""
        yield f"{names}{more}: {printable(reason)}{f' ({quantity(size)}B)' if size else ''}"


def print_tree(root: Node, room: int) -> None:
    """Print the modules, indented, each with the sum of what lies below it."""
    lines = [(f"{'  ' * max(depth - 1, 0)}{printable(node.name)}", node) for depth, node in root.walk()]
    names = ["all" if node is root else name for name, node in lines]
    facts = [_facts(node) for _, node in lines]
    titles = ("weights", "values", "bytes", "norm", "zeros")
    sizes = [max(len(title), *(len(fact[at]) for fact in facts)) for at, title in enumerate(titles)]
    longest = max(min(max(map(_cells, names)), room - sum(sizes) - _GAP * len(sizes)), _NAME)
    header = (" " * _GAP).join(["module".ljust(longest), *(t.rjust(s) for t, s in zip(titles, sizes, strict=True))])
    typer.secho(header, dim=True)
    for name, fact, (_, node) in zip(names, facts, lines, strict=True):
        cells = (" " * _GAP).join(text.rjust(size) for text, size in zip(fact, sizes, strict=True))
        shown = typer.style(_padded(_shortened(name, longest), longest), bold=node.summary is None)
        flags = _flags(node)
        typer.echo(f"{shown}{' ' * _GAP}{cells}" + (f"{' ' * _GAP}{_warning(flags)}" if flags else ""))


def _facts(node: Node) -> tuple[str, ...]:
    zeros = _share(node.zeros / node.elements) if node.elements else "-"
    return (
        str(node.weights) if node.summary is None else "",
        quantity(node.elements),
        f"{quantity(node.bytes)}B",
        _number(node.norm),
        zeros,
    )


def _flags(node: Node) -> str:
    flags = [f"{node.non_finite:,} NaN or Inf"] if node.non_finite else []
    return ", ".join([*flags, f"{node.unread} not read"] if node.unread else flags)
