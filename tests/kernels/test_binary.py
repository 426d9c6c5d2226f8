"""Linear layers of binary and ternary weights, against NumPy in float64."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.kernels.binary import binary_linear, ternary_linear, tile
from weightsmith.kernels.bits import pack_rows

EPSILON = np.finfo(np.float32).eps
LOW = {"signs": -1.0, "bits": 0.0}


def weights(rows, columns, seed=0):
    return np.random.default_rng(seed).random((rows, columns)) < 0.5


def tiled(chosen):
    return tile(pack_rows(chosen), chosen.shape[1])


def activations(batch, columns, seed=1):
    return np.random.default_rng(seed).standard_normal((batch, columns)).astype(np.float32)


def binary(inputs, chosen, alphabet="signs", **options):
    return binary_linear(inputs, tiled(chosen), *chosen.shape, alphabet=alphabet, **options)


def expect(found, inputs, dense, scale=1.0, bias=0.0):
    """Equal within the rounding of a float32 sum of so many products (Higham 2002, section 4.2)."""
    exact = inputs.astype(np.float64) @ dense.T * scale + bias
    size = np.abs(inputs).astype(np.float64) @ np.abs(dense).T * np.abs(scale) + np.abs(bias)
    assert found.dtype == np.float32
    np.testing.assert_array_less(np.abs(found - exact), EPSILON * (dense.shape[1] + 4) * size + 1e-37)


shapes = st.tuples(st.integers(0, 9), st.integers(0, 150), st.integers(0, 700))
factors = st.sampled_from(["none", "one", "each"])


def scaled(kind, rows):
    return {"none": None, "one": activations(1, 1, 2)[0], "each": activations(1, rows, 2)[0]}[kind]


@settings(max_examples=60)
@given(shapes, st.sampled_from(["signs", "bits"]), factors, st.booleans(), st.integers(0, 3))
def test_a_binary_layer_is_the_dense_one(shape, alphabet, kind, biased, seed):
    batch, rows, columns = shape
    chosen, inputs = weights(rows, columns, seed), activations(batch, columns, seed)
    scale, bias = scaled(kind, rows), activations(1, rows, 3)[0] if biased else None
    found = binary(inputs, chosen, alphabet, scale=scale, bias=bias)
    assert found.shape == (batch, rows)
    dense = np.where(chosen, 1.0, LOW[alphabet])
    expect(found, inputs, dense, 1.0 if scale is None else scale, 0.0 if bias is None else bias)


@settings(max_examples=30)
@given(shapes, factors, st.integers(0, 3))
def test_a_ternary_layer_is_the_dense_one(shape, kind, seed):
    batch, rows, columns = shape
    plus, inputs = weights(rows, columns, seed), activations(batch, columns, seed)
    minus = ~plus & weights(rows, columns, seed + 9)
    scale = scaled(kind, rows)
    found = ternary_linear(inputs, tiled(plus), tiled(minus), rows, columns, scale=scale)
    size = np.ones((rows, columns))  # the planes are summed apart: rounding is that of all activations
    exact = inputs.astype(np.float64) @ (plus * 1.0 - minus).T * (1.0 if scale is None else scale)
    bound = np.abs(inputs).astype(np.float64) @ size.T * (1.0 if scale is None else np.abs(scale))
    np.testing.assert_array_less(np.abs(found - exact), EPSILON * (columns + 5) * bound + 1e-37)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 70, 333), (9, 64, 4100), (1, 33, 2049)])
@pytest.mark.parametrize("alphabet", ["signs", "bits"])
def test_the_plain_path_gives_the_same_bits(shape, alphabet, monkeypatch):
    batch, rows, columns = shape
    chosen, inputs = weights(rows, columns), activations(batch, columns)
    fast = binary(inputs, chosen, alphabet)
    monkeypatch.setenv("WEIGHTSMITH_KERNELS", "plain")
    np.testing.assert_array_equal(binary(inputs, chosen, alphabet), fast)


@pytest.mark.parametrize("alphabet", ["signs", "bits"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_comes_out_where_the_dense_layer_has_it(alphabet, value):
    chosen, inputs = weights(40, 77), activations(3, 77)
    inputs[1, 13] = value
    with np.errstate(invalid="ignore"):
        dense = inputs @ np.where(chosen, 1, LOW[alphabet]).astype(np.float32).T
    found = binary(inputs, chosen, alphabet)
    np.testing.assert_array_equal(found[1], dense[1])
    assert np.isfinite(found[[0, 2]]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_ternary_layer_propagates_what_is_no_number_as_well(value):
    plus, inputs = weights(40, 77), activations(3, 77)
    minus = ~plus & weights(40, 77, 5)
    inputs[1, 13] = value
    with np.errstate(invalid="ignore"):
        dense = inputs @ (plus.astype(np.float32) - minus.astype(np.float32)).T
    found = ternary_linear(inputs, tiled(plus), tiled(minus), 40, 77)
    np.testing.assert_array_equal(found[1], dense[1])
    assert np.isfinite(found[[0, 2]]).all()


def test_opposite_infinities_cancel_to_nan():
    found = binary(np.array([[np.inf, np.inf]], np.float32), np.array([[True, False], [True, True]]))
    np.testing.assert_array_equal(found, [[np.nan, np.inf]])


def test_the_result_depends_neither_on_threads_nor_on_the_batch():
    chosen, inputs = weights(1100, 1000), activations(37, 1000)
    alone = binary(inputs, chosen, threads=1)
    for threads in (2, 3, 7):
        np.testing.assert_array_equal(binary(inputs, chosen, threads=threads), alone)
    for i in (0, 3, 4, 36):
        np.testing.assert_array_equal(binary(inputs[i : i + 1], chosen, threads=2), alone[i : i + 1])


def test_many_callers_at_once_do_not_disturb_each_other():
    chosen, inputs = weights(600, 1000), activations(20, 1000)
    tiles = tiled(chosen)

    def call(_):
        return binary_linear(inputs, tiles, 600, 1000, alphabet="signs", threads=2)

    expected = call(None)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(call, range(24)):
            np.testing.assert_array_equal(found, expected)


def test_the_order_of_the_inputs_memory_does_not_matter():
    chosen, inputs = weights(20, 50), activations(8, 100)
    for view in (inputs[:, ::2], inputs[::-1, :50], inputs[:, 99:49:-1], np.asfortranarray(inputs[:, :50])):
        np.testing.assert_array_equal(binary(view, chosen), binary(view.copy(order="C"), chosen))


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": np.zeros((2, 31), np.float32)},
        {"inputs": np.zeros((2, 32))},
        {"inputs": np.zeros(32, np.float32)},
        {"tiles": np.zeros((2, 1, 16), np.uint32)},
        {"tiles": np.zeros((1, 1, 16), np.int32)},
        {"tiles": np.zeros((1, 1, 32), np.uint32)[..., ::2]},
        {"rows": 17},
        {"columns": 33},
        {"alphabet": "ternary"},
        {"scale": np.zeros(2, np.float32)},
        {"scale": np.zeros(16)},
        {"bias": np.zeros(1, np.float32)},
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(change):
    given_ = {"inputs": np.zeros((2, 32), np.float32), "tiles": np.zeros((1, 1, 16), np.uint32), "rows": 16,
              "columns": 32, "alphabet": "signs"} | change  # fmt: skip
    with pytest.raises(InputError) as caught:
        binary_linear(**given_)
    assert "\n" not in str(caught.value)


def test_an_unknown_kind_of_kernels_is_refused(monkeypatch):
    monkeypatch.setenv("WEIGHTSMITH_KERNELS", "quick")
    with pytest.raises(InputError, match="WEIGHTSMITH_KERNELS"):
        binary(activations(1, 4), weights(1, 4))
