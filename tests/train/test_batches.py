import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.train.batches import bounds, order, part


@given(st.integers(0, 500), st.integers(1, 64), st.integers(1, 4))
def test_bounds_cover_every_sample_once(samples: int, batch_size: int, processes: int) -> None:
    found = bounds(samples, batch_size, processes)
    assert [row for start, end in found for row in range(start, end)] == list(range(samples))
    if len(found) > 1:
        assert all(end - start == batch_size for start, end in found[:-1])
        last = found[-1][1] - found[-1][0]
        assert min(2 * processes, batch_size) <= last < batch_size + min(2 * processes, batch_size)


@given(st.integers(0, 100), st.integers(1, 64), st.integers(1, 5))
def test_parts_make_up_the_batch(start: int, size: int, processes: int) -> None:
    parts = [part(start, start + size, rank, processes) for rank in range(processes)]
    assert [row for first, last in parts for row in range(first, last)] == list(range(start, start + size))
    sizes = [last - first for first, last in parts]
    assert max(sizes) - min(sizes) <= 1


def test_order_depends_on_seed_and_epoch_alone() -> None:
    first = order(100, 1, 2)
    np.random.default_rng().random(5)
    np.testing.assert_array_equal(first, order(100, 1, 2))
    np.testing.assert_array_equal(np.sort(first), np.arange(100))
    assert not np.array_equal(first, order(100, 1, 3))
    assert not np.array_equal(first, order(100, 2, 2))
