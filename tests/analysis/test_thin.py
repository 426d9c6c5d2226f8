"""Thinned series keep their extremes; means of stretches are NumPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.analysis.thin import means, stretches, thin

values = st.lists(st.floats(width=32) | st.sampled_from([np.nan, np.inf, -np.inf]), max_size=300)


@given(values, st.integers(4, 50))
def test_no_more_points_than_wanted_and_no_extreme_is_lost(listed, points):
    series = np.array(listed, np.float64)
    kept = thin(series, points)
    assert len(kept) <= max(points, 0)
    assert np.all(np.diff(kept) > 0)
    finite = series[np.isfinite(series)]
    if len(finite):
        chosen = series[kept][np.isfinite(series[kept])]
        assert (chosen.min(), chosen.max()) == (finite.min(), finite.max())
    if len(series):
        assert (kept[0], kept[-1]) == (0, len(series) - 1)
    assert np.isfinite(series).all() == np.isfinite(series[kept]).all()


def test_a_spike_in_a_long_series_stays():
    series = np.zeros(100_000)
    series[77_777], series[12_345] = 5.0, -3.0
    kept = thin(series, 100)
    assert {77_777, 12_345} <= set(kept.tolist())


@pytest.mark.parametrize(("first", "last", "columns", "count"), [(0, 9, 5, 5), (5, 5, 300, 1), (1, 3, 300, 3)])
def test_stretches_cover_all_steps_once(first, last, columns, count):
    edges = stretches(first, last, columns)
    assert len(edges) == count + 1
    assert (edges[0], edges[-1]) == (first, last + 1)
    assert np.all(np.diff(edges) > 0)


def test_means_of_stretches_leave_out_what_is_not_finite():
    steps = np.array([0, 1, 2, 3, 7, 9, 9])
    series = np.array([1.0, 3.0, np.nan, np.inf, 5.0, 1.0, 2.0])
    found = means(steps, series, np.array([0, 2, 4, 8, 10]))
    np.testing.assert_array_equal(found, [2.0, np.nan, 5.0, 1.5])
