"""Sums and extremes of blocks, against NumPy over the same blocks."""

import warnings

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightsmith.kernels.tiles import CHUNK, coded, measure_blocks

KINDS = [
    *("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"),
    *("int8", "uint8", "int16", "uint16", "int32", "int64", "uint64", "bool", "int4"),
]


def dtype_of(name):
    return np.dtype(getattr(ml_dtypes, name, name))


def measured(matrix, height, width):
    values, table = coded(np.ascontiguousarray(matrix))
    shape = -(-matrix.shape[0] // height), -(-matrix.shape[1] // width)
    blocks, counts = np.full((shape[0], 4, shape[1]), 7.0), np.full(shape, 7)
    measure_blocks(values, table, height, width, blocks, counts)
    return (*blocks.swapaxes(0, 1), counts)


def expected(matrix, height, width):
    wide = matrix.astype(np.float64)
    edges = [(0, -size % step) for size, step in zip(wide.shape, (height, width), strict=True)]
    full = np.pad(wide, edges, constant_values=np.nan)  # which is no value
    parts = full.reshape(full.shape[0] // height, height, full.shape[1] // width, width)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", over="ignore"):
        warnings.simplefilter("ignore")
        return (
            np.nansum(parts, (1, 3)),
            np.nansum(np.square(parts), (1, 3)),
            np.nanmin(parts, (1, 3), initial=np.inf),
            np.nanmax(parts, (1, 3), initial=-np.inf),
            np.count_nonzero(~np.isnan(parts), (1, 3)),
        )


def agree(matrix, height, width):
    found, wanted = measured(matrix, height, width), expected(matrix, height, width)
    scale = np.abs(np.nan_to_num(matrix.astype(np.float64), posinf=0, neginf=0)).sum() + 1e-300
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-12, atol=1e-14 * scale)
    np.testing.assert_allclose(found[1], wanted[1], rtol=1e-12)
    for one, other in zip(found[2:], wanted[2:], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 2), (16, 16), (70, 3), (3, 2000)])
def test_blocks_of_every_type_are_those_of_numpy(kind, height, width):
    numbers = np.random.default_rng(0).standard_normal((70, CHUNK + 91)) * 20
    agree((np.abs(numbers) if kind.startswith("u") else numbers).astype(dtype_of(kind)), height, width)


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16", "float8_e5m2"])
def test_nan_is_no_value_and_infinity_is_one(kind):
    matrix = np.random.default_rng(1).standard_normal((32, 32)).astype(dtype_of(kind))
    matrix[:16, :16] = np.nan
    matrix[16, 0], matrix[17, 20] = np.inf, np.nan
    agree(matrix, 16, 16)
    counts = measured(matrix, 16, 16)[4]
    assert counts.tolist() == [[0, 256], [256, 255]]


numbers = st.floats(width=32) | st.sampled_from([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3.4e38])


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=numbers),
    st.integers(1, 10),
    st.integers(1, 10),
)
def test_values_of_any_bits_are_measured(matrix, height, width):
    agree(matrix, height, width)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "int8", "bool", "float32"])
def test_values_are_handed_over_without_a_copy(kind):
    matrix = np.ones((4, 4)).astype(dtype_of(kind))
    assert np.shares_memory(matrix, coded(matrix)[0])
