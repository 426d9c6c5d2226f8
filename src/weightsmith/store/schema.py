"""The tables, the same on SQLite and PostgreSQL, and how an older store becomes a current one."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.types import TypeDecorator

from weightsmith.errors import InputError, StoreError


class Json(TypeDecorator[Any]):
    """JSON as text. Unlike the databases' own JSON types it keeps NaN and infinities, which losses do become.

    Args:
        kind: what the outermost value is.
    """

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[dict[str, Any]] | type[list[Any]] = dict) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """To text; NumPy and torch scalars become plain numbers."""
        return None if value is None else json.dumps(value, default=_plain, separators=(",", ":"))

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """From text."""
        if value is None:
            return None
        try:
            found = json.loads(value)
        except (TypeError, ValueError) as error:
            raise _damaged(value, "JSON") from error
        if not isinstance(found, self.kind):
            raise _damaged(value, f"a JSON {'object' if self.kind is dict else 'list'}")
        return found


def _plain(value: Any) -> Any:
    for method in ("tolist", "__fspath__", "isoformat"):  # arrays and scalars, paths, times
        if hasattr(value, method):
            return getattr(value, method)()
    raise InputError(
        f"a value of type {type(value).__name__} cannot be stored as JSON: give numbers, text, lists, dicts"
    )


class Words(TypeDecorator[str]):
    r"""Text, with what PostgreSQL or UTF-8 cannot hold (NUL, lone surrogates) written out (`\x00`)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """To storable text; comparisons pass through here too, so what was stored is found again."""
        return None if value is None else storable(value)


def storable(text: str) -> str:
    r"""The text as it is kept and found again: what no database holds is written out (`\x00`)."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


class Utc(TypeDecorator[datetime]):
    """An aware time as ISO 8601 text in UTC, which sorts by time and reads the same in both databases."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """To text with microseconds, so that all have one length."""
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """From text."""
        if value is None:
            return None
        try:
            found = datetime.fromisoformat(value)
        except (TypeError, ValueError) as error:
            raise _damaged(value, "a time") from error
        if found.tzinfo is None:
            raise _damaged(value, "a time in UTC")
        return found


class Whole(TypeDecorator[int]):
    """A whole number, also where SQLite, whose columns take values of any type, holds something else."""

    impl = BigInteger
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        """The number."""
        if value is not None and not isinstance(value, int):
            raise _damaged(value, "a whole number")
        return value


def _damaged(found: object, expected: str) -> StoreError:
    return StoreError(f"the store is damaged: it holds {str(found)[:40]!r} where {expected} belongs")


metadata = MetaData()

# The prefix lets a store share a database with other programs' tables.
meta = Table(
    "weightsmith_meta",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)

runs = Table(
    "weightsmith_runs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", Words, index=True),
    Column("status", String(20), nullable=False),
    Column("created", Utc, nullable=False, index=True),
    Column("updated", Utc, nullable=False),
    Column("finished", Utc),
    Column("machine", Words, nullable=False),
    Column("process", Integer, nullable=False),
    Column("writer", String(40), nullable=False),  # whoever holds this token may write; a resume changes it
    Column("summary", Json, nullable=False),
    Column("error", Words),
    Column("recipe", Json),
    Column("environment", Json, nullable=False),
    Column("weights", Json(list), nullable=False),
    # A release without tags may go on writing runs into a store that this one has upgraded.
    Column("tags", Json(list), nullable=False, server_default="[]"),
    Column("note", Words),
    Column("annotated", Utc),  # when tags or note last changed; `updated` is the writer's alone
)


def _row_id() -> Column[int]:
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def _run() -> Column[str]:
    return Column("run", String(40), ForeignKey(runs.c.id, ondelete="CASCADE"), nullable=False)


series = Table(
    "weightsmith_series",
    metadata,
    _row_id(),
    _run(),
    Column("name", Words, nullable=False),
    Column("weight", Words, nullable=False),  # '' for the run's own, since NULL equals nothing
    Column("level", Integer, nullable=False),
    Column("first_step", BigInteger, nullable=False),
    Column("last_step", BigInteger, nullable=False),
    Column("steps", LargeBinary, nullable=False),
    Column("values", LargeBinary, nullable=False),
    Index("weightsmith_series_key", "run", "weight", "name", "level"),
)

sketches = Table(
    "weightsmith_sketches",
    metadata,
    _row_id(),
    _run(),
    Column("weight", Words, nullable=False),
    Column("quantity", String(20), nullable=False),
    Column("step", Whole, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Index("weightsmith_sketches_key", "run", "weight", "quantity", "step"),
)

events = Table(
    "weightsmith_events",
    metadata,
    _row_id(),
    _run(),
    Column("step", Whole, nullable=False),
    Column("kind", Words, nullable=False),
    Column("payload", Json, nullable=False),
    Index("weightsmith_events_key", "run", "step"),
)

snapshots = Table(
    "weightsmith_snapshots",
    metadata,
    _row_id(),
    _run(),
    Column("step", Whole, nullable=False),
    Column("label", Words, nullable=False),
    Column("path", Text, nullable=False),  # relative to the store's folder of files, with forward slashes
    Column("bytes", BigInteger, nullable=False),
    Index("weightsmith_snapshots_key", "run", "step"),
)


def _add_annotations(connection: Connection) -> None:
    for column in ("tags TEXT DEFAULT '[]' NOT NULL", "note TEXT", "annotated VARCHAR(32)"):
        connection.execute(text(f"ALTER TABLE weightsmith_runs ADD COLUMN {column}"))


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_add_annotations,)
"""Step i takes a store from version i + 1 to i + 2, by statements of its own (never by the tables above, which are
always the newest). Adding a step raises the version."""


def current_version() -> int:
    """The version of the tables above."""
    return 1 + len(MIGRATIONS)


def stored_version(connection: Connection, label: str) -> int:
    """The version of the store's tables; 0 for a database that holds none yet.

    Raises:
        StoreError: the store is newer than this release understands.
    """
    if not inspect(connection).has_table(meta.name):
        return 0
    found = connection.scalar(select(meta.c.value).where(meta.c.key == "version"))
    if found is None or not found.isdecimal() or int(found) == 0:
        raise StoreError(f"the store {label} is damaged: its schema version reads {found!r}; restore it from a backup")
    version = int(found)
    if version > current_version():
        raise StoreError(
            f"the store {label} has schema version {version}, but this release of Weightsmith knows up to "
            f"{current_version()}: upgrade it with `pip install --upgrade weightsmith`"
        )
    return version


def migrate(connection: Connection, label: str) -> None:
    """Bring the store to the current version, in the caller's one write transaction.

    Raises:
        StoreError: the store is newer than this release understands.
    """
    if connection.dialect.name == "postgresql":  # SQLite's write transaction already excludes others
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('weightsmith schema'))"))
    version = stored_version(connection, label)
    if version == 0:
        metadata.create_all(connection)
        connection.execute(insert(meta).values(key="version", value=str(current_version())))
        return
    for step in MIGRATIONS[version - 1 :]:
        step(connection)
    connection.execute(update(meta).where(meta.c.key == "version").values(value=str(current_version())))
