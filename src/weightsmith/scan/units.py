"""The work of a scan cut into units: ranges of large tensors, and runs of small ones that lie side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weightsmith.kernels.chunks import CHUNK_BYTES, UNIT_BYTES
from weightsmith.sources import File, Place, Weight

_GAP = 4096
"""Bytes between small tensors that are rather read than skipped."""


@dataclass(frozen=True)
class Piece:
    """Elements [start, stop) of a weight.

    Attributes:
        index: position of the weight in its source.
        offset: of the weight's first byte in the file.
        dtype: of the values in the file, byte order included.
        start: first element, a multiple of the elements of a chunk.
        stop: one past the last.
    """

    index: int
    offset: int
    dtype: "np.dtype[Any]"
    start: int
    stop: int

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in the file."""
        return (self.stop - self.start) * self.dtype.itemsize


@dataclass(frozen=True)
class Unit:
    """What one thread or process counts in one go.

    Attributes:
        file: position in the list of files.
        pieces: one range of a large weight, or several small weights that lie side by side.
    """

    file: int
    pieces: tuple[Piece, ...]

    @property
    def nbytes(self) -> int:
        """Bytes to be counted."""
        return sum(piece.nbytes for piece in self.pieces)


def plan(weights: Sequence[tuple[int, Weight]]) -> tuple[list[File], list[Unit]]:
    """Units of all given weights, which have a place, in their order; and the files that they lie in.

    Args:
        weights: each with its position in the source.
    """
    files: list[File] = []
    known: dict[int, int] = {}
    units: list[Unit] = []
    waiting: list[Piece] = []
    at = -1
    for index, weight in weights:
        place = weight.place
        assert place is not None
        if id(place.file) not in known:
            known[id(place.file)] = len(files)
            files.append(place.file)
        file = known[id(place.file)]
        whole = Piece(index, place.offset, place.dtype, 0, weight.size)
        if waiting and (file != at or not _fits(waiting, whole)):
            units.append(Unit(at, tuple(waiting)))
            waiting = []
        at = file
        if whole.nbytes > CHUNK_BYTES:
            units.extend(Unit(file, (piece,)) for piece in _cut(index, place, weight.size))
        else:
            waiting.append(whole)
    if waiting:
        units.append(Unit(at, tuple(waiting)))
    return files, units


def _fits(waiting: list[Piece], piece: Piece) -> bool:
    end = waiting[-1].offset + waiting[-1].nbytes
    small = piece.offset + piece.nbytes - waiting[0].offset <= CHUNK_BYTES
    return small and 0 <= piece.offset - end <= _GAP


def _cut(index: int, place: Place, size: int) -> Iterator[Piece]:
    step = UNIT_BYTES // place.dtype.itemsize
    for start in range(0, size, step):
        yield Piece(index, place.offset, place.dtype, start, min(start + step, size))
