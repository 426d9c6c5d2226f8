from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from weightsmith.kernels.step import BLOCK, squared_norm, weight_statistics

floats = st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True)
sizes = st.integers(0, 70)


@st.composite
def pairs(draw):
    size = draw(sizes)
    return draw(arrays(np.float32, size, elements=floats)), draw(arrays(np.float32, size, elements=floats))


def reference(weight, previous):
    new, old = weight.astype(np.float64), previous.astype(np.float64)
    both = np.isfinite(new) & np.isfinite(old)
    with np.errstate(invalid="ignore"):
        flips = np.sum(np.sign(new) * np.sign(old) < 0)
    return (
        np.sum(new[np.isfinite(new)] ** 2),
        np.sum((new[both] - old[both]) ** 2),
        np.sum(old[np.isfinite(old)] ** 2),
        flips,
        np.sum(new == 0),
        np.sum(~np.isfinite(new)),
    )


def assert_equal(found, expected):
    np.testing.assert_allclose(found[:3], expected[:3], rtol=1e-12)
    assert tuple(found[3:]) == tuple(expected[3:])


@given(pairs())
def test_weight_statistics_equal_the_reference(pair):
    assert_equal(weight_statistics(*pair), reference(*pair))


@given(arrays(np.float32, sizes, elements=floats))
def test_squared_norm_equals_the_reference(array):
    square, non_finite = squared_norm(array)
    finite = array[np.isfinite(array)].astype(np.float64)
    assert square == pytest.approx(np.sum(finite**2), rel=1e-12)
    assert non_finite == array.size - finite.size


def test_sign_flips_survive_products_that_underflow_in_single_precision():
    tiny = np.float32(1e-45)
    found = weight_statistics(
        np.array([tiny, -tiny, 0.0, -0.0], np.float32), np.array([-tiny, tiny, -tiny, tiny], "f4")
    )
    assert found.sign_flips == 2
    assert found.zeros == 2


def test_sums_do_not_lose_small_updates_of_large_weights():
    previous = np.full(1000, 1e6, np.float32)
    weight = np.nextafter(previous, np.float32(np.inf))
    found = weight_statistics(weight, previous)
    assert found.update_square == pytest.approx(1000 * float(weight[0] - previous[0]) ** 2, rel=1e-12)


@pytest.mark.parametrize("threads", [1, 3])
def test_several_blocks_add_up(threads):
    random = np.random.default_rng(0)
    weight = random.standard_normal(2 * BLOCK + 17).astype(np.float32)
    previous = weight + random.standard_normal(weight.size).astype(np.float32)
    weight[[0, BLOCK, -1]] = np.nan, np.inf, 0.0
    found = weight_statistics(weight, previous, threads=threads)
    assert_equal(found, reference(weight, previous))
    assert squared_norm(weight, threads=threads) == (pytest.approx(found.square, rel=1e-12), 2)


def test_calls_from_several_threads_agree():
    random = np.random.default_rng(1)
    weights = [random.standard_normal(BLOCK + 100 * index).astype(np.float32) for index in range(4)]
    alone = [weight_statistics(weight, -weight) for weight in weights]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda weight: weight_statistics(weight, -weight), weights))
    assert together == alone
    assert together[0].sign_flips == np.count_nonzero(weights[0])
