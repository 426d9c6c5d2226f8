"""Linear layers with binary or ternary weights and float32 activations: exact, at one bit a weight in memory.

Nothing is unpacked and nothing is rounded but the sums, as in any product of float32 matrices; so the result is that
of the dense layer within float rounding. It does not depend on the number of threads, on the batch a row is part of
or on the processor. NaN and infinities come out where the dense layer has them.
"""

from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.kernels.binary_loop import LANES, WORD
from weightsmith.kernels.binary_sweep import TABLES, fast, sweep
from weightsmith.kernels.binary_tables import aligned, fill_row
from weightsmith.kernels.binary_tiles import Tiles, check_tiles, tile, untile
from weightsmith.kernels.parallel import map_blocks
from weightsmith.kernels.parallel import threads as default_threads
from weightsmith.kernels.shared_words import task_of
from weightsmith.kernels.team import ALONE, SHORT, team, together

__all__ = ["Alphabet", "binary_linear", "ternary_linear", "tile", "untile"]

Alphabet = Literal["signs", "bits"]
"""What a clear and a set bit stand for: -1 and +1, or 0 and 1."""

Numbers = NDArray[np.float32]

POINTS = 4
"""Rows of a batch that are swept together; blocks of a batch are whole multiples of it."""

GROUP = 4
"""Tiles that are swept together."""

_BLOCK = 64
"""Words whose tables are made at a time: 32 KB of them for a row, which the caches hold."""

PRODUCT = 1.5e-11
"""Seconds for a weight and a row of the batch, more or less: what takes long is worth more threads."""

_NONE = np.empty(0, np.float32)
_NO_TILES = np.empty(0, np.uint32)


def binary_linear(
    inputs: Numbers,
    tiles: Tiles,
    rows: int,
    columns: int,
    *,
    alphabet: Alphabet,
    scale: Numbers | None = None,
    bias: Numbers | None = None,
    threads: int | None = None,
) -> Numbers:
    """A linear layer of binary weights: `scale * (inputs @ W.T) + bias`.

    Args:
        inputs: float32[batch, columns]; copied if it is not in C order.
        tiles: the weights, from `tile`.
        rows: outputs of the layer.
        columns: inputs of the layer.
        alphabet: what a bit stands for.
        scale: float32[1] or float32[rows].
        bias: float32[rows].
        threads: most threads to use; small products take fewer.

    Returns:
        float32[batch, rows].

    Raises:
        InputError: a shape or type is not as said here.
    """
    check_tiles(tiles, rows, columns)
    return _linear(inputs, tiles.reshape(-1), _NO_TILES, (rows, columns), low_of(alphabet), (scale, bias), threads)


def ternary_linear(
    inputs: Numbers,
    plus_tiles: Tiles,
    minus_tiles: Tiles,
    rows: int,
    columns: int,
    *,
    scale: Numbers | None = None,
    bias: Numbers | None = None,
    threads: int | None = None,
) -> Numbers:
    """A linear layer of weights -1, 0 and +1: `scale * (inputs @ W.T) + bias`, at two bits a weight.

    Args:
        inputs: float32[batch, columns]; copied if it is not in C order.
        plus_tiles: which weights are +1, from `tile`.
        minus_tiles: which weights are -1; no weight may be both.
        rows: outputs of the layer.
        columns: inputs of the layer.
        scale: float32[1] or float32[rows].
        bias: float32[rows].
        threads: most threads to use; small products take fewer.

    Returns:
        float32[batch, rows].

    Raises:
        InputError: a shape or type is not as said here.
    """
    check_tiles(plus_tiles, rows, columns)
    check_tiles(minus_tiles, rows, columns)
    planes = plus_tiles.reshape(-1), minus_tiles.reshape(-1)
    return _linear(inputs, *planes, (rows, columns), np.float32(0), (scale, bias), threads)


def low_of(alphabet: Alphabet) -> np.float32:
    """The weight that a clear bit stands for.

    Raises:
        InputError: there is no such alphabet.
    """
    if alphabet not in ("signs", "bits"):
        raise InputError(f"there is no binary alphabet '{alphabet}': 'signs' is -1 and +1, 'bits' is 0 and 1")
    return np.float32(-1 if alphabet == "signs" else 0)


