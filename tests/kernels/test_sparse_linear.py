"""Sparse products against the dense one in double precision."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.kernels.sparse import FORMS, Csr, from_dense, linear, sparse_linear

SPARSITIES = (0.0, 0.5, 0.9, 1.0)


def drawn(shape, sparsity, form, seed=0):
    random = np.random.default_rng(seed)
    values = random.standard_normal(shape).astype(np.float32)
    if form == "signs":
        values = np.sign(values) * np.abs(random.standard_normal((shape[0], 1))).astype(np.float32)
    return np.where(random.random(shape) < sparsity, np.float32(0), values)


def activations(batch, columns, seed=1):
    return np.random.default_rng(seed).standard_normal((batch, columns)).astype(np.float32)


def dense(inputs, values, bias=None):
    with np.errstate(invalid="ignore"):
        product = (inputs.astype(np.float64)[:, None, :] * values.astype(np.float64)).sum(axis=2)
    return product if bias is None else product + bias


def close(got, wanted, inputs, values):
    """Within the rounding of float32 sums: relative to the sum of magnitudes."""
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.abs(np.nan_to_num(inputs, posinf=0, neginf=0)) @ np.abs(values).T
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(got[~finite], wanted[~finite])
    assert got.dtype == np.float32
    assert np.all(np.abs(got[finite] - wanted[finite]) <= 1e-6 * (size + 8)[finite])


@given(
    rows=st.integers(0, 70),
    columns=st.integers(0, 150),
    batch=st.one_of(st.integers(0, 20), st.integers(21, 90)),
    sparsity=st.sampled_from(SPARSITIES),
    form=st.sampled_from(FORMS),
    biased=st.booleans(),
    seed=st.integers(0, 99),
)
def test_products_are_the_dense_ones(rows, columns, batch, sparsity, form, biased, seed):
    values, inputs = drawn((rows, columns), sparsity, form, seed), activations(batch, columns, seed)
    bias = np.arange(rows, dtype=np.float32) if biased else None
    got = sparse_linear(inputs, from_dense(values, form), bias)
    assert got.shape == (batch, rows)
    close(got, dense(inputs, values, bias), inputs, values)


@given(
    batch=st.integers(1, 20),
    sparsity=st.sampled_from(SPARSITIES),
    form=st.sampled_from(FORMS),
    places=st.lists(
        st.tuples(st.integers(0, 19), st.integers(0, 36), st.sampled_from([np.nan, np.inf, -np.inf])), max_size=4
    ),
)
def test_what_is_not_finite_spreads_as_in_the_dense_product(batch, sparsity, form, places):
    values, inputs = drawn((19, 37), sparsity, form), activations(batch, 37)
    for row, column, value in places:
        inputs[row % batch, column] = value
    close(sparse_linear(inputs, from_dense(values, form)), dense(inputs, values), inputs, values)


@pytest.mark.parametrize("batch", [1, 9])
def test_an_infinite_input_stays_infinite_where_its_weight_is_not_zero(batch):
    values = np.array([[2, 0, 1], [0, 3, 1], [-1, 1, 0]], np.float32)
    inputs = np.ones((batch, 3), np.float32)
    inputs[0, 0] = np.inf
    got = sparse_linear(inputs, from_dense(values, "csr"))
    np.testing.assert_array_equal(got[0], [np.inf, np.nan, -np.inf])
    assert np.isfinite(got[1:]).all()


@pytest.mark.parametrize("form", FORMS)
def test_plain_products_agree(form, monkeypatch):
    values, inputs = drawn((300, 70), 0.8, form), activations(5, 70)
    inputs[1, 3] = np.nan
    bias = np.ones(300, np.float32)
    fast = sparse_linear(inputs, from_dense(values, form), bias)
    monkeypatch.setenv("WEIGHTSMITH_KERNELS", "plain")
    monkeypatch.setattr(linear, "_multiply", None)
    np.testing.assert_allclose(sparse_linear(inputs, from_dense(values, form), bias), fast, atol=1e-5)
    monkeypatch.setenv("WEIGHTSMITH_KERNELS", "fancy")
    with pytest.raises(InputError, match="'fancy': give 'plain'"):
        sparse_linear(inputs, from_dense(values, form))


@pytest.mark.parametrize("form", FORMS)
def test_views_are_multiplied_as_they_look(form):
    values, inputs = drawn((20, 30), 0.7, form), activations(60, 35).T[3:33, ::3].T
    bias = np.arange(40, dtype=np.float32)[::2]
    assert not inputs.flags.c_contiguous
    close(sparse_linear(inputs, from_dense(values, form), bias), dense(inputs, values, bias), inputs, values)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch", [1, 6, 50])
def test_threads_and_company_change_no_bit(form, batch, monkeypatch):
    monkeypatch.setattr(linear, "_ALONE", 0)
    weight, inputs = from_dense(drawn((333, 200), 0.8, form), form), activations(batch, 200)
    inputs[0, 5] = np.inf
    alone = sparse_linear(inputs, weight, threads=1).tobytes()
    assert all(sparse_linear(inputs, weight, threads=count).tobytes() == alone for count in (2, 3, 8))
    with ThreadPoolExecutor(12) as pool:
        results = pool.map(lambda _: sparse_linear(inputs, weight, threads=3).tobytes(), range(48))
        assert set(results) == {alone}


@pytest.mark.parametrize("batch", [1, 17])
def test_weights_of_more_than_two_billion_positions(batch):
    size = 70_000
    random = np.random.default_rng(0)
    counts = np.zeros(size, np.int64)
    counts[[0, 5, size - 1]] = [40, 1, 300]
    starts = np.concatenate([[0], np.cumsum(counts)])
    columns = np.sort(random.choice(size, (341,), replace=False)).astype(np.uint32)
    columns[-1] = size - 1
    values = random.standard_normal(341).astype(np.float32)
    inputs = activations(batch, size)
    got = sparse_linear(inputs, Csr((size, size), starts, columns, values))
    wanted = np.zeros((batch, size))
    for row in (0, 5, size - 1):
        part = slice(starts[row], starts[row + 1])
        wanted[:, row] = inputs[:, columns[part]].astype(np.float64) @ values[part]
    np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_rows_of_very_different_lengths():
    values = np.zeros((40, 3000), np.float32)
    values[3], values[20, ::2], values[39, -1] = 1, -2, 5
    for form in ("csr", "bitmask"):
        for batch in (1, 4, 33):
            inputs = activations(batch, 3000)
            close(sparse_linear(inputs, from_dense(values, form)), dense(inputs, values), inputs, values)


@pytest.mark.parametrize(
    ("inputs", "bias", "message"),
    [
        (np.zeros((2, 4), np.float32), None, r"a 2x3 weight multiplies float32\[batch, 3\], not float32\[2, 4\]"),
        (np.zeros(3, np.float32), None, r"not float32\[3\]"),
        (np.zeros((2, 3)), None, r"not float64\[2, 3\]"),
        (np.zeros((2, 3), np.float32), np.zeros(3, np.float32), r"bias of 2 rows must be float32\[2\]"),
        (np.zeros((2, 3), np.float32), np.zeros(2), r"bias of 2 rows must be float32\[2\], not float64"),
    ],
)
def test_what_does_not_fit_is_refused(inputs, bias, message):
    with pytest.raises(InputError, match=message):
        sparse_linear(inputs, from_dense(np.ones((2, 3), np.float32), "csr"), bias)


OTHER_PROCESSOR = """
import numpy as np
from weightsmith.kernels.sparse import from_dense, sparse_linear
random = np.random.default_rng(0)
values = np.where(random.random((35, 100)) < 0.6, 0, random.standard_normal((35, 100))).astype(np.float32)
for form, batch in (("csr", 1), ("bitmask", 4)):
    inputs = random.standard_normal((batch, 100)).astype(np.float32)
    assert np.allclose(sparse_linear(inputs, from_dense(values, form)), inputs @ values.T, atol=1e-4), (form, batch)
"""


def test_processors_without_wide_vectors_get_the_same(tmp_path):
    """LLVM takes gathers and expanding loads apart where a processor has none: here, for the oldest one it knows."""
    machine = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", OTHER_PROCESSOR], env=os.environ | machine, check=True)


@pytest.mark.parametrize("form", ["csr", "signs"])
@pytest.mark.parametrize("batch", [1, 16, 33])
def test_a_team_of_threads_gives_the_same(form, batch):
    random = np.random.default_rng(4)
    values = np.where(random.random((1000, 700)) < 0.5, 0, random.standard_normal((1000, 700))).astype(np.float32)
    values = np.sign(values) if form == "signs" else values
    inputs, bias = random.standard_normal((batch, 700), np.float32), random.standard_normal(1000, np.float32)
    weight = from_dense(values, form)
    alone = sparse_linear(inputs, weight, bias, threads=1)
    np.testing.assert_allclose(alone, inputs @ values.T + bias, atol=1e-3)
    for _ in range(5):
        np.testing.assert_array_equal(sparse_linear(inputs, weight, bias, threads=2), alone)
