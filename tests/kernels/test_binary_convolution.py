"""Convolutions with binary weights, against PyTorch in float64."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.kernels import binary_convolution as module
from weightsmith.kernels.binary import binary_linear, tile
from weightsmith.kernels.binary_convolution import binary_convolution
from weightsmith.kernels.bits import pack_rows

EPSILON = np.finfo(np.float32).eps
LOW = {"signs": -1.0, "bits": 0.0}


def case(shape, rows, kernel, groups=1, seed=0):
    random = np.random.default_rng(seed)
    columns = shape[1] // groups * kernel[0] * kernel[1]
    return random.standard_normal(shape).astype(np.float32), random.random((rows, columns)) < 0.5


def convolve(inputs, chosen, kernel, alphabet="signs", **options):
    tiles = tile(pack_rows(chosen), chosen.shape[1], kernel[0] * kernel[1])
    return binary_convolution(inputs, tiles, *chosen.shape, kernel=kernel, alphabet=alphabet, **options)


def dense(inputs, chosen, kernel, alphabet="signs", **options):
    weight = torch.from_numpy(np.where(chosen, 1.0, LOW[alphabet]).reshape(len(chosen), -1, *kernel))
    values = torch.from_numpy(inputs).double()
    exact, size = F.conv2d(values, weight, **options), F.conv2d(values.abs(), weight.abs(), **options)
    return exact.numpy(), EPSILON * (chosen.shape[1] + 4) * size.numpy() + 1e-37


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=60)
@given(
    st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 20)),
    pairs,
    pairs,
    st.tuples(st.integers(0, 2), st.integers(0, 3)),
    pairs,
    st.sampled_from(["signs", "bits"]),
)
def test_a_binary_convolution_is_the_dense_one(image, channels, kernel, stride, padding, dilation, alphabet):
    batch, _, height, width = image
    groups, across, rows = channels
    assume(height + 2 * padding[0] > dilation[0] * (kernel[0] - 1))
    assume(width + 2 * padding[1] > dilation[1] * (kernel[1] - 1))
    inputs, chosen = case((batch, groups * across, height, width), groups * rows, kernel, groups)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    exact, bound = dense(inputs, chosen, kernel, alphabet, **options)
    found = convolve(inputs, chosen, kernel, alphabet, **options)
    assert found.shape == exact.shape
    np.testing.assert_array_less(np.abs(found - exact), bound)


@pytest.mark.parametrize("limit", [1, 200, 3000])
def test_it_does_not_matter_how_outputs_are_divided(limit, monkeypatch):
    inputs, chosen = case((2, 12, 17, 19), 35, (3, 3))
    whole = convolve(inputs, chosen, (3, 3), padding=(1, 1), threads=1)
    monkeypatch.setattr(module, "_TABLES_AT_A_TIME", limit)
    np.testing.assert_array_equal(convolve(inputs, chosen, (3, 3), padding=(1, 1)), whole)


def test_threads_and_callers_at_once_give_the_same_bits():
    inputs, chosen = case((3, 32, 15, 15), 64, (3, 3))
    alone = convolve(inputs, chosen, (3, 3), padding=(1, 1), threads=1)
    with ThreadPoolExecutor(6) as pool:
        for found in pool.map(lambda i: convolve(inputs, chosen, (3, 3), padding=(1, 1), threads=i % 3 + 1), range(12)):
            np.testing.assert_array_equal(found, alone)


def test_the_plain_path_gives_the_same_bits(monkeypatch):
    inputs, chosen = case((2, 7, 9, 10), 30, (3, 2))
    fast = convolve(inputs, chosen, (3, 2), padding=(2, 1), stride=(2, 1))
    monkeypatch.setenv("WEIGHTSMITH_KERNELS", "plain")
    np.testing.assert_array_equal(convolve(inputs, chosen, (3, 2), padding=(2, 1), stride=(2, 1)), fast)


def test_scale_and_bias_belong_to_output_channels():
    inputs, chosen = case((2, 5, 6, 6), 20, (3, 3))
    scale, bias = case((1, 1, 2, 20), 1, (1, 1))[0][0, 0]
    exact, bound = dense(inputs, chosen, (3, 3))
    found = convolve(inputs, chosen, (3, 3), scale=scale, bias=bias)
    factor, shift = scale[:, None, None].astype(np.float64), bias[:, None, None].astype(np.float64)
    np.testing.assert_array_less(
        np.abs(found - (exact * factor + shift)), bound * np.abs(factor) + 2 * EPSILON * np.abs(shift)
    )
    alone = convolve(inputs, chosen, (3, 3), scale=scale[:1])
    np.testing.assert_array_equal(alone, convolve(inputs, chosen, (3, 3)) * scale[0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("alphabet", ["signs", "bits"])
def test_what_is_no_number_spoils_the_outputs_that_see_it_and_padding_none(value, alphabet):
    inputs, chosen = case((1, 6, 7, 7), 18, (3, 3))
    inputs[0, 2, 1, 5] = value
    found = convolve(inputs, chosen, (3, 3), alphabet, padding=(1, 1))
    exact, _ = dense(inputs, chosen, (3, 3), alphabet, padding=(1, 1))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(exact))
    np.testing.assert_array_equal(found[np.isinf(found)], exact[np.isinf(exact)])


def test_a_kernel_of_one_pixel_is_a_linear_layer():
    inputs, chosen = case((1, 40, 3, 3), 20, (1, 1))
    found = convolve(inputs, chosen, (1, 1))
    points = np.ascontiguousarray(inputs[0].reshape(40, 9).T)
    linear = binary_linear(points, tile(pack_rows(chosen), 40), 20, 40, alphabet="signs")
    np.testing.assert_array_equal(found[0].reshape(20, 9).T, linear)


def test_the_order_of_the_inputs_memory_does_not_matter():
    inputs, chosen = case((2, 5, 6, 7), 4, (3, 3))
    views = [np.asfortranarray(inputs), np.repeat(inputs, 2, axis=3)[..., ::2], inputs[..., ::-1].copy()[..., ::-1]]
    for view in views:
        np.testing.assert_array_equal(convolve(view, chosen, (3, 3)), convolve(inputs, chosen, (3, 3)))


@pytest.mark.parametrize(
    "change",
    [
        {"kernel": (3, 2)},
        {"stride": (0, 1)},
        {"dilation": (1, 0)},
        {"padding": (-1, 0)},
        {"groups": 2},
        {"groups": 0},
        {"dilation": (9, 9)},
        {"inputs": np.zeros((1, 3, 5), np.float32)},
        {"inputs": np.zeros((1, 3, 5, 5))},
        {"inputs": np.zeros((1, 4, 5, 5), np.float32)},
        {"bias": np.zeros(3, np.float32)},
        {"alphabet": "sign"},
    ],
)
def test_what_is_no_convolution_is_refused_in_one_line(change):
    inputs, chosen = case((1, 3, 5, 5), 4, (3, 3))
    given_ = {"inputs": inputs, "tiles": tile(pack_rows(chosen), 27, 9), "rows": 4, "columns": 27, "kernel": (3, 3),
              "alphabet": "signs"} | change  # fmt: skip
    with pytest.raises(InputError) as caught:
        binary_convolution(**given_)
    assert "\n" not in str(caught.value)
