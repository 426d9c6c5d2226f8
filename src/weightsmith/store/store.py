"""A store of runs: make, list, find, resume and delete them."""

import os
import re
import secrets
import shutil
import string
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, insert, select, update

from weightsmith.errors import InputError, StoreError, UnknownRunError
from weightsmith.names import suggestion
from weightsmith.store import pulse, schema
from weightsmith.store.annotation import Tags, annotate, checked_note, checked_tags
from weightsmith.store.database import Database
from weightsmith.store.liveness import judged_status, this_machine
from weightsmith.store.location import locate
from weightsmith.store.records import RunSummary
from weightsmith.store.run import Run
from weightsmith.store.schema import runs
from weightsmith.store.writer import RunWriter, new_token
from weightsmith.weight import WeightInfo

_LIGHT = (
    *(runs.c.id, runs.c.name, runs.c.status, runs.c.created, runs.c.updated, runs.c.finished),
    *(runs.c.summary, runs.c.error, runs.c.tags, runs.c.note, runs.c.machine, runs.c.process),
)
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-z]{4}")
_ALPHABET = string.digits + string.ascii_lowercase


class Store:
    """A store of runs; open it with `Store.open`, and use it as a context manager.

    Attributes:
        label: how messages name it: its path, or its URL without the password.
    """

    def __init__(self, database: Database) -> None:
        self.label = database.label
        self._database = database

    @property
    def files(self) -> Path:
        """The folder that holds the files of its runs, each in a folder of the run's id."""
        return self._database.location.files

    @property
    def cache(self) -> Path:
        """The folder of what can be computed again."""
        return self._database.location.cache

    @classmethod
    def open(cls, location: str | os.PathLike[str] | None = None) -> Self:
        """Open a store, making or upgrading its tables where needed.

        Args:
            location: a folder (its database is `weightsmith.db`, its files lie in `files`); a path ending in .db or
                .sqlite (its files lie in `<stem>.files` beside it); a `postgresql://` URL (its files lie in the folder
                that the environment variable WEIGHTSMITH_FILES names, else in the user's data folder); or None for the
                environment variable WEIGHTSMITH_STORE, else the user's data folder.

        Raises:
            StoreError: it cannot be opened, is damaged, or was made by a newer release.
            MissingExtraError: PostgreSQL without psycopg.
        """
        database = Database(locate(location))
        try:
            with database.read() as connection:
                version = schema.stored_version(connection, database.label)
            if version < schema.current_version():
                with database.write() as connection:
                    schema.migrate(connection, database.label)
        except BaseException:
            database.close()
            raise
        return cls(database)

    def close(self) -> None:
        """Close its connections. A writer or run that is used afterwards opens a new one."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.label}>"

    def create_run(
        self,
        *,
        name: str | None,
        recipe: dict[str, Any] | None,
        environment: dict[str, Any],
        weights: Sequence[WeightInfo],
        tags: Tags = (),
        note: str | None = None,
    ) -> RunWriter:
        """Begin a run.

        Args:
            name: what to call it, in printable characters; need not be unique.
            recipe: the full description of the training, or None.
            environment: versions, machine, command: whatever explains the numbers later.
            weights: what will be watched.
            tags: short words to find it by.
            note: what to remember of it, in plain text of several lines.

        Raises:
            InputError: a name, tag or note that is too long or not printable.
            StoreError: the store cannot be written.
        """
        if name is not None and (not name.isprintable() or not 0 < len(name) <= 200 or name == "latest"):
            raise InputError(f"a run cannot be called {name[:40]!r}: use 1 to 200 printable characters, not 'latest'")
        now, token = datetime.now(UTC), new_token()
        row = {
            "name": name,
            "created": now,
            "summary": {},
            "recipe": recipe,
            "environment": environment,
            "weights": [info.to_json() for info in weights],
            "tags": checked_tags(tags),
            "note": checked_note(note),
            **_begun(now, token),
        }
        with self._database.write() as connection:
            run = _new_id(connection, now)
            connection.execute(insert(runs).values(id=run, **row))
        return RunWriter(self._database, run, token)

    def resume_run(self, run_id: str) -> RunWriter:
        """Go on writing a run that ended or was lost; from now on no earlier writer of it can write.

        Raises:
            StoreError: there is no such run, or another process is still writing it.
        """
        now, token = datetime.now(UTC), new_token()
        with self._database.write() as connection:
            self._check_free(connection, run_id, "resume")
            begun = _begun(now, token)
            connection.execute(update(runs).where(runs.c.id == run_id).values(finished=None, error=None, **begun))
        return RunWriter(self._database, run_id, token)

    def delete_run(self, run_id: str) -> None:
        """Delete a run with everything it recorded, and its folder of files.

        Raises:
            StoreError: there is no such run, or another process is still writing it.
        """
        with self._database.write() as connection:
            self._check_free(connection, run_id, "delete")
            connection.execute(delete(runs).where(runs.c.id == run_id))  # the rest follows by its foreign keys
        shutil.rmtree(self._database.location.files / run_id, ignore_errors=True)

    def annotate(self, run_id: str, *, tags: Tags = (), untag: Tags = (), note: str | None = None) -> None:
        """Change tags and note of a run, also while another process writes it.

        Args:
            run_id: the run.
            tags: to add: words of at most 40 characters, at most 32 of them on a run.
            untag: to take away.
            note: the new note, of at most 10,000 characters; an empty one takes it away, None leaves it.

        Raises:
            InputError: what is no tag or note, or a tag to take away that the run has not.
            StoreError: there is no such run, or the store cannot be written.
        """
        with self._database.write() as connection:
            annotate(connection, run_id, tags, untag, note)

    def runs(self) -> list[RunSummary]:
        """All runs, the newest first."""
        with self._database.read() as connection:
            return [_summary(row) for row in connection.execute(_newest_first(select(*_LIGHT)))]

    def run(self, reference: str = "latest") -> Run:
        """Find a run.

        Args:
            reference: its id, its name (of several, the newest), the beginning of its id where only one begins so, or
                `latest`.

        Raises:
            StoreError: no run is called that, or several are.
        """
        with self._database.read() as connection:
            run_id = self._resolve(connection, reference)
            row = connection.execute(select(runs).where(runs.c.id == run_id)).one()
        light = _summary(row)
        try:
            weights = [WeightInfo.from_json(info) for info in row.weights]
        except (KeyError, TypeError) as error:
            raise StoreError(
                f"the store {self.label} is damaged: run {run_id} lists a weight that is none ({error})"
            ) from error
        return Run(
            **vars(light), recipe=row.recipe, environment=row.environment, weights=weights, _database=self._database
        )

    def revision(self) -> object | None:
        """A value that differs after something was written; None where nothing but `signs` tells."""
        return pulse.revision(self._database.location)

    def signs(self) -> Sequence[pulse.Sign]:
        """The signs of life of all runs: status and time of the last write, without anything else of them."""
        with self._database.read() as connection:
            return pulse.signs(connection)

    def last_step(self, run_id: str) -> int | None:
        """The last step of any of a run's own series; None where it has none."""
        with self._database.read() as connection:
            return pulse.last_step(connection, run_id)

    def _resolve(self, connection: Connection, reference: str) -> str:
        def newest(condition: ColumnElement[bool] | None = None) -> str | None:
            query = _newest_first(select(runs.c.id)).limit(1)
            found: str | None = connection.scalar(query if condition is None else query.where(condition))
            return found

        if reference == "latest":
            found = newest()
            if found is None:
                raise StoreError(f"the store {self.label} holds no run yet: train or record one first")
            return found
        found = newest(runs.c.id == reference) or newest(runs.c.name == reference)
        if found is not None:
            return found
        prefixed = runs.c.id.startswith(reference, autoescape=True)
        candidates = (
            connection.scalars(_newest_first(select(runs.c.id).where(prefixed)).limit(4)).all() if reference else ()
        )
        if len(candidates) == 1:
            return str(candidates[0])
        if candidates:
            raise StoreError(f"several runs begin with {reference!r}: {', '.join(candidates)}; give more of the id")
        known = [text for row in connection.execute(select(runs.c.id, runs.c.name)) for text in row if text]
        raise UnknownRunError(f"the store {self.label} holds no run {reference!r}{suggestion(reference, known)}")

    def _check_free(self, connection: Connection, run_id: str, deed: str) -> None:
        query = select(runs.c.status, runs.c.updated, runs.c.machine, runs.c.process).where(runs.c.id == run_id)
        row = connection.execute(query.with_for_update()).one_or_none()
        if row is None or not _ID.fullmatch(run_id):  # a forged id could lead out of the folder of files
            raise UnknownRunError(f"the store {self.label} holds no run {run_id!r}")
        own = row.machine == this_machine() and row.process == os.getpid()
        if judged_status(*row) == "running" and not own:
            raise StoreError(
                f"cannot {deed} run {run_id}: process {row.process} on {row.machine.split()[0]} is still writing it; "
                "stop that process first"
            )


def _begun(now: datetime, token: str) -> dict[str, Any]:
    return {
        "status": "running",
        "updated": now,
        "machine": this_machine(),
        "process": os.getpid(),
        "writer": token,
    }


def _new_id(connection: Connection, now: datetime) -> str:
    while True:
        run = f"{now:%Y%m%d-%H%M%S}-{''.join(secrets.choice(_ALPHABET) for _ in range(4))}"
        if connection.scalar(select(runs.c.id).where(runs.c.id == run)) is None:
            return run


def _newest_first(query: Select[Any]) -> Select[Any]:
    return query.order_by(runs.c.created.desc(), runs.c.id.desc())


def _summary(row: Row[Any]) -> RunSummary:
    return RunSummary(
        id=row.id,
        name=row.name,
        status=judged_status(row.status, row.updated, row.machine, row.process),
        created=row.created,
        updated=row.updated,
        finished=row.finished,
        summary=row.summary,
        error=row.error,
        tags=tuple(map(str, row.tags)),
        note=row.note,
    )
