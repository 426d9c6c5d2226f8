import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightsmith.kernels import count
from weightsmith.kernels.float32 import count_float32, measure_float32
from weightsmith.kernels.float64 import count_float64


def frozen(array):
    array = array.view()
    array.flags.writeable = False
    return array


def collected(tables):
    keys, counts = np.empty(65536, np.uint16), np.empty(65536, np.int64)
    found = count.collect(tables, keys, counts)
    return dict(zip(keys[:found].tolist(), counts[:found].tolist(), strict=True))


def by_numpy(keys):
    distinct, counts = np.unique(keys, return_counts=True)
    return dict(zip(distinct.tolist(), counts.tolist(), strict=True))


def float32_pass(values, tables=None):
    sums = np.zeros((-(-values.size // count.SPAN) or 1, 2))
    views = frozen(values), frozen(values.view(np.int32))
    if tables is None:
        return measure_float32(*views, sums), sums
    return count_float32(*views, tables, sums), sums


FLOATS = hnp.arrays(np.float32, st.integers(0, 70), elements=st.floats(width=32))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@given(data=st.data())
def test_keys_are_counted_and_tables_left_zeroed(dtype, data):
    keys = data.draw(hnp.arrays(dtype, st.integers(0, 60)))
    tables = count.new_tables()
    count.count_keys(frozen(keys), tables)
    assert collected(tables) == by_numpy(keys)
    assert not tables.any()


def test_every_key_has_its_place():
    keys = np.arange(65536, dtype=np.uint16)
    tables = count.new_tables()
    count.count_keys(frozen(keys.repeat(3)), tables)
    assert collected(tables) == dict.fromkeys(range(65536), 3)


@given(hnp.arrays(np.uint16, st.integers(0, 60)))
def test_sorted_keys_are_counted(keys):
    ordered = np.sort(keys)
    distinct, counts = np.empty(keys.size, np.uint16), np.empty(keys.size, np.int64)
    found = count.collect_sorted(frozen(ordered), distinct, counts)
    assert dict(zip(distinct[:found].tolist(), counts[:found].tolist(), strict=True)) == by_numpy(keys)


def expected_measures(values):
    """Minimum, maximum, zeros, subnormals, +Inf, -Inf, first non-finite: by NumPy."""
    finite = values[np.isfinite(values)].astype(np.float64)
    others = np.flatnonzero(~np.isfinite(values))
    tiny = np.abs(finite) < np.finfo(values.dtype).smallest_normal
    return (
        finite.min() if finite.size else np.inf,
        finite.max() if finite.size else -np.inf,
        np.count_nonzero(finite == 0),
        np.count_nonzero(tiny & (finite != 0)),
        np.count_nonzero(values == np.inf),
        np.count_nonzero(values == -np.inf),
        others[0] if others.size else -1,
    )


@pytest.mark.parametrize("counting", [False, True])
@given(values=FLOATS)
def test_float32_is_measured(counting, values):
    tables = count.new_tables() if counting else None
    found, sums = float32_pass(values, tables)
    assert found[:-2] == expected_measures(values)
    finite = values[np.isfinite(values)].astype(np.float64)
    assert found[-2] == (not (finite.astype(np.float32).view(np.uint32) & 0xFFFF).any())
    assert found[-1] == np.bitwise_or.reduce(finite.astype(np.float32).view(np.uint32))
    assert sums[0, 0] == pytest.approx(math.fsum(finite), abs=1e-14 * np.abs(finite).sum())
    assert sums[0, 1] == pytest.approx(math.fsum(finite**2), rel=1e-14)
    if counting:
        assert collected(tables) == by_numpy(values.view(np.uint32) >> 16)


@pytest.mark.parametrize("sign", [1, -1])
def test_blocks_of_one_sign_have_the_right_extremes(sign):
    values = (sign * np.random.default_rng(0).uniform(0.1, 2, 3 * count.BLOCK)).astype(np.float32)
    found, _ = float32_pass(values, count.new_tables())
    assert found[:2] == (values.min(), values.max())


def test_spans_are_summed_apart_and_non_finite_values_found_in_any_block():
    values = np.random.default_rng(1).standard_normal(3 * count.SPAN + 77).astype(np.float32)
    values[[count.SPAN + 5, 2 * count.SPAN, -1]] = np.nan, np.inf, -np.inf
    values[[3, count.BLOCK + 3]] = 0.0, -0.0
    values[7] = 1e-41
    tables = count.new_tables()
    found, sums = float32_pass(values, tables)
    assert found[:-2] == expected_measures(values)
    finite = np.where(np.isfinite(values), values, 0).astype(np.float64)
    for row, start in zip(sums, range(0, values.size, count.SPAN), strict=True):
        span = finite[start : start + count.SPAN]
        assert row == pytest.approx([math.fsum(span), math.fsum(span**2)], rel=1e-11)


WIDE = st.floats() | st.sampled_from([3.4e38, 3.5e38, -1e300, 5e-324, 1e-46, 1.5, 2.0**-150, np.nextafter(1.0, 0)])


@given(hnp.arrays(np.float64, st.integers(0, 70), elements=WIDE))
def test_float64_is_keyed_toward_zero_and_measured(values):
    tables = count.new_tables()
    sums = np.zeros((1, 2))
    found = count_float64(frozen(values), tables, sums)
    assert found[:-2] == expected_measures(values)
    finite = values[np.isfinite(values)]
    keys = collected(tables)
    decoded = np.sort(
        [
            value
            for key, number in keys.items()
            for value in [(np.uint32(key) << np.uint32(16)).view(np.float32).astype(np.float64)] * number
            if np.isfinite(value)
        ]
    )
    assert decoded.size == finite.size
    upper = np.minimum(np.abs(np.sort(finite)), np.finfo(np.float32).max)
    assert (np.abs(decoded) <= upper).all()
    assert (np.abs(decoded) * (1 + 1 / 128) + 2.0**-133 >= upper).all()
    assert found[-2] == np.array_equal(decoded, np.sort(finite))
    assert found[-1] == np.bitwise_or.reduce(finite.view(np.int64))
