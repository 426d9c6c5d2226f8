"""Linear layers whose weights and activations are single bits: exclusive or and counts of bits in place of products.

Activations are signs, -1 and +1 (`pack_signs`); weights are signs too, or {0, 1} (`words_of`). Every dot product is
exact; that of NaN activations is that of -1, which is what the comparison with 0 makes of them in training as well.

Courbariaux et al. (2016), "Binarized Neural Networks"; Rastegari et al. (2016), "XNOR-Net".
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.kernels import xnor_plain
from weightsmith.kernels.choice import plain
from weightsmith.kernels.parallel import map_blocks
from weightsmith.kernels.parallel import threads as default_threads
from weightsmith.kernels.shared_words import task_of
from weightsmith.kernels.team import ALONE, SHORT, team, together
from weightsmith.kernels.xnor_finish import (
    LARGEST,
    bases,
    check_thresholds,
    factor_of,
    factors,
    packed_flips,
    padded_thresholds,
    reached,
    spread,
    write_outputs,
)
from weightsmith.kernels.xnor_product import TILES, multiply, multiply_one
from weightsmith.kernels.xnor_words import (
    LANES,
    WORD,
    bits_of,
    interleave,
    last_tile,
    pack_signs,
    unpack_signs,
    words_in,
    words_of,
)

__all__ = [
    "bits_of",
    "pack_signs",
    "unpack_signs",
    "words_of",
    "xnor_counts",
    "xnor_linear",
    "xnor_linear_bits",
]

PANEL = 256
"""Rows of activations whose counts are held at a time, beside the weights they meet."""

PAIR = 1e-10
"""Seconds for a pair of words, more or less: a team is formed, or threads of the pool woken, for what takes long."""

_DEEP = 32
"""Rows of activations in a task that are worth reading all weights for: threads then write to pages of their own."""

_SHARES = 4
"""Tasks for each thread, so that one that is held up does not hold up all."""


@njit(nogil=True, cache=True)
def room(rows: int, tiles: int) -> int:
    """How many counts a stripe may write, for so many rows at most."""
    return max((rows + LANES) * TILES, tiles) * LANES


@njit(nogil=True, cache=True)
def stripe(weights: Any, tail: Any, words: int, tile: int, stop: int, others: Any, rows: int, counts: Any) -> int:
    """Count where a stripe of weights, from a tile on, differs from rows of activations; how many tiles it holds.

    A stripe is as wide as registers hold for several rows; for one it takes all that are whole.
    """
    whole = weights.size // (LANES * words) if words else stop
    if tile < whole and rows == 1:
        multiply_one(weights, tile * LANES * words, min(whole, stop) - tile, others, words, counts)
        return int(min(whole, stop) - tile)
    if tile < whole:
        tiles = min(TILES, min(whole, stop) - tile)
        multiply(weights, tile * LANES * words, tiles, others, 0, rows, words, counts, 0)
        return int(tiles)
    multiply(tail, 0, 1, others, 0, rows, words, counts, 0)
    return 1


@njit(nogil=True, cache=True)
def _counts(a: Any, w: Any, columns: int, factor: int, block: Any, out: Any) -> None:
    """Dot products of tiles and rows of activations within `block` = (first tile, stop, first row, stop)."""
    start, stop, first, last = block
    flat, tail = w.reshape(w.size), last_tile(w)
    counts = np.empty(room(min(last - first, PANEL), stop - start), np.int32)
    for panel in range(first, last, PANEL):
        rows = min(PANEL, last - panel)
        others = interleave(a, panel, panel + rows)
        base = bases(a, columns, factor, panel, panel + rows)
        tile = start
        while tile < stop:
            tiles = stripe(flat, tail, a.shape[1], tile, stop, others, rows, counts)
            column = tile * LANES
            width = min(tiles * LANES, out.shape[1] - column)
            for row in range(rows):
                found = counts[row * tiles * LANES :][:width]
                line = out[panel + row, column:][:width]
                for i in range(width):
                    line[i] = base[row] - factor * found[i]
            tile += tiles


@njit(nogil=True, cache=True)
def _floats(a: Any, w: Any, columns: int, factor: int, scale: Any, bias: Any, block: Any, out: Any) -> None:
    """As `_counts`, scaled and shifted; out is flat."""
    start, stop, first, last = block
    flat, tail = w.reshape(w.size), last_tile(w)
    counts = np.empty(room(min(last - first, PANEL), stop - start), np.int32)
    edge = min(stop * LANES, w.shape[0])
    scales, biases = spread(scale, 1.0, start * LANES, edge), spread(bias, 0.0, start * LANES, edge)
    for panel in range(first, last, PANEL):
        rows = min(PANEL, last - panel)
        others = interleave(a, panel, panel + rows)
        base = bases(a, columns, factor, panel, panel + rows)
        tile = start
        while tile < stop:
            tiles = stripe(flat, tail, a.shape[1], tile, stop, others, rows, counts)
            column = tile * LANES
            width = min(tiles * LANES, w.shape[0] - column)
            for row in range(rows):
                at, to = row * tiles * LANES, (panel + row) * w.shape[0] + column
                scaled = column - start * LANES
                write_outputs(counts, at, base, row, factor, scales, biases, scaled, out, to, width)
            tile += tiles


@njit(nogil=True, cache=True)
def _bits(a: Any, w: Any, columns: int, factor: int, threshold: Any, flip: Any, block: Any, out: Any) -> None:
    """As `_counts`, compared with thresholds; out is uint8[batch, bytes]."""
    start, stop, first, last = block
    flat, tail = w.reshape(w.size), last_tile(w)
    counts = np.empty(room(min(last - first, PANEL), stop - start), np.int32)
    thresholds, flips = padded_thresholds(threshold, start, stop), packed_flips(flip, start, stop)
    inside = np.uint8((1 << (w.shape[0] - 1) % LANES + 1) - 1)
    for panel in range(first, last, PANEL):
        rows = min(PANEL, last - panel)
        others = interleave(a, panel, panel + rows)
        base = bases(a, columns, factor, panel, panel + rows)
        tile = start
        while tile < stop:
            tiles = stripe(flat, tail, a.shape[1], tile, stop, others, rows, counts)
            for row in range(rows):
                for i in range(tiles):
                    at = (row * tiles + i) * LANES
                    byte = reached(counts, at, base[row], factor, thresholds, (tile - start + i) * LANES)
                    byte ^= flips[tile - start + i]
                    out[panel + row, tile + i] = byte & inside if (tile + i + 1) * LANES > w.shape[0] else byte
            tile += tiles


@njit(nogil=True, cache=True)
def _cut(block: Any, parts: int, part: int) -> tuple[int, int, int, int]:
    """A part of a block, of its rows or of its tiles, whichever are more; may be empty."""
    start, stop, first, last = block
    if last - first > (stop - start) * LANES:
        step = -(-(last - first) // (parts * LANES)) * LANES
        return start, stop, min(first + part * step, last), min(first + (part + 1) * step, last)
    step = -(-(stop - start) // (parts * TILES)) * TILES
    return min(start + part * step, stop), min(start + (part + 1) * step, stop), first, last


@njit(nogil=True, cache=True)
def _counts_part(arguments: Any, part: int) -> None:
    parts, whole, a, w, columns, factor, out = arguments
    block = _cut(whole, parts, part)
    if block[0] < block[1]:
        _counts(a, w, columns, factor, block, out)


_counts_task = task_of(_counts_part)


@njit(nogil=True, cache=True)
def _all_counts(team: Any, parts: int, block: Any, a: Any, w: Any, columns: int, factor: int, out: Any) -> None:
    arguments = (parts, block, a, w, columns, factor, out)
    if not together(team, _counts_task(arguments), parts):
        for part in range(parts):
            _counts_part(arguments, part)


@njit(nogil=True, cache=True)
def _floats_part(arguments: Any, part: int) -> None:
    parts, whole, a, w, columns, factor, scale, bias, out = arguments
    block = _cut(whole, parts, part)
    if block[0] < block[1]:
        _floats(a, w, columns, factor, scale, bias, block, out)


_floats_task = task_of(_floats_part)


@njit(nogil=True, cache=True)
def _all_floats(
    team: Any, parts: int, block: Any, a: Any, w: Any, columns: int, factor: int, scale: Any, bias: Any, out: Any
) -> None:
    arguments = (parts, block, a, w, columns, factor, scale, bias, out)
    if not together(team, _floats_task(arguments), parts):
        for part in range(parts):
            _floats_part(arguments, part)


@njit(nogil=True, cache=True)
def _bits_part(arguments: Any, part: int) -> None:
    parts, whole, a, w, columns, factor, threshold, flip, out = arguments
    block = _cut(whole, parts, part)
    if block[0] < block[1]:
        _bits(a, w, columns, factor, threshold, flip, block, out)


_bits_task = task_of(_bits_part)


@njit(nogil=True, cache=True)
def _all_bits(
    team: Any, parts: int, block: Any, a: Any, w: Any, columns: int, factor: int, threshold: Any, flip: Any, out: Any
) -> None:
    arguments = (parts, block, a, w, columns, factor, threshold, flip, out)
    if not together(team, _bits_task(arguments), parts):
        for part in range(parts):
            _bits_part(arguments, part)


def _share(kernel: Any, arguments: tuple[Any, ...], threads: int | None) -> None:
    """Call a kernel (team, parts, block, activations, weights, ...), split over a team or, if it takes long, the pool.

    Its blocks are (first tile, stop, first row, stop).
    """
    a, w = arguments[:2]
    (batch, words), weights = a.shape, w.shape[0]
    tiles = -(-weights // LANES)
    seconds = PAIR * weights * batch * words
    if seconds < SHORT:
        kernel(*team(seconds, threads), (0, tiles, 0, batch), *arguments)
        return
    tasks = _SHARES * (default_threads() if threads is None else threads)
    rows = max(-(-batch // (tasks * LANES)), 1) * LANES
    if batch > weights or rows >= _DEEP:
        map_blocks(lambda start, stop: kernel(ALONE, 1, (0, tiles, start, stop), *arguments), batch, rows, threads)
    else:
        block = max(-(-tiles // (tasks * TILES)), 1) * TILES
        map_blocks(lambda start, stop: kernel(ALONE, 1, (start, stop, 0, batch), *arguments), tiles, block, threads)


def _check(a: NDArray[np.uint64], w: NDArray[np.uint64], columns: int) -> None:
    if a.dtype != np.uint64 or w.dtype != np.uint64 or a.ndim != 2 or w.ndim != 2 or a.shape[1] != w.shape[1]:
        raise InputError(
            f"activations and weights must be uint64[batch, words] and uint64[rows, words], "
            f"not {a.dtype}{list(a.shape)} and {w.dtype}{list(w.shape)}"
        )
    if not 0 <= columns <= min(a.shape[1] * WORD, LARGEST):
        raise InputError(
            f"{columns} columns are not held by {a.shape[1]} words of {WORD} bits, or are more than {LARGEST}"
        )


def xnor_counts(
    a: NDArray[np.uint64], w: NDArray[np.uint64], columns: int, *, alphabet: str = "signs", threads: int | None = None
) -> NDArray[np.int32]:
    """Dot products of packed activations with packed weights.

    Args:
        a: uint64[batch, words], as of `pack_signs`.
        w: uint64[rows, words], as of `words_of`.
        columns: signs in a row, at most 2**31 - 1. Fewer than the words would hold is right if the bits of the others
            are clear in both, wherever they are.
        alphabet: what a clear and a set bit of `w` stand for: `signs`, -1 and +1, or `bits`, 0 and 1.
        threads: most threads to use; by default the package's.

    Returns:
        int32[batch, rows].

    Raises:
        InputError: types or shapes are others, or an alphabet that is not known.
    """
    _check(a, w, columns)
    factor = factor_of(alphabet)
    if plain():
        return xnor_plain.dots(a, w, columns, alphabet)
    a, w = np.ascontiguousarray(a), np.ascontiguousarray(w)
    out = np.empty((a.shape[0], w.shape[0]), np.int32)
    _share(_all_counts, (a, w, columns, factor, out), threads)
    return out


def xnor_linear(
    a: NDArray[np.uint64],
    w: NDArray[np.uint64],
    columns: int,
    scale: NDArray[np.float32] | None = None,
    bias: NDArray[np.float32] | None = None,
    *,
    alphabet: str = "signs",
    threads: int | None = None,
) -> NDArray[np.float32]:
    """A linear layer: `scale * dot + bias`, computed in float32, the product rounded before the sum.

    Args:
        a: uint64[batch, words], as of `pack_signs`.
        w: uint64[rows, words], as of `words_of`.
        columns: signs in a row; see `xnor_counts`.
        scale: float32[1] or float32[rows]; 1 by default.
        bias: float32[1] or float32[rows]; 0 by default.
        alphabet: of the weights, `signs` or `bits`.
        threads: most threads to use; by default the package's.

    Returns:
        float32[batch, rows].

    Raises:
        InputError: types or shapes are others, or an alphabet that is not known.
    """
    _check(a, w, columns)
    factor, rows = factor_of(alphabet), w.shape[0]
    scale, bias = factors(scale, rows, "scale"), factors(bias, rows, "bias")
    if plain():
        return xnor_plain.scaled(xnor_plain.dots(a, w, columns, alphabet), scale, bias)
    a, w = np.ascontiguousarray(a), np.ascontiguousarray(w)
    out = np.empty((a.shape[0], rows), np.float32)
    _share(_all_floats, (a, w, columns, factor, scale, bias, out.reshape(-1)), threads)
    return out


def xnor_linear_bits(
    a: NDArray[np.uint64],
    w: NDArray[np.uint64],
    columns: int,
    threshold: NDArray[np.int32],
    flip: NDArray[np.bool_],
    *,
    alphabet: str = "signs",
    threads: int | None = None,
) -> NDArray[np.uint64]:
    """A linear layer, batch norm and sign at once: bit `(dot >= threshold) != flip`, packed for the next layer.

    A threshold of -2**31 is always reached; one of 2**31 - 1 never, except by a row of so many columns.

    Args:
        a: uint64[batch, words], as of `pack_signs`.
        w: uint64[rows, words], as of `words_of`.
        columns: signs in a row; see `xnor_counts`.
        threshold: int32[rows].
        flip: bool[rows]; where the batch norm's slope is negative.
        alphabet: of the weights, `signs` or `bits`.
        threads: most threads to use; by default the package's.

    Returns:
        uint64[batch, ceil(rows / 64)], bits behind the last row 0.

    Raises:
        InputError: types or shapes are others, or an alphabet that is not known.
    """
    _check(a, w, columns)
    factor, rows = factor_of(alphabet), w.shape[0]
    check_thresholds(threshold, flip, rows)
    if plain():
        return xnor_plain.compared(xnor_plain.dots(a, w, columns, alphabet), threshold, flip)
    a, w = np.ascontiguousarray(a), np.ascontiguousarray(w)
    threshold, flip = np.ascontiguousarray(threshold), np.ascontiguousarray(flip)
    out = np.zeros((a.shape[0], words_in(rows)), np.uint64)
    _share(_all_bits, (a, w, columns, factor, threshold, flip, out.view(np.uint8)), threads)
    return out
