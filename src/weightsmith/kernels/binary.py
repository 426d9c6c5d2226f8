"""Linear layers with binary or ternary weights and float32 activations: exact, at one bit a weight in memory.

Nothing is unpacked and nothing is rounded but the sums, as in any product of float32 matrices; so the result is that
of the dense layer within float rounding. It does not depend on the number of threads, on the batch a row is part of
or on the processor. NaN and infinities come out where the dense layer has them.
"""

from typing import Literal

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

_SHARE = 8_000_000
"""Weights times rows of the batch that are worth a thread: some 80 microseconds, more than waking one takes."""

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


def share(products: int, threads: int | None) -> int:
    """How many threads so many products are worth."""
    worth = 1 + products // _SHARE
    return 1 if worth == 1 else min(default_threads() if threads is None else threads, worth)


def blocks(batch: int, tiles: int, threads: int) -> tuple[int, int]:
    """Rows of the batch and tiles in a block of work, such that the threads have about two blocks each or more."""
    parts = 2 * threads if threads > 1 else 1
    if batch >= parts * POINTS:
        return -(-batch // parts // POINTS) * POINTS, tiles
    return batch, -(-tiles // parts // GROUP) * GROUP


def _linear(
    inputs: Numbers,
    words: NDArray[np.uint32],
    minus: NDArray[np.uint32],
    shape: tuple[int, int],
    low: np.float32,
    scale_and_bias: tuple[Numbers | None, Numbers | None],
    threads: int | None,
) -> Numbers:
    """Split the batch or the tiles over threads."""
    rows, columns = shape
    values = matrix(inputs, columns)
    scale, bias = factors(*scale_and_bias, rows)
    batch, tiles, best = len(values), -(-rows // LANES), fast()
    outputs = np.empty((batch, rows), np.float32)
    if not outputs.size:
        return outputs
    workers = share(batch * rows * columns, threads)
    points, part = blocks(batch, tiles, workers)
    if workers == 1:
        # Small layers are called often: what splits work would take longer than the work.
        _linear_block(best, values, words, minus, low, scale, bias, outputs, 0, batch, 0, tiles)
        return outputs
    across = -(-batch // points)

    def work(start: int, stop: int) -> None:
        for block in range(start, stop):
            first, begin = block % across * points, block // across * part
            inner = (first, min(first + points, batch), begin, min(begin + part, tiles))
            _linear_block(best, values, words, minus, low, scale, bias, outputs, *inner)

    map_blocks(work, across * -(-tiles // part), 1, workers)
    return outputs


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
