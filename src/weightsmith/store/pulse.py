"""Signs of life, cheap enough to be asked for several times a second."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from weightsmith.store.liveness import judged_status
from weightsmith.store.location import Location
from weightsmith.store.records import Status
from weightsmith.store.schema import runs, series


@dataclass(frozen=True)
class Sign:
    """What changes whenever a run writes or somebody annotates it: its status, and when either last happened (UTC)."""

    id: str
    status: Status
    updated: datetime
    annotated: datetime | None


def revision(location: Location) -> object | None:
    """A value that differs after something was written to a database file; None for a server, which has no such sign.

    Times of files tell nothing apart within a few milliseconds: ask again later before nothing is concluded for good.
    """
    if location.is_postgres:
        return None
    return tuple(_state(location.address + suffix) for suffix in ("", "-wal"))


def _state(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 -- several times a second
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def signs(connection: Connection) -> Sequence[Sign]:
    """The signs of life of all runs, in no order."""
    query = select(runs.c.id, runs.c.status, runs.c.updated, runs.c.machine, runs.c.process, runs.c.annotated)
    return [
        Sign(row.id, judged_status(row.status, row.updated, row.machine, row.process), row.updated, row.annotated)
        for row in connection.execute(query)
    ]


def last_step(connection: Connection, run: str) -> int | None:
    """The last step of any of a run's own series."""
    query = select(func.max(series.c.last_step)).where(series.c.run == run, series.c.weight == "")
    found: int | None = connection.scalar(query)
    return found
