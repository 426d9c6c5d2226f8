"""A part of a file as a file of its own: a member of an archive that is kept uncompressed."""

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.file import File


class Slice:
    """The bytes [start, start + size) of a file.

    Args:
        file: the file that holds them.
        start: its first byte.
        size: how many bytes; they lie inside the file.
        name: what to call it after the file's own label.

    Raises:
        SourceError: the range lies outside the file.
    """

    def __init__(self, file: File, start: int, size: int, name: str) -> None:
        if start < 0 or size < 0 or start + size > file.size:
            raise SourceError(f"{printable(file.label)}: '{printable(name)}' lies outside the file")
        self.label = f"{file.label}:{name}"
        self.size = size
        self._file = file
        self._start = start

    def read_into(self, start: int, buffer: memoryview) -> None:
        """See `File.read_into`."""
        self._check(start, buffer.nbytes)
        self._file.read_into(self._start + start, buffer)

    def view(self, start: int, length: int) -> memoryview:
        """See `File.view`."""
        self._check(start, length)
        return self._file.view(self._start + start, length)

    def sibling(self, name: str) -> File:
        """Always refused: a part has no folder.

        Raises:
            SourceError: always.
        """
        raise SourceError(f"{printable(self.label)} refers to '{printable(name)}', and an archive's member may not")

    def identity(self) -> str | None:
        """That of the file, with the range."""
        whole = self._file.identity()
        return None if whole is None else f"{whole}:{self._start}:{self.size}"

    def _check(self, start: int, length: int) -> None:
        if start < 0 or length < 0 or start + length > self.size:
            raise SourceError(
                f"{printable(self.label)}: bytes {start} to {start + length} lie outside its {self.size} bytes"
            )
