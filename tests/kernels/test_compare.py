import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightsmith.kernels.compare import NOTHING, compare, total

values = st.one_of(
    st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, -0.0, float("nan"), float("inf"), float("-inf")])
)
pairs = st.integers(0, 60).flatmap(
    lambda n: st.tuples(hnp.arrays(np.float32, n, elements=values), hnp.arrays(np.float32, n, elements=values))
)


@given(pairs, st.integers(1, 13), st.data())
def test_sums_and_counts_are_those_of_numpy(pair, row_length, data):
    before, after = pair
    start = data.draw(st.integers(0, row_length - 1))
    rows = -(-(start + before.size) // row_length)
    squares, changes = np.zeros(rows), np.zeros(rows)
    found = compare(before, after, row_length, start, squares, changes)
    both = np.isfinite(before) & np.isfinite(after)
    old, new = np.where(both, before, 0).astype(float), np.where(both, after, 0).astype(float)
    assert found.square_before == pytest.approx(np.sum(old**2))
    assert found.square_after == pytest.approx(np.sum(new**2))
    assert found.square_change == pytest.approx(np.sum((new - old) ** 2))
    assert found.product == pytest.approx(np.sum(old * new), abs=1e-6 * np.sum(abs(old * new)))
    assert found.differing == np.count_nonzero(~((before == after) | (np.isnan(before) & np.isnan(after))))
    assert found.sign_flips == np.count_nonzero((np.sign(before) * np.sign(after)) == -1)
    assert found.zeroed == np.count_nonzero((after == 0) & (before != 0))
    assert found.non_finite == np.count_nonzero(~both)
    index = (start + np.arange(before.size)) // row_length
    assert squares == pytest.approx(np.bincount(index, old**2, rows))
    assert changes == pytest.approx(np.bincount(index, (new - old) ** 2, rows))


def test_parts_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=(2, 1000))
    room = np.zeros(1), np.zeros(1)
    whole = compare(before, after, 1000, 0, *room)
    parts = [compare(before[i : i + 100], after[i : i + 100], 1000, i, *room) for i in range(0, 1000, 100)]
    assert total(parts) == pytest.approx(whole)
    assert total([]) == NOTHING
