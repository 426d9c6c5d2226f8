"""Weights whose values are copied and never mapped: a file that is cut off while it is read is then an error.

Touching a mapped page that is no longer there kills the process, and with it the page of everybody else.
"""

from dataclasses import replace

from weightsmith.sources import File, Source, Weight


class Copied:
    """A file whose every range is copied; else the file that it is of.

    Args:
        file: any file.
    """

    def __init__(self, file: File) -> None:
        self.label = file.label
        self.size = file.size
        self._file = file

    def read_into(self, start: int, buffer: memoryview) -> None:
        """See `File.read_into`."""
        self._file.read_into(start, buffer)

    def view(self, start: int, length: int) -> memoryview:
        """See `File.view`; a copy, however long.

        Raises:
            SourceError: as for `read_into`.
        """
        if start < 0 or length < 0 or start + length > self.size:
            return self._file.view(start, length)  # which says what is wrong
        copy = memoryview(bytearray(length))
        self._file.read_into(start, copy)
        return copy.toreadonly()

    def sibling(self, name: str) -> File:
        """See `File.sibling`."""
        return Copied(self._file.sibling(name))

    def identity(self) -> str | None:
        """See `File.identity`."""
        return self._file.identity()


def copied(weight: Weight) -> Weight:
    """The same weight, read into memory of its own wherever it would be mapped."""
    if weight.place is None:
        return weight
    return replace(weight, place=replace(weight.place, file=Copied(weight.place.file)))


def copied_source(source: Source) -> Source:
    """The same weights, each as `copied` gives it."""
    return Source(
        source.label,
        map(copied, source.values()),
        source.metadata,
        file_format=source.file_format,
        aside=source.aside,
        files=source.files,
    )
