"""Where what the units found comes together: one record per weight, finished as soon as its last unit is in."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weightsmith.errors import InputError
from weightsmith.kernels.chunks import chunk_digest, chunk_elements, digest
from weightsmith.kernels.stream import gather_blocks
from weightsmith.kernels.tally import Gathering
from weightsmith.names import printable
from weightsmith.scan.bits import effective_bits
from weightsmith.scan.count import Counted
from weightsmith.scan.record import Record
from weightsmith.sketch import Sketch
from weightsmith.sources import Weight

Progress = Callable[[int, int, str], None]


@dataclass
class _Open:
    """A weight of which units are still out."""

    gathering: Gathering
    digests: dict[int, bytes] = field(default_factory=dict)


class Ledger:
    """Adds up what units found, from any thread and in any order.

    Args:
        label: of the source; taken off the front of reasons, as the reader knows it.
        weights: all weights of the source.
        total: bytes that will be counted in all.
        progress: called with the bytes done, all bytes and the name of a weight, one call at a time.
        tell: called with the place and the record of each weight that is finished, from any thread.
        hashing: whether digests are wanted.
    """

    def __init__(
        self,
        label: str,
        weights: "list[Weight]",
        total: int,
        progress: Progress | None,
        tell: Callable[[int, Record], None] = lambda *_: None,
        *,
        hashing: bool,
    ) -> None:
        self.records: dict[int, Record] = {}
        self._label = f"{printable(label)}: "
        self._weights = weights
        self._total = total
        self._progress = progress
        self._tell = tell
        self._hashing = hashing
        self._done = 0
        self._open: dict[int, _Open] = {}
        self._lock = threading.Lock()

    def add(self, found: Iterable[Counted]) -> None:
        """Take in what was found in the pieces of a unit."""
        for counted in found:
            piece = counted.piece
            weight = self._weights[piece.index]
            with self._lock:
                self._advance(piece.nbytes, weight)
                if piece.index in self.records:  # a piece before it could not be read
                    continue
                if counted.portion is None:
                    self._open.pop(piece.index, None)
                    record = self.records[piece.index] = self._failed(counted.reason or "it could not be read")
                    self._tell(piece.index, record)
                    continue
                dtype = piece.dtype.newbyteorder("=")
                open_ = self._open.setdefault(piece.index, _Open(Gathering(dtype, weight.size)))
                open_.gathering.add(counted.portion)
                first = piece.start // chunk_elements(dtype)
                open_.digests.update(enumerate(counted.digests, first))
                if not open_.gathering.complete:
                    continue
                del self._open[piece.index]
            record = self.records[piece.index] = self._record(weight, open_.gathering, open_.digests, dtype)
            self._tell(piece.index, record)

    def compute(self, index: int) -> None:
        """Count a weight whose values do not lie plain in a file."""
        weight = self._weights[index]
        digests: dict[int, bytes] = {}
        kinds: list[np.dtype[Any]] = []

        def watch(start: int, values: "np.ndarray[Any, Any]") -> None:
            kinds[:] = [values.dtype]
            if self._hashing:
                digests[start] = chunk_digest(values)
            with self._lock:
                self._advance(weight.nbytes * values.size // weight.size, weight)

        try:
            gathering = gather_blocks(weight.blocks(), weight.size, watch)
        except InputError as error:
            self.records[index] = self._failed(str(error))
        else:
            kind = kinds[0] if kinds else np.dtype(np.float32)
            self.records[index] = self._record(weight, gathering, digests, kind)
        self._tell(index, self.records[index])

    def _record(
        self, weight: Weight, gathering: Gathering, digests: dict[int, bytes], dtype: "np.dtype[Any]"
    ) -> Record:
        sketch = Sketch(**vars(gathering.tally()))
        ordered = [digests[at] for at in sorted(digests)]
        found = digest(weight.dtype, weight.shape, ordered) if self._hashing else None
        bits: float | None = effective_bits(sketch, gathering, dtype)
        if bits and weight.nbytes and 8 * weight.nbytes < bits * weight.size:
            bits = 8 * weight.nbytes / weight.size  # packed types: what is stored holds every value too
        return Record(sketch, bits, found)

    def _failed(self, reason: str) -> Record:
        return Record(reason=" ".join(reason.removeprefix(self._label).split()))

    def _advance(self, nbytes: int, weight: Weight) -> None:
        self._done += nbytes
        if self._progress is not None:
            self._progress(self._done, self._total, weight.name)
