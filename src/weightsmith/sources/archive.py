"""Zip files whose every claim is checked: the container of PyTorch, Keras and NumPy files.

The standard library reads the central directory; members are then read by range through `File`, so that values kept
uncompressed need not pass through a zip reader at all.
Reference: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Final

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.file import File, Stream, inside

_DIRECTORY_LIMIT: Final = 16 << 20
"""Longest central directory in bytes, some 200 000 members: a longer one would cost a gigabyte of Python objects."""

_RATIO: Final = 1032
"""Deflate makes nothing smaller than this (zlib's technical notes, Gailly and Adler): larger claims are lies."""

_ROOMY: Final = 64 << 20
_DENSE: Final = 64
"""A member may be held whole where it has up to `_ROOMY` bytes, or up to so many times those that it takes packed."""

_LOCAL: Final = struct.Struct("<4s5H3I2H")
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE: Final = (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OverflowError, OSError, EOFError)
"""What `zipfile` raises on a damaged directory; ValueError covers names that are not UTF-8."""


class _Directory(io.BufferedReader):
    """What `zipfile` reads from: refuses a directory of a forged length before it is read."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > _DIRECTORY_LIMIT:
            raise zipfile.BadZipFile(f"the directory claims {size} bytes, and {_DIRECTORY_LIMIT} are allowed")
        return super().read(size)


class Archive:
    """The members of a zip file.

    Several threads may read members at once.

    Args:
        file: the file to read.

    Raises:
        SourceError: it is no zip file, truncated, or has members that are encrypted, listed twice, compressed by
            another method than deflate, or named by a path that leads out of the archive.
    """

    def __init__(self, file: File) -> None:
        self.file = file
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._ends: dict[str, int] = {}
        try:
            with _Directory(Stream(file)) as stream, zipfile.ZipFile(stream) as archive:
                members, end = archive.infolist(), archive.start_dir
        except SourceError:
            raise
        except _DAMAGE as error:
            raise self._error(f"not a zip file, truncated or damaged ({printable(str(error)[:200])})") from None
        for member in sorted(members, key=lambda member: -member.header_offset):
            self._ends[member.orig_filename] = end  # a member's bytes reach to the next one at most
            end = member.header_offset
        for member in members:
            self._admit(member)

    @property
    def names(self) -> list[str]:
        """Names of all members, in the order of the directory; folders are none."""
        return list(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def size(self, name: str) -> int:
        """Bytes of a member, inflated, as the directory claims; `read` and `chunks` hold it to that.

        Raises:
            SourceError: there is no such member.
        """
        return self._member(name).file_size

    def is_modest(self, name: str) -> bool:
        """Whether a member can be held whole, in memory or on the disk: a megabyte may inflate to a gigabyte of zeros.

        Raises:
            SourceError: there is no such member.
        """
        member = self._member(name)
        return member.file_size <= max(_ROOMY, _DENSE * member.compress_size)

    def offset(self, name: str) -> int | None:
        """Where a member's bytes start in the file, or None where they are compressed.

        Raises:
            SourceError: there is no such member, or its own header is missing, contradicts the directory, or lets it
                reach into the next member.
        """
        start = self._start(name)
        return start if self._member(name).compress_type == zipfile.ZIP_STORED else None

    def read(self, name: str, limit: int) -> bytes:
        """All bytes of a member.

        Args:
            name: a member.
            limit: most bytes that are acceptable.

        Raises:
            SourceError: as `chunks`, or the member is longer than the limit.
        """
        size = self.size(name)
        if size > limit:
            raise self._error(f"member '{printable(name[:200])}' has {size} bytes, and {limit} are allowed")
        return b"".join(self.chunks(name))

    def chunks(self, name: str, size: int = 1 << 20) -> Iterator[bytes]:
        """The bytes of a member, inflated, at most `size` at a time and never more than the directory claims.

        Raises:
            SourceError: there is no such member, its header is wrong, it inflates to another length than the
                directory claims, or its checksum (CRC-32) differs.
        """
        member, done, checksum = self._member(name), 0, 0
        stored = member.compress_type == zipfile.ZIP_STORED
        for chunk in self._stored(name, size) if stored else self._inflated(name, size):
            done += len(chunk)
            checksum = zlib.crc32(chunk, checksum)
            if done > member.file_size:
                break
            yield chunk
        if done != member.file_size:
            found = "more" if done > member.file_size else f"only {done}"
            raise self._error(f"member '{printable(name[:200])}' claims {member.file_size} bytes and holds {found}")
        if checksum != member.CRC:
            raise self._error(f"member '{printable(name[:200])}' is damaged: its checksum differs")

    def _stored(self, name: str, size: int) -> Iterator[bytes]:
        start, length = self._start(name), self._member(name).compress_size
        for position in range(0, length, size):
            yield bytes(self.file.view(start + position, min(size, length - position)))

    def _inflated(self, name: str, size: int) -> Iterator[bytes]:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for packed in self._stored(name, size):
                rest = packed
                while rest and not inflater.eof:
                    if chunk := inflater.decompress(rest, size):
                        yield chunk
                    rest = inflater.unconsumed_tail
            while chunk := inflater.decompress(inflater.unconsumed_tail, size):
                yield chunk
        except zlib.error as error:
            raise self._error(f"member '{printable(name[:200])}' is damaged: {error}") from None
        if not inflater.eof:
            raise self._error(f"member '{printable(name[:200])}' is damaged: its compressed bytes end early")

    def _admit(self, member: zipfile.ZipInfo) -> None:
        name = inside(member.orig_filename, self.file.label)
        if member.is_dir():
            return
        shown = printable(name[:200])
        if name in self._members:
            raise self._error(f"member '{shown}' is listed twice")
        if member.flag_bits & 0x41:
            raise self._error(f"member '{shown}' is encrypted: decrypt the file first")
        if member.compress_type not in _METHODS:
            raise self._error(f"member '{shown}' is compressed by method {member.compress_type}, not by deflate")
        stored = member.compress_type == zipfile.ZIP_STORED
        most = member.compress_size * (1 if stored else _RATIO)
        if member.file_size > most or (stored and member.file_size < most) or member.header_offset < 0:
            raise self._error(f"member '{shown}' claims {member.file_size} bytes in {member.compress_size}")
        self._members[name] = member

    def _start(self, name: str) -> int:
        member = self._member(name)
        shown = printable(name[:200])
        start: int = member.header_offset
        end = self._ends[name]
        expected = member.orig_filename.encode("utf-8" if member.flag_bits & 0x800 else "cp437")
        length = _LOCAL.size + len(expected)
        if start + length > end:
            raise self._error(f"member '{shown}' overlaps another")
        header = bytes(self.file.view(start, length))  # at once: a range of a remote file is a request
        magic, _, flags, method, *_, named, extra = _LOCAL.unpack_from(header)
        if magic != b"PK\x03\x04" or method != member.compress_type or flags & 0x41:
            raise self._error(f"member '{shown}' has a header that contradicts the directory")
        if named != len(expected) or header[_LOCAL.size :] != expected:
            raise self._error(f"member '{shown}' has another name in its own header")
        start += length + extra
        if start + member.compress_size > end:
            raise self._error(f"member '{shown}' overlaps another or reaches out of the file")
        return start

    def _member(self, name: str) -> zipfile.ZipInfo:
        member = self._members.get(name)
        if member is None:
            raise self._error(f"has no member '{printable(name[:200])}'")
        return member

    def _error(self, text: str) -> SourceError:
        return SourceError(f"{printable(self.file.label)}: {text}")
