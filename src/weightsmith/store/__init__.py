"""Where runs live: series, sketches, events and snapshots, in SQLite or PostgreSQL.

The database library is loaded with the first name that needs it: finding where a store lies does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weightsmith.store.records import Event, RunSummary, Series, SketchRecord, Snapshot, Status
    from weightsmith.store.run import Run
    from weightsmith.store.store import Store
    from weightsmith.store.writer import RunWriter

_HOMES = {
    "Event": "records",
    "Run": "run",
    "RunSummary": "records",
    "RunWriter": "writer",
    "Series": "records",
    "SketchRecord": "records",
    "Snapshot": "records",
    "Status": "records",
    "Store": "store",
}

__all__ = ["Event", "Run", "RunSummary", "RunWriter", "Series", "SketchRecord", "Snapshot", "Status", "Store"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"weightsmith.store.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'weightsmith.store' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
