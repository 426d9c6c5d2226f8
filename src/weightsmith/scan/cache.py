"""Scans kept beside the store, found again by content, so that a second scan reads none of the tensors.

Two kinds of files lie in the folder:
- `<signature>-<content>.scan`: the statistics of all weights of one content. The signature hashes names, shapes and
  types; the content hashes the digests of all weights. So a copy of a file, or the same weights in shards, hits.
- `<identity>.file`: the name of the entry of a file that has not changed since: the same device, inode, size and
  times (or what a server says in their place).

A file that was written less than `RACY` seconds before the scan gets no identity: it could change again without its
times telling (as Git treats its index: Hamano (2006), "racy-git"). Everything is checksummed and written whole under
a temporary name; what is damaged, of another version or unknown is ignored and written anew. Beyond `LIMIT` bytes
the files that were not used for longest are deleted.
"""

import json
import os
import secrets
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import xxhash

from weightsmith.errors import InputError, WeightsmithError
from weightsmith.kernels.parallel import threads as default_threads
from weightsmith.names import printable
from weightsmith.scan.digests import quick_digest
from weightsmith.scan.record import Record
from weightsmith.sketch import Sketch
from weightsmith.sources import LocalFile, Source
from weightsmith.store.location import locate

VERSION: Final = 1
"""Of the entries and of what their statistics mean; entries of others are ignored."""

RACY: Final = 2.0
"""Seconds; the coarsest time stamps of file systems in use (FAT) are that far apart."""

LIMIT: Final = 256 << 20
"""Bytes that the folder may hold: some tens of thousands of weights."""

CANDIDATES: Final = 8
"""Most entries of the same names and shapes whose first weights are compared with those of an unknown file."""

_MAGIC: Final = b"WSSC"
_HEAD: Final = struct.Struct("<4sI16s")
"""Magic, version, xxh3-128 of all that follows."""

_LENGTH: Final = struct.Struct("<I")
"""Of the JSON part, which comes next; the sketches follow it."""


def cache_folder(store: str | os.PathLike[str] | None = None) -> Path:
    """Where scans are kept for a store: beside the files of its runs.

    Args:
        store: the store's location as commands take it; by default `WEIGHTSMITH_STORE`, else the user's data folder.

    Raises:
        StoreError: no store can be at that place.
    """
    return locate(store).cache / "scans"


