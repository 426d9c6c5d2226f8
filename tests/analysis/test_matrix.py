import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightsmith.analysis import as_matrix, downsample, kernel, neurons, norms, strongest
from weightsmith.analysis.matrix import row_blocks
from weightsmith.sources.source import Weight
from weightsmith.weight import WeightInfo


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (1, 1)), ((5,), (5, 1)), ((3, 4), (3, 4)), ((8, 3, 5, 5), (8, 75)), ((0, 4), (0, 4)), ((4, 0, 3), (4, 0))],
)
def test_any_shape_becomes_rows_of_neurons(shape, expected):
    assert as_matrix(np.zeros(shape, np.float32)).shape == expected


def test_a_convolution_is_viewed_not_copied():
    conv = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    matrix = as_matrix(conv)
    assert np.shares_memory(matrix, conv)
    np.testing.assert_array_equal(matrix[1], conv[1].ravel())


def test_blocks_cover_every_row_once_even_when_a_row_exceeds_the_block():
    matrix = np.arange(30.0).reshape(6, 5)
    for cells in (1, 7, 10, 1000):
        starts, blocks = zip(*row_blocks(matrix, cells), strict=True)
        assert list(starts) == list(np.cumsum([0, *[len(block) for block in blocks[:-1]]]))
        np.testing.assert_array_equal(np.concatenate(blocks), matrix)


@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 9), st.integers(0, 9)), elements=st.floats(width=32)))
def test_norms_agree_with_numpy(matrix):
    found = norms(matrix)
    clean = np.where(np.isfinite(matrix), matrix, 0).astype(np.float64)
    np.testing.assert_allclose(found.rows, np.linalg.norm(clean, axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.columns, np.linalg.norm(clean, axis=0), rtol=1e-12)
    assert found.non_finite == np.count_nonzero(~np.isfinite(matrix))
    assert found.zeros == np.count_nonzero(matrix == 0)
    np.testing.assert_array_equal(found.non_finite_rows, np.flatnonzero(~np.isfinite(matrix).all(axis=1)))


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, np.float16, np.int8, np.bool_])
def test_norms_of_narrow_types_do_not_overflow(dtype):
    matrix = np.full((200, 300), 1, dtype)
    np.testing.assert_allclose(norms(matrix).columns, np.sqrt(200))


def test_norms_of_a_transposed_matrix_swap():
    matrix = np.random.default_rng(0).normal(size=(7, 4))
    np.testing.assert_allclose(norms(matrix.T).rows, norms(matrix).columns)


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.floats(width=32)),
    st.integers(1, 14),
    st.integers(1, 14),
)
def test_each_cell_shows_the_extreme_of_its_block(matrix, height, width):
    cells = downsample(matrix, height, width)
    assert cells.values.shape == (min(height, matrix.shape[0]), min(width, matrix.shape[1]))
    for i, j in np.ndindex(*cells.values.shape):
        block = matrix[
            cells.row_edges[i] : cells.row_edges[i + 1], cells.column_edges[j] : cells.column_edges[j + 1]
        ].astype(np.float64)
        finite = block[np.isfinite(block)]
        assert cells.non_finite[i, j] == (len(finite) < block.size)
        assert cells.zero[i, j] == (not block.any())
        if len(finite):
            assert abs(cells.values[i, j]) == np.abs(finite).max()
            assert cells.values[i, j] in finite
        else:
            assert np.isnan(cells.values[i, j])


def test_one_outlier_and_one_nan_survive_a_thousandfold_reduction():
    matrix = np.zeros((3000, 2000), np.float32)
    matrix[1234, 567], matrix[77, 1999] = -3.0, np.nan
    cells = downsample(matrix, 30, 20)
    assert cells.values[12, 5] == -3.0
    assert cells.non_finite[0, 19]
    assert cells.block == (100, 100)


def test_an_empty_matrix_has_no_cells():
    assert downsample(np.zeros((0, 5))).values.shape == (0, 5)
    assert downsample(np.zeros((5, 0))).values.shape == (5, 0)


def held(array, **info):
    described = WeightInfo("w", array.shape, str(array.dtype), **{"role": "linear", **info})
    return Weight(described, array.nbytes, lambda: array)


def test_neurons_are_rows_wherever_a_format_counts_them():
    dense = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(neurons(dense), dense)
    np.testing.assert_array_equal(neurons(held(dense)), dense)
    for axis in (1, -1):
        turned = neurons(held(dense, output_axis=axis))
        np.testing.assert_array_equal(turned, dense.T)
        assert np.shares_memory(turned, dense)  # a large file stays mapped
    conv = np.arange(120.0).reshape(2, 3, 4, 5)
    for axis in range(4):
        found = neurons(held(conv, role="conv", output_axis=axis))
        np.testing.assert_array_equal(found, np.moveaxis(conv, axis, 0).reshape(conv.shape[axis], -1))
    assert neurons(held(np.ones(4))).shape == (4, 1)
    assert neurons(held(np.array(3, np.float32))).shape == (1, 1)


@pytest.mark.parametrize(
    ("axes", "axis", "file_format"),
    [
        ((0, 1, 2, 3), 0, "torch"),  # outputs, inputs, height, width
        ((2, 3, 1, 0), 3, "keras"),  # height, width, inputs, outputs
        ((0, 2, 3, 1), 0, "tflite"),  # outputs, height, width, inputs
        ((1, 2, 3, 0), 3, "tflite"),  # inputs of each filter, height, width, outputs
        ((1, 0, 2, 3), 1, "onnx"),  # a transposed convolution
    ],
)
def test_kernels_of_every_format_come_as_outputs_inputs_positions(axes, axis, file_format):
    conv = np.arange(2 * 1 * 4 * 5.0).reshape(2, 1, 4, 5)
    weight = held(np.transpose(conv, axes), role="conv", output_axis=axis)
    np.testing.assert_array_equal(kernel(weight, file_format), conv)


def test_column_major_matrices_give_the_same_answers():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(70, 30)).astype(np.float32)
    matrix[3, 4], matrix[5, 5], matrix[9] = np.nan, np.inf, 0
    turned = np.asfortranarray(matrix)
    for name in ("rows", "columns", "non_finite_rows"):
        np.testing.assert_allclose(getattr(norms(turned), name), getattr(norms(matrix), name), rtol=1e-12)
    assert norms(turned).zeros == norms(matrix).zeros == 30
    assert norms(turned).non_finite == 2
    one, other = downsample(matrix, 9, 11), downsample(turned, 9, 11)
    for name in ("values", "zero", "non_finite", "row_edges", "column_edges"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert strongest(turned, 12) == strongest(matrix, 12)
    assert strongest(np.asfortranarray(np.ones((3, 2))), 6) == strongest(np.ones((3, 2)), 6)
