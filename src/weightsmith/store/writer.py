"""Writing one run. Every call is on the disk when it returns, whole or not at all."""

import secrets
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, delete, insert, select, update

from weightsmith.errors import StoreError
from weightsmith.names import choose
from weightsmith.store import schema
from weightsmith.store.database import Database
from weightsmith.store.files import locate_file, prepare_folder, snapshot_name, write_file
from weightsmith.store.records import QUANTITIES, Event, SketchRecord, Snapshot
from weightsmith.store.series import FAN, TOP, SeriesKey, chunk_rows, cut_series, join_chunks

if TYPE_CHECKING:
    import numpy as np

Ending = Literal["completed", "failed", "interrupted"]


class RunWriter:
    """Writes one run; made by `Store.create_run` and `Store.resume_run`. Its methods may be called from any thread.

    Attributes:
        id: the run's id.
        files: the run's own folder, there to be used: checkpoints of a training loop live in it. Only the folder
            `snapshots` inside it belongs to the store.
    """

    def __init__(self, database: Database, run: str, token: str) -> None:
        self.id = run
        self.files: Path = database.location.files / run
        self._database = database
        self._location = database.location
        self._token = token
        self._joining = threading.Lock()
        self._filing = threading.Lock()  # another one, so that points go on while a large snapshot is written
        self._writes = 0

    def write(
        self,
        *,
        series: Mapping[SeriesKey, tuple[Sequence[int], Sequence[float]]] | None = None,
        sketches: Sequence[SketchRecord] = (),
        events: Sequence[Event] = (),
    ) -> None:
        """Add points, sketches and events in one transaction; also a sign of life.

        Args:
            series: for each name and weight (None for the run's own), steps and values of equal length.
            sketches: what was sketched.
            events: what happened.

        Raises:
            StoreError: the disk is full, the run was deleted or is written by another process now.
            InputError: something that cannot be stored; nothing was written.
        """
        chunks = chunk_rows(self.id, series or {})
        drawn = [
            {
                "run": self.id,
                "weight": record.weight,
                "quantity": choose(record.quantity, QUANTITIES, "quantity of a sketch"),
                "step": record.step,
                "payload": record.sketch.to_bytes(),
            }
            for record in sketches
        ]
        happened = [
            {"run": self.id, "step": event.step, "kind": event.kind, "payload": event.payload} for event in events
        ]
        with self._joining, self._database.write() as connection:
            self._touch(connection)
            for table, rows in ((schema.series, chunks), (schema.sketches, drawn), (schema.events, happened)):
                if rows:
                    connection.execute(insert(table), rows)
            if chunks:
                self._writes += 1
                self._join(connection)

    def _join(self, connection: Connection) -> None:
        level, due = 0, self._writes
        while due % FAN == 0:
            join_chunks(connection, self.id, below=level + 1, level=level + 1)
            level, due = level + 1, due // FAN

    def snapshot(self, step: int, tensors: "Mapping[str, np.ndarray[Any, Any]]", label: str = "snapshot") -> Snapshot:
        """Keep all weights of one step in a safetensors file, and list it once it is whole and on the disk.

        Args:
            step: the step after which the weights are as given.
            tensors: name to array.
            label: why it is taken: letters, digits, `_`, `-` and `.`.

        Raises:
            StoreError: the disk is full, the run was deleted or is written by another process now.
            InputError: a label or tensor that no file can hold.
        """
        with self._filing:
            with self._database.read() as connection:
                self._check_mine(connection)
                query = select(schema.snapshots.c.path).where(schema.snapshots.c.run == self.id)
                taken = {Path(path).name for path in connection.scalars(query)}
            name = snapshot_name(label, step, taken)
            path = prepare_folder(self._location, self.id) / name
            text = {"format": "pt", "weightsmith_run": self.id, "weightsmith_step": str(step)}
            snapshot = Snapshot(step, label, path, write_file(self._location, path, tensors, text))
            self._list(snapshot)
        return snapshot

    def _list(self, snapshot: Snapshot) -> None:
        row = {
            "run": self.id,
            "step": snapshot.step,
            "label": snapshot.label,
            "path": snapshot.path.relative_to(self._location.files).as_posix(),
            "bytes": snapshot.bytes,
        }
        try:
            with self._database.write() as connection:
                self._touch(connection)
                connection.execute(insert(schema.snapshots).values(row))
        except StoreError:
            snapshot.path.unlink(missing_ok=True)  # its name was free, so nothing listed is lost
            raise

    def heartbeat(self) -> None:
        """Say that the run is alive; needed where nothing is written for most of a minute."""
        with self._database.write() as connection:
            self._touch(connection)

    def truncate(self, step: int) -> None:
        """Delete everything recorded after `step`, as a resume from a checkpoint at that step requires."""
        with self._filing:
            with self._database.write() as connection:
                self._touch(connection)
                cut_series(connection, self.id, step)
                for table in (schema.sketches, schema.events):
                    connection.execute(delete(table).where(table.c.run == self.id, table.c.step > step))
                later = (schema.snapshots.c.run == self.id) & (schema.snapshots.c.step > step)
                paths = connection.scalars(select(schema.snapshots.c.path).where(later)).all()
                connection.execute(delete(schema.snapshots).where(later))
            for path in paths:  # only now: what is listed must exist
                locate_file(self._location, path).unlink(missing_ok=True)

    def set_summary(self, values: Mapping[str, Any]) -> None:
        """Merge keys into the run's summary; a key that is there already is replaced."""
        with self._database.write() as connection:
            self._touch(connection)
            this = schema.runs.c.id == self.id
            known: dict[str, Any] = connection.execute(select(schema.runs.c.summary).where(this)).scalar_one()
            connection.execute(update(schema.runs).where(this).values(summary=known | dict(values)))

    def finish(self, status: Ending, error: str | None = None) -> None:
        """End the run and join each series into one chunk.

        Args:
            status: how it ended.
            error: one line on why it failed.
        """
        choose(status, ("completed", "failed", "interrupted"), "final status")
        now = datetime.now(UTC)
        with self._database.write() as connection:
            self._touch(connection)
            ended = update(schema.runs).where(schema.runs.c.id == self.id)
            connection.execute(ended.values(status=status, finished=now, error=error))
        with self._database.write() as connection:
            self._touch(connection)
            join_chunks(connection, self.id, below=TOP + 1, level=TOP)

    def _touch(self, connection: Connection) -> None:
        """Give a sign of life; on PostgreSQL this also keeps every other write to the run out until the end."""
        mine = (schema.runs.c.id == self.id) & (schema.runs.c.writer == self._token)
        found = connection.execute(update(schema.runs).where(mine).values(updated=datetime.now(UTC)))
        if found.rowcount == 0:
            self._check_mine(connection)

    def _check_mine(self, connection: Connection) -> None:
        """Refuse to write on behalf of a run that was deleted, or that another process has taken over."""
        token = connection.scalar(select(schema.runs.c.writer).where(schema.runs.c.id == self.id))
        if token is None:
            raise StoreError(f"run {self.id} is no longer in the store {self._database.label}: it was deleted")
        if token != self._token:
            raise StoreError(f"run {self.id} was resumed elsewhere: this process may no longer write it")


def new_token() -> str:
    """A fresh right to write; whoever holds the one before it loses it."""
    return secrets.token_hex(8)
