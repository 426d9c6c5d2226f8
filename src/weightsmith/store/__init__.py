"""Where runs live: series, sketches, events and snapshots, in SQLite or PostgreSQL."""

from weightsmith.store.records import Event, RunSummary, Series, SketchRecord, Snapshot, Status
from weightsmith.store.run import Run
from weightsmith.store.store import Store
from weightsmith.store.writer import RunWriter

__all__ = ["Event", "Run", "RunSummary", "RunWriter", "Series", "SketchRecord", "Snapshot", "Status", "Store"]
