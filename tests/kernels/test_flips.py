from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from weightsmith.kernels import flips
from weightsmith.kernels.flips import flip_statistics

LIMITS = {"memory": 0.25, "often": 0.3, "bound": 1.0}
LATENT = st.sampled_from([-1.5, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 1.5, np.nan])


@given(
    st.tuples(st.integers(0, 5), st.integers(0, 40)).flatmap(
        lambda shape: st.lists(arrays.arrays(np.float32, shape, elements=LATENT), min_size=2, max_size=6)
    )
)
def test_equals_numpy_over_several_looks(steps):
    last = (steps[0] >= 0).astype(np.int8)
    moved, frequency = np.zeros(last.shape, np.bool_), np.zeros(last.shape, np.float32)
    signs, seen, mean = last > 0, moved.copy(), frequency.copy()
    for before, after in pairwise(steps):
        found = flip_statistics(after, before, last, moved, frequency, **LIMITS)
        seen |= (before >= 0) != signs
        flipped = (after >= 0) != (before >= 0)
        mean += np.float32(0.25) * ((flipped & seen) - mean)
        seen |= flipped
        signs = after >= 0
        held = ((before >= 1) & (after >= 1)) | ((before <= -1) & (after <= -1))
        assert tuple(found[:4]) == (flipped.sum(), (mean > 0.3).sum(), seen.sum(), held.sum())
        np.testing.assert_array_equal(found.positive, signs.sum(1))
        np.testing.assert_array_equal(moved, seen)
        np.testing.assert_allclose(frequency, mean, atol=1e-6)


def test_blocks_and_threads_do_not_change_the_result(monkeypatch):
    monkeypatch.setattr(flips, "BLOCK", 64)
    random = np.random.default_rng(0)
    before, after = random.uniform(-1, 1, (2, 50, 33)).astype(np.float32)
    results = []
    for threads in (1, 4):
        state = [(before >= 0).astype(np.int8), np.ones(before.shape, np.bool_), np.zeros(before.shape, np.float32)]
        found = flip_statistics(after, before, *state, **LIMITS, threads=threads)
        results.append((*found[:4], *found.positive, *state[2].ravel()))
    assert results[0] == results[1]
