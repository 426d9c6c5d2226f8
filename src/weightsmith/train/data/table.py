"""Tables with named columns: CSV by Python's own reader, Parquet by pyarrow.

A column whose filled cells are all numbers is one feature. A column of text is a category and becomes one feature for
each of its values. A text column with more than 50 different values, or one with a few words among numbers, is refused.
Cells that are empty or one of NA, N/A, NaN, null, None and ? are missing.
"""

import csv
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import InputError, MissingExtraError, SourceError
from weightsmith.names import matches, suggestion
from weightsmith.train.data.raw import Raw

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
_MOST_LEVELS = 50
_NUMERIC_SHARE = 0.9
"""A text column with at least this share of numbers is taken for a damaged column of numbers."""

Column = NDArray[np.float64] | list[str | None]


def read_table(path: Path, target: str | None, exclude: Sequence[str]) -> Raw:
    """The columns of a CSV, TSV or Parquet file.

    Args:
        path: the file; `.parquet` needs the extra `tables`.
        target: name of the column to predict.
        exclude: shell patterns of columns to leave out.

    Raises:
        SourceError: naming the file, and the row or column, of what cannot be read.
        InputError: for a target that is not there.
        MissingExtraError: where pyarrow is missing.
    """
    columns = _parquet(path) if path.suffix == ".parquet" else _delimited(path)
    if target is None:
        raise InputError(f"data.target: name the column of {path} to predict: one of {', '.join(columns)}")
    if target not in columns:
        known = ", ".join(columns)
        raise InputError(
            f"data.target: {path} has no column '{target}': choose from {known}{suggestion(target, columns)}"
        )
    wanted = columns.pop(target)
    for pattern in exclude:
        if not any(matches(name, pattern) for name in [target, *columns]):
            raise InputError(f"data.exclude: '{pattern}' is no column of {path}{suggestion(pattern, columns)}")
    kept = {name: column for name, column in columns.items() if not matches(name, exclude)}
    if not kept:
        raise SourceError(f"{path}: has no column beside the target '{target}'")
    levels: dict[int, list[str]] = {}
    inputs = np.empty((len(wanted), len(kept)))
    for place, (name, column) in enumerate(kept.items()):
        if isinstance(column, np.ndarray):
            inputs[:, place] = column
        else:
            levels[place] = _levels(column, name, path)
            numbers = {level: float(number) for number, level in enumerate(levels[place])}
            inputs[:, place] = [np.nan if cell is None else numbers[cell] for cell in column]
    return Raw(str(path), inputs, _targets(wanted, target, path), feature_names=list(kept), levels=levels)


def _levels(column: list[str | None], name: str, path: Path) -> list[str]:
    filled = [cell for cell in column if cell is not None]
    levels = sorted(set(filled))
    strange = [cell for cell in filled if _number(cell) is None]
    if len(strange) <= (1 - _NUMERIC_SHARE) * len(filled):
        row = column.index(strange[0]) + 1
        raise SourceError(
            f"{path}: row {row} of column '{name}' is not a number but {strange[0]!r} ({len(strange)} such cells)"
        )
    if len(levels) > _MOST_LEVELS:
        raise SourceError(
            f"{path}: column '{name}' holds text with {len(levels)} different values, more than {_MOST_LEVELS}: "
            f"leave it out with data.exclude"
        )
    return levels


def _targets(column: Column, name: str, path: Path) -> NDArray[Any]:
    missing = [place for place, cell in enumerate(column) if cell is None or cell != cell]
    if missing:
        raise SourceError(f"{path}: row {missing[0] + 1} of the target '{name}' is missing ({len(missing)} such rows)")
    if isinstance(column, list):
        return np.array(column)
    whole = np.all(np.isfinite(column)) and np.all(column == np.floor(column)) and np.all(np.abs(column) < 2**53)
    return column.astype(np.int64) if whole else column


def _delimited(path: Path) -> dict[str, Column]:
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig", newline="")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig", newline="") as stream
        ):
            first = stream.readline()
            stream.seek(0)
            rows = [row for row in csv.reader(stream, delimiter=_delimiter(first), strict=True) if row]
    except UnicodeDecodeError:
        raise SourceError(f"{path}: not UTF-8 text") from None
    except csv.Error as error:
        raise SourceError(f"{path}: not a table: {error}") from None
    except (EOFError, zlib.error, OSError) as error:
        raise SourceError(f"{path}: cannot be read: {error}") from None
    if len(rows) < 2:
        raise SourceError(f"{path}: {'has a header but no rows' if rows else 'is empty'}")
    header = [name.strip() for name in rows[0]]
    _check_header(header, path)
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(header):
            raise SourceError(f"{path}: row {number} has {len(row)} cells, but the header has {len(header)}")
    return {name: _typed([row[place].strip() for row in rows[1:]]) for place, name in enumerate(header)}


def _delimiter(header: str) -> str:
    """The likeliest of comma, semicolon, tab and bar: the one that occurs most in the header."""
    return max(",;\t|", key=header.count)


def _check_header(header: list[str], path: Path) -> None:
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise SourceError(f"{path}: two columns are called '{twice[0]}'")
    if all(_number(name) is not None for name in header):
        raise SourceError(f"{path}: the first line holds numbers: put the names of the columns there")


def _typed(cells: list[str]) -> Column:
    """Numbers where every filled cell is one, else text; missing cells are NaN or None."""
    filled: list[str | None] = [None if cell.lower() in _MISSING else cell for cell in cells]
    numbers = [np.nan if cell is None else _number(cell) for cell in filled]
    if None in numbers:
        return filled
    return np.array(numbers, dtype=np.float64)


def _number(cell: str) -> float | None:
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _parquet(path: Path) -> dict[str, Column]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError(f"{path}: Parquet needs pyarrow: pip install 'weightsmith[tables]'") from None
    try:
        table = parquet.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path}: not a Parquet file: {' '.join(str(error).split())}") from None
    if not table.num_rows:
        raise SourceError(f"{path}: has columns but no rows")
    return {name: _from_arrow(table.column(name), name, path) for name in table.column_names}


def _from_arrow(column: Any, name: str, path: Path) -> Column:
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return np.array([np.nan if cell is None else float(cell) for cell in column.to_pylist()])
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind):
        return [None if cell is None else str(cell) for cell in column.to_pylist()]
    raise SourceError(
        f"{path}: column '{name}' is of type {column.type}, neither numbers nor text: leave it out with data.exclude"
    )
