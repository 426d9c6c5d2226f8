"""Compiled loops over the rows of a sparse weight: results of a range of rows for a few or for many activations."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from weightsmith.kernels.sparse.vectors import (
    LANES,
    WIDEST,
    axpy_rows,
    expand_rows,
    gather_row,
    list_bits,
    transpose_square,
)

Floats = NDArray[np.float32]

_axpy_1, _axpy_2, _axpy_4 = (axpy_rows[vectors] for vectors in (1, 2, 4))
_expand_1, _expand_2, _expand_4 = (expand_rows[rows] for rows in (1, 2, 4))
_PITCH = LANES * WIDEST

_BYTES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
_PLACES = np.argsort(1 - _BYTES, axis=1, kind="stable").astype(np.uint8).reshape(-1)
"""The places of the bits set in each byte, lowest first, and then the others."""


@njit(nogil=True, cache=True)
def finite(values: Floats) -> bool:
    """Whether no value of float32[n] is NaN or infinite."""
    broken = False
    for i in range(values.size):
        broken |= not np.isfinite(values[i])
    return not broken


@njit(nogil=True, cache=True)
def gather_rows(
    inputs: Floats,
    batch: int,
    length: int,
    starts: NDArray[np.int64],
    columns: NDArray[Any],
    values: Any,
    signed: bool,
    scale: Floats,
    bias: Floats,
    outputs: Floats,
    first: int,
    last: int,
) -> None:
    """Products of rows first to last with each activation by itself: right for one or two.

    Args:
        inputs: float32[batch * length].
        batch: number of activations.
        length: values in each.
        starts: int64[rows + 1], or int64[2 * rows + 1] where `signed`.
        columns: uint16 or uint32, of all nonzeros.
        values: float32 of the same size, or None for ones.
        signed: whether each row has a second run of columns, to be subtracted.
        scale: float32 of size 0, 1 or rows; multiplies the results.
        bias: float32 of size 0 or rows; added in the end.
        outputs: float32[batch * rows].
        first: row to begin with.
        last: row to stop before.
    """
    rows = outputs.size // batch
    for row in range(first, last):
        line = 2 * row if signed else row
        factor = scale[row if scale.size > 1 else 0] if scale.size else np.float32(1)
        shift = bias[row] if bias.size else np.float32(0)
        for number in range(batch):
            total = gather_row(inputs, number * length, columns, values, starts[line], starts[line + 1])
            if signed:
                total -= gather_row(inputs, number * length, columns, values, starts[line + 1], starts[line + 2])
            outputs[number * rows + row] = total * factor + shift


@njit(nogil=True, cache=True)
def expand_mask(
    inputs: Floats,
    batch: int,
    mask: NDArray[np.uint64],
    values: Floats,
    starts: NDArray[np.int64],
    bias: Floats,
    outputs: Floats,
    first: int,
    last: int,
) -> None:
    """Products of rows first to last of a bitmask with a few activations.

    Args:
        inputs: float32[batch * words * 64], each activation padded with zeros to whole words.
        batch: number of activations.
        mask: uint64[rows, words].
        values: float32, of all nonzeros.
        starts: int64[rows + 1].
        bias: float32 of size 0 or rows.
        outputs: float32[batch * rows].
        first: row to begin with.
        last: row to stop before.
    """
    rows, words = mask.shape
    pitch = words * 64
    flat = mask.reshape(rows * words)
    found = np.empty(4, np.float32)
    for row in range(first, last):
        number = 0
        while number < batch:
            left = batch - number
            at = row * words
            if left >= 4:
                count = 4
                _expand_4(inputs, number * pitch, pitch, flat, at, words, values, starts[row], found, 0)
            elif left >= 2:
                count = 2
                _expand_2(inputs, number * pitch, pitch, flat, at, words, values, starts[row], found, 0)
            else:
                count = 1
                _expand_1(inputs, number * pitch, pitch, flat, at, words, values, starts[row], found, 0)
            for i in range(count):
                outputs[(number + i) * rows + row] = found[i] + bias[row] if bias.size else found[i]
            number += count


@njit(nogil=True, cache=True)
def list_columns(
    mask: NDArray[np.uint64], starts: NDArray[np.int64], columns: NDArray[Any], first: int, last: int
) -> None:
    """The columns of all bits set in rows first to last of a bitmask, in order.

    Args:
        mask: uint64[rows, words].
        starts: int64[rows + 1].
        columns: uint16 or uint32[at least starts[last] - starts[first] + 8]; filled from the beginning.
        first: row to begin with.
        last: row to stop before.
    """
    rows, words = mask.shape
    flat = mask.reshape(rows * words)
    for row in range(first, last):
        list_bits(flat, row * words, words, _PLACES, columns, starts[row] - starts[first])


@njit(nogil=True, cache=True)
def fill_panels(inputs: Floats, length: int, vectors: int, panels: Floats, first: int, last: int) -> bool:
    """Transpose activations into panels of vectors * 16 and say whether all of them are finite.

    Args:
        inputs: float32[batch * length], batch a multiple of 16.
        length: values in each activation.
        vectors: width of a panel, in vectors of 16.
        panels: float32[panels * length * vectors * 16]; in each panel, values of equal column lie together. Lanes
            without an activation get zeros.
        first: panel to begin with.
        last: panel to stop before.
    """
    batch = inputs.size // length
    width = vectors * LANES
    whole = length // LANES * LANES
    for panel in range(first, last):
        for lane in range(0, width, LANES):
            number = panel * width + lane
            origin = panel * length * width + lane
            if number >= batch:
                for column in range(length):
                    for i in range(LANES):
                        panels[origin + column * width + i] = np.float32(0)
                continue
            for column in range(0, whole, LANES):
                transpose_square(inputs, number * length + column, length, panels, origin + column * width, width)
            for column in range(whole, length):
                for i in range(LANES):
                    panels[origin + column * width + i] = inputs[(number + i) * length + column]
    return finite(inputs[first * width * length : min(last * width, batch) * length])


@njit(nogil=True, cache=True)
def row_results(
    vectors: int,
    inputs: Floats,
    origin: int,
    offsets: Any,
    row: int,
    starts: NDArray[np.int64],
    columns: NDArray[Any],
    values: Any,
    signed: bool,
    outputs: Floats,
    target: int,
) -> None:
    """One row's vectors * 16 results into outputs[target...]; where `signed`, as many elements behind are written too.

    Args:
        vectors: 1, 2 or 4.
        inputs: as in `axpy_rows`, as are origin, offsets, columns, values, outputs and target.
        origin: see there.
        offsets: see there.
        row: of the weight.
        starts: as in `gather_rows`.
        columns: see there.
        values: see there.
        signed: see there.
        outputs: see `axpy_rows`.
        target: see there.
    """
    runs = 2 if signed else 1
    width = vectors * LANES
    for run in range(runs):
        start, stop = starts[runs * row + run], starts[runs * row + run + 1]
        at = target + run * width
        if vectors == 4:
            _axpy_4(inputs, origin, offsets, columns, values, start, stop, outputs, at)
        elif vectors == 2:
            _axpy_2(inputs, origin, offsets, columns, values, start, stop, outputs, at)
        else:
            _axpy_1(inputs, origin, offsets, columns, values, start, stop, outputs, at)
    if signed:
        for i in range(target, target + width):
            outputs[i] -= outputs[i + width]


@njit(nogil=True, cache=True)
def multiply_panel(
    panels: Floats,
    panel: int,
    length: int,
    vectors: int,
    batch: int,
    starts: NDArray[np.int64],
    columns: NDArray[Any],
    values: Any,
    signed: bool,
    scale: Floats,
    bias: Floats,
    outputs: Floats,
    first: int,
    last: int,
    shift: int,
) -> None:
    """Products of rows first to last with the activations of one panel.

    Args:
        panels: as `fill_panels` made them.
        panel: which of them.
        length: values in each activation.
        vectors: width of a panel, in vectors of 16.
        batch: number of activations in all panels.
        starts: as in `gather_rows`, as are columns, values, signed, scale and bias.
        columns: see there.
        values: see there.
        signed: see there.
        scale: see there.
        bias: see there.
        outputs: float32[batch * rows].
        first: row to begin with.
        last: row to stop before.
        shift: row of `outputs`, `scale` and `bias` that row 0 of `starts` stands for.
    """
    rows = outputs.size // batch
    width = vectors * LANES
    block = np.empty((LANES + 1) * _PITCH, np.float32)
    origin = panel * width * length
    number = panel * width
    for top in range(first, last, LANES):
        height = min(LANES, last - top)
        for i in range(height):
            at = i * _PITCH
            row_results(vectors, panels, origin, None, top + i, starts, columns, values, signed, block, at)
            if scale.size or bias.size:
                row = shift + top + i
                factor = scale[row if scale.size > 1 else 0] if scale.size else np.float32(1)
                addend = bias[row] if bias.size else np.float32(0)
                for j in range(at, at + width):
                    block[j] = block[j] * factor + addend
        for lane in range(0, min(width, batch - number), LANES):
            target = (number + lane) * rows + shift + top
            if height == LANES and number + lane + LANES <= batch:
                transpose_square(block, lane, _PITCH, outputs, target, rows)
                continue
            for j in range(min(LANES, batch - number - lane)):
                for i in range(height):
                    outputs[target + j * rows + i] = block[i * _PITCH + lane + j]
