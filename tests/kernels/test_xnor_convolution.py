"""Convolutions of signs against PyTorch's dense convolution, whose sums of so few whole numbers are exact."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.kernels.bits import pack_rows
from weightsmith.kernels.xnor import xnor_linear
from weightsmith.kernels.xnor_convolution import (
    convolution_bits_of,
    convolution_words_of,
    pack_image,
    unpack_image,
    xnor_convolution,
    xnor_convolution_bits,
)


def layer(image, outputs, kernel, seed=0):
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal(image, np.float32)
    positive = rng.random((outputs, image[1], *kernel)) < 0.5
    return inputs, positive, pack_rows(positive.reshape(outputs, int(np.prod(positive.shape[1:]))))


def dense(inputs, positive, alphabet, **steps):
    signs = np.where(inputs >= 0, 1, -1).astype(np.float64)
    weights = np.where(positive, 1, -1 if alphabet == "signs" else 0).astype(np.float64)
    return F.conv2d(torch.from_numpy(signs), torch.from_numpy(weights), **steps).numpy().astype(np.int32)


def check(image, outputs, kernel, alphabet="signs", seed=0, threads=None, **steps):
    inputs, positive, bits = layer(image, outputs, kernel, seed)
    rng = np.random.default_rng(seed)
    words = convolution_words_of(bits, image[1], kernel)
    np.testing.assert_array_equal(convolution_bits_of(words, image[1]), bits)
    dots = dense(inputs, positive, alphabet, **steps)
    options = {"alphabet": alphabet, "threads": threads, **steps}
    packed = pack_image(inputs)
    found = xnor_convolution(packed, words, image[1], **options)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, dots)
    scale, bias = rng.standard_normal(outputs, np.float32), rng.standard_normal(outputs, np.float32)
    expected = dots.astype(np.float32) * scale[:, None, None] + bias[:, None, None]
    np.testing.assert_array_equal(xnor_convolution(packed, words, image[1], scale, bias, **options), expected)
    threshold, flip = rng.integers(-4, 5, outputs, np.int32), rng.random(outputs) < 0.5
    reached = (dots >= threshold[:, None, None]) != flip[:, None, None]
    out = xnor_convolution_bits(packed, words, image[1], threshold, flip, **options)
    np.testing.assert_array_equal(unpack_image(out, outputs), np.where(reached, 1, -1))
    if outputs % 64:
        assert not (out[..., -1] >> np.uint64(outputs % 64)).any()


@pytest.mark.parametrize("kernels", ["", "plain"])
@pytest.mark.parametrize("alphabet", ["signs", "bits"])
@pytest.mark.parametrize(
    ("image", "outputs", "kernel", "steps"),
    [
        ((1, 128, 28, 28), 128, (3, 3), {"padding": (1, 1)}),
        ((2, 5, 7, 9), 13, (3, 2), {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}),
        ((3, 70, 5, 5), 9, (3, 3), {"padding": (4, 3), "dilation": (2, 2)}),
        ((5, 64, 2, 2), 1, (2, 2), {}),
        ((9, 192, 1, 1), 20, (1, 1), {}),
        ((1, 1, 3, 3), 70, (3, 3), {"padding": (7, 7), "stride": (3, 3)}),
    ],
)
def test_convolutions_are_those_of_whole_numbers(monkeypatch, kernels, alphabet, image, outputs, kernel, steps):
    monkeypatch.setenv("WEIGHTSMITH_KERNELS", kernels)
    check(image, outputs, kernel, alphabet, **steps)


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 140), st.integers(1, 9), st.integers(1, 9)),
    st.integers(1, 40),
    pairs,
    pairs,
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    pairs,
    st.sampled_from(["signs", "bits"]),
)
def test_convolutions_of_any_geometry(image, outputs, kernel, stride, padding, dilation, alphabet):
    reach = [step * (taps - 1) + 1 for step, taps in zip(dilation, kernel, strict=True)]
    if all(size + 2 * pad >= need for size, pad, need in zip(image[2:], padding, reach, strict=True)):
        check(image, outputs, kernel, alphabet, stride=stride, padding=padding, dilation=dilation)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_convolutions_shared_between_threads_are_the_same(threads):
    check((3, 100, 30, 30), 100, (3, 3), threads=threads, padding=(1, 1))


@pytest.mark.parametrize("kernels", ["", "plain"])
@pytest.mark.parametrize(("batch", "outputs"), [(0, 4), (2, 0), (0, 0)])
def test_empty_batches_and_no_outputs(monkeypatch, kernels, batch, outputs):
    monkeypatch.setenv("WEIGHTSMITH_KERNELS", kernels)
    _, _, bits = layer((batch, 3, 5, 5), outputs, (3, 3))
    words = convolution_words_of(bits, 3, (3, 3))
    image = pack_image(np.zeros((batch, 3, 5, 5), np.float32))
    assert xnor_convolution(image, words, 3, padding=(1, 1)).shape == (batch, outputs, 5, 5)
    threshold, flip = np.zeros(outputs, np.int32), np.zeros(outputs, np.bool_)
    assert xnor_convolution_bits(image, words, 3, threshold, flip).shape == (batch, 3, 3, -(-outputs // 64))


def test_a_linear_layer_behind_a_flattened_image():
    inputs, positive, bits = layer((4, 70, 3, 5), 11, (3, 5))
    words = convolution_words_of(bits, 70, (3, 5)).reshape(11, -1)
    found = xnor_linear(pack_image(inputs).reshape(4, -1), words, 70 * 15)
    signs = np.where(inputs >= 0, 1, -1).reshape(4, -1)
    np.testing.assert_array_equal(found, signs @ np.where(positive, 1, -1).reshape(11, -1).T)


def test_many_python_threads_at_once_find_the_same():
    inputs, positive, bits = layer((4, 64, 12, 12), 65, (3, 3))
    words, dots = convolution_words_of(bits, 64, (3, 3)), dense(inputs, positive, "signs", padding=1)
    with ThreadPoolExecutor(8) as pool:
        convolve = lambda _: xnor_convolution(pack_image(inputs), words, 64, padding=(1, 1), threads=2)  # noqa: E731
        for found in pool.map(convolve, range(40)):
            np.testing.assert_array_equal(found, dots)


def test_strided_images_and_weights_are_taken_as_they_are():
    inputs, positive, bits = layer((2, 66, 6, 8), 8, (2, 2))
    words, image = convolution_words_of(bits, 66, (2, 2)), pack_image(inputs)
    apart = np.zeros((2, 6, 16, 2), np.uint64)
    apart[:, :, ::2] = image
    found = xnor_convolution(apart[:, :, ::2], np.asfortranarray(words), 66)
    np.testing.assert_array_equal(found, dense(inputs, positive, "signs"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": 65}, r"channels must be uint64\[batch, height, width, 2\]"),
        ({"image": np.zeros((1, 4, 4, 1), np.int64)}, "must be uint64"),
        ({"w": np.zeros((2, 9, 1), np.uint64)}, "must be uint64"),
        ({"stride": (0, 1)}, "must be positive"),
        ({"padding": (-1, 0)}, "padding"),
        ({"dilation": (2, 2)}, "does not fit an image"),
        ({"alphabet": "ternary"}, "give 'signs' or 'bits'"),
        ({"scale": np.ones(3, np.float32)}, "scale of 2 rows"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    arguments = {"image": np.zeros((1, 4, 4, 1), np.uint64), "w": np.zeros((2, 3, 3, 1), np.uint64), "channels": 5}
    with pytest.raises(InputError, match=message):
        xnor_convolution(**arguments | change)


def test_more_weights_than_a_dot_product_can_count_are_refused():
    huge = np.broadcast_to(np.uint64(0), (1, 1, 1, 1 << 25))
    with pytest.raises(InputError, match="more than 2147483647"):
        xnor_convolution(huge, huge, 1 << 31)


def test_bits_that_are_not_a_convolution_are_refused():
    with pytest.raises(InputError, match="bits of 27 columns"):
        convolution_words_of(np.zeros((2, 3), np.uint8), 3, (3, 3))
    with pytest.raises(InputError, match="weights of 65 channels"):
        convolution_bits_of(np.zeros((2, 3, 3, 1), np.uint64), 65)
