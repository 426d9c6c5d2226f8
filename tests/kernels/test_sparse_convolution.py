"""Sparse convolutions against PyTorch's in double precision."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.kernels.sparse import convolution, from_dense, linear, sparse_convolution

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


def drawn(rows, columns, sparsity, form, seed=0):
    random = np.random.default_rng(seed)
    values = random.standard_normal((rows, columns)).astype(np.float32)
    if form == "signs":
        values = np.where(values > 0, np.float32(0.5), np.float32(-0.5))
    return np.where(random.random(values.shape) < sparsity, np.float32(0), values)


def pictures(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def dense(images, values, bias=None, *, kernel, groups=1, **options):
    shaped = torch.from_numpy(values).double().reshape(values.shape[0], images.shape[1] // groups, *kernel)
    addend = None if bias is None else torch.from_numpy(bias).double()
    return torch.conv2d(torch.from_numpy(images).double(), shaped, addend, groups=groups, **options).numpy()


@st.composite
def cases(draw):
    kernel, stride, dilation = draw(PAIRS), draw(PAIRS), draw(PAIRS)
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    least = [max(1, d * (k - 1) + 1 - 2 * p) for d, k, p in zip(dilation, kernel, padding, strict=True)]
    size = [low + draw(st.integers(0, 14)) for low in least]
    groups, channels, out = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    options = {"kernel": kernel, "stride": stride, "dilation": dilation, "padding": padding, "groups": groups}
    return (draw(st.integers(0, 3)), groups * channels, *size), groups * out, options


@given(cases(), st.sampled_from([0.0, 0.6, 1.0]), st.sampled_from(["csr", "signs"]), st.integers(0, 3), st.booleans())
def test_convolutions_are_the_dense_ones(case, sparsity, form, broken, biased):
    shape, rows, options = case
    images = pictures(*shape)
    for number in range(broken if images.size else 0):
        images.reshape(-1)[number * 7 % images.size] = [np.nan, np.inf, -np.inf][number]
    columns = shape[1] // options["groups"] * options["kernel"][0] * options["kernel"][1]
    values = drawn(rows, columns, sparsity, form)
    bias = np.arange(rows, dtype=np.float32) if biased else None
    got = sparse_convolution(images, from_dense(values, form), bias, **options)
    wanted = dense(images, values, bias, **options)
    assert got.shape == wanted.shape
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, atol=2e-5)


@pytest.mark.parametrize("form", ["csr", "signs"])
def test_large_images_fill_whole_tiles(form):
    images, values = pictures(2, 16, 30, 41), drawn(24, 16 * 9, 0.9, form)
    options = {"kernel": (3, 3), "padding": (1, 1)}
    got = sparse_convolution(images, from_dense(values, form), **options)
    np.testing.assert_allclose(got, dense(images, values, **options), atol=5e-5)


@pytest.mark.parametrize("form", ["csr", "signs"])
def test_plain_convolutions_agree(form, monkeypatch):
    images, values = pictures(2, 6, 9, 8), drawn(4, 3 * 6, 0.5, form)
    images[0, 0, 0, 0] = np.inf
    options = {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}
    fast = sparse_convolution(images, from_dense(values, form), np.ones(4, np.float32), **options)
    monkeypatch.setenv("WEIGHTSMITH_KERNELS", "plain")
    monkeypatch.setattr(convolution, "_convolve", None)
    plain = sparse_convolution(images, from_dense(values, form), np.ones(4, np.float32), **options)
    np.testing.assert_allclose(plain, fast, atol=1e-5)
    assert np.isnan(plain).any()
    assert plain.shape == fast.shape


@pytest.mark.parametrize("batch", [1, 7])
def test_threads_and_company_change_no_bit(batch, monkeypatch):
    monkeypatch.setattr(linear, "_ALONE", 0)
    images, weight = pictures(batch, 8, 12, 12), from_dense(drawn(37, 72, 0.8, "csr"), "csr")
    images[0, 0, 3, 3] = np.nan

    def bits(threads):
        return sparse_convolution(images, weight, kernel=(3, 3), padding=(1, 1), threads=threads).tobytes()

    alone = bits(1)
    assert bits(2) == alone == bits(5)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(bits, [3] * 32)) == {alone}


def test_views_and_no_filters():
    images, values = pictures(6, 5, 7, 3).T, drawn(4, 63, 0.5, "csr")
    got = sparse_convolution(images, from_dense(values, "csr"), kernel=(3, 3))
    np.testing.assert_allclose(got, dense(np.ascontiguousarray(images), values, kernel=(3, 3)), atol=2e-5)
    nothing = from_dense(np.zeros((0, 63), np.float32), "csr")
    assert sparse_convolution(images, nothing, kernel=(3, 3)).shape == (3, 0, 3, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride": (0, 1)}, "must be positive"),
        ({"padding": (-1, 0)}, "not negative"),
        ({"groups": 3}, "does not convolve 4 channels in 3 groups"),
        ({"kernel": (2, 3)}, "does not convolve 4 channels in 1 groups with a 2x3 kernel"),
        ({"dilation": (9, 1)}, "a kernel over 19x3 does not fit a padded image of 8x8"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    weight = from_dense(np.ones((2, 36), np.float32), "csr")
    with pytest.raises(InputError, match=message):
        sparse_convolution(pictures(1, 4, 8, 8), weight, **({"kernel": (3, 3)} | change))


def test_other_arrays_are_refused():
    weight = from_dense(np.ones((2, 36), np.float32), "csr")
    for images in (pictures(4, 8, 8), pictures(1, 4, 8, 8).astype(np.float64)):
        with pytest.raises(InputError, match=r"must be float32\[batch, channels, height, width\]"):
            sparse_convolution(images, weight, kernel=(3, 3))
    with pytest.raises(InputError, match="not as a bitmask"):
        sparse_convolution(pictures(1, 4, 8, 8), from_dense(np.ones((2, 36), np.float32), "bitmask"), kernel=(3, 3))
