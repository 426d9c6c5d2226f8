"""How values become 16-bit keys and back.

Layout `float32` takes the top 16 bits of a float32 pattern: sign, exponent and 7 bits of fraction, which is all of
a bfloat16. Every other layout is the bits of a narrower float itself, and bears that type's name.
"""

from dataclasses import dataclass
from functools import lru_cache

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint16]
Counts = NDArray[np.int64]
Doubles = NDArray[np.float64]

NARROW_FLOATS: tuple[str, ...] = (
    "float8_e3m4",
    "float8_e4m3",
    "float8_e4m3b11fnuz",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float6_e2m3fn",
    "float6_e3m2fn",
    "float4_e2m1fn",
)
"""Floats of one byte (or less, stored in one byte), by the name that ml_dtypes gives them."""

LAYOUTS: tuple[str, ...] = ("float32", "float16", *NARROW_FLOATS)

SMALLEST_NORMAL: dict[str, float] = {
    "float16": float(np.finfo(np.float16).smallest_normal),
    **{
        name: float(ml_dtypes.finfo(getattr(ml_dtypes, name)).smallest_normal)  # type: ignore[no-untyped-call]
        for name in ("bfloat16", *NARROW_FLOATS)
    },
}


@dataclass(frozen=True)
class Tally:
    """What one pass remembers; `weightsmith.sketch.Sketch` documents the fields and answers questions from them."""

    layout: str
    keys: Keys
    counts: Counts
    count: int
    zeros: int
    subnormals: int
    nan: int
    positive_infinity: int
    negative_infinity: int
    sum: float
    sum_of_squares: float
    minimum: float
    maximum: float
    first_non_finite: int | None
    exact: bool


def nothing(layout: str) -> Tally:
    """The tally of no values."""
    return Tally(
        layout=layout,
        keys=np.empty(0, np.uint16),
        counts=np.empty(0, np.int64),
        count=0,
        zeros=0,
        subnormals=0,
        nan=0,
        positive_infinity=0,
        negative_infinity=0,
        sum=0.0,
        sum_of_squares=0.0,
        minimum=np.nan,
        maximum=np.nan,
        first_non_finite=None,
        exact=True,
    )


@lru_cache(maxsize=32)
def decoded(dtype: str) -> Doubles:
    """The value of every bit pattern of a type of one or two bytes, by its name: float64[256] or float64[65536]."""
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    patterns = np.arange(256**kind.itemsize, dtype=f"u{kind.itemsize}")
    with np.errstate(invalid="ignore"):
        table = patterns.view(kind).astype(np.float64)
    table.flags.writeable = False
    return table


def values(layout: str, keys: Keys) -> Doubles:
    """The value each key stands for; in layout `float32`, the one of its bin closest to zero."""
    return decoded("bfloat16" if layout == "float32" else layout)[keys]


def float32_keys(numbers: Doubles) -> Keys:
    """The `float32` key of each finite number, rounding toward zero (beyond float32's range: its largest value)."""
    with np.errstate(over="ignore", under="ignore"):
        single = numbers.astype(np.float32)
    bits = single.view(np.uint32)
    bits -= np.abs(single) > np.abs(numbers)
    return (bits >> np.uint32(16)).astype(np.uint16)


def combine(keys: Keys, counts: Counts) -> tuple[Keys, Counts]:
    """Sort keys and add up the counts of equal ones."""
    if not keys.size:
        return keys, counts
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    return ordered[starts], np.add.reduceat(counts[order], starts)


def exact_sums(numbers: Doubles, counts: Counts) -> tuple[float, float]:
    """Sum and sum of squares of numbers that occur `counts` times."""
    weighted = numbers * counts
    return float(weighted.sum()), float((weighted * numbers).sum())
