"""Products of rows of signs: exclusive or, then counts of bits, eight rows at a time in the lanes of one vector.

Rows that meet in a product are *interleaved*: eight of them form a tile, in which word k of the eight lies together.
So a vector holds one word of eight rows, no sum ever has to be taken across lanes, and one word of another row,
repeated in all lanes, meets the eight.

Counting bits is what limits speed, and words are counted by threes for it. For words x, y, z of a row, the number of
ones in x + y + z is that of `x ^ y ^ z` plus twice that of their majority (a carry-save adder, as in Harley and Seal's
population count; Muła, Kurz and Lemire, 2018). The first is linear: of two rows it is the exclusive or of what each
row's three words give. So interleaved rows keep `x ^ y ^ z` in place of z, which saves an operation for each product:
the majority follows from `x`, `y` and it. That makes eight operations for three words instead of nine.
"""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from weightsmith.kernels.xnor_words import GROUP, LANES

TILES = 3
"""Most tiles in a stripe: what twenty-four rows are multiplied by another's is the most that registers hold."""

_ROWS = 4
"""Rows of the other side multiplied at a time."""

_TERNARY = "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2].split(",")

_position = ir.IntType(64)
_word = ir.IntType(64)
_words = ir.VectorType(_word, LANES)


def _whole(number: int) -> Any:
    return ir.Constant(_position, number)


def _ones_in(builder: Any, vector: Any) -> Any:
    """How many bits of each lane are set."""
    kind = ir.FunctionType(_words, [_words])
    return builder.call(builder.module.declare_intrinsic("llvm.ctpop.v8i64", (), kind), [vector])


def _carry(builder: Any, first: Any, second: Any, odd: Any) -> Any:
    """The majority of x, y and z, bit by bit, where `odd` is `x ^ y ^ z`: x where x and y agree, else z = not odd."""
    if _TERNARY:
        # LLVM does not find that one instruction does it. The table: bit 4x + 2y + odd of 0b11010100.
        kind = ir.FunctionType(_words, [_words, _words, _words, ir.IntType(32)])
        function = builder.module.declare_intrinsic("llvm.x86.avx512.pternlog.q.512", (), kind)
        return builder.call(function, [first, second, odd, ir.Constant(ir.IntType(32), 0b11010100)])
    differ = builder.xor(first, second)
    return builder.xor(first, builder.and_(differ, builder.not_(builder.xor(first, odd))))


