"""From what the pass found in the portions of a tensor to the tally of the whole."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.kernels import count
from weightsmith.kernels.layout import (
    LAYOUTS,
    SMALLEST_NORMAL,
    Counts,
    Doubles,
    Keys,
    Tally,
    combine,
    decoded,
    exact_sums,
    float32_keys,
    nothing,
)
from weightsmith.kernels.portion import Portion, check_type, is_narrow, measure, merged, together


def tally(array: NDArray[np.generic], threads: int | None = None) -> Tally:
    """Tally an array of any shape; see `Sketch.of`.

    Raises:
        InputError: the values are not real numbers of at most 64 bits.
    """
    return gather(array, threads).tally()


def gather(array: NDArray[np.generic], threads: int | None = None) -> "Gathering":
    """The portions of an array, all of them.

    Raises:
        InputError: as `tally`.
    """
    flat = _flat(array)

    def fetch(start: int, stop: int, room: object) -> NDArray[np.generic]:
        del room
        return flat[start:stop]

    whole = Gathering(flat.dtype, flat.size)
    whole.add(measure(fetch, 0, flat.size, flat.dtype, threads))
    return whole


class Gathering:
    """The portions of one tensor, added in any order; what they add up to does not depend on it.

    Args:
        dtype: type of the values.
        size: number of elements of the whole tensor.
    """

    def __init__(self, dtype: np.dtype[Any], size: int) -> None:
        self._dtype = dtype
        self._size = size
        self._counted: list[tuple[Keys, Counts]] = []
        self._measures: list[count.Measures] = []
        self._sums = np.zeros((0, 2))
        self._integers = 0
        self._added = 0

    def add(self, portion: Portion) -> None:
        """Add a portion; each once."""
        self._added += portion.count
        self._integers += portion.integers
        self._counted = [merged([*self._counted, (portion.keys, portion.counts)])]
        self._measures = [together([*self._measures, portion.measures])]
        if portion.count == self._size:
            self._sums = portion.sums
            return
        if not self._sums.size and portion.sums.size:
            self._sums = np.zeros((-(-self._size // count.SPAN), 2))
        first = portion.start // count.SPAN
        self._sums[first : first + len(portion.sums)] = portion.sums

    @property
    def complete(self) -> bool:
        """Whether all elements were added."""
        return self._added == self._size

    @property
    def patterns(self) -> int:
        """How many keys (of types of up to two bytes: bit patterns) occur, those of NaN and Inf included."""
        return self._counted[0][0].size if self._counted else 0

    @property
    def bits(self) -> int:
        """The patterns of all finite values or-ed: of float32 as 32 bits, of wider types as those of float64."""
        return self._measures[0][-1] if self._measures else 0

    def tally(self) -> Tally:
        """The tally of the whole tensor, of which every portion was added."""
        assert self.complete
        keys, counts = self._counted[0] if self._counted else (np.empty(0, np.uint16), np.empty(0, np.int64))
        if is_narrow(self._dtype):
            first = self._measures[0][6] if self._measures else -1
            return _from_patterns(self._dtype.name, keys, counts, None if first < 0 else first)
        if not self._size:
            return nothing("float32")
        found = _from_keys(keys, counts, self._measures[0], self._sums)
        if self._dtype.kind in "iu" and self._dtype.itemsize == 8:
            # Integers beyond 2**53 were rounded on their way to float64.
            exact = found.exact and max(-found.minimum, found.maximum) <= 2**53
            return replace(found, sum=float(self._integers), exact=exact)
        return found


def _flat(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """The values in C order as one native, aligned, contiguous row; copied only where they are not."""
    check_type(array.dtype)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not (array.flags.c_contiguous and array.flags.aligned):
        array = np.require(array, requirements=("C", "A"))
    flat = array.reshape(-1).view()
    flat.flags.writeable = False
    return flat


def _from_keys(keys: Keys, counts: Counts, measures: count.Measures, sums: Doubles) -> Tally:
    """The tally of types of 32 and 64 bits; keys and counts hold NaN and Inf as well."""
    size = int(counts.sum())
    minimum, maximum, zeros, subnormals, positive, negative, first, exact, _ = measures
    if first >= 0:
        finite = (keys & 0x7F80) != 0x7F80
        keys, counts = keys[finite], counts[finite]
    if exact:
        total, squares = exact_sums(decoded("bfloat16")[keys], counts)
    else:
        total, squares = (float(column) for column in (sums[0] if len(sums) == 1 else sums.sum(axis=0)))
    some = keys.size > 0
    return Tally(
        layout="float32",
        keys=keys,
        counts=counts,
        count=size,
        zeros=zeros,
        subnormals=subnormals,
        nan=size - int(counts.sum()) - positive - negative if first >= 0 else 0,
        positive_infinity=positive,
        negative_infinity=negative,
        sum=total,
        sum_of_squares=squares,
        # Adding 0.0 turns -0.0 into 0.0, whichever of the two a kernel met first.
        minimum=minimum + 0.0 if some else np.nan,
        maximum=maximum + 0.0 if some else np.nan,
        first_non_finite=first if first >= 0 else None,
        exact=exact,
    )


def _from_patterns(name: str, keys: Keys, counts: Counts, first: int | None) -> Tally:
    """The tally of types of one and two bytes: values are known from their patterns, so all follows from the counts."""
    size = int(counts.sum())
    numbers = decoded(name)[keys]
    nan, positive, negative = 0, 0, 0
    if first is not None:
        nan = int(counts[np.isnan(numbers)].sum())
        positive = int(counts[numbers == np.inf].sum())
        negative = int(counts[numbers == -np.inf].sum())
        finite = np.isfinite(numbers)
        keys, counts, numbers = keys[finite], counts[finite], numbers[finite]
    total, squares = exact_sums(numbers, counts)
    zeros = int(counts[numbers == 0].sum())
    tiny = int(counts[np.abs(numbers) < SMALLEST_NORMAL.get(name, 0.0)].sum())
    own = name in LAYOUTS
    exact = True
    if not own and name != "bfloat16":
        narrow = float32_keys(numbers)
        exact = bool(np.array_equal(decoded("bfloat16")[narrow], numbers))
        keys, counts = combine(narrow, counts)
    return Tally(
        layout=name if own else "float32",
        keys=keys,
        counts=counts,
        count=size,
        zeros=zeros,
        subnormals=max(tiny - zeros, 0),
        nan=nan,
        positive_infinity=positive,
        negative_infinity=negative,
        sum=total,
        sum_of_squares=squares,
        minimum=float(numbers.min()) + 0.0 if numbers.size else np.nan,
        maximum=float(numbers.max()) + 0.0 if numbers.size else np.nan,
        first_non_finite=first,
        exact=exact,
    )
