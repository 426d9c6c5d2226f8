"""The loop under the kernels of binary weights: words of weights for several points and tiles, sums in registers.

What a word adds to the sums is given by an `Arithmetic`: floats in `binary_sweep`, small integers in `binary_int8`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

LANES = 16
"""Rows of weights in a tile."""

WORD = 32
"""Columns of weights in a tile: one 32-bit word for each row."""

RUN = 16
"""Words whose sums are formed apart before they join the others: long sums lose less to rounding that way."""

FEATURES = frozenset(cpu_target.target_context.codegen().magic_tuple()[2].split(","))
"""What the processor that numba compiles for has (`+avx512f`) and lacks (`-avx512f`)."""

POINTS = 4 if "+avx512f" in FEATURES else 2
TILES = 4 if "+avx512f" in FEATURES else 2
"""Points and tiles whose sums are in registers at a time; AVX2 has half as many registers, of half the size."""

position = ir.IntType(64)
indices = ir.VectorType(ir.IntType(32), LANES)


@dataclass(frozen=True)
class Arithmetic:
    """How words of weights become sums."""

    steps: int
    """Tables that serve one word."""
    table: Any
    """Vector type of a table."""
    sums: Any
    """Vector type of the sums of a tile while they are in a register."""
    total: Any
    """Vector type of the sums of a tile in memory."""
    begin: Callable[[Any, Any], Any]
    """From a word of each row to the first indices: of (builder, words)."""
    add: Callable[[Any, Any, Any, Any], Any]
    """Sums after one lookup: of (builder, sums, table, indices)."""
    following: Callable[[Any, Any], Any]
    """The indices of the next step: of (builder, indices)."""
    join: Callable[[Any, Any, Any], Any]
    """Totals with the sums of a run: of (builder, totals, sums)."""


def whole(number: int) -> Any:
    """A position that is known beforehand."""
    return ir.Constant(position, number)


def every(number: int, kind: Any) -> Any:
    """The same whole number in all lanes."""
    return ir.Constant(kind, [number] * kind.count)


def _vector(builder: Any, array: Any, place: Any, kind: Any) -> Any:
    """Where a vector lies in an array, from its first element on."""
    return builder.bitcast(builder.gep(array.data, [place]), kind.as_pointer())


def _add_word(
    builder: Any, way: Arithmetic, arrays: Any, starts: list[Any], at: list[Any], turn: Any, sums: list[Any]
) -> list[Any]:
    """Look up one word of every row: the tables of each point, in each tile; returns the sums after it."""
    tables, offsets, words = arrays
    found = [way.begin(builder, builder.load(_vector(builder, words, place, indices), align=4)) for place in at]
    for step in range(way.steps):
        place = builder.add(builder.mul(turn, whole(way.steps)), whole(step))
        offset = builder.load(builder.gep(offsets.data, [place]))
        for i, start in enumerate(starts):
            table = builder.load(_vector(builder, tables, builder.add(start, offset), way.table), align=4)
            for j, index in enumerate(found):
                pair = i * len(found) + j
                sums[pair] = way.add(builder, sums[pair], table, index)
        found = [way.following(builder, index) for index in found]
    return sums


def loop(way: Arithmetic, points: int, tiles: int) -> Any:
    """The loop over words `begin` to `end` for so many points and tiles, the sums of each pair in a register.

    Returns:
        An intrinsic that takes tables, bases, offsets, words and sums as `binary_sweep.sweep` does, then the first
        point, the first tile, the position of the first tile's first word, the distance from tile to tile, begin
        and end (of which at least one word must lie between).
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        tables, bases, offsets, words, sums = (
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args[:5], arguments[:5], strict=True)
        )
        point, tile, word, stride, begin, end = arguments[5:]
        across = builder.extract_value(sums.shape, 1)
        starts = [builder.load(builder.gep(bases.data, [builder.add(point, whole(i))])) for i in range(points)]
        first = [builder.add(word, builder.mul(builder.add(tile, whole(j)), stride)) for j in range(tiles)]
        targets = []
        for pair in range(points * tiles):
            above = builder.mul(builder.add(tile, whole(pair % tiles)), across)
            place = builder.add(above, builder.add(point, whole(pair // tiles)))
            targets.append(_vector(builder, sums, builder.mul(place, whole(LANES)), way.total))
        before, body = builder.block, builder.append_basic_block("words")
        builder.branch(body)
        builder.position_at_end(body)
        turn, *running = [builder.phi(kind) for kind in [position] + [way.sums] * len(targets)]
        at = [builder.add(place, builder.mul(turn, whole(LANES))) for place in first]
        sums_after = _add_word(builder, way, (tables, offsets, words), starts, at, turn, list(running))
        following = builder.add(turn, whole(1))
        for phi, value in zip([turn, *running], [following, *sums_after], strict=True):
            phi.add_incoming(begin if phi is turn else ir.Constant(way.sums, [0] * way.sums.count), before)
            phi.add_incoming(value, body)
        after = builder.append_basic_block("stored")
        builder.cbranch(builder.icmp_signed("<", following, end), body, after)
        builder.position_at_end(after)
        for value, target in zip(sums_after, targets, strict=True):
            builder.store(way.join(builder, builder.load(target, align=4), value), target, align=4)
        return context.get_dummy_value()

    def typed(typing_context: Any, tables: Any, bases: Any, offsets: Any, words: Any, sums: Any,
              point: Any, tile: Any, word: Any, stride: Any, begin: Any, end: Any) -> Any:  # fmt: skip
        del typing_context
        return types.void(tables, bases, offsets, words, sums, point, tile, word, stride, begin, end), emit

    return intrinsic(typed)
