"""Counting one unit of a scan, on whichever thread, process or machine."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from weightsmith.errors import InputError
from weightsmith.kernels.chunks import chunk_digest
from weightsmith.kernels.portion import Portion
from weightsmith.kernels.stream import measure_file
from weightsmith.scan.units import Piece, Unit
from weightsmith.sources import File

ReadInto = Callable[[int, memoryview], None]


@dataclass(frozen=True)
class Counted:
    """What was found in a piece.

    Attributes:
        piece: which.
        portion: counts and measures, or None where it could not be read.
        digests: those of its chunks, in order; empty where nothing asked for them.
        reason: why it could not be read, or None.
    """

    piece: Piece
    portion: Portion | None
    digests: tuple[bytes, ...] = ()
    reason: str | None = None


def count_unit(file: File, unit: Unit, *, hashing: bool) -> list[Counted]:
    """Read a unit and count it; what cannot be read gets a reason instead.

    Args:
        file: where it lies.
        unit: what to count.
        hashing: whether to hash the values as well while they are in the cache.
    """
    if len(unit.pieces) > 1:
        first, last = unit.pieces[0], unit.pieces[-1]
        room = np.empty(last.offset + last.nbytes - first.offset, np.uint8)
        try:
            file.read_into(first.offset, room.data)
        except InputError:
            return [_count(file.read_into, piece, hashing=hashing) for piece in unit.pieces]

        def read_into(start: int, buffer: memoryview) -> None:
            at = start - first.offset
            buffer[:] = room.data[at : at + buffer.nbytes]

        return [_count(read_into, piece, hashing=hashing) for piece in unit.pieces]
    return [_count(file.read_into, unit.pieces[0], hashing=hashing)]


def _count(read_into: ReadInto, piece: Piece, *, hashing: bool) -> Counted:
    digests: list[bytes] = []

    def watch(start: int, values: "np.ndarray[Any, Any]") -> None:
        del start
        if values.size:
            digests.append(chunk_digest(values))

    try:
        portion = measure_file(
            read_into, piece.offset, piece.dtype, piece.start, piece.stop, watch if hashing else None
        )
    except InputError as error:
        return Counted(piece, None, (), str(error))
    return Counted(piece, portion, tuple(digests))