def factors(scale: Numbers | None, bias: Numbers | None, rows: int) -> tuple[Numbers, Numbers]:
    """Scale and bias for the compiled loops, empty where there is none.

    Raises:
        InputError: one has another shape or type.
    """
    if scale is not None and (scale.dtype != np.float32 or scale.shape not in ((1,), (rows,))):
        raise InputError(f"the scale must be float32[1] or float32[{rows}], not {scale.dtype}{list(scale.shape)}")
    if bias is not None and (bias.dtype != np.float32 or bias.shape != (rows,)):
        raise InputError(f"the bias must be float32[{rows}], not {bias.dtype}{list(bias.shape)}")
    return tuple(_NONE if given is None else np.ascontiguousarray(given) for given in (scale, bias))  # type: ignore[return-value]


def matrix(inputs: Numbers, columns: int) -> Numbers:
    """Activations in C order.

    Raises:
        InputError: they are not float32[batch, columns].
    """
    if inputs.ndim != 2 or inputs.dtype != np.float32 or inputs.shape[1] != columns:
        raise InputError(f"inputs must be float32[batch, {columns}], not {inputs.dtype}{list(inputs.shape)}")
    return np.ascontiguousarray(inputs)


def blocks(batch: int, tiles: int, parts: int) -> tuple[int, int]:
    """Rows of the batch and tiles in a block of work, such that there are about so many parts or more."""
    if batch >= parts * POINTS:
        return -(-batch // parts // POINTS) * POINTS, tiles
    return batch, -(-tiles // parts // GROUP) * GROUP


def share(kernel: Any, arguments: tuple[Any, ...], shape: tuple[int, int], seconds: float, threads: int | None) -> None:
    """Call a kernel (team, (rows and tiles of a block), (first block, stop), ...), split over a team or the pool.

    Args:
        kernel: compiled.
        arguments: its others.
        shape: rows of the batch, and tiles.
        seconds: about what all of it takes one thread.
        threads: most to use.
    """
    batch, tiles = shape
    if seconds < SHORT:
        # Small layers are called often: what splits work must not take longer than the work.
        members, parts = team(seconds, threads)
        block = blocks(batch, tiles, parts)
        kernel(members, block, (0, -(-batch // block[0]) * -(-tiles // block[1])), *arguments)
        return
    workers = default_threads() if threads is None else threads
    block = blocks(batch, tiles, 2 * workers if workers > 1 else 1)
    count = -(-batch // block[0]) * -(-tiles // block[1])
    map_blocks(lambda start, stop: kernel(ALONE, block, (start, stop), *arguments), count, 1, workers)


@njit(nogil=True, cache=True)
def bounds(block: Any, batch: int, tiles: int, number: int) -> tuple[int, int, int, int]:
    """First row of a block of work, stop, first tile, stop."""
    points, part = block
    across = -(-batch // points)
    first, begin = number % across * points, number // across * part
    return first, min(first + points, batch), begin, min(begin + part, tiles)


def _linear(
    inputs: Numbers,
    words: NDArray[np.uint32],
    minus: NDArray[np.uint32],
    shape: tuple[int, int],
    low: np.float32,
    scale_and_bias: tuple[Numbers | None, Numbers | None],
    threads: int | None,
) -> Numbers:
    """Check, and split the batch or the tiles over threads."""
    rows, columns = shape
    values = matrix(inputs, columns)
    scale, bias = factors(*scale_and_bias, rows)
    outputs = np.empty((len(values), rows), np.float32)
    if outputs.size:
        arguments = (fast(), values, words, minus, low, scale, bias, outputs)
        share(_together, arguments, (len(values), -(-rows // LANES)), PRODUCT * outputs.size * columns, threads)
    return outputs


@njit(nogil=True, cache=True)
def _part(arguments: Any, part: int) -> None:
    block, start, best, inputs, words, minus, low, scale, bias, outputs = arguments
    rows, columns = outputs.shape
    first, last, begin, end = bounds(block, rows, (columns + LANES - 1) // LANES, start + part)
    _linear_block(best, inputs, words, minus, low, scale, bias, outputs, first, last, begin, end)


_task = task_of(_part)


@njit(nogil=True, cache=True)
def _together(
    team: Any,
    block: tuple[int, int],
    numbers: tuple[int, int],
    best: bool,
    inputs: Numbers,
    words: NDArray[np.uint32],
    minus: NDArray[np.uint32],
    low: np.float32,
    scale: Numbers,
    bias: Numbers,
    outputs: Numbers,
) -> None:
    arguments = (block, numbers[0], best, inputs, words, minus, low, scale, bias, outputs)
    if not together(team, _task(arguments), numbers[1] - numbers[0]):
        for part in range(numbers[1] - numbers[0]):
            _part(arguments, part)


@njit(nogil=True, cache=True)
def _linear_block(
    best: bool,
    inputs: Numbers,
    words: NDArray[np.uint32],
    minus: NDArray[np.uint32],
    low: np.float32,
    scale: Numbers,
    bias: Numbers,
    outputs: Numbers,
    first: int,
    last: int,
    begin: int,
    end: int,
) -> None:
    """Outputs of rows `first` to `last` of the batch and tiles `begin` to `end`."""
    columns = inputs.shape[1]
    count = -(-columns // WORD)
    room = min(count, _BLOCK) * TABLES * LANES
    tables = aligned(POINTS * room)
    offsets = np.arange(0, room, LANES)
    together = min(POINTS, last - first)
    bases = np.arange(together) * room
    planes = 2 if minus.size else 1
    sums = aligned(planes * (end - begin) * together * LANES).reshape(planes, end - begin, together, LANES)
    for start in range(first, last, POINTS):
        points = min(POINTS, last - start)
        sums[:] = 0
        for word in range(0, count, _BLOCK):
            length = min(_BLOCK, count - word)
            for i in range(points):
                fill_row(tables, bases[i], low, inputs[start + i, word * WORD : min((word + length) * WORD, columns)])
            at = (begin * count + word) * LANES
            sweep(best, tables, bases[:points], offsets, words, sums[0], at, count * LANES, length)
            if minus.size:
                sweep(best, tables, bases[:points], offsets, minus, sums[1], at, count * LANES, length)
        for i in range(points):
            if minus.size:
                _subtract(sums[:, :, i], words, minus, inputs[start + i], begin)
            _finish(outputs[start + i], sums[0, :, i], begin * LANES, scale, bias)


@njit(nogil=True, cache=True)
def _subtract(sums: Numbers, words: NDArray[np.uint32], minus: NDArray[np.uint32], values: Numbers, begin: int) -> None:
    """Ternary sums from those of the two planes; product by product where a value is not finite.

    In each plane alone, 0 times infinity would spoil the outputs whose weight is in the other one.
    """
    tiles = sums.shape[1]
    if np.all(np.isfinite(values)):
        for tile in range(tiles):
            for lane in range(LANES):
                sums[0, tile, lane] -= sums[1, tile, lane]
        return
    stride = -(-values.size // WORD) * LANES
    for tile in range(tiles):
        for lane in range(LANES):
            total = np.float32(0)
            for column in range(values.size):
                at = (begin + tile) * stride + column // WORD * LANES + lane
                shift = np.uint32(column % WORD)
                weight = np.int32(words[at] >> shift & np.uint32(1)) - np.int32(minus[at] >> shift & np.uint32(1))
                total += np.float32(weight) * values[column]
            sums[0, tile, lane] = total


@njit(nogil=True, cache=True)
def _finish(outputs: Numbers, sums: Numbers, first: int, scale: Numbers, bias: Numbers) -> None:
    """Scale sums, add the bias and write them to the outputs from `first` on."""
    for k in range(sums.shape[0]):
        begin = first + k * LANES
        for i in range(min(LANES, outputs.size - begin)):
            value = sums[k, i]
            if scale.size:
                value *= scale[begin + i if scale.size > 1 else 0]
            outputs[begin + i] = value + bias[begin + i] if bias.size else value
