"""Sums of activations under binary weights: four weights at a time, looked up in a table of sixteen sums.

A *table* holds, for four activations, what each of the sixteen patterns of four weights makes of them. One vector
register holds a table, and one permutation instruction looks up sixteen rows of weights in it. The vectorizer finds
no such thing, so the loop is given to LLVM as it should be; where the processor has neither AVX-512 nor AVX2 a plain
loop takes its place. Both add in the same order: their results are the same to the last bit.

A *point* is one vector of activations: a row of a batch, or what a kernel covers of an image. Its tables may lie
anywhere: table k of a point is `tables[base + offsets[k]:][:16]`. The idea of looking up several one-bit weights at
once is that of T-MAC (Wei et al., 2025), there with tables of bytes.
"""

import os
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numpy.typing import NDArray

from weightsmith.errors import InputError

LANES = 16
"""Rows of weights in a tile, and sums in a table."""

WORD = 32
"""Columns of weights in a tile: one 32-bit word for each row."""

TABLES = 8
"""Tables that serve one word: four columns each."""

_FEATURES = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
_WIDE = "+avx512f" in _FEATURES
_FAST = _WIDE or "+avx2" in _FEATURES

_POINTS = 4 if _WIDE else 2
_TILES = 4 if _WIDE else 2
"""Points and tiles whose sums are in registers at a time; AVX2 has half as many registers, of half the size."""

_RUN = 16
"""Words whose sums are formed apart before they join the others: long sums lose less to rounding that way."""

_position = ir.IntType(64)
_indices = ir.VectorType(ir.IntType(32), LANES)
_floats = ir.VectorType(ir.FloatType(), LANES)


def fast() -> bool:
    """Whether to look up with permutations: the processor has them and `WEIGHTSMITH_KERNELS` does not say `plain`.

    Raises:
        InputError: `WEIGHTSMITH_KERNELS` is neither empty nor `plain`.
    """
    wanted = os.environ.get("WEIGHTSMITH_KERNELS")
    if not wanted:
        return _FAST
    if wanted != "plain":
        raise InputError(f"WEIGHTSMITH_KERNELS is '{wanted}': give 'plain', or leave it out for the fastest")
    return False


def _whole(number: int) -> Any:
    return ir.Constant(_position, number)


def _splat(number: int, lanes: int = LANES) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), lanes), [number] * lanes)


def _half(builder: Any, vector: Any, half: int) -> Any:
    """The lower or upper eight lanes."""
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), 8), list(range(8 * half, 8 * half + 8)))
    return builder.shuffle_vector(vector, vector, lanes)


def _look_up(builder: Any, table: Any, indices: Any) -> Any:
    """`table[indices & 15]`, lane by lane."""
    if _WIDE:
        kind = ir.FunctionType(_floats, [_floats, _indices])
        return builder.call(
            builder.module.declare_intrinsic("llvm.x86.avx512.permvar.sf.512", (), kind), [table, indices]
        )
    floats, wholes = ir.VectorType(ir.FloatType(), 8), ir.VectorType(ir.IntType(32), 8)
    kind = ir.FunctionType(floats, [floats, wholes])
    permute = builder.module.declare_intrinsic("llvm.x86.avx2.permps", (), kind)
    found = []
    for half in range(2):
        part = _half(builder, indices, half)
        low, high = (builder.call(permute, [_half(builder, table, side), part]) for side in range(2))
        # The fourth bit chooses between halves of the table; shifted to the sign it is where a blend looks.
        upper = builder.icmp_signed("<", builder.shl(part, _splat(28, 8)), _splat(0, 8))
        found.append(builder.select(upper, high, low))
    return builder.shuffle_vector(*found, ir.Constant(_indices, list(range(LANES))))


def _vector(builder: Any, array: Any, position: Any, kind: Any) -> Any:
    """Where a vector lies in an array, from its first element on."""
    return builder.bitcast(builder.gep(array.data, [position]), kind.as_pointer())


