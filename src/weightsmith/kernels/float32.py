"""The sketch's pass over float32 values: counted by the top halves of their patterns and measured at the same time.

The processor adds up in vectors while it waits for the tables, so one loop does both (`count_and_reduce`); no
vectorizer finds it, hence it is given to LLVM as it should be, in portable vector operations.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from weightsmith.kernels.count import BLOCK, LANES, MEASURES, SPAN, STRIDE, SUMS, TABLES, Measures, Whole, counted

_VALUES = types.Array(types.float32, 1, "C", readonly=True)
_BITS = types.Array(types.int32, 1, "C", readonly=True)
_REDUCED = types.Tuple((types.float64, types.float64, types.int32, types.int32, types.uint32))  # type: ignore[no-untyped-call]
_WIDTH = 16
"""Values per step of the loop; LLVM splits them where registers hold fewer."""

Reduced = tuple[float, float, Whole, Whole, Whole]
"""Sum, sum of squares; of the patterns, all bits or-ed, the highest as signed and the highest as unsigned numbers."""

_MAGNITUDE = np.int32(0x7FFFFFFF)
_NORMAL = np.int32(0x00800000)
_LOW_HALF = np.int32(0xFFFF)


def _emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """The loop over whole vectors of `bits`; accumulators live in stack slots, which LLVM turns into registers."""
    bits, tables = (
        context.make_array(kind)(context, builder, value) for kind, value in zip(signature.args, arguments, strict=True)
    )
    patterns = ir.VectorType(ir.IntType(32), _WIDTH)
    doubles = ir.VectorType(ir.DoubleType(), _WIDTH // 2)
    slots = [
        cgutils.alloca_once_value(builder, ir.Constant(kind, [start] * kind.count))  # type: ignore[no-untyped-call]
        for kind, start in (*4 * ((doubles, 0.0),), (patterns, 0), (patterns, -(2**31)), (patterns, 0))
    ]
    extremes = list(zip(slots[4:], (_either, _higher_signed, _higher_unsigned), strict=True))
    width = ir.Constant(ir.IntType(64), _WIDTH)
    with cgutils.for_range(builder, builder.udiv(bits.nitems, width)) as loop:
        place = builder.gep(bits.data, [builder.mul(loop.index, width)])
        _emit_counts(builder, place, tables.data)
        vector = builder.load(builder.bitcast(place, patterns.as_pointer()), align=4)
        values = builder.bitcast(vector, ir.VectorType(ir.FloatType(), _WIDTH))
        _emit_sums(builder, values, doubles, slots[:4])
        for slot, combine in extremes:
            builder.store(combine(builder, builder.load(slot), vector), slot)
    low, high, low_squares, high_squares = (builder.load(slot) for slot in slots[:4])
    sums = [builder.fadd(low, high), builder.fadd(low_squares, high_squares)]
    results = [_across(builder, total, ir.IRBuilder.fadd) for total in sums]
    results += [_across(builder, builder.load(slot), combine) for slot, combine in extremes]
    return context.make_tuple(builder, signature.return_type, results)


def _emit_counts(builder: Any, place: Any, tables: Any) -> None:
    """Count 16 top halves: read by themselves (little-endian), which is cheaper than taking the vector apart."""
    position = ir.IntType(64)
    halves = builder.bitcast(place, ir.IntType(16).as_pointer())
    for lane in range(_WIDTH):
        key = builder.zext(builder.load(builder.gep(halves, [ir.Constant(position, 2 * lane + 1)])), position)
        entry = builder.gep(tables, [builder.add(key, ir.Constant(position, STRIDE * (lane % LANES)))])
        builder.store(builder.add(builder.load(entry), ir.Constant(ir.IntType(32), 1)), entry)


def _emit_sums(builder: Any, values: Any, doubles: Any, slots: list[Any]) -> None:
    """Add 16 values and their squares to two vectors of 8 sums each."""
    for half in range(2):
        lanes = range(half * doubles.count, (half + 1) * doubles.count)
        mask = ir.Constant(ir.VectorType(ir.IntType(32), doubles.count), list(lanes))
        double = builder.fpext(builder.shuffle_vector(values, values, mask), doubles)
        square = builder.fmul(double, double, flags=("contract",))
        builder.store(builder.fadd(builder.load(slots[half]), double), slots[half])
        builder.store(builder.fadd(builder.load(slots[2 + half]), square, flags=("contract",)), slots[2 + half])


def _either(builder: Any, first: Any, second: Any) -> Any:
    return builder.or_(first, second)


def _higher_signed(builder: Any, first: Any, second: Any) -> Any:
    return builder.select(builder.icmp_signed(">", first, second), first, second)


def _higher_unsigned(builder: Any, first: Any, second: Any) -> Any:
    return builder.select(builder.icmp_unsigned(">", first, second), first, second)


def _across(builder: Any, vector: Any, combine: Any) -> Any:
    """Reduce a vector to one number, from its first element to its last."""
    elements = [builder.extract_element(vector, ir.Constant(ir.IntType(32), i)) for i in range(vector.type.count)]
    result = elements[0]
    for element in elements[1:]:
        result = combine(builder, result, element)
    return result


def _typed(typing_context: Any, bits: Any, tables: Any) -> Any:
    del typing_context
    return _REDUCED(bits, tables), _emit


count_and_reduce: Any = intrinsic(_typed)
"""Count the top halves of `bits` (int32[n], n a multiple of 16) into `tables`; return what `Reduced` says of them."""


@njit(nogil=True, fastmath={"reassoc", "contract"}, cache=True)
def _reduce(values: NDArray[np.float32], bits: NDArray[np.int32]) -> Reduced:
    """Sum, sum of squares, then over the patterns: all bits or-ed, highest as signed, highest as unsigned.

    Only these reductions vectorize well. The highest unsigned pattern is the most negative value where there is one;
    the highest signed pattern is the largest value unless all are negative.
    """
    total = 0.0
    squares = 0.0
    unsigned = np.uint32(0)
    signed = np.int32(-0x80000000)
    seen = np.int32(0)
    for i in range(values.size):
        value = np.float64(values[i])
        total += value
        squares += value * value
        pattern = bits[i]
        seen |= pattern
        signed = max(signed, pattern)
        unsigned = max(unsigned, np.uint32(pattern))
    return total, squares, seen, signed, unsigned


@njit(nogil=True, cache=True)
def _lowest_signed(bits: NDArray[np.int32]) -> Whole:
    """The lowest pattern as a signed integer: of values of one sign, the one closest to zero."""
    lowest = np.int32(0x7FFFFFFF)
    for i in range(bits.size):
        lowest = min(lowest, bits[i])
    return lowest


@njit(nogil=True, cache=True)
def _tiny(bits: NDArray[np.int32]) -> tuple[Whole, Whole]:
    """Numbers of zeros (of either sign) and of subnormals among fewer than 2**31 float32 patterns."""
    zeros = np.int32(0)
    tiny = np.int32(0)
    for i in range(bits.size):
        magnitude = bits[i] & _MAGNITUDE
        zeros += np.int32(magnitude == 0)
        tiny += np.int32(magnitude < _NORMAL)
    return np.int64(zeros), np.int64(tiny - zeros)


@njit(nogil=True, cache=True)
def _measure_checked(
    values: NDArray[np.float32], bits: NDArray[np.int32]
) -> tuple[float, float, float, float, Whole, int, int, int]:
    """As `_conclude`, for a block known to hold NaN or Inf: value by value, over the finite ones."""
    positive = 0
    negative = 0
    total = 0.0
    squares = 0.0
    minimum = np.inf
    maximum = -np.inf
    seen = np.int32(0)
    first = -1
    for i in range(values.size):
        value = np.float64(values[i])
        if not np.isfinite(value):
            first = i if first < 0 else first
            positive += value == np.inf
            negative += value == -np.inf
            continue
        total += value
        squares += value * value
        minimum = min(minimum, value)
        maximum = max(maximum, value)
        seen |= bits[i]
    return total, squares, minimum, maximum, seen, positive, negative, first


@njit(nogil=True, cache=True)
def _conclude(
    reduced: Reduced, values: NDArray[np.float32], bits: NDArray[np.int32]
) -> tuple[float, float, float, float, Whole, int, int, int]:
    """Sum, sum of squares, minimum, maximum, or-ed bits of the finite values; +Inf, -Inf; first non-finite or -1."""
    total, squares, seen, signed, unsigned = reduced
    # Squares of finite float32 values cannot overflow a double.
    if not np.isfinite(squares) or not values.size:
        return _measure_checked(values, bits)
    ends = np.empty(2, np.int32)
    negative = unsigned >= np.uint32(0x80000000)
    positive = signed >= 0
    one_sign = _lowest_signed(bits) if not (negative and positive) else np.int32(0)
    ends[0] = np.int32(unsigned) if negative else one_sign
    ends[1] = signed if positive else one_sign
    extremes = ends.view(np.float32)
    return total, squares, np.float64(extremes[0]), np.float64(extremes[1]), seen, 0, 0, -1


@njit(MEASURES(_VALUES, _BITS, SUMS), nogil=True, cache=True)
def measure_float32(values: NDArray[np.float32], bits: NDArray[np.int32], sums: NDArray[np.float64]) -> Measures:
    """What `count_float32` measures, in one block and without counting: for small arrays.

    Args:
        values: float32[n].
        bits: the same memory as int32[n].
        sums: float64[>=1, 2]; the first row gets sum and sum of squares.

    Returns:
        minimum, maximum (infinities the wrong way round where nothing is finite), numbers of zeros, subnormals, +Inf
        and -Inf, index of the first non-finite value or -1, whether every finite value is the one its key stands
        for, and the patterns of all finite values or-ed.
    """
    total, squares, minimum, maximum, seen, positive, negative, first = _conclude(_reduce(values, bits), values, bits)
    sums[0, 0] = total
    sums[0, 1] = squares
    zeros, subnormals = _tiny(bits)
    exact = (seen & _LOW_HALF) == 0
    return minimum, maximum, zeros, subnormals, positive, negative, first, exact, np.int64(np.uint32(seen))


@njit(nogil=True, cache=True)
def _count_block(values: NDArray[np.float32], bits: NDArray[np.int32], tables: NDArray[np.uint32]) -> Reduced:
    """Count and reduce a block of any size."""
    vectors = bits.size // _WIDTH * _WIDTH
    total, squares, seen, signed, unsigned = count_and_reduce(bits[:vectors], tables)
    for i in range(vectors, bits.size):
        tables[np.uint32(bits[i]) >> np.uint32(16)] += np.uint32(1)
    rest = _reduce(values[vectors:], bits[vectors:])
    return total + rest[0], squares + rest[1], seen | rest[2], max(signed, rest[3]), max(unsigned, rest[4])


@njit(MEASURES(_VALUES, _BITS, TABLES, SUMS), nogil=True, cache=True)
def count_float32(
    values: NDArray[np.float32],
    bits: NDArray[np.int32],
    tables: NDArray[np.uint32],
    sums: NDArray[np.float64],
) -> Measures:
    """Count the top halves of float32 values and measure them, in one pass over memory.

    Args:
        values: float32[n], the first at a multiple of `SPAN` in its array.
        bits: the same memory as int32[n].
        tables: counts are added here; fewer than 2**32 in all.
        sums: float64[ceil(n / SPAN), 2], zeroed; gets each span's sum and sum of squares over finite values.

    Returns:
        As `measure_float32`.
    """
    minimum = np.inf
    maximum = -np.inf
    zeros = 0
    positive = 0
    negative = 0
    first = -1
    seen = np.int32(0)
    zero_keys = counted(tables, 1)
    tiny_before = counted(tables, 128)
    for start in range(0, values.size, BLOCK):
        stop = min(start + BLOCK, values.size)
        block_bits = bits[start:stop]
        reduced = _count_block(values[start:stop], block_bits, tables)
        found = counted(tables, 1)
        if found != zero_keys:
            # Zero shares its key with the smallest subnormals.
            zero_keys = found
            zeros += _tiny(block_bits)[0]
        total, squares, low, high, block_seen, plus, minus, at = _conclude(reduced, values[start:stop], block_bits)
        sums[start // SPAN, 0] += total
        sums[start // SPAN, 1] += squares
        minimum = min(minimum, low)
        maximum = max(maximum, high)
        positive += plus
        negative += minus
        seen |= block_seen
        if at >= 0 and first < 0:
            first = start + at
    subnormals = counted(tables, 128) - tiny_before - zeros
    exact = (seen & _LOW_HALF) == 0
    return minimum, maximum, zeros, subnormals, positive, negative, first, exact, np.int64(np.uint32(seen))
