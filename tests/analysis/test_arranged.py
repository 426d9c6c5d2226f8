import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import pdist

from weightsmith.analysis.arranged import ALIKE, MOST, arranged, line_order, orders_for
from weightsmith.analysis.blocks import STATISTICS, measure
from weightsmith.analysis.grid import Grid
from weightsmith.analysis.pyramid import Pyramid
from weightsmith.errors import InputError


def grid_of(array, *, turned=False):
    lying = np.ascontiguousarray(array.T if turned else array)
    return Grid(*array.shape, turned, lambda top, bottom, left, right: lying[top:bottom, left:right])


@pytest.mark.parametrize("turned", [False, True])
def test_by_norm_the_longest_comes_first_and_nan_counts_as_zero(turned):
    array = np.random.default_rng(0).normal(size=(40, 13)).astype(np.float32)
    array[5] = np.nan
    array[7, 3] = np.inf
    array[9] = array[8]
    clean = np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=np.inf)
    for axis, lines in (("rows", 1), ("columns", 0)):
        expected = np.argsort(-np.sqrt((clean**2).sum(axis=lines)), kind="stable")
        np.testing.assert_array_equal(line_order(grid_of(array, turned=turned), axis, "norm"), expected)


def test_by_similarity_as_scipy_clusters_by_cosine_and_those_without_direction_last():
    array = np.random.default_rng(1).normal(size=(30, 6))
    array[4] = 0.0
    array[11, 2] = np.nan
    kept = np.setdiff1d(np.arange(30), [4, 11])
    tree = linkage(pdist(array[kept], "cosine"), "average", optimal_ordering=True)
    found = line_order(grid_of(array), "rows", "similarity")
    expected = kept[leaves_list(tree)]
    assert found[-2:].tolist() == [4, 11]
    assert found[:-2].tolist() in (expected.tolist(), expected[::-1].tolist())
    np.testing.assert_array_equal(line_order(grid_of(array.T), "columns", "similarity"), found)


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    turned=st.booleans(),
    which=st.sampled_from(["rows", "columns", "both", "none"]),
    data=st.data(),
)
def test_any_rectangle_of_an_order_is_numpys(rows, columns, turned, which, data):
    array = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    down = rng.permutation(rows) if which in ("rows", "both") else None
    across = rng.permutation(columns) if which in ("columns", "both") else None
    expected = array if down is None else array[down]
    expected = expected if across is None else expected[:, across]
    found = arranged(grid_of(array, turned=turned), down, across)
    top, left = data.draw(st.integers(0, rows)), data.draw(st.integers(0, columns))
    bottom, right = data.draw(st.integers(top, rows)), data.draw(st.integers(left, columns))
    np.testing.assert_array_equal(found.read(top, bottom, left, right), expected[top:bottom, left:right])


@pytest.mark.parametrize("turned", [False, True])
def test_tiles_of_an_order_are_those_of_the_gathered_matrix(turned):
    rng = np.random.default_rng(2)
    array = rng.normal(size=(600, 530)).astype(np.float32)
    array[3, 4] = np.nan
    down, across = rng.permutation(600), rng.permutation(530)
    found = Pyramid(arranged(grid_of(array, turned=turned), down, across))
    expected = Pyramid(grid_of(array[down][:, across]))
    for level in range(found.levels):
        for statistic in STATISTICS:
            np.testing.assert_allclose(
                found.tile(level, 0, 0, statistic), expected.tile(level, 0, 0, statistic), rtol=1e-6
            )


def test_an_order_is_read_in_bands_however_far_apart_its_columns_lie(monkeypatch):
    monkeypatch.setattr("weightsmith.analysis.arranged.BAND", 64)
    array = np.arange(30 * 50, dtype=np.int16).reshape(30, 50)
    across = np.arange(50)[::-1].copy()
    seen = []

    def read(top, bottom, left, right):
        seen.append((bottom - top) * (right - left))
        return array[top:bottom, left:right]

    found = arranged(Grid(30, 50, False, read), None, across)
    np.testing.assert_array_equal(found.read(0, 30, 0, 50), array[:, ::-1])
    assert max(seen) <= 64
    assert measure(found, range(30), range(50), 30, 50).sums[0, 0] == array.sum()


@pytest.mark.parametrize(
    ("lines", "others", "expected"),
    [
        *((1, 5, ()), (0, 5, ()), (5, 0, ()), (MOST + 1, 1, ()), (2, 1, ("norm", "similarity"))),
        *((ALIKE, 10, ("norm", "similarity")), (ALIKE + 1, 10, ("norm",)), (2, 1 << 24, ("norm",))),
    ],
)
def test_what_is_too_much_to_order_is_not_offered_and_refused(lines, others, expected):
    assert orders_for(lines, others) == expected
    grid = Grid(lines, others, False, lambda *_: np.zeros((0, 0)))
    for order in {"norm", "similarity"} - set(expected):
        with pytest.raises(InputError, match="cannot be put in order"):
            line_order(grid, "rows", order)
