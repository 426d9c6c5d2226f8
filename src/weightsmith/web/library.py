"""What is served: stores and files under ids that the server makes. No text of a client's becomes a path."""

import hashlib
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.scan import Cache
from weightsmith.sources import File, LocalFile, Source, Weight
from weightsmith.sources import open as open_source
from weightsmith.store import Run, Store
from weightsmith.web.faults import ChangedError, UnknownError

_RUN = re.compile(r"[0-9a-z-]{1,40}")
_SNAPSHOT = re.compile(r"(?P<store>s\d{1,4})~(?P<run>[0-9a-z-]{1,40})~(?P<step>\d{1,18})")

FRESH = 2.0
"""Seconds for which what was computed from a live model is shown again."""

LIVE = "live"
"""What the content of weights that may change at any time begins with."""

KEPT = 16
"""Snapshots that stay open; each holds a file descriptor."""


@dataclass(frozen=True)
class Opened:
    """Weights that are being looked at.

    Attributes:
        id: the server's own: `f0`, or `s0~RUN~STEP` for a snapshot.
        source: the weights.
        weights: the same in order; their places are the indexes that clients name.
        content: text that changes whenever the content may have; what was computed is kept under it.
        cache: where scans of it are kept.
        run: the run that it is a snapshot of, or None.
    """

    id: str
    source: Source
    weights: tuple[Weight, ...]
    content: str
    cache: Cache | None
    run: Run | None = None

    @property
    def tag(self) -> str | None:
        """Names this content in addresses: `f0@TAG` means `f0` as it is now, and no longer once it has changed.

        None for live models, whose values are nobody's for longer than a moment.
        """
        return tag_of(self.content)

    def weight(self, index: int) -> Weight:
        """The weight at a place.

        Raises:
            UnknownError: there is none.
        """
        if not 0 <= index < len(self.weights):
            raise UnknownError(f"{printable(self.source.label)} has no weight {index}: it has {len(self.weights)}")
        return self.weights[index]


@dataclass
class Library:
    """The stores and files of one server.

    Args:
        stores: by id.
        files: what `weightsmith.open` takes (a path or URL), or a source, by id.
        cache: where scans of the files are kept; those of snapshots are kept beside their store.
    """

    stores: Mapping[str, Store] = field(default_factory=dict)
    files: Mapping[str, str | Source] = field(default_factory=dict)
    cache: Cache | None = None
    _opened: "OrderedDict[str, Opened]" = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def store(self, store: str) -> Store:
        """The store of an id.

        Raises:
            UnknownError: there is none.
        """
        if store not in self.stores:
            raise UnknownError(f"no store {printable(store[:40])!r} is served here")
        return self.stores[store]

    def run(self, store: str, run: str) -> Run:
        """The run of an id, as it is now; names and beginnings of ids are no ids.

        Raises:
            UnknownError, UnknownRunError: there is none, or no longer.
            StoreError: the store cannot be read.
        """
        held = self.store(store)
        found = held.run(run) if _RUN.fullmatch(run) and run != "latest" else None
        if found is None or found.id != run:
            raise UnknownError(f"the store {held.label} holds no run {printable(run[:40])!r}")
        return found

    def source(self, source: str) -> Opened:
        """The weights of an id, opened anew where their files have changed.

        Args:
            source: the id; with `@` and a tag after it only as long as the content has that tag.

        Raises:
            UnknownError, UnknownRunError: there are none, or no longer.
            ChangedError: they have changed since they had the tag.
            SourceError, StoreError: they cannot be opened.
        """
        name, pinned, tag = source.partition("@")
        found = self._current(name)
        if pinned and found.tag != tag:
            raise ChangedError(f"{printable(found.source.label)} has changed since it was opened")
        return found

    def label(self, source: str) -> str:
        """What weights are called whether or not they can be opened: a file by its path, all others by their id."""
        name = source.partition("@")[0]
        what = self.files.get(name, name)
        return what.label if isinstance(what, Source) else what

    def tags(self) -> dict[str, tuple[str | None, str | None]]:
        """Of each local file that was opened the tag that it had then and the one it has now; None where it is gone."""
        with self._lock:
            opened = [one for key, one in self._opened.items() if key in self.files]
        local = [one for one in opened if any(isinstance(file, LocalFile) for file in one.source.files)]
        return {one.id: (one.tag, _tag_now(one.source)) for one in local}

    def close(self) -> None:
        """Close the stores."""
        for store in self.stores.values():
            store.close()

    def _current(self, source: str) -> Opened:
        with self._lock:
            known = self._opened.get(source)
        if known is not None and known.content == _content(known.source):
            with self._lock:
                if source in self._opened:
                    self._opened.move_to_end(source)
            return known
        fresh = self._file(source) if source in self.files else self._snapshot(source)
        with self._lock:
            self._opened[source] = fresh
            snapshots = [key for key in self._opened if key not in self.files]
            for oldest in snapshots[: max(0, len(snapshots) - KEPT)]:
                del self._opened[oldest]
        return fresh

    def _file(self, source: str) -> Opened:
        found = open_source(self.files[source])
        return Opened(source, found, tuple(found.values()), _content(found), self.cache)

    def _snapshot(self, source: str) -> Opened:
        parts = _SNAPSHOT.fullmatch(source)
        if parts is None:
            raise UnknownError(f"no weights {printable(source[:60])!r} are served here")
        run = self.run(parts["store"], parts["run"])
        step = int(parts["step"])
        if all(snapshot.step != step for snapshot in run.snapshots()):
            raise UnknownError(f"run {run.id} has no snapshot at step {step}")
        found = run.source(step)
        store = self.stores[parts["store"]]
        return Opened(source, found, tuple(found.values()), _content(found), Cache(store.cache / "scans"), run)


def snapshot_id(store: str, run: str, step: int) -> str:
    """The id of a run's weights at a step."""
    return f"{store}~{run}~{step}"


def tag_of(content: str) -> str | None:
    """See `Opened.tag`."""
    return None if content.startswith(LIVE) else content[:16]


def _tag_now(source: Source) -> str | None:
    try:
        return tag_of(_content(source))
    except SourceError:
        return None


def _content(source: Source) -> str:
    """Text that changes whenever the values of a source may have.

    Raises:
        SourceError: a file is gone.
    """
    if not source.files:  # live values may change at any time: what was computed from them holds for a moment
        return f"{LIVE} {id(source)} {int(time.monotonic() / FRESH)}"
    told = "\n".join(_identity(file) for file in source.files)
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def _identity(file: File) -> str:
    if not isinstance(file, LocalFile):
        return file.identity() or f"{file.label} {file.size}"
    try:  # by path and not by descriptor, so that a file put in its place counts
        status = Path(file.path).stat()
    except OSError as error:
        raise SourceError(f"{printable(file.label)} is gone: {error.strerror or error}") from error
    return ":".join(map(str, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)))
