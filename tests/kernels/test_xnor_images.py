"""Packed images against the same images as numbers, pooled by PyTorch."""

import ml_dtypes
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.kernels.xnor_images import pack_image, pool_bits, unpack_image


@given(st.integers(0, 3), st.integers(1, 140), st.integers(1, 9), st.integers(1, 9))
def test_signs_come_back(batch, channels, height, width):
    inputs = np.random.default_rng(channels).standard_normal((batch, channels, height, width), np.float32)
    image = pack_image(inputs)
    assert image.shape == (batch, height, width, -(-channels // 64))
    np.testing.assert_array_equal(unpack_image(image, channels), np.where(inputs >= 0, 1, -1))
    assert not channels % 64 or not (image[..., -1] >> np.uint64(channels % 64)).any()


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_zeros_are_positive_and_nan_is_not(kind):
    values = np.resize(np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1, -1], kind), (2, 3, 5, 7))
    with np.errstate(invalid="ignore"):
        expected = np.where(values >= 0, 1, -1)
    np.testing.assert_array_equal(unpack_image(pack_image(values), 3), expected)


def test_large_and_strided_images_are_packed():
    inputs = np.random.default_rng(0).standard_normal((9, 70, 50, 51), np.float32)
    for part in (inputs, inputs[::2, 1:, ::3], inputs.transpose(0, 3, 1, 2)):
        np.testing.assert_array_equal(unpack_image(pack_image(part), part.shape[1]) > 0, part >= 0)


def test_no_pixels():
    assert pack_image(np.zeros((2, 3, 0, 4), np.float32)).shape == (2, 0, 4, 1)
    assert unpack_image(np.zeros((2, 0, 4, 1), np.uint64), 3).shape == (2, 3, 0, 4)


windows = st.tuples(st.integers(1, 4), st.integers(1, 4))


@settings(max_examples=60)
@given(st.integers(1, 140), st.tuples(st.integers(4, 9), st.integers(4, 9)), windows, windows, st.booleans())
def test_pooled_bits_are_the_signs_of_the_pooled(channels, size, kernel, stride, pad):
    rng = np.random.default_rng(channels)
    dots = rng.integers(-5, 6, (2, channels, *size)).astype(np.float32)
    threshold = rng.integers(-5, 6, (channels, 1, 1))
    flip = rng.random(channels) < 0.5

    def reached(values):
        return (values >= threshold) != flip[:, None, None]

    padding = tuple(side // 2 if pad else 0 for side in kernel)
    pooled = F.max_pool2d(torch.from_numpy(dots), kernel, stride, padding).numpy()
    found = pool_bits(pack_image(np.where(reached(dots), 1, -1)), kernel, stride, flip, padding)
    np.testing.assert_array_equal(unpack_image(found, channels) > 0, reached(pooled))


def test_pooling_steps_by_the_window_unless_told_otherwise():
    inputs = np.random.default_rng(0).standard_normal((2, 5, 6, 7), np.float32)
    signs = torch.from_numpy(np.where(inputs >= 0, 1.0, -1.0))
    found = pool_bits(pack_image(inputs), (2, 3))
    np.testing.assert_array_equal(unpack_image(found, 5), F.max_pool2d(signs, (2, 3)).numpy())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((1, 4, 4), np.uint64)}, "packed image must be uint64"),
        ({"image": np.zeros((1, 4, 4, 1), np.int64)}, "packed image must be uint64"),
        ({"kernel": (0, 1)}, "cannot pool by"),
        ({"padding": (2, 0)}, "cannot pool by"),
        ({"kernel": (5, 5)}, "smaller than the window"),
        ({"flip": np.zeros(65, np.bool_)}, "flip must be"),
        ({"flip": np.zeros(5, np.uint8)}, "flip must be"),
    ],
)
def test_what_cannot_be_pooled_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        pool_bits(**{"image": np.zeros((1, 4, 4, 1), np.uint64), "kernel": (2, 2)} | change)


def test_what_is_no_image_is_refused():
    with pytest.raises(InputError, match="four dimensions"):
        pack_image(np.zeros((3, 4), np.float32))
    with pytest.raises(InputError, match="four dimensions"):
        unpack_image(np.zeros((3, 4), np.uint64), 5)