def _add_word(builder: Any, arrays: Any, starts: list[Any], at: list[Any], turn: Any, sums: list[Any]) -> list[Any]:
    """Look up one word of every row: eight tables of each point, in each tile; returns the sums after it."""
    tables, offsets, words = arrays
    indices = [builder.load(_vector(builder, words, place, _indices), align=4) for place in at]
    for step in range(TABLES):
        place = builder.add(builder.mul(turn, _whole(TABLES)), _whole(step))
        offset = builder.load(builder.gep(offsets.data, [place]))
        for i, start in enumerate(starts):
            table = builder.load(_vector(builder, tables, builder.add(start, offset), _floats), align=4)
            for j, index in enumerate(indices):
                pair = i * len(indices) + j
                sums[pair] = builder.fadd(sums[pair], _look_up(builder, table, index))
        indices = [builder.lshr(index, _splat(4)) for index in indices]
    return sums


def _loop(points: int, tiles: int) -> Any:
    """The loop over words `begin` to `end` for so many points and tiles, the sums of each pair in a register."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        tables, bases, offsets, words, sums = (
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args[:5], arguments[:5], strict=True)
        )
        point, tile, word, stride, begin, end = arguments[5:]
        across = builder.extract_value(sums.shape, 1)
        starts = [builder.load(builder.gep(bases.data, [builder.add(point, _whole(i))])) for i in range(points)]
        first = [builder.add(word, builder.mul(builder.add(tile, _whole(j)), stride)) for j in range(tiles)]
        targets = []
        for pair in range(points * tiles):
            above = builder.mul(builder.add(tile, _whole(pair % tiles)), across)
            place = builder.add(above, builder.add(point, _whole(pair // tiles)))
            targets.append(_vector(builder, sums, builder.mul(place, _whole(LANES)), _floats))
        before, body = builder.block, builder.append_basic_block("words")
        builder.branch(body)
        builder.position_at_end(body)
        turn, *running = [builder.phi(kind) for kind in [_position] + [_floats] * len(targets)]
        at = [builder.add(place, builder.mul(turn, _whole(LANES))) for place in first]
        sums_after = _add_word(builder, (tables, offsets, words), starts, at, turn, list(running))
        following = builder.add(turn, _whole(1))
        for phi, value in zip([turn, *running], [following, *sums_after], strict=True):
            phi.add_incoming(begin if phi is turn else ir.Constant(_floats, [0.0] * LANES), before)
            phi.add_incoming(value, body)
        after = builder.append_basic_block("stored")
        builder.cbranch(builder.icmp_signed("<", following, end), body, after)
        builder.position_at_end(after)
        for value, target in zip(sums_after, targets, strict=True):
            builder.store(builder.fadd(builder.load(target, align=4), value), target, align=4)
        return context.get_dummy_value()

    def typed(typing_context: Any, tables: Any, bases: Any, offsets: Any, words: Any, sums: Any,
              point: Any, tile: Any, word: Any, stride: Any, begin: Any, end: Any) -> Any:  # fmt: skip
        del typing_context
        return types.void(tables, bases, offsets, words, sums, point, tile, word, stride, begin, end), emit

    return intrinsic(typed)


_many_by_many = _loop(_POINTS, _TILES)
_many_by_one = _loop(_POINTS, 1)
_one_by_many = _loop(1, _TILES)
_one_by_one = _loop(1, 1)


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
    grouped = tiles // _TILES * _TILES
    for tile in range(0, grouped, _TILES):
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
    grouped = tiles // _TILES * _TILES
    for tile in range(0, grouped, _TILES):
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
    together = points // _POINTS * _POINTS
    for point in range(0, together, _POINTS):
        for begin in range(0, count, _RUN):
            end = min(begin + _RUN, count)
            _many_points(tables, bases, offsets, words, sums, point, word, stride, begin, end)
    for point in range(together, points):
        for begin in range(0, count, _RUN):
            end = min(begin + _RUN, count)
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
            for begin in range(0, count, _RUN):
                run[:] = 0
                for turn in range(begin, min(begin + _RUN, count)):
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
