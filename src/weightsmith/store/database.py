"""Transactions on SQLite and PostgreSQL, and what their errors mean in one line."""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.pool import QueuePool

from weightsmith.errors import MissingExtraError, StoreError, WeightsmithError
from weightsmith.store.location import Location

_PATIENCE = 30.0
"""Seconds to wait for another writer before giving up."""

_NEARLY_FULL = 1 << 20
"""Bytes left at which an input/output error is put down to a full disk."""


_FULL = frozenset({"SQLITE_FULL", "53100"})
"""SQLite's and PostgreSQL's own codes for a full disk."""


_LOCK_TIMEOUT = "55P03"


class Database:
    """One engine with two ways in: `read()` and `write()`, each one transaction."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.label = location.label
        self._reading = _postgres_engine(location) if location.is_postgres else _sqlite_engine(location)
        self._writing = self._reading.execution_options(begin="BEGIN IMMEDIATE")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one consistent state and blocks nobody.

        Raises:
            StoreError: the database cannot be reached or read.
        """
        with self._explained(), self._reading.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is on the disk when it ends without an error, and leaves nothing behind otherwise.

        Raises:
            StoreError: the disk is full, another writer held on for too long, or the database cannot be reached.
        """
        with self._explained(), self._writing.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections; SQLite folds its write-ahead log back into the one file."""
        with self._explained():
            self._reading.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            if isinstance(error, StatementError) and isinstance(error.orig, WeightsmithError):
                raise error.orig from None  # our own column types refused a value
            raise StoreError(self._explain(error)) from error

    def _explain(self, error: Exception) -> str:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        detail = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""
        if code in _FULL or (code.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN")) and self._is_nearly_full()):
            return f"disk full: the store {self.label} could not be written; what was written before is safe"
        if code in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
            return f"the store {self.label} is damaged ({detail}): restore {self.location.address} or move it away"
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or code == _LOCK_TIMEOUT:
            return f"the store {self.label} is busy: another process has been writing for {_PATIENCE:g} s; try again"
        if code.startswith("SQLITE_READONLY"):
            return f"the store {self.label} is read-only: check the permissions of {self.location.address}"
        return f"the store {self.label} failed: {detail}"

    def _is_nearly_full(self) -> bool:
        try:
            return shutil.disk_usage(Path(self.location.address).parent).free < _NEARLY_FULL
        except OSError:
            return False


def _sqlite_engine(location: Location) -> Engine:
    engine = create_engine(
        "sqlite://",
        creator=lambda: _connect_sqlite(location),
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=-1,
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # sqlite3's own implicit transactions begin late and would let two writers deadlock
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


def _connect_sqlite(location: Location) -> sqlite3.Connection:
    path = Path(location.address)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot create the store's folder {path.parent}: {error.strerror or error}") from error
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        _switch_to_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _switch_to_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Turn on WAL mode, also where others do so at the same moment: SQLite then fails at once instead of waiting."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _postgres_engine(location: Location) -> Engine:
    try:
        import psycopg  # noqa: F401 -- SQLAlchemy would name the module, not the extra
    except ImportError as error:
        raise MissingExtraError(
            f'the store {location.label} needs psycopg: install it with `pip install "weightsmith[postgres]"`'
        ) from error
    arguments: dict[str, Any] = {"connect_timeout": 10, "application_name": "weightsmith"}
    engine = create_engine(location.address, pool_pre_ping=True, pool_size=4, max_overflow=-1, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def _limit_patience(connection: Any, _: Any) -> None:
        connection.execute(f"SET lock_timeout = {round(_PATIENCE * 1000)}")  # milliseconds
        connection.commit()

    return engine
