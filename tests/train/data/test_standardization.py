import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import csr_array
from sklearn.preprocessing import StandardScaler

from weightsmith.train.data.standardization import of_features, of_images, of_sequences, of_sparse

VALUES = st.floats(-1e6, 1e6, width=32)


@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=20), elements=VALUES))
def test_features_as_scikit_learn_scales_them(rows):
    expected = StandardScaler().fit_transform(rows)
    found = of_features(rows).apply(torch.from_numpy(rows))
    assert found.dtype == torch.float32
    # A spread below rounding error is a constant for scikit-learn and a spread for us.
    clear = rows.std(axis=0) > 1e-9 * np.abs(rows).max(axis=0)
    np.testing.assert_allclose(found.numpy()[:, clear], expected[:, clear], rtol=1e-4, atol=1e-5)


@given(hnp.arrays(np.float32, (9, 4), elements=st.sampled_from([0, 0, 0, 1, 2.5, -3])))
def test_sparse_rows_are_scaled_and_not_centered(rows):
    expected = StandardScaler(with_mean=False).fit_transform(rows.astype(np.float64))
    found = of_sparse(csr_array(rows)).apply(torch.from_numpy(rows))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
    assert ((found.numpy() == 0) == (rows == 0)).all()


@given(hnp.arrays(np.uint8, (4, 3, 5, 6)))
def test_byte_images_as_their_float_copies(rows):
    found, expected = of_images(rows), of_images(rows.astype(np.float64))
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(found.scale, expected.scale, rtol=1e-6)
    assert found.mean.shape == (3, 1, 1)


def test_sequences_share_a_scale_over_time():
    rows = np.random.default_rng(0).normal(size=(6, 5, 2)) * [1, 100]
    found = of_sequences(rows).apply(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(found.mean(axis=(0, 1)), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(axis=(0, 1)), 1, atol=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9, -1e-30])
def test_a_constant_becomes_zero(constant):
    rows = np.full((7, 2), constant)
    assert (of_features(rows).apply(torch.from_numpy(rows)) == 0).all()
    images = np.full((7, 1, 3, 3), constant)
    assert (of_images(images).apply(torch.from_numpy(images)) == 0).all()
    assert (of_images(np.full((2, 1, 3, 3), 200, np.uint8)).scale == 1).all()
    assert (of_sparse(csr_array(np.full((7, 2), 0.1))).scale == 1).all()


def test_a_small_spread_around_a_large_mean_survives():
    rows = 1e9 + np.arange(10.0)[:, None]
    found = of_features(rows).apply(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(found[:, 0], (np.arange(10) - 4.5) / np.arange(10).std(), rtol=1e-6)


def test_invert_gives_back_original_units():
    rows = np.random.default_rng(0).normal(5, 3, size=(20, 2))
    fitted = of_features(rows)
    np.testing.assert_allclose(fitted.invert(fitted.apply(torch.from_numpy(rows))), rows, rtol=1e-5)
