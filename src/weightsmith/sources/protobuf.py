"""A strict reader of the protobuf wire format, by range over a `File`: what is not asked for is never read.

The libraries load a message whole, tensors and all. Here a message is a range of bytes; walking it reads tags and
lengths through a small window and steps over the rest, so that a model of gigabytes opens in a few megabytes.
Reference: https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.file import File

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5

_FIXED: Final = {FIXED64: 8, FIXED32: 4}
_WINDOW: Final = 1 << 14
"""Bytes read at a time while walking: the heads of a few tensors, or some hundred nodes of a graph."""

_CHUNK: Final = 1 << 18
"""Bytes of packed varints decoded at a time; the arrays in between take some forty times as much."""

_TEXT: Final = 1 << 16
"""Longest name in bytes that is read unless the caller allows more."""

FIELDS: Final = 5_000_000
"""Most fields that one reader walks: the largest graphs have some hundred thousand nodes of a dozen fields each."""

_LONGEST: Final = 10
"""Bytes of the longest varint, which holds 64 bits."""


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: its number in the message's definition.
        wire: how it is encoded: `VARINT`, `FIXED64`, `LENGTH` or `FIXED32`.
        value: the value of a varint, as an unsigned number of 64 bits; 0 for all others, which are not read.
        start: where its content begins in the file.
        end: where it ends.
    """

    number: int
    wire: int
    value: int
    start: int
    end: int

    @property
    def signed(self) -> int:
        """The value of a varint as int64, which is how int32, int64 and enumerations are kept."""
        return self.value - (1 << 64) if self.value >> 63 else self.value


class Reader:
    """Walks the messages of one file. Not for several threads at once: each takes a reader of its own.

    Args:
        file: what is read.
        fields: most fields that it walks before it refuses to go on.
    """

    def __init__(self, file: File, fields: int = FIELDS) -> None:
        self.file = file
        self._limit = self._left = fields
        self._start = 0
        self._data = b""

    def fault(self, problem: str) -> SourceError:
        """An error that names the file."""
        return SourceError(f"{printable(self.file.label)}: {problem}")

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of the message in the bytes [start, end), in their order.

        Raises:
            SourceError: a tag, varint or length is malformed or leads out of the message, a group or an unknown wire
                type occurs, or there are too many fields.
        """
        position = start
        while position < end:
            self._left -= 1
            if self._left < 0:
                raise self.fault(f"more than {self._limit} fields, which no network has: another format, or damaged")
            tag, after = self._varint(position, end)
            number, wire = tag >> 3, tag & 7
            if not 0 < number < 1 << 29:
                raise self.fault(f"byte {position} begins a field of the impossible number {number}: damaged")
            value = 0
            content = after
            if wire == VARINT:
                value, after = self._varint(content, end)
            elif wire == LENGTH:
                length, content = self._varint(content, end)
                after = content + length
            elif wire in _FIXED:
                after = content + _FIXED[wire]
            else:
                kind = "a group, which was never used here" if wire in (3, 4) else f"the unknown wire type {wire}"
                raise self.fault(f"field {number} at byte {position} is of {kind}: damaged, or another format")
            if after > end:
                raise self.fault(
                    f"field {number} at byte {position} ends at byte {after}, outside what encloses it "
                    f"(until byte {end}): truncated or damaged"
                )
            yield Field(number, wire, value, content, after)
            position = after

    def message(self, field: Field) -> Iterator[Field]:
        """The fields of a message within a message.

        Raises:
            SourceError: it is no message, or as for `fields`.
        """
        self._expect(field, LENGTH, "a message")
        return self.fields(field.start, field.end)

    def content(self, field: Field) -> Field:
        """The field itself, when its content is bytes.

        Raises:
            SourceError: it is a number.
        """
        self._expect(field, LENGTH, "bytes")
        return field

    def text(self, field: Field, limit: int = _TEXT) -> str:
        """The text in a field.

        Raises:
            SourceError: it is no text, longer than `limit` bytes, or not UTF-8.
        """
        self._expect(field, LENGTH, "text")
        length = field.end - field.start
        if length > limit:
            raise self.fault(f"a text of {length} bytes at byte {field.start}, and {limit} are allowed: damaged")
        try:
            return self._bytes(field.start, length).decode("utf-8")
        except UnicodeDecodeError:
            raise self.fault(f"the text at byte {field.start} is not UTF-8: damaged") from None

    def integer(self, field: Field) -> int:
        """The signed integer in a field.

        Raises:
            SourceError: it is no varint.
        """
        self._expect(field, VARINT, "an integer")
        return field.signed

    def integers(self, field: Field, limit: int) -> list[int]:
        """The signed integers in a repeated field: one, or several that are packed.

        Raises:
            SourceError: it is neither, or there are more than `limit`.
        """
        if field.wire == VARINT:
            return [field.signed]
        self._expect(field, LENGTH, "a list of integers")
        found: list[int] = []
        position = field.start
        while position < field.end:
            if len(found) == limit:
                raise self.fault(f"more than {limit} integers in the list at byte {field.start}: damaged")
            value, position = self._varint(position, field.end)
            found.append(value - (1 << 64) if value >> 63 else value)
        return found

    def varints(self, start: int, end: int) -> Iterator["np.ndarray[Any, np.dtype[np.uint64]]"]:
        """The varints packed in the bytes [start, end), as arrays of some hundred thousand each.

        Raises:
            SourceError: one is longer than ten bytes, or cut off.
        """
        position = start
        while position < end:
            chunk = np.empty(min(_CHUNK, end - position), np.uint8)
            self.file.read_into(position, chunk.data)
            lasts = np.flatnonzero(chunk < 0x80)
            if not lasts.size:
                raise self._unending(position)
            firsts = np.concatenate([[0], lasts[:-1] + 1])
            if (lasts - firsts).max() >= _LONGEST:
                raise self._unending(position + int(firsts[(lasts - firsts).argmax()]))
            values = np.zeros(lasts.size, np.uint64)
            for step in range(int((lasts - firsts).max()) + 1):
                longer = np.flatnonzero(firsts + step <= lasts)
                bits = (chunk[firsts[longer] + step] & 0x7F).astype(np.uint64)
                values[longer] |= bits << np.uint64(7 * step)
            yield values
            position += int(lasts[-1]) + 1

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        """The varint at a position and where it ends; `end` is that of the enclosing message."""
        index = position - self._start
        if not 0 <= index <= len(self._data) - _LONGEST:
            self._fill(position)
            index = 0
        data = self._data
        value = 0
        for step in range(min(_LONGEST, end - position)):
            byte = data[index + step]
            value |= (byte & 0x7F) << (7 * step)
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, position + step + 1
        raise self._unending(position)

    def _unending(self, position: int) -> SourceError:
        return self.fault(f"the number at byte {position} is cut off or has more than {_LONGEST} bytes: damaged")

    def _bytes(self, start: int, length: int) -> bytes:
        index = start - self._start
        if length > _WINDOW:
            return bytes(self.file.view(start, length))
        if not 0 <= index <= len(self._data) - length:
            self._fill(start)
            index = 0
        return self._data[index : index + length]

    def _fill(self, start: int) -> None:
        window = bytearray(max(0, min(_WINDOW, self.file.size - start)))
        self.file.read_into(start, memoryview(window))
        self._start, self._data = start, bytes(window)

    def _expect(self, field: Field, wire: int, what: str) -> None:
        if field.wire != wire:
            raise self.fault(f"field {field.number} at byte {field.start} should be {what}: damaged or another format")