def _repeated(builder: Any, place: Any) -> Any:
    """The word at a place, in all lanes."""
    lane = builder.insert_element(
        ir.Constant(_words, ir.Undefined), builder.load(place), ir.Constant(ir.IntType(32), 0)
    )
    return builder.shuffle_vector(lane, lane, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _at(builder: Any, array: Any, start: Any, number: Any) -> Any:
    """Where word `number` of a tile that begins at `start` lies."""
    return builder.gep(array.data, [builder.add(start, builder.mul(number, _whole(LANES)))])


class _Step:
    """Multiplies a few words of `tiles` by those of `rows`, and adds to the counts of every pair."""

    def __init__(self, builder: Any, lanes: tuple[Any, list[Any]], others: tuple[Any, list[Any]]) -> None:
        self.builder = builder
        self.lanes = lanes
        self.others = others
        pairs = len(lanes[1]) * len(others[1])
        zero = ir.Constant(_words, [0] * LANES)
        self.ones = [cgutils.alloca_once_value(builder, zero) for _ in range(pairs)]  # type: ignore[no-untyped-call]
        self.twos = [cgutils.alloca_once_value(builder, zero) for _ in range(pairs)]  # type: ignore[no-untyped-call]

    def _add(self, slot: Any, vector: Any) -> None:
        self.builder.store(self.builder.add(self.builder.load(slot), _ones_in(self.builder, vector)), slot)

    def _load(self, number: Any, count: int) -> list[list[Any]]:
        array, starts = self.lanes
        numbers = [self.builder.add(number, _whole(i)) for i in range(count)]
        places = [[_at(self.builder, array, start, n) for n in numbers] for start in starts]
        pointer = _words.as_pointer()
        return [[self.builder.load(self.builder.bitcast(p, pointer), align=8) for p in row] for row in places]

    def words(self, number: Any, count: int) -> None:
        """Words `number` to `number + count`: a group of three, or one that no group holds."""
        array, starts = self.others
        tiles = self._load(number, count)
        pair = 0
        for start in starts:
            numbers = [self.builder.add(number, _whole(i)) for i in range(count)]
            row = [_repeated(self.builder, _at(self.builder, array, start, n)) for n in numbers]
            for tile in tiles:
                differ = [self.builder.xor(mine, other) for mine, other in zip(tile, row, strict=True)]
                self._add(self.ones[pair], differ[-1])
                if count == GROUP:
                    self._add(self.twos[pair], _carry(self.builder, *differ))
                pair += 1

    def store(self, counts: Any, stride: Any) -> None:
        """Write the counts, those of one row of the other side after another."""
        builder = self.builder
        narrow = ir.VectorType(ir.IntType(32), LANES)
        tiles = len(self.lanes[1])
        for pair, (ones, twos) in enumerate(zip(self.ones, self.twos, strict=True)):
            double = builder.load(twos)
            total = builder.trunc(builder.add(builder.load(ones), builder.add(double, double)), narrow)
            place = builder.add(builder.mul(stride, _whole(pair // tiles)), _whole(LANES * (pair % tiles)))
            target = builder.bitcast(builder.gep(counts, [place]), narrow.as_pointer())
            builder.store(total, target, align=4)


def _multiplier(tiles: int, rows: int) -> Any:
    """An intrinsic that counts where `tiles` tiles differ from `rows` rows of a tile of the other side.

    Its arguments: interleaved words and where the first tile begins, words and where the first row begins, words in a
    row, and int32[rows, stride] flat, where to write and that stride.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes, begin, others, first, words, counts, to, stride = arguments
        lanes, others, counts = (
            context.make_array(signature.args[i])(context, builder, arguments[i]) for i in (0, 2, 5)
        )
        tile = builder.mul(words, _whole(LANES))
        begins = [builder.add(begin, builder.mul(tile, _whole(i))) for i in range(tiles)]
        step = _Step(builder, (lanes, begins), (others, [builder.add(first, _whole(i)) for i in range(rows)]))
        whole = builder.udiv(words, _whole(GROUP))
        with cgutils.for_range(builder, whole) as loop:
            step.words(builder.mul(loop.index, _whole(GROUP)), GROUP)
        done = builder.mul(whole, _whole(GROUP))
        with cgutils.for_range(builder, builder.sub(words, done)) as loop:
            step.words(builder.add(done, loop.index), 1)
        step.store(builder.gep(counts.data, [to]), stride)
        return context.get_dummy_value()

    def typed(
        typing: Any, lanes: Any, begin: Any, others: Any, first: Any, words: Any, counts: Any, to: Any, stride: Any
    ) -> Any:
        del typing, begin, first, words, to, stride
        whole = types.int64
        return types.void(lanes, whole, others, whole, whole, counts, whole, whole), emit

    return intrinsic(typed)


_three_by_four: Any = _multiplier(TILES, _ROWS)
_three_by_one: Any = _multiplier(TILES, 1)
_one_by_four: Any = _multiplier(1, _ROWS)
_one_by_one: Any = _multiplier(1, 1)


@njit(nogil=True, cache=True)
def multiply(
    lanes: Any, begin: Any, tiles: Any, others: Any, first: Any, rows: Any, words: Any, counts: Any, to: Any
) -> None:
    """Count the bits in which `tiles` tiles of one side differ from `rows` rows of the other.

    Args:
        lanes: interleaved uint64, flat.
        begin: where its first tile begins.
        tiles: 1 to `TILES`.
        others: interleaved uint64, flat.
        first: where its first tile begins.
        rows: of the other side, from that tile on; rows that complete a tile must be there, whatever they hold.
        words: in a row.
        counts: int32, flat; row r's go to `counts[to + r * tiles * LANES:][:tiles * LANES]`, and are written for up to
            three rows that complete a tile.
        to: where the first row's counts begin.
    """
    stride = tiles * LANES
    for row in range(0, rows, _ROWS):
        at = first + (row // LANES) * words * LANES + row % LANES
        place = to + row * stride
        alone = rows - row == 1
        if tiles == TILES:
            if alone:
                _three_by_one(lanes, begin, others, at, words, counts, place, stride)
            else:
                _three_by_four(lanes, begin, others, at, words, counts, place, stride)
        else:
            for tile in range(tiles):
                start = begin + tile * words * LANES
                if alone:
                    _one_by_one(lanes, start, others, at, words, counts, place + tile * LANES, stride)
                else:
                    _one_by_four(lanes, start, others, at, words, counts, place + tile * LANES, stride)


@njit(nogil=True, cache=True)
def multiply_one(lanes: Any, begin: Any, tiles: Any, others: Any, words: Any, counts: Any) -> None:
    """As `multiply`, for one row and any number of tiles: what a loop over stripes costs would show there."""
    tile = 0
    while tile + TILES <= tiles:
        _three_by_one(lanes, begin + tile * words * LANES, others, 0, words, counts, tile * LANES, 0)
        tile += TILES
    while tile < tiles:
        _one_by_one(lanes, begin + tile * words * LANES, others, 0, words, counts, tile * LANES, 0)
        tile += 1
