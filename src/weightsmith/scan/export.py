"""Tables as files: CSV and Parquet, written whole or not at all."""

import csv
import io
import json
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from weightsmith.errors import InputError, MissingExtraError
from weightsmith.names import printable
from weightsmith.scan.table import Row


def write_csv(path: Path, table: Sequence[Row], columns: Sequence[str]) -> None:
    """Write rows as CSV in UTF-8: full precision, shapes as JSON lists, nothing where there is no value.

    Raises:
        InputError: it cannot be written there.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(entry[name]) for name in columns] for entry in table)
    _whole(path, lambda file: file.write(text.getvalue().encode("utf-8", "backslashreplace")))


def write_parquet(path: Path, table: Sequence[Row], columns: Sequence[str]) -> None:
    """Write rows as Parquet, for pandas, DuckDB or polars.

    Raises:
        InputError: it cannot be written there.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("--parquet needs pyarrow: pip install 'weightsmith[tables]'") from None
    data = {name: pyarrow.array([_clean(entry[name]) for entry in table], _type(pyarrow, name)) for name in columns}
    _whole(path, lambda file: parquet.write_table(pyarrow.table(data), file))


_TEXTS = frozenset({"name", "dtype", "role", "tied_to", "reason"})
_WHOLE = frozenset({"ndim", "elements", "bytes", "zeros", "nan", "inf", "subnormals", "rank"})


def _type(pyarrow: Any, name: str) -> Any:
    """A column's type follows from its name, so that a table without values has the same schema as any other."""
    if name in _TEXTS:
        return pyarrow.string()
    if name == "shape":
        return pyarrow.list_(pyarrow.int64())
    return pyarrow.int64() if name in _WHOLE else pyarrow.float64()


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value


def _clean(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    try:
        if path.exists() and not path.is_file():  # a device or a pipe takes the bytes, but cannot be replaced
            with path.open("wb") as file:
                write(file)
            return
        target = path.resolve()  # of a link, what it points to is replaced
        temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
        try:
            with temporary.open("xb") as file:
                write(file)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"cannot write {printable(str(path))}: {reason}") from error
