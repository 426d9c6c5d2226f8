"""The fused pass over rows and columns, against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightsmith.kernels.rows import TILE, column_keys, measure_rows

KINDS = [np.float32, np.float64]


def measure(matrix, first_column=0):
    matrix = np.ascontiguousarray(matrix)
    matrix.flags.writeable = False
    rows, columns = matrix.shape
    totals = np.zeros((3, rows)), np.zeros((2, rows), np.int64), np.zeros(rows, np.uint64)
    across = np.zeros((2, columns)), np.zeros(columns, np.int64)
    keys = column_keys(first_column, first_column + columns)
    measure_rows(matrix, matrix.view(f"u{matrix.itemsize}"), keys, *totals, *across)
    return *totals, *across


def expect(matrix, rows, counts, columns, column_zeros):
    finite = np.isfinite(matrix)
    values = np.where(finite, matrix, 0).astype(np.float64)
    with np.errstate(over="ignore"):
        squares = np.square(values)
        np.testing.assert_allclose(rows[0], values.sum(axis=1), rtol=1e-12, atol=1e-12 * np.abs(values).sum())
        np.testing.assert_allclose(rows[1], squares.sum(axis=1), rtol=1e-12)
        np.testing.assert_allclose(columns[0], squares.sum(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(rows[2], np.abs(values).max(axis=1))
    np.testing.assert_array_equal(columns[1], np.abs(values).max(axis=0))
    np.testing.assert_array_equal(counts[0], (matrix == 0).sum(axis=1))
    np.testing.assert_array_equal(counts[1], (~finite).sum(axis=1))
    np.testing.assert_array_equal(column_zeros, (matrix == 0).sum(axis=0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (3, TILE - 1), (2, TILE), (5, TILE + 1), (7, 3 * TILE + 5)])
def test_every_statistic_is_that_of_numpy(kind, shape):
    matrix = np.random.default_rng(0).standard_normal(shape).astype(kind)
    matrix[np.abs(matrix) < 0.1] = 0
    rows, counts, _, columns, column_zeros = measure(matrix)
    expect(matrix, rows, counts, columns, column_zeros)


numbers = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, 1e-45, 3.4e38])


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=numbers))
def test_values_of_any_bits_are_measured(matrix):
    rows, counts, _, columns, column_zeros = measure(matrix)
    expect(matrix, rows, counts, columns, column_zeros)


def test_squares_that_overflow_are_infinite_and_their_values_are_no_faults():
    rows, counts, _, columns, _ = measure(np.array([[1e200, 1.0]]))
    assert rows[1, 0] == columns[0, 0] == np.inf
    assert rows[2, 0] == 1e200
    assert counts[1, 0] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_hashes_tell_rows_apart_and_the_two_zeros_are_one(kind):
    matrix = np.random.default_rng(1).standard_normal((2000, 20)).astype(kind)
    matrix[:, 3] = 0
    matrix[7] = matrix[1999]
    matrix[7, 3] = -0.0
    hashes = measure(matrix)[2]
    assert hashes[7] == hashes[1999]
    assert len(np.unique(hashes)) == 1999


def test_the_order_of_values_matters_to_a_hash_and_a_single_bit_does():
    row = np.arange(1, 65, dtype=np.float32)
    changed = row.copy()
    changed[40] = np.nextafter(changed[40], 100)
    hashes = measure(np.stack([row, row[::-1], np.roll(row, 1), changed]))[2]
    assert len(np.unique(hashes)) == 4


@given(st.integers(0, 1500))
def test_parts_of_rows_add_up_to_the_whole(cut):
    matrix = np.random.default_rng(2).standard_normal((3, 1500)).astype(np.float32)
    if cut in (0, 1500):
        return
    whole = measure(matrix)
    left, right = measure(matrix[:, :cut]), measure(matrix[:, cut:], first_column=cut)
    np.testing.assert_array_equal(left[2] + right[2], whole[2])
    np.testing.assert_allclose(left[0][:2] + right[0][:2], whole[0][:2], rtol=1e-9, atol=1e-9)


def test_keys_are_odd_and_do_not_depend_on_where_they_start():
    assert (column_keys(0, 1000) % 2 == 1).all()
    np.testing.assert_array_equal(column_keys(0, 1000)[300:400], column_keys(300, 400))
    assert len(np.unique(column_keys(0, 1000))) == 1000
