"""Digests without counting, on several threads: to recognize a copy of a file that was scanned before."""

import threading

import numpy as np

from weightsmith.kernels.chunks import chunk_digest, chunk_elements, digest
from weightsmith.kernels.parallel import map_blocks
from weightsmith.sources import Place, Weight


def quick_digest(weight: Weight, threads: int) -> str:
    """`Weight.digest`, by several threads where the values lie plain in a file.

    Raises:
        InputError: the values cannot be read.
    """
    if weight.place is None:
        return weight.digest()
    chunks = _chunks(weight.place, weight.size, threads)
    return digest(weight.dtype, weight.shape, chunks)


def _chunks(place: Place, size: int, threads: int) -> list[bytes]:
    rooms = threading.local()
    step = chunk_elements(place.dtype)
    width = place.dtype.itemsize

    def hashed(start: int, stop: int) -> bytes:
        if not hasattr(rooms, "room"):
            rooms.room = np.empty(min(step, size) * width, np.uint8)
        raw = rooms.room[: (stop - start) * width]
        place.file.read_into(place.offset + start * width, raw.data)
        return chunk_digest(raw.view(place.dtype))

    return map_blocks(hashed, size, step, threads)
