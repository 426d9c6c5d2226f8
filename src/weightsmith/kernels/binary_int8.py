"""Linear layers with binary weights and activations rounded to eight bits: lossy, and faster in batches.

Each row of a batch is divided by its largest magnitude and rounded to whole numbers from -127 to 127; the sums of
those are exact. Four bits of a row of weights become four bytes by one permutation, which serves several rows of the
batch, and the dot product of four bytes is one instruction of AVX-512 VNNI. Elsewhere a plain loop gives the same
results, slower than the exact layer.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.kernels.binary import PRODUCT, Alphabet, Numbers, binary_linear, bounds, factors, low_of, matrix, share
from weightsmith.kernels.binary_loop import FEATURES, LANES, POINTS, RUN, TILES, WORD, Arithmetic, every, indices, loop
from weightsmith.kernels.binary_sweep import fast
from weightsmith.kernels.binary_tiles import Tiles, check_tiles
from weightsmith.kernels.shared_words import task_of
from weightsmith.kernels.team import together

PEAK = 127
"""Largest magnitude of a rounded activation."""

_FOURS = 8
"""Groups of four columns in a word."""

_MOST_COLUMNS = 2**23
"""Twice the sum of so many rounded activations fits 32 bits."""

_FAST = "+avx512vnni" in FEATURES


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
        columns: inputs of the layer, at most 2**23.
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
    values, signs = matrix(inputs, columns), bool(low_of(alphabet) < 0)
    scaled, added = factors(scale, bias, rows)
    batch, best, words = len(values), fast() and _FAST, tiles.reshape(-1)
    outputs = np.empty((batch, rows), np.float32)
    if not outputs.size:
        return outputs
    rounded, steps = np.zeros((batch, tiles.shape[1] * WORD), np.int8), np.empty(batch)
    finite = _round(values, rounded, steps)
    arguments = (best, rounded.view(np.int32), steps, words, signs, scaled, added, outputs)
    share(_together, arguments, (batch, len(tiles)), PRODUCT / 2 * outputs.size * columns, threads)
    if not finite:
        wrong = ~np.isfinite(steps)
        options = {"scale": scale, "bias": bias, "threads": threads}
        outputs[wrong] = binary_linear(values[wrong], tiles, rows, columns, alphabet=alphabet, **options)  # type: ignore[arg-type]
    return outputs


@njit(nogil=True, cache=True)
def _round(values: Numbers, rounded: NDArray[np.int8], steps: NDArray[np.float64]) -> bool:
    """Round each row to whole numbers of its own step; a row that is not finite is left, and its step is NaN."""
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
            continue
        steps[i] = np.float64(peak) / PEAK
        factor = PEAK / np.float64(peak) if peak > 0 else 0.0
        for j in range(values.shape[1]):
            rounded[i, j] = np.int8(np.rint(np.float64(values[i, j]) * factor))
    return finite


def _add(builder: Any, sums: Any, four: Any, patterns: Any) -> Any:
    """Add the dot products of four activations, the same in all lanes, and four weights of each row."""
    vectors = ir.FunctionType(indices, [indices, indices])
    permute = builder.module.declare_intrinsic("llvm.x86.avx512.permvar.si.512", (), vectors)
    bytes_of_bits = [sum((i >> bit & 1) << (8 * bit) for bit in range(4)) for i in range(LANES)]
    weights = builder.call(permute, [ir.Constant(indices, bytes_of_bits), patterns])
    undefined = ir.Constant(indices, ir.Undefined)
    one = builder.insert_element(undefined, four, ir.Constant(ir.IntType(32), 0))
    activations = builder.shuffle_vector(one, undefined, every(0, indices))
    kind = ir.FunctionType(indices, [indices, indices, indices])
    dot = builder.module.declare_intrinsic("llvm.x86.avx512.vpdpbusd.512", (), kind)
    return builder.call(dot, [sums, weights, activations])


_BYTES = Arithmetic(
    steps=_FOURS,
    table=ir.IntType(32),
    sums=indices,
    total=indices,
    begin=lambda builder, words: words,
    add=_add,
    following=lambda builder, patterns: builder.lshr(patterns, every(4, indices)),
    join=lambda builder, totals, sums: builder.add(totals, sums),
)

_many_by_many = loop(_BYTES, POINTS, TILES)
_one_by_many = loop(_BYTES, 1, TILES)
_one_by_one = loop(_BYTES, 1, 1)


@njit(nogil=True, cache=True)
def _sweep_fast(
    fours: NDArray[np.int32],
    bases: NDArray[np.int64],
    words: NDArray[np.uint32],
    sums: NDArray[np.int32],
    first: int,
    count: int,
) -> None:
    tiles, stride = sums.shape[0], count * LANES
    word = first * stride
    grouped = tiles // TILES * TILES
    together = bases.size // POINTS * POINTS
    offsets = np.arange(count * _FOURS)
    for begin in range(0, count, RUN):
        end = min(begin + RUN, count)
        for tile in range(0, grouped, TILES):
            for point in range(0, together, POINTS):
                _many_by_many(fours, bases, offsets, words, sums, point, tile, word, stride, begin, end)
            for point in range(together, bases.size):
                _one_by_many(fours, bases, offsets, words, sums, point, tile, word, stride, begin, end)
        for tile in range(grouped, tiles):
            for point in range(bases.size):
                _one_by_one(fours, bases, offsets, words, sums, point, tile, word, stride, begin, end)


@njit(nogil=True, cache=True)
def _sweep_plain(
    fours: NDArray[np.int32],
    bases: NDArray[np.int64],
    words: NDArray[np.uint32],
    sums: NDArray[np.int32],
    first: int,
    count: int,
) -> None:
    for point in range(bases.size):
        values = fours[bases[point] :][: count * _FOURS].view(np.int8)
        for tile in range(sums.shape[0]):
            total = sums[tile, point]
            for turn in range(count):
                row = words[((first + tile) * count + turn) * LANES :][:LANES]
                for column in range(WORD):
                    value = np.int32(values[turn * WORD + column])
                    for lane in range(LANES):
                        # All ones or none: what a clear bit leaves out needs no branch.
                        total[lane] += value & -np.int32(row[lane] >> np.uint32(column) & np.uint32(1))


# Where there is no such instruction the fast loop must not even be compiled.
_sweep_best = _sweep_fast if _FAST else _sweep_plain


@njit(nogil=True, cache=True)
def _part(arguments: Any, part: int) -> None:
    block, start, best, inputs, steps, words, signs, scale, bias, outputs = arguments
    rows, columns = outputs.shape
    first, last, begin, end = bounds(block, rows, (columns + LANES - 1) // LANES, start + part)
    _block(best, inputs, steps, words, signs, scale, bias, outputs, first, last, begin, end)


_task = task_of(_part)


@njit(nogil=True, cache=True)
def _together(
    team: Any,
    block: tuple[int, int],
    numbers: tuple[int, int],
    best: bool,
    inputs: NDArray[np.int32],
    steps: NDArray[np.float64],
    words: NDArray[np.uint32],
    signs: bool,
    scale: Numbers,
    bias: Numbers,
    outputs: Numbers,
) -> None:
    arguments = (block, numbers[0], best, inputs, steps, words, signs, scale, bias, outputs)
    if not together(team, _task(arguments), numbers[1] - numbers[0]):
        for part in range(numbers[1] - numbers[0]):
            _part(arguments, part)


@njit(nogil=True, cache=True)
def _block(
    best: bool,
    inputs: NDArray[np.int32],
    steps: NDArray[np.float64],
    words: NDArray[np.uint32],
    signs: bool,
    scale: Numbers,
    bias: Numbers,
    outputs: Numbers,
    first: int,
    last: int,
    begin: int,
    end: int,
) -> None:
    """Outputs of rows `first` to `last` of the batch and tiles `begin` to `end`; four activations to a number."""
    fours, count = inputs.reshape(-1), inputs.shape[1] // _FOURS
    for start in range(first, last, POINTS):
        points = min(POINTS, last - start)
        bases = np.arange(start, start + points) * inputs.shape[1]
        sums = np.zeros((end - begin, points, LANES), np.int32)
        if best:
            _sweep_best(fours, bases, words, sums, begin, count)
        else:
            _sweep_plain(fours, bases, words, sums, begin, count)
        for i in range(points):
            # With weights -1 and +1, the sum is twice that of the positive ones less that of all.
            whole = np.sum(inputs[start + i].view(np.int8)) if signs else 0
            for row in range(begin * LANES, min(end * LANES, outputs.shape[1])):
                total = np.int64(sums[row // LANES - begin, i, row % LANES])
                value = np.float32((2 * total - whole if signs else total) * steps[start + i])
                if scale.size:
                    value *= scale[row if scale.size > 1 else 0]
                outputs[start + i, row] = value + bias[row] if bias.size else value
