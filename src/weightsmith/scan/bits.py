"""Effective bits: how few bits per value would hold every value exactly."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from weightsmith.kernels.tally import Gathering
    from weightsmith.sketch import Sketch

_LAYOUT = {4: (8, 23), 8: (11, 52)}
"""Exponent and fraction bits of float32 and float64, by their size in bytes."""


def effective_bits(sketch: "Sketch", gathering: "Gathering", dtype: "np.dtype[Any]") -> int | None:
    """The fewest bits per value from which every value can be restored exactly, by one of three codes.

    - Where every value is known from its key (types of up to two bytes, and wider ones that hold bfloat16 values):
      the base-2 logarithm of the number of distinct bit patterns, rounded up: a table and an index per value.
    - Integers of 32 and 64 bits: what tells all whole numbers from the least to the greatest apart.
    - Other floats: one bit for the sign where it is used, enough for the exponents from the lowest to the highest
      (zero and non-finite values count as one more each), and the fraction bits in front of the trailing zeros that
      all values share. An upper bound where there are few distinct values with long fractions.

    Args:
        sketch: of the values.
        gathering: from the same pass.
        dtype: of the values.

    Returns:
        0 for a constant; None for no values.
    """
    if not sketch.count:
        return None
    if sketch.minimum == sketch.maximum and sketch.finite == sketch.count and not sketch.zeros:
        return 0
    if dtype.itemsize <= 2 or (sketch.exact and dtype.kind == "f"):
        return _index_bits(gathering.patterns)
    if dtype.kind in "iu":
        return _range_bits(sketch, dtype.itemsize * 8)
    return _float_bits(sketch, gathering.bits, dtype.itemsize)


def _index_bits(number: int) -> int:
    """Bits that tell so many things apart."""
    return max(number - 1, 0).bit_length()


def _range_bits(sketch: "Sketch", most: int) -> int:
    low, high = sketch.minimum, sketch.maximum
    if max(abs(low), abs(high)) > 2**53:  # beyond, the extremes are rounded
        return most
    return min(_index_bits(int(high) - int(low) + 1), most)


def _float_bits(sketch: "Sketch", seen: int, itemsize: int) -> int:
    exponent_bits, fraction_bits = _LAYOUT[itemsize]
    fraction = seen & ((1 << fraction_bits) - 1)
    used = fraction_bits - (fraction & -fraction).bit_length() + 1 if fraction else 0
    sign = (seen >> (itemsize * 8 - 1)) & 1
    return sign + min(_exponent_bits(sketch, itemsize), exponent_bits) + used


def _exponent_bits(sketch: "Sketch", itemsize: int) -> int:
    fields = np.unique((sketch.keys >> np.uint16(7)) & np.uint16(0xFF)).tolist()
    small = int(sketch.counts[(sketch.keys & np.uint16(0x7F80)) == 0].sum())
    if itemsize == 8 and (small > sketch.zeros or 254 in fields):
        return 11  # beyond the range of float32 keys do not tell exponents apart
    occupied = [field for field in fields if field]
    span = occupied[-1] - occupied[0] + 1 if occupied else 0
    return _index_bits(span + (small > 0) + (sketch.non_finite > 0))
