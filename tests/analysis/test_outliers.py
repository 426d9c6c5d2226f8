import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from weightsmith.analysis import Connection, scores, standing_out, strongest


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(0, 8), st.integers(0, 8)), elements=st.integers(-4, 4)),
    st.integers(1, 20),
)
def test_the_strongest_come_in_order_of_magnitude_then_of_reading(matrix, count):
    expected = sorted(((-abs(v), i, j, v) for (i, j), v in np.ndenumerate(matrix) if v))[:count]
    assert strongest(matrix, count) == tuple(Connection(i, j, v) for _, i, j, v in expected)


def test_the_strongest_are_found_across_blocks(monkeypatch):
    matrix = np.random.default_rng(0).normal(size=(50, 40))
    whole = strongest(matrix, 7)
    monkeypatch.setattr("weightsmith.analysis.matrix.row_blocks.__defaults__", (90,))
    assert strongest(matrix, 7) == whole


def test_nan_and_infinity_are_no_connections():
    matrix = np.array([[np.nan, 1.0], [np.inf, -2.0]])
    assert strongest(matrix) == (Connection(1, 1, -2.0), Connection(0, 1, 1.0))
    assert strongest(np.full((2, 2), np.nan)) == ()


def test_scores_agree_with_scipy():
    values = np.random.default_rng(1).lognormal(size=101)
    expected = (values - np.median(values)) * 0.6745 / stats.median_abs_deviation(values)
    np.testing.assert_allclose(scores(values), expected)


def test_one_norm_stands_out_even_where_most_are_equal():
    values = np.full(20, 2.0)
    values[7] = 9.0
    (outlier,) = standing_out(values)
    assert (outlier.index, outlier.norm) == (7, 9.0)
    assert outlier.score > 3.5


def test_equal_norms_few_norms_and_broken_norms_have_no_outliers():
    assert standing_out(np.full(100, 0.1) * (1 + 1e-15 * np.arange(100))) == ()
    assert standing_out(np.zeros(10)) == ()
    assert standing_out(np.array([1.0, 1.0, 1.0, 50.0])) == ()
    assert standing_out(np.full(10, np.nan)) == ()
    assert standing_out(np.zeros(0)) == ()


def test_unusually_small_norms_stand_out_with_a_negative_score():
    values = np.random.default_rng(0).normal(10, 0.1, 50)
    values[3] = 0.0
    assert standing_out(values)[0].index == 3
    assert standing_out(values)[0].score < 0


def test_memory_stays_bounded_on_a_large_matrix():
    matrix = np.broadcast_to(np.linspace(-1, 1, 20_000, dtype=np.float32), (3000, 20_000))  # 240 MB if it were copied
    tracemalloc.start()
    strongest(matrix)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120e6
