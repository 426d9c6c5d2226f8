"""Bytes of an HDF5 file as its structures address them, and a cursor that never reads past what it was given."""

from collections.abc import Iterator

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.file import File

_PAGE = 1 << 16
_PAGES = 64
_LIMIT = 64 << 20
"""Longest structure that is read at once."""


class Bytes:
    """An HDF5 file by address, through a few cached pages: headers are tiny, many and close together.

    Args:
        file: the file.
        base: where its superblock starts; all addresses count from there.
        offset_size: bytes of an address in the file.
        length_size: bytes of a length in the file.
    """

    def __init__(self, file: File, base: int, offset_size: int, length_size: int) -> None:
        self.file = file
        self.base = base
        self.offset_size = offset_size
        self.length_size = length_size
        self.undefined = (1 << 8 * offset_size) - 1
        self._pages: dict[int, bytes] = {}
        self._visited: set[int] = set()
        self._budget = 16 * file.size + (16 << 20)

    def at(self, address: int, length: int) -> bytes:
        """The bytes at an address.

        Raises:
            SourceError: they lie outside the file or are too many for a header.
        """
        start = self.base + address
        self._budget -= length
        if self._budget < 0:  # structures that overlap each other would cost more than the file holds
            raise self.error("the headers overlap each other")
        if length > _LIMIT or start + length > self.file.size:
            raise self.error(f"bytes {start} to {start + length} of a header lie outside the file or are too many")
        return b"".join(self._parts(start, start + length))

    def _parts(self, start: int, stop: int) -> Iterator[bytes]:
        for number in range(start // _PAGE, -(-stop // _PAGE)):
            first = number * _PAGE
            yield self._page(number)[max(0, start - first) : stop - first]

    def _page(self, number: int) -> bytes:
        page = self._pages.get(number)
        if page is None:
            if len(self._pages) >= _PAGES:
                self._pages.pop(next(iter(self._pages)))
            start = number * _PAGE
            page = self._pages[number] = bytes(self.file.view(start, min(_PAGE, self.file.size - start)))
        return page

    def again(self) -> "Bytes":
        """The same file for another reading, which may visit everything once more."""
        return Bytes(self.file, self.base, self.offset_size, self.length_size)

    def cursor(self, address: int, length: int) -> "Cursor":
        """A cursor over the bytes at an address."""
        return Cursor(self, self.at(address, length))

    def over(self, data: bytes) -> "Cursor":
        """A cursor over bytes read before."""
        return Cursor(self, data)

    def visit(self, address: int, what: str) -> None:
        """Note that a structure was read, so that no loop or sharing makes the work exceed the file's length.

        Raises:
            SourceError: it was read before.
        """
        if address in self._visited:
            raise self.error(f"the {what} at byte {address} is used twice")
        self._visited.add(address)

    def error(self, text: str) -> SourceError:
        """An error that names the file."""
        return SourceError(f"{printable(self.file.label)}: {text}: damaged, or written by an unknown version of HDF5")


class Cursor:
    """Numbers one after the other from some bytes of a file."""

    def __init__(self, raw: Bytes, data: bytes) -> None:
        self._raw = raw
        self._data = data
        self._position = 0

    @property
    def left(self) -> int:
        """Bytes not taken yet."""
        return len(self._data) - self._position

    def take(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            SourceError: there are not as many.
        """
        if count > self.left:
            raise self.error(f"{count} bytes are needed where {self.left} are left in a header")
        self._position += count
        return self._data[self._position - count : self._position]

    def number(self, width: int) -> int:
        """The next unsigned number of that many bytes."""
        return int.from_bytes(self.take(width), "little")

    def offset(self) -> int:
        """The next address."""
        return self.number(self._raw.offset_size)

    def length(self) -> int:
        """The next length."""
        return self.number(self._raw.length_size)

    def error(self, text: str) -> SourceError:
        """An error that names the file."""
        return self._raw.error(text)
