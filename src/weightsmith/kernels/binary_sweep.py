"""Sums of activations under binary weights: four weights at a time, looked up in a table of sixteen sums.

A *table* holds, for four activations, what each of the sixteen patterns of four weights makes of them. One vector
register holds a table, and one permutation instruction looks up sixteen rows of weights in it. The vectorizer finds
no such thing, so the loop is given to LLVM as it should be; where the processor has neither AVX-512 nor AVX2 a plain
loop takes its place. Both add in the same order: their results are the same to the last bit.

A *point* is one vector of activations: a row of a batch, or what a kernel covers of an image. Its tables may lie
anywhere: table k of a point is `tables[base + offsets[k]:][:16]`. The idea of looking up several one-bit weights at
once is that of T-MAC (Wei et al., 2025), there with tables of bytes.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numpy.typing import NDArray

from weightsmith.kernels.binary_loop import FEATURES, LANES, POINTS, RUN, TILES, Arithmetic, every, indices, loop
from weightsmith.kernels.choice import plain

TABLES = 8
"""Tables that serve one word of weights: four columns each."""

_WIDE = "+avx512f" in FEATURES
_FAST = _WIDE or "+avx2" in FEATURES

_floats = ir.VectorType(ir.FloatType(), LANES)


def fast() -> bool:
    """Whether to look up with permutations: the processor has them and `WEIGHTSMITH_KERNELS` does not say `plain`."""
    return not plain() and _FAST


def _half(builder: Any, vector: Any, half: int) -> Any:
    """The lower or upper eight lanes."""
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), 8), list(range(8 * half, 8 * half + 8)))
    return builder.shuffle_vector(vector, vector, lanes)


def _look_up(builder: Any, table: Any, patterns: Any) -> Any:
    """`table[patterns & 15]`, lane by lane."""
    if _WIDE:
        kind = ir.FunctionType(_floats, [_floats, indices])
        return builder.call(
            builder.module.declare_intrinsic("llvm.x86.avx512.permvar.sf.512", (), kind), [table, patterns]
        )
    floats, wholes = ir.VectorType(ir.FloatType(), 8), ir.VectorType(ir.IntType(32), 8)
    kind = ir.FunctionType(floats, [floats, wholes])
    permute = builder.module.declare_intrinsic("llvm.x86.avx2.permps", (), kind)
    found = []
    for half in range(2):
        part = _half(builder, patterns, half)
        low, high = (builder.call(permute, [_half(builder, table, side), part]) for side in range(2))
        # The fourth bit chooses between halves of the table; shifted to the sign it is where a blend looks.
        upper = builder.icmp_signed("<", builder.shl(part, every(28, wholes)), every(0, wholes))
        found.append(builder.select(upper, high, low))
    return builder.shuffle_vector(*found, ir.Constant(indices, list(range(LANES))))


_FLOATS = Arithmetic(
    steps=TABLES,
    table=_floats,
    sums=_floats,
    total=_floats,
    begin=lambda builder, words: words,
    add=lambda builder, sums, table, patterns: builder.fadd(sums, _look_up(builder, table, patterns)),
    following=lambda builder, patterns: builder.lshr(patterns, every(4, indices)),
    join=lambda builder, totals, sums: builder.fadd(totals, sums),
)

_many_by_many = loop(_FLOATS, POINTS, TILES)
_many_by_one = loop(_FLOATS, POINTS, 1)
_one_by_many = loop(_FLOATS, 1, TILES)
_one_by_one = loop(_FLOATS, 1, 1)


@njit(nogil=True, cache=True)
def _many_points(
    tables: NDArray[np.float32],
    bases: NDArray[np.int64],
    offsets: NDArray[np.int64],
    words: NDArray[np.uint32],
    sums: NDArray[np.float32],
    point: int,
    word: int,
    stride: int,
    begin: int,
    end: int,
) -> None:
    """One run of words for several points: their tables stay in the first cache."""
    tiles = sums.shape[0]
    grouped = tiles // TILES * TILES
    for tile in range(0, grouped, TILES):
        _many_by_many(tables, bases, offsets, words, sums, point, tile, word, stride, begin, end)
    for tile in range(grouped, tiles):
        _many_by_one(tables, bases, offsets, words, sums, point, tile, word, stride, begin, end)


@njit(nogil=True, cache=True)
def _one_point(
    tables: NDArray[np.float32],
    bases: NDArray[np.int64],
    offsets: NDArray[np.int64],
    words: NDArray[np.uint32],
    sums: NDArray[np.float32],
    point: int,
    word: int,
    stride: int,
    begin: int,
    end: int,
) -> None:
    """One run of words for one point."""
    tiles = sums.shape[0]
    grouped = tiles // TILES * TILES
    for tile in range(0, grouped, TILES):
        _one_by_many(tables, bases, offsets, words, sums, point, tile, word, stride, begin, end)
    for tile in range(grouped, tiles):
        _one_by_one(tables, bases, offsets, words, sums, point, tile, word, stride, begin, end)


@njit(nogil=True, cache=True)
def _sweep_fast(
    tables: NDArray[np.float32],
    bases: NDArray[np.int64],
    offsets: NDArray[np.int64],
    words: NDArray[np.uint32],
    sums: NDArray[np.float32],
    word: int,
    stride: int,
    count: int,
) -> None:
    points = bases.size
    together = points // POINTS * POINTS
    for point in range(0, together, POINTS):
        for begin in range(0, count, RUN):
            end = min(begin + RUN, count)
            _many_points(tables, bases, offsets, words, sums, point, word, stride, begin, end)
    for point in range(together, points):
        for begin in range(0, count, RUN):
            end = min(begin + RUN, count)
            _one_point(tables, bases, offsets, words, sums, point, word, stride, begin, end)


@njit(nogil=True, cache=True)
def _sweep_plain(
    tables: NDArray[np.float32],
    bases: NDArray[np.int64],
    offsets: NDArray[np.int64],
    words: NDArray[np.uint32],
    sums: NDArray[np.float32],
    word: int,
    stride: int,
    count: int,
) -> None:
    run = np.empty(LANES, np.float32)
    for point in range(bases.size):
        for tile in range(sums.shape[0]):
            total = sums[tile, point]
            for begin in range(0, count, RUN):
                run[:] = 0
                for turn in range(begin, min(begin + RUN, count)):
                    row = words[word + tile * stride + turn * LANES :][:LANES]
                    for step in range(TABLES):
                        table = tables[bases[point] + offsets[turn * TABLES + step] :][:LANES]
                        for lane in range(LANES):
                            run[lane] += table[(row[lane] >> np.uint32(4 * step)) & np.uint32(15)]
                for lane in range(LANES):
                    total[lane] += run[lane]


# Where there is no permutation the fast loop must not even be compiled.
_sweep_best = _sweep_fast if _FAST else _sweep_plain


@njit(nogil=True, cache=True)
def sweep(
    best: bool,
    tables: NDArray[np.float32],
    bases: NDArray[np.int64],
    offsets: NDArray[np.int64],
    words: NDArray[np.uint32],
    sums: NDArray[np.float32],
    word: int,
    stride: int,
    count: int,
) -> None:
    """Add to `sums` what `count` words of weights make of each point.

    The order of addition depends on nothing but `count`, so long as longer sums are split at multiples of 16 words.

    Args:
        best: what `fast` said.
        tables: float32, sixteen sums each.
        bases: int64[points], where in `tables` those of each point begin.
        offsets: int64[8 * count], from there to the table for each four columns.
        words: uint32, the tiles; word w of row r of tile t is `words[word + t * stride + 16 * w + r]`.
        sums: float32[tiles, points or more, 16], added to.
        word: position of the first word of the first tile.
        stride: from one tile to the next.
        count: words of each row, at least 1.
    """
    if best:
        _sweep_best(tables, bases, offsets, words, sums, word, stride, count)
    else:
        _sweep_plain(tables, bases, offsets, words, sums, word, stride, count)
