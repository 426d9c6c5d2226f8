"""The bytes that a format is read from: a local file here, a remote one in `remote`. Read by range, never whole.

Every format reads through this one door, so that lengths and offsets are checked against the true size in one place,
and a file on the other side of the world opens like one beside us.
"""

import io
import mmap
import os
import weakref
from pathlib import Path
from typing import Protocol, Union, runtime_checkable

from weightsmith.errors import SourceError
from weightsmith.names import printable

FileLike = Union[str, "os.PathLike[str]", "File"]

MAPPED = 64 << 20
"""Ranges of at least this many bytes are mapped instead of copied by `view`.

A copy is safe whatever happens to the file; touching a mapped page that was cut off meanwhile kills the process.
"""


@runtime_checkable
class File(Protocol):
    """Bytes that can be read by range.

    Attributes:
        label: what people call it: the path or URL as given; pass it through `printable` before showing it.
        size: its length in bytes when it was opened.
    """

    label: str
    size: int

    def read_into(self, start: int, buffer: memoryview) -> None:
        """Fill a writable buffer of bytes with those from `start` on.

        Raises:
            SourceError: the range lies outside the file, or the file became shorter, or cannot be read.
        """
        ...

    def view(self, start: int, length: int) -> memoryview:
        """The bytes [start, start + length), mapped where that is possible and long enough to be worth it.

        Raises:
            SourceError: as for `read_into`.
        """
        ...

    def sibling(self, name: str) -> "File":
        """Another file, at a path relative to this file's folder.

        Raises:
            SourceError: the path is absolute or leads out of the folder, or no such file can be opened.
        """
        ...

    def identity(self) -> str | None:
        """Text that changes whenever the file's content may have; None where nothing cheap can tell."""
        ...


class LocalFile:
    """A file on this machine.

    Args:
        path: an existing regular file.

    Raises:
        SourceError: it is missing, a folder, no regular file, or may not be read.
    """

    def __init__(self, path: Union[str, "os.PathLike[str]"]) -> None:
        self.label = os.fspath(path)
        self.path = Path(path)
        shown = printable(self.label)
        try:
            if self.path.exists() and not self.path.is_file():
                raise SourceError(f"{shown} is {'a folder' if self.path.is_dir() else 'no regular file'}: give a file")
            self._descriptor = os.open(self.path, os.O_RDONLY)
        except SourceError:  # is a ValueError too
            raise
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = (isinstance(error, OSError) and error.strerror) or str(error)
            raise SourceError(f"cannot open {shown}: {reason}") from error
        weakref.finalize(self, os.close, self._descriptor)
        self.size = os.fstat(self._descriptor).st_size
        self._mapping: mmap.mmap | None = None

    def read_into(self, start: int, buffer: memoryview) -> None:
        """See `File.read_into`; safe from several threads at once."""
        buffer = buffer.cast("B")
        self._check(start, len(buffer))
        done = 0
        while done < len(buffer):
            try:
                count = os.preadv(self._descriptor, [buffer[done : done + (1 << 30)]], start + done)
            except OSError as error:
                raise SourceError(f"cannot read {printable(self.label)}: {error.strerror or error}") from error
            if not count:
                raise self._shrunk()
            done += count

    def view(self, start: int, length: int) -> memoryview:
        """See `File.view`."""
        self._check(start, length)
        if length < MAPPED:
            copy = bytearray(length)
            self.read_into(start, memoryview(copy))
            return memoryview(copy).toreadonly()
        if os.fstat(self._descriptor).st_size < self.size:
            raise self._shrunk()
        if self._mapping is None:
            self._mapping = mmap.mmap(self._descriptor, self.size, access=mmap.ACCESS_READ)
        return memoryview(self._mapping)[start : start + length]

    def sibling(self, name: str) -> "LocalFile":
        """See `File.sibling`; links may not lead out of the folder either.

        Save into the folder that this file is linked from: caches keep the files of a model in one place, and a folder
        of links to them.
        """
        path = self.path.parent / inside(name, self.label)
        try:
            homes = self.path.parent.resolve(), self.path.resolve().parent
            leads_out = not any(path.resolve().is_relative_to(home) for home in homes)
        except (OSError, RuntimeError, ValueError):  # a loop of links or an impossible name: opening says what is wrong
            leads_out = False
        if leads_out:
            raise SourceError(
                f"{printable(str(path))} is a link that leads out of its folder: put the file itself there"
            )
        return LocalFile(path)

    def identity(self) -> str | None:
        """Device, inode, size and both times: any write changes one of them."""
        status = os.fstat(self._descriptor)
        numbers = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        return ":".join(map(str, numbers))

    def _check(self, start: int, length: int) -> None:
        if start < 0 or length < 0 or start + length > self.size:
            raise SourceError(
                f"{printable(self.label)}: bytes {start} to {start + length} lie outside the file of {self.size} bytes"
            )

    def _shrunk(self) -> SourceError:
        return SourceError(f"{printable(self.label)}: the file became shorter while it was open: open it again")


def as_file(what: FileLike) -> File:
    """The file at a path; a `File` is returned as it is."""
    return LocalFile(what) if isinstance(what, (str, os.PathLike)) else what


_LONGEST = 1024
"""Characters of a path within a folder: no file system has longer names, and messages repeat them."""


def inside(name: str, label: str) -> str:
    """Return a relative path from a file's header when it stays inside the file's own folder.

    Raises:
        SourceError: it is empty, absolute, longer than any, or has a `..` or NUL in it.
    """
    if len(name) > _LONGEST:
        raise SourceError(f"{printable(label)} refers to a path of {len(name)} characters: damaged")
    parts = name.replace("\\", "/").split("/")
    if not name or name[0] in "/\\" or ":" in parts[0] or ".." in parts or "\0" in name:
        raise SourceError(f"{printable(label)} refers to '{printable(name[:200])}', which is not inside its folder")
    return name


class Stream(io.RawIOBase):
    """A `File` as a seekable binary stream, for libraries that read one; wrap it in `io.BufferedReader`."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset from the start, the position or the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        if base + offset < 0:
            raise OSError("negative seek position")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """Fill as much of the buffer as the file has left."""
        count = max(0, min(len(buffer), self._file.size - self._position))
        if count:
            self._file.read_into(self._position, memoryview(buffer)[:count])
            self._position += count
        return count
