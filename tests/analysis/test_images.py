import math

import numpy as np
import pytest

from weightsmith.analysis import kernel
from weightsmith.analysis.grid import Grid
from weightsmith.analysis.images import kernel_shape, pixel_shapes, strongest_channels
from weightsmith.sources.source import Weight
from weightsmith.weight import WeightInfo


def weight_of(array, axis, role="conv"):
    info = WeightInfo("w", array.shape, "float32", role, output_axis=axis)
    return Weight(info, array.nbytes, _read=lambda: array)


@pytest.mark.parametrize(
    ("shape", "axis", "file_format"),
    [
        ((6, 3, 5, 4), 0, "torch"),  # outputs, inputs, height, width
        ((5, 4, 3, 6), -1, "keras"),  # height, width, inputs, outputs
        ((6, 5, 4, 3), 0, "tflite"),  # outputs, height, width, inputs
        ((1, 5, 4, 6), -1, "tflite"),  # one filter a channel
        ((3, 6, 5, 4), 1, "torch"),  # transposed
    ],
)
def test_rows_are_the_filters_of_any_layout(shape, axis, file_format):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    weight = weight_of(array, axis)
    grid = Grid.of(weight)
    found = kernel_shape(weight, file_format)
    expected = kernel(weight, file_format)
    assert expected.shape == (6, found.channels, 5, 4)
    np.testing.assert_array_equal(found.of_rows(grid.read(0, 6, 0, grid.columns)), expected)


@pytest.mark.parametrize(
    ("shape", "role"), [((6, 3, 1, 1), "conv"), ((6, 3, 5), "conv"), ((0, 3, 5, 5), "conv"), ((6, 3, 5, 5), "linear")]
)
def test_what_has_no_filters_to_see_has_no_shape(shape, role):
    assert kernel_shape(weight_of(np.zeros(shape, np.float32), 0, role)) is None


@pytest.mark.parametrize("columns", [64, 784, 3072, 243, 150 * 150, 12, 17, 40, 1, 0])
def test_assumed_shapes_hold_all_inputs_and_begin_with_a_square(columns):
    found = pixel_shapes(columns)
    squares = [math.isqrt(columns // c) ** 2 * c == columns and columns // c >= 16 for c in (1, 3)]
    assert bool(found) == any(squares)
    assert all(one.channels * one.height * one.width == columns and one.assumed for one in found)
    assert all(max(one.height, one.width) <= 4 * min(one.height, one.width) for one in found)
    assert not found or found[0].height == found[0].width
    assert len(set(found)) == len(found)


def test_the_strongest_channel_is_that_of_the_largest_norm_whatever_is_not_finite():
    images = np.random.default_rng(1).normal(size=(20, 7, 3, 3))
    images[:, 2] *= np.linspace(0.1, 3, 20)[:, None, None]
    expected = np.linalg.norm(images.reshape(20, 7, 9), axis=2).argmax(axis=1)
    np.testing.assert_array_equal(strongest_channels(images * 1e200), expected)
    images[3, expected[3], 0, 0] = np.nan
    images[4, 0] = np.inf
    finite = np.where(np.isfinite(images), images, 0).reshape(20, 7, 9)
    np.testing.assert_array_equal(strongest_channels(images), np.linalg.norm(finite, axis=2).argmax(axis=1))
    assert strongest_channels(np.zeros((2, 3, 4, 4))).tolist() == [0, 0]