class Cache:
    """A folder of earlier scans.

    Args:
        folder: made when the first scan is kept.
        limit: most bytes that it may hold.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder = folder
        self.limit = limit

    def visit(self, source: Source) -> "Visit | None":
        """Prepare to look a source up; None where its content cannot be told (a live model)."""
        if not source.files or not len(source):
            return None
        return Visit(self, source, _identity(source))

    def entry(self, name: str) -> "_Entry | None":
        """The entry of a name, marked as used; None where there is none or it is damaged."""
        path = self.folder / name
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return _Entry.read(data)

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all, then delete the oldest ones beyond the limit.

        Raises:
            OSError: the folder cannot be made or written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f".{secrets.token_hex(8)}.tmp"
        try:
            temporary.write_bytes(data)
            temporary.replace(self.folder / name)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self._evict()

    def _evict(self) -> None:
        found = []
        for path in self.folder.iterdir():
            try:
                status = path.stat()
            except FileNotFoundError:  # another process deletes as well
                continue
            found.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in found) - self.limit
        for _, size, path in sorted(found):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size


@dataclass
class Visit:
    """One source looked up in a cache: made before the pass, so that a file that changes meanwhile is not kept.

    Attributes:
        cache: where to look.
        source: what for.
        identity: of its files before the pass; None where nothing cheap tells them apart.
        remark: why this scan could not be kept, in a line.
    """

    cache: Cache
    source: Source
    identity: str | None
    remark: str | None = None

    def find(self, threads: int | None = None) -> list[Record] | None:
        """The records of all weights in order, by identity or else by content; None where they are not known."""
        signature = _signature(self.source)
        pointer = self._pointer()
        try:
            name = pointer.read_text("ascii") if pointer is not None else ""
        except (OSError, UnicodeDecodeError):
            name = ""
        if name.startswith(signature) and "/" not in name:
            entry = self.cache.entry(name)
            if entry is not None and len(entry.records) == len(self.source):
                return entry.records
        name, entry = self._recognized(signature, threads or default_threads())
        if entry is None:
            return None
        self._point_to(name)
        return entry.records

    def keep(self, records: list[Record]) -> None:
        """Keep the records of a pass; a folder that cannot be written leaves a remark."""
        if any(record.reason is not None for record in records) and not self._is_local:
            return  # what a server failed to give may come tomorrow
        if _identity(self.source) != self.identity:
            self.remark = "not cached: the file changed while it was scanned"
            return
        name = f"{_signature(self.source)}-{_content(records)}.scan"
        try:
            self.cache.write(name, _Entry(records).to_bytes())
        except OSError as error:
            self.remark = f"not cached: {printable(str(self.cache.folder))}: {error.strerror or error}"
            return
        self._point_to(name)

    @property
    def _is_local(self) -> bool:
        return all(isinstance(file, LocalFile) for file in self.source.files)

    def _pointer(self) -> Path | None:
        if self.identity is None:
            return None
        return self.cache.folder / f"{xxhash.xxh3_128_hexdigest(self.identity.encode())}.file"

    def _point_to(self, name: str) -> None:
        pointer = self._pointer()
        if pointer is None or self._is_racy():
            return
        try:
            self.cache.write(pointer.name, name.encode("ascii"))
        except OSError as error:
            self.remark = f"not cached: {printable(str(self.cache.folder))}: {error.strerror or error}"

    def _is_racy(self) -> bool:
        now = time.time()
        for file in self.source.files:
            if isinstance(file, LocalFile):
                try:
                    status = file.path.stat()
                except OSError:  # moved away meanwhile
                    return True
                if max(status.st_mtime, status.st_ctime) > now - RACY:
                    return True
        return False

    def _recognized(self, signature: str, threads: int) -> "tuple[str, _Entry | None]":
        """The entry of the same content, by hashing weights until no entry of these names and shapes is left."""
        left = dict(self._candidates(signature))
        for index, weight in enumerate(self.source.values()):
            if not left:
                return "", None
            if all(entry.records[index].digest is None for entry in left.values()):
                continue
            try:
                found = quick_digest(weight, threads)
            except InputError:
                return "", None
            left = {name: entry for name, entry in left.items() if entry.records[index].digest == found}
        return next(iter(left.items()), ("", None))

    def _candidates(self, signature: str) -> "Iterator[tuple[str, _Entry]]":
        try:
            paths = sorted(self.cache.folder.glob(f"{signature}-*.scan"), key=lambda path: -path.stat().st_mtime)
        except OSError:
            return
        for path in paths[:CANDIDATES]:
            entry = self.cache.entry(path.name)
            if entry is not None and len(entry.records) == len(self.source):
                yield path.name, entry


@dataclass(frozen=True)
class _Entry:
    """The records of one content."""

    records: list[Record]

    def to_bytes(self) -> bytes:
        sketches = [record.sketch.to_bytes() if record.sketch is not None else b"" for record in self.records]
        rows = [
            [record.effective_bits, record.digest, record.reason, len(sketch)]
            for record, sketch in zip(self.records, sketches, strict=True)
        ]
        text = json.dumps(rows, separators=(",", ":")).encode()
        content = _LENGTH.pack(len(text)) + text + b"".join(sketches)
        return _HEAD.pack(_MAGIC, VERSION, xxhash.xxh3_128_digest(content)) + content

    @classmethod
    def read(cls, data: bytes) -> "_Entry | None":
        """The entry that `to_bytes` wrote; None for anything else."""
        if len(data) < _HEAD.size + _LENGTH.size:
            return None
        magic, version, checksum = _HEAD.unpack_from(data)
        content = data[_HEAD.size :]
        if (magic, version, checksum) != (_MAGIC, VERSION, xxhash.xxh3_128_digest(content)):
            return None
        try:
            (length,) = _LENGTH.unpack_from(content)
            sketches = _LENGTH.size + length
            return cls(list(_records(json.loads(content[_LENGTH.size : sketches]), content[sketches:])))
        except (WeightsmithError, ValueError, TypeError):  # a checksum that fits says nothing about who wrote it
            return None


def _records(rows: list[list[Any]], sketches: bytes) -> Iterator[Record]:
    at = 0
    for bits, digest, reason, length in rows:
        sketch = Sketch.from_bytes(sketches[at : at + length]) if length else None
        at += length
        yield Record(sketch, bits, digest, reason)


def _identity(source: Source) -> str | None:
    """Text that changes with the files of a source or with what is read from them."""
    each = [file.identity() for file in source.files]
    known = [identity for identity in each if identity is not None]
    return "\n".join([_signature(source), *known]) if len(known) == len(each) else None


def _signature(source: Source) -> str:
    """Hash of names, shapes and types, in order: what two sources need to share for their records to correspond."""
    state = xxhash.xxh3_64()
    for weight in source.values():
        state.update(
            f"{weight.name}\0{weight.dtype}\0{weight.shape}\0{weight.info.tied_to}\n".encode("utf-8", "replace")
        )
    return str(state.hexdigest())


def _content(records: list[Record]) -> str:
    return xxhash.xxh3_128_hexdigest("\n".join(record.digest or "-" for record in records).encode())
