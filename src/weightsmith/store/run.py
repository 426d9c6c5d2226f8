"""Reading one run."""

from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select

from weightsmith.errors import StoreError, UnknownRunError
from weightsmith.store import schema
from weightsmith.store.database import Database
from weightsmith.store.files import locate_file
from weightsmith.store.records import Event, Quantity, RunSummary, Series, Snapshot
from weightsmith.store.series import SeriesKey, read_series, series_keys
from weightsmith.weight import WeightInfo

if TYPE_CHECKING:
    from weightsmith.sketch import Sketch
    from weightsmith.sources import Source


@dataclass(frozen=True)
class Run(RunSummary):
    """One run, made by `Store.run`. Its attributes are of that moment; its methods read what is there when called.

    Attributes:
        recipe: the full description of the training, or None where a loop of the user's own was recorded.
        environment: versions, machine, command.
        weights: what is known about each weight.
    """

    recipe: dict[str, Any] | None
    environment: dict[str, Any]
    weights: list[WeightInfo]
    _database: Database = field(repr=False, compare=False)

    @property
    def files(self) -> Path:
        """The run's own folder; it may not exist."""
        return self._database.location.files / self.id

    def series(self, name: str, weight: str | None = None) -> Series:
        """All points of one series; an empty one where nothing was written under that name.

        Args:
            name: `loss`, `norm`, ...
            weight: the weight it belongs to; None for the run's own.

        Raises:
            StoreError: the run was deleted since.
        """
        with self._database.read() as connection:
            found = read_series(connection, self.id, name, weight)
            if len(found) == 0:
                self._check_exists(connection)
        return found

    def series_names(self) -> list[SeriesKey]:
        """Name and weight of every series: the run's own (weight None) first, then by weight and name."""
        with self._database.read() as connection:
            self._check_exists(connection)
            return series_keys(connection, self.id)

    def sketches(
        self, weight: str, quantity: Quantity = "weight", most: int | None = None
    ) -> "list[tuple[int, Sketch]]":
        """Steps and sketches of one weight or of its gradient, by step; of more than `most`, as many evenly spread."""
        import numpy as np

        from weightsmith.sketch import Sketch

        table = schema.sketches
        query = select(table.c.step, table.c.payload).order_by(table.c.step, table.c.id)
        query = query.where(table.c.run == self.id, table.c.weight == weight, table.c.quantity == quantity)
        with self._database.read() as connection:
            self._check_exists(connection)
            rows = connection.execute(query).all()
        if most is not None and len(rows) > most:
            rows = [rows[place] for place in np.linspace(0, len(rows) - 1, most).astype(int)]
        return [(step, Sketch.from_bytes(payload)) for step, payload in rows]

    def sketched(self) -> frozenset[Quantity]:
        """Which quantities were sketched at all."""
        query = select(schema.sketches.c.quantity).where(schema.sketches.c.run == self.id).distinct()
        with self._database.read() as connection:
            self._check_exists(connection)
            return frozenset(connection.scalars(query))

    def events(self, kind: str | None = None) -> list[Event]:
        """What happened, in the order in which it was written; all of it or one kind."""
        table = schema.events
        query = select(table.c.step, table.c.kind, table.c.payload).where(table.c.run == self.id).order_by(table.c.id)
        if kind is not None:
            query = query.where(table.c.kind == kind)
        with self._database.read() as connection:
            self._check_exists(connection)
            return [Event(*row) for row in connection.execute(query)]

    def snapshots(self) -> list[Snapshot]:
        """The snapshots, by step."""
        table = schema.snapshots
        query = select(table.c.step, table.c.label, table.c.path, table.c.bytes).where(table.c.run == self.id)
        with self._database.read() as connection:
            self._check_exists(connection)
            rows = connection.execute(query.order_by(table.c.step, table.c.id)).all()
        return [
            Snapshot(step, label, locate_file(self._database.location, path), size) for step, label, path, size in rows
        ]

    def source(self, step: int | None = None) -> "Source":
        """The weights of the latest snapshot at or before `step` (None: of all), with the roles the run knows.

        Raises:
            StoreError: there is no such snapshot, or its file is gone.
        """
        from weightsmith.sources import Source, open_safetensors

        taken = [snapshot for snapshot in self.snapshots() if step is None or snapshot.step <= step]
        if not taken:
            when = "" if step is None else f" at or before step {step}"
            raise StoreError(f"run {self.id} has no snapshot{when}: record with snapshots to look at its weights")
        chosen = taken[-1]
        if not chosen.path.is_file():
            raise StoreError(
                f"the snapshot {str(chosen.path)!r} of run {self.id} is gone: restore the file, or point "
                "WEIGHTSMITH_FILES to the folder that holds it if the store is a database server"
            )
        file = open_safetensors(chosen.path)
        known = {info.name: info for info in self.weights}
        weights = [
            replace(weight, info=replace(known[weight.name], dtype=weight.dtype, shape=weight.shape))
            if weight.name in known
            else weight
            for weight in file.values()
        ]
        label = f"run {self.id} at step {chosen.step}"
        return Source(label, weights, file.metadata, file_format=file.file_format, aside=file.aside, files=file.files)

    def _check_exists(self, connection: Connection) -> None:
        if connection.scalar(select(schema.runs.c.id).where(schema.runs.c.id == self.id)) is None:
            raise UnknownRunError(f"run {self.id} is no longer in the store {self._database.label}: it was deleted")

    def _repr_html_(self) -> str:
        facts = {
            "name": self.name or "",
            "status": self.status,
            "created": f"{self.created:%Y-%m-%d %H:%M:%S} UTC",
            "weights": str(len(self.weights)),
            "error": self.error or "",
            "tags": " ".join(self.tags),
            "note": self.note or "",
            **{key: str(value) for key, value in self.summary.items()},
        }
        rows = [f"<tr><th>{escape(key)}</th><td>{escape(fact)}</td></tr>" for key, fact in facts.items() if fact]
        return f"<p>Run {escape(self.id)}</p><table>{''.join(rows)}</table>"
