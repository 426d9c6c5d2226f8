"""Linear layers with binary weights and activations rounded to eight bits: faster than the exact ones, and lossy.

Each row of a batch is divided by its largest magnitude and rounded to whole numbers from -127 to 127; the sums of
those are exact. Tables are those of `binary_sweep`, of 16-bit numbers: one register holds two, for the two halves of
a word. Only AVX-512 has the permutation; elsewhere a plain loop gives the same results, slower than the exact layer.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.kernels.binary import Alphabet, Numbers, binary_linear, blocks, factors, low_of, matrix, share
from weightsmith.kernels.binary_loop import FEATURES, LANES, POINTS, RUN, TILES, WORD, Arithmetic, every, indices, loop
from weightsmith.kernels.binary_sweep import fast
from weightsmith.kernels.binary_tiles import Tiles, check_tiles
from weightsmith.kernels.parallel import map_blocks

PEAK = 127
"""Largest magnitude of a rounded activation."""

_STEPS = 4
"""Tables of a word: each has the sums of four columns of the lower half, then of four of the upper one."""

_ENTRIES = 32
"""Sums in a table."""

_BLOCK = 64
"""Words whose tables are made at a time; a multiple of `RUN`, in which sums of 16 bits cannot overflow."""

_MOST_COLUMNS = 2**24
"""Sums of so many rounded activations fit 32 bits."""

_FAST = "+avx512bw" in FEATURES

_halves = ir.VectorType(ir.IntType(16), 2 * LANES)


def binary_linear_int8(
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
    """`binary_linear` of activations rounded to eight bits.

    An output differs from the exact one by at most `columns * max |inputs| / 254` of its row, times the scale;
    typically by the square root of the columns instead of the columns. Rows of the batch with NaN or infinities are
    computed exactly, by `binary_linear`.

    Args:
        inputs: float32[batch, columns]; copied if it is not in C order.
        tiles: the weights, from `tile`.
        rows: outputs of the layer.
        columns: inputs of the layer, at most 2**24.
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
    if columns > _MOST_COLUMNS:
        raise InputError(f"sums of {columns} rounded activations may not fit 32 bits: use the exact layer")
    values, low = matrix(inputs, columns), np.int16(low_of(alphabet))
    scaled, added = factors(scale, bias, rows)
    batch, best, words = len(values), fast() and _FAST, tiles.reshape(-1)
    outputs = np.empty((batch, rows), np.float32)
    if not outputs.size:
        return outputs
    rounded, steps = np.empty((batch, columns), np.int8), np.empty(batch)
    finite = _round(values, rounded, steps)
    workers = share(batch * rows * columns // 2, threads)
    points, part = blocks(batch, len(tiles), workers)
    across = -(-batch // points)

    def work(start: int, stop: int) -> None:
        for block in range(start, stop):
            first, begin = block % across * points, block // across * part
            inner = (first, min(first + points, batch), begin, min(begin + part, len(tiles)))
            _block(best, rounded, steps, words, low, scaled, added, outputs, *inner)

    map_blocks(work, across * -(-len(tiles) // part), 1, workers)
    if not finite:
        wrong = ~np.isfinite(steps)
        options = {"scale": scale, "bias": bias, "threads": threads}
        outputs[wrong] = binary_linear(values[wrong], tiles, rows, columns, alphabet=alphabet, **options)  # type: ignore[arg-type]
    return outputs


@njit(nogil=True, cache=True)
def _round(values: Numbers, rounded: NDArray[np.int8], steps: NDArray[np.float64]) -> bool:
    """Round each row to whole numbers of its own step, which is NaN where the row is not finite."""
    finite = True
    for i in range(values.shape[0]):
        peak = np.float32(0)
        nothing = np.float32(0)
        for value in values[i]:
            peak = max(peak, abs(value))
            nothing += value * np.float32(0)
        if nothing != 0:
            finite = False
            steps[i] = np.nan
            rounded[i] = 0
            continue
        steps[i] = np.float64(peak) / PEAK
        factor = PEAK / np.float64(peak) if peak > 0 else 0.0
        for j in range(values.shape[1]):
            rounded[i, j] = np.int8(np.rint(np.float64(values[i, j]) * factor))
    return finite


def _begin(builder: Any, words: Any) -> Any:
    """The halves of each word, side by side."""
    return builder.bitcast(words, _halves)


def _add(builder: Any, sums: Any, table: Any, patterns: Any) -> Any:
    """Look up lower halves in the first sixteen sums, upper ones in the others."""
    kind = ir.FunctionType(_halves, [_halves, _halves])
    permute = builder.module.declare_intrinsic("llvm.x86.avx512.permvar.hi.512", (), kind)
    upper = ir.Constant(_halves, [0, 16] * LANES)
    chosen = builder.or_(builder.and_(patterns, every(15, _halves)), upper)
    return builder.add(sums, builder.call(permute, [table, chosen]))


def _join(builder: Any, totals: Any, sums: Any) -> Any:
    """Both halves of the sums, widened."""
    pairs = builder.bitcast(sums, indices)
    shift = every(16, indices)
    low, high = builder.ashr(builder.shl(pairs, shift), shift), builder.ashr(pairs, shift)
    return builder.add(totals, builder.add(low, high))


_INTEGERS = Arithmetic(
    steps=_STEPS,
    table=_halves,
    sums=_halves,
    total=indices,
    begin=_begin,
    add=_add,
    following=lambda builder, patterns: builder.lshr(patterns, every(4, _halves)),
    join=_join,
)

_many_by_many = loop(_INTEGERS, POINTS, TILES)
_one_by_many = loop(_INTEGERS, 1, TILES)
_one_by_one = loop(_INTEGERS, 1, 1)


@njit(nogil=True, cache=True)
def _sweep_fast(
    tables: NDArray[np.int16],
    bases: NDArray[np.int64],
    offsets: NDArray[np.int64],
    words: NDArray[np.uint32],
    sums: NDArray[np.int32],
    word: int,
    stride: int,
    count: int,
) -> None:
    tiles = sums.shape[0]
    grouped = tiles // TILES * TILES
    together = bases.size // POINTS * POINTS
    for begin in range(0, count, RUN):
        end = min(begin + RUN, count)
        for tile in range(0, grouped, TILES):
            for point in range(0, together, POINTS):
                _many_by_many(tables, bases, offsets, words, sums, point, tile, word, stride, begin, end)
            for point in range(together, bases.size):
                _one_by_many(tables, bases, offsets, words, sums, point, tile, word, stride, begin, end)
        for tile in range(grouped, tiles):
            for point in range(bases.size):
                _one_by_one(tables, bases, offsets, words, sums, point, tile, word, stride, begin, end)


@njit(nogil=True, cache=True)
def _sweep_plain(
    tables: NDArray[np.int16],
    bases: NDArray[np.int64],
    offsets: NDArray[np.int64],
    words: NDArray[np.uint32],
    sums: NDArray[np.int32],
    word: int,
    stride: int,
    count: int,
) -> None:
    for point in range(bases.size):
        for tile in range(sums.shape[0]):
            total = sums[tile, point]
            for turn in range(count):
                row = words[word + tile * stride + turn * LANES :][:LANES]
                for step in range(2 * _STEPS):
                    at = bases[point] + offsets[turn * _STEPS + step % _STEPS] + step // _STEPS * LANES
                    table = tables[at:][:LANES]
                    for lane in range(LANES):
                        total[lane] += np.int32(table[(row[lane] >> np.uint32(4 * step)) & np.uint32(15)])


# Where there is no permutation the fast loop must not even be compiled.
_sweep_best = _sweep_fast if _FAST else _sweep_plain


@njit(nogil=True, cache=True)
def _fill(tables: NDArray[np.int16], at: int, low: np.int16, values: NDArray[np.int8]) -> None:
    """Tables of one row for whole words, from `at` on."""
    four = np.zeros(4, np.int16)
    for k in range(-(-values.size // WORD) * 2 * _STEPS):
        for i in range(4):
            four[i] = values[4 * k + i] if 4 * k + i < values.size else 0
        word, step = k // (2 * _STEPS), k % (2 * _STEPS)
        place = at + (word * _STEPS + step % _STEPS) * _ENTRIES + step // _STEPS * LANES
        a, b, c, d = four
        for i in range(LANES):
            one = np.int16(1)
            first = a * (one if i & 1 else low) + b * (one if i & 2 else low)
            tables[place + i] = first + c * (one if i & 4 else low) + d * (one if i & 8 else low)


@njit(nogil=True, cache=True)
def _block(
    best: bool,
    inputs: NDArray[np.int8],
    steps: NDArray[np.float64],
    words: NDArray[np.uint32],
    low: np.int16,
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
    room = min(count, _BLOCK) * _STEPS * _ENTRIES
    tables = np.empty(POINTS * room + _ENTRIES, np.int16)
    # At a multiple of 64 bytes no table crosses a line of the cache.
    skip = (_ENTRIES - (np.int64(tables.ctypes.data) // 2) % _ENTRIES) % _ENTRIES
    offsets = np.arange(0, room, _ENTRIES)
    for start in range(first, last, POINTS):
        points = min(POINTS, last - start)
        bases = skip + np.arange(points) * room
        sums = np.zeros((end - begin, points, LANES), np.int32)
        for word in range(0, count, _BLOCK):
            length = min(_BLOCK, count - word)
            for i in range(points):
                _fill(tables, bases[i], low, inputs[start + i, word * WORD : min((word + length) * WORD, columns)])
            at, stride = (begin * count + word) * LANES, count * LANES
            if best:
                _sweep_best(tables, bases, offsets, words, sums, at, stride, length)
            else:
                _sweep_plain(tables, bases, offsets, words, sums, at, stride, length)
        for i in range(points):
            for row in range(begin * LANES, min(end * LANES, outputs.shape[1])):
                value = np.float32(sums[row // LANES - begin, i, row % LANES] * steps[start + i])
                if scale.size:
                    value *= scale[row if scale.size > 1 else 0]
                outputs[start + i, row] = value + bias[row] if bias.size else value
