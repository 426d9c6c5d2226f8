"""What changes in stores and files, told to everybody who listens; one look serves all, and nobody looks for nobody."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

from anyio import to_thread

from weightsmith.errors import StoreError
from weightsmith.store import Store
from weightsmith.web.answer import moment
from weightsmith.web.faults import BusyError

LOOKING = 0.25
"""Seconds between two looks."""

SETTLED = 1.0
"""Seconds for which runs are read once a file has changed: SQLite writes, waits for the disk, and only then commits."""

LATEST = 5.0
"""Seconds after which runs are read even where nothing was written: a run that gives no sign of life is lost."""

LISTENERS = 100
"""Most clients that listen at the same time."""

Change = dict[str, Any]
Tags = dict[str, tuple[str | None, str | None]]
_Key = tuple[str, str]


class Watcher:
    """Looks at stores and files while somebody listens.

    Args:
        stores: by id.
        tags: gives of each file that was opened, by id, the tag that it was opened with and the one that it has now;
            None for the latter where it cannot be read.
    """

    def __init__(self, stores: Mapping[str, Store], tags: Callable[[], Tags] = dict) -> None:
        self._stores = stores
        self._tags = tags
        self._listeners: set[_Listener] = set()
        self._task: asyncio.Task[None] | None = None

    def refuse_crowd(self) -> None:
        """Raise `BusyError` where too many listen already."""
        if len(self._listeners) >= LISTENERS:
            raise BusyError(f"{LISTENERS} clients are listening already: close some pages")

    async def changes(self, silence: float) -> AsyncIterator[Change | None]:
        """Changes of runs (with `store` and `id`) and of files (with `source`); None after `silence` seconds without.

        A client that does not keep up gets the latest state of each run and file, not every one.
        """
        listener = _Listener()
        self._listeners.add(listener)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        try:
            while True:
                try:
                    await asyncio.wait_for(listener.something.wait(), silence)
                except TimeoutError:
                    yield None
                    continue
                for change in listener.take():
                    yield change
        finally:
            self._listeners.discard(listener)
            if not self._listeners and self._task is not None:
                self._task.cancel()

    async def _look(self) -> None:
        watched = {key: _Watched(store) for key, store in self._stores.items()}
        files = _Files(self._tags)
        while True:
            for change in await to_thread.run_sync(files.look):
                for listener in self._listeners:
                    listener.give(("", change["source"]), change)
            for key, one in watched.items():
                if one.is_due():
                    with suppress(StoreError):  # locked or gone for now: the next look may find it
                        for change in await to_thread.run_sync(one.look):
                            for listener in self._listeners:
                                listener.give((key, change["id"]), {"store": key, **change})
            await asyncio.sleep(LOOKING)


class _Listener:
    """What one client has not been told yet."""

    def __init__(self) -> None:
        self.something = asyncio.Event()
        self._changes: dict[_Key, Change] = {}

    def give(self, key: _Key, change: Change) -> None:
        self._changes[key] = change
        self.something.set()

    def take(self) -> list[Change]:
        taken = list(self._changes.values())
        self._changes.clear()
        self.something.clear()
        return taken


class _Files:
    """The files that were opened, and what was told of them."""

    def __init__(self, tags: Callable[[], Tags]) -> None:
        self._tags = tags
        self._last: dict[str, str | None] = {}
        self._told: dict[str, str | None] = {}

    def look(self) -> list[Change]:
        """The files that are others than was told, and as they were at the last look: nobody is writing them now."""
        now = self._tags()
        found: list[Change] = []
        for key, (opened, tag) in now.items():
            settled = key in self._last and self._last[key] == tag
            if settled and self._told.setdefault(key, opened) != tag:
                self._told[key] = tag
                found.append({"source": key, "content": tag})
        self._last = {key: tag for key, (_, tag) in now.items()}
        return found


class _Watched:
    """One store and what was last seen of it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revision: object = self  # which differs from all
        self._wrote = self._looked = 0.0
        self._seen: dict[str, tuple[object, ...]] | None = None

    def is_due(self) -> bool:
        """Whether something may have been written since the last look, or it is long ago."""
        revision, now = self._store.revision(), time.monotonic()
        if revision is None or revision != self._revision:
            self._revision, self._wrote = revision, now
        return now - self._wrote < SETTLED or now - self._looked > LATEST

    def look(self) -> list[Change]:
        """The changes since the last look; none at the first."""
        self._looked = time.monotonic()
        now = {sign.id: sign for sign in self._store.signs()}
        states: dict[str, tuple[object, ...]] = {
            key: (sign.status, sign.updated, sign.annotated) for key, sign in now.items()
        }
        before = self._seen
        changed = [] if before is None else [key for key, state in states.items() if before.get(key) != state]
        found: list[Change] = [
            {
                "id": key,
                "status": now[key].status,
                "updated": moment(now[key].updated),
                "step": self._store.last_step(key),
            }
            for key in changed
        ]
        gone = sorted((before or {}).keys() - states.keys())
        found += [{"id": key, "status": "deleted", "updated": None, "step": None} for key in gone]
        self._seen = states
        return found
