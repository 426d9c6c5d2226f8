"""Every neuron and every input of a weight, measured in one streaming pass whatever its size and layout."""

import mmap
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import InputError, SourceError
from weightsmith.kernels.parallel import map_blocks
from weightsmith.names import printable
from weightsmith.sources import BLOCK, LocalFile, Place, Weight, read_range
from weightsmith.weight import WeightInfo

BLOCK_VALUES = 1 << 18
"""Values read and measured at a time where any of them can be: 1 MiB of float32, which the second-level cache holds."""

MOST_LINES = 1 << 24
"""Most neurons and inputs together that statistics are kept of: about 64 bytes each."""

_WINDOW = 1 << 25
"""Bytes of a file that are mapped at a time."""

_WORTH_SKIPPING = 512
"""Bytes between the first values of two rows from which on they are looked up one by one."""

_WAVE = 32
"""Blocks measured before their totals are added up, so that few of them wait in memory."""

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Neurons:
    """What each neuron (filter, token, unit) of a weight holds; n of them with `length` values each.

    Attributes:
        length: values of one neuron.
        sums: float64[n], of the finite values, as for the next two.
        squares: float64[n], sums of squares.
        largest: float64[n], largest magnitudes.
        zeros: int64[n], exact zeros.
        non_finite: int64[n], NaN and infinities.
        hashes: uint64[n], equal for equal neurons (+0.0 and -0.0 being equal) and different for others but for a
            chance of about 1 in 2**32 a pair.
    """

    length: int
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    largest: NDArray[np.float64]
    zeros: NDArray[np.int64]
    non_finite: NDArray[np.int64]
    hashes: NDArray[np.uint64]

    @property
    def rms(self) -> NDArray[np.float64]:
        """Root of each one's mean square: float64[n]."""
        return np.sqrt(self.squares / max(self.length, 1))


@dataclass(frozen=True, eq=False)
class Inputs:
    """What all neurons together hold at each of their n inputs; for a convolution, at each channel and position.

    Attributes:
        length: values at one input, which is the number of neurons.
        squares: float64[n], sums of squares of the finite values.
        largest: float64[n], largest magnitudes of the finite values.
        zeros: int64[n], exact zeros.
    """

    length: int
    squares: NDArray[np.float64]
    largest: NDArray[np.float64]
    zeros: NDArray[np.int64]

    @property
    def rms(self) -> NDArray[np.float64]:
        """Root of each one's mean square: float64[n]."""
        return np.sqrt(self.squares / max(self.length, 1))


@dataclass(frozen=True, eq=False)
class RowStatistics:
    """A weight by its neurons and by its inputs, whichever axis of the file either lies on."""

    neurons: Neurons
    inputs: Inputs


@dataclass(frozen=True)
class Layout:
    """A weight in C order as `outer` slabs of `neurons` lines of `inner` values.

    PyTorch's order is one slab; a kernel of Keras is one slab for each input, with a value for each neuron.
    """

    outer: int
    neurons: int
    inner: int

    @classmethod
    def of(cls, info: WeightInfo) -> "Layout":
        """The layout of a weight by its shape and `output_axis`; a vector is a column of neurons."""
        if not info.shape:
            return cls(1, 1, 1)
        axis = info.output_axis % len(info.shape)
        outer = inner = 1
        for length in info.shape[:axis]:
            outer *= length
        for length in info.shape[axis + 1 :]:
            inner *= length
        return cls(outer, info.shape[axis], inner)

    @property
    def slab(self) -> int:
        """Values of one slab."""
        return self.neurons * self.inner

    @property
    def inputs(self) -> int:
        """Values of one neuron."""
        return self.outer * self.inner

    @property
    def unit(self) -> int:
        """Values that are measured together or not at all: a neuron, or a slab where neurons lie scattered."""
        return self.inner if self.outer == 1 else self.slab


