"""The kernels against the definition, element by element in double precision."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightsmith.kernels import proximal

TYPES = st.sampled_from([np.float32, np.float64])


def reference(value, step, l1, l2):
    """The minimizer of `l1 |u| + l2/2 u^2 + (u - value)^2 / (2 step)`."""
    if math.isnan(value) or math.isnan(step):
        return math.nan
    size = abs(value) - l1 * step
    return math.copysign(size, value) / (1 + l2 * step) if size > 0 else 0.0


def check(result, before, steps, l1, l2=0.0):
    steps = np.broadcast_to(steps, before.shape)
    for got, value, step in zip(result, before, steps, strict=True):
        wanted = reference(float(value), float(step), l1, l2)
        if math.isnan(wanted):
            assert math.isnan(got)
        elif math.isinf(wanted):
            assert got == wanted
        else:
            size = max(abs(float(value)), min(l1 * step, abs(float(value)) * 2))
            assert abs(got - wanted) <= 8 * np.finfo(before.dtype).eps * size + np.finfo(before.dtype).tiny
            assert math.copysign(1, got) == 1 or got < 0, "zeros are positive"


def weights(kind, limit=None, special=True):
    width = 8 * np.dtype(kind).itemsize
    bounds = {} if special else {"min_value": -limit, "max_value": limit}
    return hnp.arrays(kind, st.integers(0, 70), elements=st.floats(width=width, **bounds))


@given(st.data())
def test_soft_threshold(data):
    before = data.draw(weights(data.draw(TYPES)))
    threshold = data.draw(st.floats(0, 10, width=32))
    weight = before.copy()
    proximal.soft_threshold(weight, threshold)
    check(weight, before, 1.0, threshold)


@given(st.data())
def test_shrink(data):
    before = data.draw(weights(data.draw(TYPES)))
    l1, l2 = data.draw(st.floats(0, 2**10, width=32)), data.draw(st.floats(0, 2**10, width=32))
    weight = before.copy()
    proximal.shrink(weight, l1, l2)
    check(weight, before, 1.0, l1, l2)


@given(st.data(), st.booleans())
def test_metric(data, elastic):
    kind = data.draw(TYPES)
    before = data.draw(weights(kind, 2.0**30, special=not elastic))
    elements = st.floats(0, 2.0**40, width=32) | st.just(0.0)
    moments = data.draw(hnp.arrays(kind, before.shape, elements=elements))
    l1, l2 = data.draw(st.floats(2**-20, 2, width=32)), 0.5 if elastic else 0.0
    scale, correction, epsilon = 2**-10, data.draw(st.floats(2**-5, 1, width=32)), 2**-20
    weight = before.copy()
    if elastic:
        proximal.shrink_metric(weight, moments, l1 * scale, l2 * scale, correction, epsilon)
    else:
        proximal.soft_threshold_metric(weight, moments, l1 * scale, correction, epsilon)
    steps = scale / (np.sqrt(moments.astype(np.float64)) / correction + epsilon)
    check(weight, before, steps, l1, l2)


@pytest.mark.parametrize("epsilon", [0.0, 1e-8])
def test_an_element_without_any_gradient_becomes_zero(epsilon):
    weight = np.array([3.0, -2.0, 1.0], np.float32)
    proximal.soft_threshold_metric(weight, np.array([0, 0, 1], np.float32), 1e-7, 1.0, epsilon)
    np.testing.assert_array_equal(weight, np.array([0, 0, 1 - 1e-7], np.float32))


def test_nan_and_infinity_are_not_hidden():
    weight = np.array([np.nan, np.inf, -np.inf, 1.0], np.float32)
    moments = np.array([1, 1, 1, np.nan], np.float32)
    proximal.soft_threshold_metric(weight, moments, 0.1, 1.0, 1e-8)
    np.testing.assert_array_equal(weight, [np.nan, np.inf, -np.inf, np.nan])


CALLS = {
    "soft_threshold": lambda w, v, threads: proximal.soft_threshold(w, 0.3, threads),
    "shrink": lambda w, v, threads: proximal.shrink(w, 0.3, 0.1, threads),
    "soft_threshold_metric": lambda w, v, threads: proximal.soft_threshold_metric(w, v, 0.3, 0.5, 1e-8, threads),
    "shrink_metric": lambda w, v, threads: proximal.shrink_metric(w, v, 0.3, 0.1, 0.5, 1e-8, threads),
}


@pytest.mark.parametrize("name", CALLS)
def test_blocks_and_threads_change_nothing(name):
    draw = np.random.default_rng(0)
    size = 2 * proximal.BLOCK + 17
    weight, moments = draw.normal(size=size).astype(np.float32), draw.random(size, np.float32)
    pieces = weight.copy()
    for start in range(0, size, 1000):
        CALLS[name](pieces[start : start + 1000], moments[start : start + 1000], 1)

    def run(threads):
        copy = weight.copy()
        CALLS[name](copy, moments, threads)
        return copy

    with ThreadPoolExecutor(3) as pool:
        for result in pool.map(run, [1, 2, 3]):
            np.testing.assert_array_equal(result, pieces)
