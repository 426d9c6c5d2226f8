import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics.pairwise import cosine_similarity

from weightsmith.analysis import duplicate_rows, leaf_order, near_duplicates, similarity
from weightsmith.errors import InputError


@pytest.fixture
def matrix():
    return np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)


def test_cosine_agrees_with_scikit_learn(matrix):
    np.testing.assert_allclose(similarity(matrix).values, cosine_similarity(matrix), atol=1e-6)


def test_correlation_agrees_with_numpy(matrix):
    found = similarity(matrix + 5, "correlation")
    np.testing.assert_allclose(found.values, np.corrcoef(matrix), atol=1e-5)


def test_columns_are_the_rows_of_the_transpose(matrix):
    np.testing.assert_allclose(similarity(matrix.T, "correlation").values, np.corrcoef(matrix.T), atol=1e-6)


def test_rows_without_a_direction_are_left_out_and_named(matrix):
    matrix[3], matrix[5, 2], matrix[9, 0], matrix[11] = 0, np.nan, np.inf, 0.1
    cosine, correlation = similarity(matrix), similarity(matrix, "correlation")
    assert list(cosine.undefined) == [3, 5, 9]
    assert list(correlation.undefined) == [3, 5, 9, 11]
    assert np.isfinite(cosine.values).all()
    assert len(cosine.indices) == 37


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_of_the_weights_does_not_matter(matrix, scale):
    scaled = (matrix.astype(np.float64) * scale).astype(np.float32)
    np.testing.assert_allclose(similarity(scaled).values, cosine_similarity(matrix), atol=1e-5)


def test_more_rows_than_the_limit_are_sampled_evenly():
    found = similarity(np.random.default_rng(0).normal(size=(5000, 3)), limit=100)
    assert found.total == 5000
    assert len(found.indices) == 100
    assert (found.indices[0], found.indices[-1]) == (0, 4999)
    assert np.diff(found.indices).max() < 80


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (4, 0), (1, 1)])
def test_tiny_matrices(shape):
    ones = np.ones(shape)
    kept = shape[0] if shape[1] else 0
    assert similarity(ones).values.shape == (kept, kept)
    assert duplicate_rows(ones) == ()
    assert near_duplicates(ones).pairs == ()


def test_an_unknown_measure_is_named(matrix):
    with pytest.raises(InputError, match=r"unknown measure 'cosin'.*did you mean 'cosine'"):
        similarity(matrix, "cosin")


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(0, 10), st.integers(1, 3)), elements=st.sampled_from([-0.0, 0, 1, 2]))
)
def test_identical_rows_are_grouped_and_zero_rows_are_not(matrix):
    expected = {}
    for i, row in enumerate(matrix):
        if row.any():
            expected.setdefault(tuple(map(abs, row)), []).append(i)
    assert set(duplicate_rows(matrix)) == {tuple(group) for group in expected.values() if len(group) > 1}


def test_rows_with_nan_are_not_duplicates():
    assert duplicate_rows(np.full((4, 3), np.nan)) == ()


@pytest.mark.parametrize("block", [1, 7, 1024])
def test_near_duplicates_agree_with_all_cosines(matrix, block):
    matrix[20] = matrix[4] * 3 + 1e-3
    matrix[8] = 0
    matrix[9, 0] = np.nan
    threshold = 0.6
    usable = [i for i in range(40) if i not in (8, 9)]
    cosine = cosine_similarity(matrix[usable])
    expected = {
        (usable[i], usable[j]): cosine[i, j] for i in range(38) for j in range(i + 1, 38) if cosine[i, j] >= threshold
    }
    found = near_duplicates(matrix, threshold, block=block)
    assert {(pair.first, pair.second) for pair in found.pairs} == set(expected)
    assert found.count == len(expected)
    assert found.compared == 1
    assert (found.closest.first, found.closest.second) == (4, 20)
    assert [pair.similarity for pair in found.pairs] == sorted((pair.similarity for pair in found.pairs), reverse=True)
    assert near_duplicates(matrix, threshold, block=block, most=2).count == len(expected)
    assert near_duplicates(matrix, threshold, block=block, most=2).pairs == found.pairs[:2]


def test_a_time_limit_stops_and_says_how_far_it_came(matrix):
    found = near_duplicates(matrix, block=4, time_limit=0.0)
    assert 0 < found.compared < 0.1


def test_near_duplicates_keep_memory_bounded():
    matrix = np.broadcast_to(np.arange(1, 6001, dtype=np.float32)[:, None], (6000, 2000))
    tracemalloc.start()
    found = near_duplicates(matrix, most=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.count == 6000 * 5999 // 2
    assert peak < 250e6


def test_leaf_order_puts_like_rows_together():
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(3, 20))
    group = rng.permutation(np.repeat([0, 1, 2], 10))
    order = leaf_order(similarity(centers[group] + 0.1 * rng.normal(size=(30, 20))).values)
    assert sorted(order) == list(range(30))
    assert np.count_nonzero(np.diff(group[order])) == 2


@pytest.mark.parametrize("count", [0, 1, 2])
def test_leaf_order_of_few_rows(count):
    assert list(leaf_order(np.ones((count, count), np.float32))) == list(range(count))


def test_columns_are_compared_through_the_transpose():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(40, 12)).astype(np.float32)
    matrix[:, 7] = matrix[:, 2]
    matrix[:, 9] = 2 * matrix[:, 4] + 1e-3 * rng.normal(size=40)
    found = similarity(matrix.T, "correlation")
    np.testing.assert_allclose(found.values, np.corrcoef(matrix, rowvar=False), atol=1e-6)
    assert duplicate_rows(matrix.T) == ((2, 7),)
    alike = near_duplicates(matrix.T, 0.99)
    assert [(pair.first, pair.second) for pair in alike.pairs] == [(2, 7), (4, 9)]