class _Totals:
    """Running totals of a block, a wave or the whole: arrays over neurons [start, stop) and over inputs likewise."""

    def __init__(self, neurons: range, inputs: range) -> None:
        self.neurons = neurons
        self.inputs = inputs
        self.rows = np.zeros((3, len(neurons)))
        self.counts = np.zeros((2, len(neurons)), np.int64)
        self.hashes = np.zeros(len(neurons), np.uint64)
        self.columns = np.zeros((2, len(inputs)))
        self.column_zeros = np.zeros(len(inputs), np.int64)

    def measure(self, matrix: Array) -> None:
        """Add a float32 or float64 matrix (neurons, inputs) in C order."""
        from weightsmith.kernels.rows import column_keys, measure_rows  # loads numba

        matrix.flags.writeable = False
        bits = matrix.view(f"u{matrix.dtype.itemsize}")
        keys = column_keys(self.inputs.start, self.inputs.stop)
        measure_rows(matrix, bits, keys, self.rows, self.counts, self.hashes, self.columns, self.column_zeros)

    def add(self, part: "_Totals") -> None:
        """Add the totals of a part whose neurons and inputs lie within this one's."""
        rows = slice(part.neurons.start, part.neurons.stop)
        columns = slice(part.inputs.start, part.inputs.stop)
        self.rows[:2, rows] += part.rows[:2]
        np.maximum(self.rows[2, rows], part.rows[2], out=self.rows[2, rows])
        self.counts[:, rows] += part.counts
        self.hashes[rows] += part.hashes
        self.columns[0, columns] += part.columns[0]
        np.maximum(self.columns[1, columns], part.columns[1], out=self.columns[1, columns])
        self.column_zeros[columns] += part.column_zeros


def row_statistics(weight: Weight, threads: int | None = None) -> RowStatistics:
    """Measure every neuron and input of a weight in one pass that keeps a few blocks in memory at most.

    Args:
        weight: of any real type, shape and layout; a vector counts as neurons with one input each.
        threads: most threads to use; by default all the process may use. The result does not depend on it.

    Raises:
        InputError: it has more than `MOST_LINES` neurons and inputs together, or its values cannot be read.
    """
    layout = Layout.of(weight.info)
    if layout.neurons + layout.inputs > MOST_LINES:
        raise InputError(f"over {MOST_LINES:,} rows and columns together")
    total = _Totals(range(layout.neurons), range(layout.inputs))
    for part in _parts(weight, layout, threads):
        total.add(part)
    rows, counts, columns = total.rows, total.counts, total.columns
    return RowStatistics(
        Neurons(layout.inputs, rows[0], rows[1], rows[2], counts[0], counts[1], total.hashes),
        Inputs(layout.neurons, columns[0], columns[1], total.column_zeros),
    )


