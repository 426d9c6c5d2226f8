"""Series in the database: chunks of steps (int64) and values (float64), little endian, joined as they grow.

Each write adds a chunk of level 0 to every series it mentions. When `FAN` writes have gathered at a level they become
one chunk of the next, so that a run of any length keeps a few dozen rows per series. Rows of a series, in the order of
their ids, are always in the order in which they were written.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, distinct, func, insert, select, update

from weightsmith.errors import InputError, StoreError
from weightsmith.store.records import Series
from weightsmith.store.schema import series

if TYPE_CHECKING:
    import numpy as np

FAN = 32
"""Chunks of one level that become one of the next."""

TOP = 100
"""Level of the single chunk that a finished run keeps per series."""

SeriesKey = tuple[str, str | None]


def chunk_rows(
    run: str, chunks: Mapping[SeriesKey, tuple[Sequence[int], Sequence[float]]], *, level: int = 0
) -> list[dict[str, Any]]:
    """The rows that store new points.

    Raises:
        InputError: a series with more steps than values or the reverse, or steps that are not whole numbers.
    """
    import numpy as np

    rows = []
    for (name, weight), (steps, values) in chunks.items():
        stepped, valued = np.asarray(steps), np.asarray(values, dtype="<f8")
        if stepped.ndim != 1 or stepped.shape != valued.shape:
            raise InputError(f"series {name!r}: {stepped.size} steps for {valued.size} values; give one of each")
        if stepped.size == 0:
            continue
        if stepped.dtype.kind not in "iu":
            raise InputError(f"series {name!r}: steps must be whole numbers, not {stepped.dtype}")
        row = {"run": run, "name": name, "weight": weight or "", "level": level}
        rows.append(row | _packed(stepped.astype("<i8"), valued))
    return rows


def _packed(steps: "np.ndarray[Any, Any]", values: "np.ndarray[Any, Any]") -> dict[str, Any]:
    first, last = int(steps.min()), int(steps.max())
    return {"first_step": first, "last_step": last, "steps": steps.tobytes(), "values": values.tobytes()}


def join_chunks(connection: Connection, run: str, below: int, level: int) -> None:
    """Join the chunks under level `below` of each series that has several into one chunk of `level`.

    It goes weight by weight: a statement per series would be slow, and all series at once might fill the memory.
    """
    chosen = (series.c.run == run) & (series.c.level < below)
    several = func.count() > func.count(distinct(series.c.name))
    weights = select(series.c.weight).where(chosen).group_by(series.c.weight).having(several)
    for weight in connection.scalars(weights).all():
        these = chosen & (series.c.weight == weight)
        query = select(series).where(these).order_by(series.c.name, series.c.id)
        rows = [
            {"run": run, "name": name, "weight": weight, "level": level, **_joined(list(chunks))}
            for name, chunks in groupby(connection.execute(query), key=attrgetter("name"))
        ]
        connection.execute(delete(series).where(these))
        connection.execute(insert(series), rows)


def _joined(chunks: list[Any]) -> dict[str, Any]:
    return {
        "first_step": min(chunk.first_step for chunk in chunks),
        "last_step": max(chunk.last_step for chunk in chunks),
        "steps": b"".join(chunk.steps for chunk in chunks),
        "values": b"".join(chunk._mapping["values"] for chunk in chunks),
    }


def cut_series(connection: Connection, run: str, step: int) -> None:
    """Forget every point after `step`."""
    import numpy as np

    connection.execute(delete(series).where(series.c.run == run, series.c.first_step > step))
    reaching = select(series).where(series.c.run == run, series.c.last_step > step)
    for chunk in connection.execute(reaching).all():
        steps, values = _arrays([chunk])
        kept = steps <= step
        packed = _packed(steps[kept].astype("<i8"), values[kept].astype("<f8"))
        assert np.any(kept), "a chunk's first step is its least"
        connection.execute(update(series).where(series.c.id == chunk.id).values(**packed))


def read_series(connection: Connection, run: str, name: str, weight: str | None) -> Series:
    """All points of one series, as its own arrays; empty where nothing was written."""
    query = select(series.c.steps, series.c["values"]).order_by(series.c.id)
    query = query.where(series.c.run == run, series.c.name == name, series.c.weight == (weight or ""))
    return Series(*_arrays(connection.execute(query).all()))


def series_keys(connection: Connection, run: str) -> list[SeriesKey]:
    """What was written: the run's own series first, then by weight."""
    query = select(series.c.weight, series.c.name).where(series.c.run == run).distinct()
    keys = sorted((weight, name) for weight, name in connection.execute(query))
    return [(name, weight or None) for weight, name in keys]


def _arrays(chunks: Sequence[Any]) -> tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]:
    import numpy as np

    try:
        steps = b"".join(chunk.steps for chunk in chunks)
        values = b"".join(chunk._mapping["values"] for chunk in chunks)
        arrays = np.frombuffer(steps, "<i8").astype(np.int64), np.frombuffer(values, "<f8").astype(np.float64)
    except (TypeError, ValueError) as error:
        raise StoreError(f"the store is damaged: a series is unreadable ({error})") from error
    if len(arrays[0]) != len(arrays[1]):
        raise StoreError(f"the store is damaged: a series has {len(arrays[0])} steps and {len(arrays[1])} values")
    return arrays
