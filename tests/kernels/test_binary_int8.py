"""Binary layers of activations rounded to eight bits, against whole numbers in NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.kernels.binary import binary_linear, tile
from weightsmith.kernels.binary_int8 import binary_linear_int8
from weightsmith.kernels.bits import pack_rows

LOW = {"signs": -1, "bits": 0}


def case(batch, rows, columns, seed=0):
    random = np.random.default_rng(seed)
    return random.standard_normal((batch, columns)).astype(np.float32), random.random((rows, columns)) < 0.5


def layer(inputs, chosen, alphabet="signs", function=binary_linear_int8, **options):
    return function(inputs, tile(pack_rows(chosen), chosen.shape[1]), *chosen.shape, alphabet=alphabet, **options)


@settings(max_examples=50)
@given(
    st.tuples(st.integers(0, 9), st.integers(0, 150), st.integers(1, 700)),
    st.sampled_from(["signs", "bits"]),
    st.sampled_from([1.0, 1e-30, 1e30]),
)
def test_the_sums_of_rounded_activations_are_exact(shape, alphabet, size):
    inputs, chosen = case(*shape)
    inputs = inputs * np.float32(size)
    step = np.abs(inputs).max(axis=1, keepdims=True).astype(np.float64) / 127
    whole = np.rint(inputs / step).astype(np.int64)
    expected = whole @ np.where(chosen, 1, LOW[alphabet]).T * step
    np.testing.assert_allclose(layer(inputs, chosen, alphabet), expected, rtol=1e-6)


@pytest.mark.parametrize("alphabet", ["signs", "bits"])
def test_rounding_costs_no_more_than_the_text_says(alphabet):
    inputs, chosen = case(6, 90, 3000)
    exact = layer(inputs, chosen, alphabet, binary_linear)
    bound = 3000 * np.abs(inputs).max(axis=1, keepdims=True) / 254
    found = layer(inputs, chosen, alphabet)
    assert (np.abs(found - exact) <= bound).all()
    assert np.abs(found - exact).max() < 0.02 * np.abs(exact).max()


def test_extreme_activations_do_not_overflow():
    inputs, chosen = np.full((5, 5000), -3.0, np.float32), np.zeros((70, 5000), np.bool_)
    chosen[3] = True
    found = layer(inputs, chosen)
    np.testing.assert_allclose(found, np.where(np.arange(70) == 3, -15000.0, 15000.0)[None].repeat(5, 0), rtol=1e-6)


def test_the_plain_path_and_any_number_of_threads_give_the_same_bits(monkeypatch):
    inputs, chosen = case(37, 1100, 1000)
    scale, bias = case(1, 1, 1100)[0][0], case(1, 1, 1100, 1)[0][0]
    found = layer(inputs, chosen, scale=scale, bias=bias, threads=1)
    np.testing.assert_array_equal(layer(inputs, chosen, scale=scale, bias=bias, threads=3), found)
    np.testing.assert_array_equal(layer(inputs[5:6], chosen, scale=scale, bias=bias), found[5:6])
    monkeypatch.setenv("WEIGHTSMITH_KERNELS", "plain")
    np.testing.assert_array_equal(layer(inputs, chosen, scale=scale, bias=bias), found)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_computed_exactly(value):
    inputs, chosen = case(4, 40, 77)
    clean = layer(inputs, chosen)
    inputs[2, 5] = value
    found = layer(inputs, chosen)
    np.testing.assert_array_equal(found[2], layer(inputs, chosen, function=binary_linear)[2])
    np.testing.assert_array_equal(found[[0, 1, 3]], clean[[0, 1, 3]])


def test_a_row_of_zeros_gives_the_bias():
    chosen = case(1, 20, 33)[1]
    bias = case(1, 1, 20)[0][0]
    np.testing.assert_array_equal(layer(np.zeros((2, 33), np.float32), chosen, bias=bias), [bias, bias])
    assert layer(np.zeros((2, 0), np.float32), np.zeros((3, 0), np.bool_)).tolist() == [[0.0] * 3] * 2


def test_what_does_not_fit_is_refused():
    inputs, chosen = case(2, 4, 9)
    with pytest.raises(InputError, match="inputs must be"):
        layer(inputs.astype(np.float64), chosen)
    with pytest.raises(InputError, match="alphabet"):
        layer(inputs, chosen, "ternary")