def row_starts(weight: Weight, length: int) -> list[Array] | None:
    """The first values of every neuron: far less to look at than all of them, and enough to tell most apart.

    Args:
        weight: of any real type, shape and layout.
        length: how many values of each; neurons that have fewer give all they have.

    Returns:
        Consecutive neurons as float32 or float64[n, length or fewer]; None where the weight does not lie plain in a
        local file, so that this would save nothing.
    """
    place = weight.place
    if place is None or not isinstance(place.file, LocalFile) or not weight.size:
        return None
    if LocalFile(place.file.path).identity() != place.file.identity():  # something else lies there by now
        return None
    layout = Layout.of(weight.info)
    if layout.outer > 1:
        slabs = read_range(place, 0, min(-(-length // layout.inner), layout.outer) * layout.slab)
        lines = np.moveaxis(slabs.reshape(-1, layout.neurons, layout.inner), 1, 0)
        return [_floats(lines.reshape(layout.neurons, -1)[:, :length])]

    if place.dtype.itemsize * (layout.inner - length) < _WORTH_SKIPPING:
        step = max(BLOCK // layout.inner, 1) * layout.inner
        blocks = (read_range(place, start, min(start + step, weight.size)) for start in range(0, weight.size, step))
        return [_floats(block.reshape(-1, layout.inner)[:, :length]) for block in blocks]
    return _mapped_starts(place, place.file, layout, length)


def _mapped_starts(place: Place, file: LocalFile, layout: Layout, length: int) -> list[Array] | None:
    """The first values of rows that lie far apart: mapped, as copying what lies between takes four times as long.

    A few rows at a time, as pages count as this process's own memory while they are mapped.
    """
    width = layout.inner * place.dtype.itemsize
    step = max(_WINDOW // width, 1)
    found = []
    with file.path.open("rb") as handle:
        for first in range(0, layout.neurons, step):
            count = min(step, layout.neurons - first)
            begin = place.offset + first * width
            skipped = begin % mmap.ALLOCATIONGRANULARITY
            if os.fstat(handle.fileno()).st_size < begin + count * width:
                raise SourceError(f"{printable(file.label)}: the file became shorter while it was open: open it again")
            with mmap.mmap(
                handle.fileno(), skipped + count * width, access=mmap.ACCESS_READ, offset=begin - skipped
            ) as window:
                lines = np.frombuffer(window, np.uint8, offset=skipped).reshape(count, width)
                starts = lines[:, : length * place.dtype.itemsize].copy().view(place.dtype)
                del lines  # nothing may look into the window when it closes
            found.append(_floats(starts))
    return found


def _parts(weight: Weight, layout: Layout, threads: int | None) -> Iterator[_Totals]:
    """The totals of consecutive blocks, in order."""
    if not weight.size:
        return
    if weight.place is not None:
        most = BLOCK_VALUES if isinstance(weight.place.file, LocalFile) else BLOCK
        yield from _measured(partial(read_range, weight.place), 0, weight.size, most, layout, threads)
        return
    for first, block in _whole_units(weight.blocks(), layout.unit):
        yield from _measured(partial(_piece, block), first, block.size, BLOCK_VALUES, layout, threads)


def _piece(block: Array, start: int, stop: int) -> Array:
    return block[start:stop]


def _measured(
    fetch: Callable[[int, int], Array], first: int, size: int, most: int, layout: Layout, threads: int | None
) -> Iterator[_Totals]:
    """Totals of `size` values that `fetch(start, stop)` gives; the first is number `first` of the weight."""
    step = max(most // layout.unit, 1) * layout.unit
    for start in range(0, size, _WAVE * step):

        def measure(a: int, b: int, start: int = start) -> _Totals:
            return _measure(fetch(start + a, start + b), first + start + a, layout)

        yield from map_blocks(measure, min(_WAVE * step, size - start), step, threads)


def _measure(flat: Array, first: int, layout: Layout) -> _Totals:
    values = _floats(flat)
    if layout.outer == 1:
        matrix = values.reshape(-1, layout.inner)
        row = first // layout.inner
        totals = _Totals(range(row, row + matrix.shape[0]), range(layout.inner))
    else:
        slabs = values.reshape(-1, layout.neurons, layout.inner)
        matrix = np.ascontiguousarray(np.moveaxis(slabs, 1, 0)).reshape(layout.neurons, -1)
        column = first // layout.slab * layout.inner
        totals = _Totals(range(layout.neurons), range(column, column + matrix.shape[1]))
    totals.measure(matrix)
    return totals


def _floats(flat: Array) -> Array:
    """The values as float32 where that holds them all, else as float64."""
    if flat.dtype.name == "bfloat16":
        return (flat.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
    narrow = flat.dtype.itemsize <= 2 or (flat.dtype.kind == "f" and flat.dtype.itemsize == 4)
    return np.ascontiguousarray(flat, np.float32 if narrow else np.float64)


def _whole_units(blocks: Iterator[Array], unit: int) -> Iterator[tuple[int, Array]]:
    """Blocks cut anew so that each holds whole units, with the number of its first value."""
    rest: list[Array] = []
    waiting = first = 0
    for block in blocks:
        rest.append(block)
        waiting += block.size
        if waiting < unit:
            rest[-1] = block.copy()  # whoever made it may write the next one into the same memory
            continue
        joined = np.concatenate(rest) if len(rest) > 1 else block
        whole = waiting // unit * unit
        yield first, joined[:whole]
        first += whole
        rest, waiting = [joined[whole:].copy()], waiting - whole
