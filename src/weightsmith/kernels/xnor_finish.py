"""From counts of differing bits to what a layer gives: whole numbers, scaled floats, or the signs of the next layer.

A dot product is `base - factor * count`: of signs with signs, `base` is the number of columns and `factor` 2; of signs
with {0, 1}, whose bits are set where the weight is 1, `base` is how many signs are +1 and `factor` is 1.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.kernels.xnor_words import LANES, ones_in

ALPHABETS = {"signs": 2, "bits": 1}
"""What a set and a clear bit of weights may stand for, and what a differing bit then takes from the dot product."""

LARGEST = 2**31 - 1
"""Most columns: dot products are int32."""

_NOTHING = np.empty(0, np.float32)


def _reader(context: Any, builder: Any, lanes: int) -> Any:
    """Reads vectors of so many lanes, or one value repeated in all of them."""
    number = ir.IntType(32)

    def repeat(value: Any) -> Any:
        vector = ir.VectorType(value.type, lanes)
        lane = builder.insert_element(ir.Constant(vector, ir.Undefined), value, number(0))
        return builder.shuffle_vector(lane, lane, ir.Constant(ir.VectorType(number, lanes), [0] * lanes))

    def read(kind: Any, array: Any, position: Any, repeated: bool = False) -> Any:
        place = builder.gep(context.make_array(kind)(context, builder, array).data, [position])
        if repeated:
            return repeat(builder.load(place))
        element = number if kind.dtype == types.int32 else ir.FloatType()
        return builder.load(builder.bitcast(place, ir.VectorType(element, lanes).as_pointer()), align=4)

    return read, repeat


def _emit_reached(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    counts, at, base, factor, thresholds, first = arguments
    read, repeat = _reader(context, builder, LANES)
    base, factor = (builder.trunc(value, ir.IntType(32)) for value in (base, factor))
    dots = builder.sub(repeat(base), builder.mul(read(signature.args[0], counts, at), repeat(factor)))
    reach = builder.icmp_signed(">=", dots, read(signature.args[4], thresholds, first))
    return builder.bitcast(reach, ir.IntType(LANES))


def _type_reached(typing: Any, counts: Any, at: Any, base: Any, factor: Any, thresholds: Any, first: Any) -> Any:
    del typing, at, base, factor, first
    whole = types.int64
    return types.uint8(counts, whole, whole, whole, thresholds, whole), _emit_reached


reached: Any = intrinsic(_type_reached)
"""Which of eight dot products, from `counts[at:]`, reach the thresholds from `thresholds[first:]`: one bit each."""


def _finisher(along: str) -> Any:
    """An intrinsic that writes `size` floats, `(base - factor * count) * scale + bias`, each rounded by itself.

    Its arguments: counts and where they begin, bases and where, factor, scales and biases and where, floats and where
    to write, size. `along` says what the floats run along: outputs, with scales and biases of their own and one base
    for all, or points, the other way round. A loop of numba's over so few would spend its time on starting.
    """
    points = along == "points"

    def write(context: Any, builder: Any, signature: Any, arguments: Any, offset: Any, lanes: int) -> None:
        counts, at, base, base_at, factor, scale, bias, scale_at, out, to, _ = arguments
        read, repeat = _reader(context, builder, lanes)
        kinds = signature.args
        base_at, scale_at = (
            (builder.add(base_at, offset), scale_at) if points else (base_at, builder.add(scale_at, offset))
        )
        count = read(kinds[0], counts, builder.add(at, offset))
        taken = builder.mul(count, repeat(builder.trunc(factor, ir.IntType(32))))
        dots = builder.sub(read(kinds[2], base, base_at, not points), taken)
        value = builder.sitofp(dots, ir.VectorType(ir.FloatType(), lanes))
        value = builder.fmul(value, read(kinds[5], scale, scale_at, points))
        value = builder.fadd(value, read(kinds[6], bias, scale_at, points))
        place = builder.gep(context.make_array(kinds[8])(context, builder, out).data, [builder.add(to, offset)])
        builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=4)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size, lanes = arguments[-1], ir.Constant(ir.IntType(64), LANES)
        vectors = builder.udiv(size, lanes)
        with cgutils.for_range(builder, vectors) as loop:
            write(context, builder, signature, arguments, builder.mul(loop.index, lanes), LANES)
        done = builder.mul(vectors, lanes)
        with cgutils.for_range(builder, builder.sub(size, done)) as loop:
            write(context, builder, signature, arguments, builder.add(done, loop.index), 1)
        return context.get_dummy_value()

    # numba wants every argument named.
    def typed(  # type: ignore[no-untyped-def]
        typing, counts, at, base, base_at, factor, scale, bias, scale_at, out, to, size
    ):
        del typing, at, base_at, factor, scale_at, to, size
        whole = types.int64
        return types.void(counts, whole, base, whole, whole, scale, bias, whole, out, whole, whole), emit

    return intrinsic(typed)


write_outputs: Any = _finisher("outputs")
write_points: Any = _finisher("points")


@njit(nogil=True, cache=True)
def bases(rows: NDArray[np.uint64], columns: int, factor: int, start: int, stop: int) -> NDArray[np.int32]:
    """What each of rows `start` to `stop` of activations has its counts taken from."""
    found = np.full(stop - start, np.int32(columns))
    if factor == 1:
        for row in range(start, stop):
            total = np.int64(0)
            for word in range(rows.shape[1]):
                total += ones_in(rows[row, word])
            found[row - start] = total
    return found


@njit(nogil=True, cache=True)
def spread(values: NDArray[np.float32], default: float, start: int, stop: int) -> NDArray[np.float32]:
    """Values `start` to `stop` of an array that holds one for each, one for all, or none."""
    if values.size == 0:
        return np.full(stop - start, np.float32(default))
    if values.size == 1:
        return np.full(stop - start, values[0])
    return values[start:stop].copy()


@njit(nogil=True, cache=True)
def padded_thresholds(threshold: NDArray[np.int32], start: int, stop: int) -> NDArray[np.int32]:
    """Thresholds of tiles `start` to `stop`, for whole tiles."""
    found = np.zeros((stop - start) * LANES, np.int32)
    last = min(stop * LANES, threshold.size)
    found[: last - start * LANES] = threshold[start * LANES : last]
    return found


@njit(nogil=True, cache=True)
def packed_flips(flip: NDArray[np.bool_], start: int, stop: int) -> NDArray[np.uint8]:
    """Flips of tiles `start` to `stop`, a byte for each tile."""
    found = np.zeros(stop - start, np.uint8)
    for row in range(start * LANES, min(stop * LANES, flip.size)):
        if flip[row]:
            found[row // LANES - start] |= np.uint8(1 << row % LANES)
    return found


def factor_of(alphabet: str) -> int:
    """What a differing bit takes from the dot product.

    Raises:
        InputError: there is no such alphabet.
    """
    if alphabet not in ALPHABETS:
        raise InputError(f"weights of alphabet '{alphabet}' have no product with signs: give 'signs' or 'bits'")
    return ALPHABETS[alphabet]


def factors(values: NDArray[np.float32] | None, rows: int, name: str) -> NDArray[np.float32]:
    """A scale or bias as kernels take it.

    Raises:
        InputError: it is not float32[1] or float32[rows].
    """
    if values is None:
        return _NOTHING
    if values.dtype != np.float32 or values.ndim != 1 or values.size not in (1, rows) or not values.size:
        if rows == 0 and values.dtype == np.float32 and values.shape == (0,):
            return _NOTHING
        raise InputError(
            f"{name} of {rows} rows must be float32[1] or float32[{rows}], not {values.dtype}{list(values.shape)}"
        )
    return np.ascontiguousarray(values)


def check_thresholds(threshold: NDArray[np.int32], flip: NDArray[np.bool_], rows: int) -> None:
    """Refuse thresholds that do not belong to so many rows.

    Raises:
        InputError: not int32[rows] and bool[rows].
    """
    for name, values, kind in (("threshold", threshold, np.int32), ("flip", flip, np.bool_)):
        if values.dtype != kind or values.shape != (rows,):
            raise InputError(
                f"{name} of {rows} rows must be {np.dtype(kind)}[{rows}], not {values.dtype}{list(values.shape)}"
            )
