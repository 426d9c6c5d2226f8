import sys

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from weightsmith.analysis import pca, tsne, umap
from weightsmith.errors import InputError, MissingExtraError


@pytest.fixture(scope="module")
def clusters():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 15)
    return rng.normal(size=(4, 30))[labels] * 3 + rng.normal(size=(60, 30)), labels


@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (1200, 1100)])
def test_pca_agrees_with_scikit_learn_up_to_sign(shape):
    rng = np.random.default_rng(0)
    # A decaying spectrum, as the randomized decomposition needs and as weights have.
    matrix = rng.normal(size=shape) * 0.7 ** np.arange(shape[1])
    found = pca(matrix, 3)
    oracle = PCA(3, svd_solver="full").fit(matrix)
    expected = oracle.transform(matrix)
    np.testing.assert_allclose(found.explained, oracle.explained_variance_ratio_, rtol=1e-3)
    scale = np.linalg.norm(expected) / np.linalg.norm(found.points)
    np.testing.assert_allclose(np.abs(found.points) * scale, np.abs(expected), atol=1e-3 * np.abs(expected).max())


def test_pca_pads_dimensions_beyond_the_rank():
    found = pca(np.array([[1.0], [3.0]]), 3)
    assert found.points.shape == (2, 3)
    assert not found.points[:, 1:].any()
    assert found.explained == pytest.approx((1.0, 0.0, 0.0))


@pytest.mark.parametrize("embed", [pca, tsne])
@pytest.mark.parametrize("matrix", [np.zeros((0, 4)), np.ones((1, 4)), np.full((9, 4), 0.1), np.zeros((9, 0))])
def test_degenerate_matrices_give_finite_points(embed, matrix):
    found = embed(matrix)
    assert found.points.shape == (len(matrix), 2)
    assert np.isfinite(found.points).all()
    assert found.method == "PCA"


@pytest.mark.parametrize("rows", [2, 3, 4, 5, 6, 10])
def test_fewer_rows_than_the_perplexity(rows):
    found = tsne(np.random.default_rng(0).normal(size=(rows, 3)), perplexity=30)
    assert found.points.shape == (rows, 2)
    assert np.isfinite(found.points).all()
    if rows < 5:
        assert found.method == "PCA"
    else:
        assert (found.method, found.perplexity) == ("t-SNE", (rows - 1) / 3)


def test_tsne_keeps_neighbors_and_is_repeatable(clusters):
    matrix, labels = clusters
    found = tsne(matrix, seed=3)
    assert trustworthiness(matrix, found.points, n_neighbors=5) > 0.9
    centers = np.array([found.points[labels == k].mean(axis=0) for k in range(4)])
    nearest = np.argmin(np.linalg.norm(found.points[:, None] - centers, axis=2), axis=1)
    assert (nearest == labels).all()
    np.testing.assert_array_equal(tsne(matrix, seed=3).points, found.points)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_the_scale_of_the_weights_does_not_matter(clusters, scale):
    matrix, _ = clusters
    assert np.isfinite(tsne(matrix * scale, iterations=25).points).all()
    np.testing.assert_allclose(pca(matrix * scale).explained, pca(matrix).explained, rtol=1e-4)


def test_rows_with_nan_are_left_out_and_named(clusters):
    matrix = clusters[0].copy()
    matrix[5, 0], matrix[9, 3] = np.nan, np.inf
    found = pca(matrix)
    assert list(found.left_out) == [5, 9]
    assert 5 not in found.indices
    assert (len(found.points), found.total) == (58, 60)


def test_more_rows_than_the_limit_are_sampled_evenly(clusters):
    found = tsne(clusters[0], limit=20, iterations=25)
    assert len(found.points) == 20
    assert (found.indices[0], found.indices[-1], found.total) == (0, 59, 60)


def test_progress_and_time_limit(clusters):
    seen = []
    found = tsne(clusters[0], iterations=100, progress=lambda done, total: seen.append((done, total)))
    assert found.finished
    assert seen[-1] == (350, 350)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    stopped = tsne(clusters[0], time_limit=0.0)
    assert not stopped.finished
    assert np.isfinite(stopped.points).all()


def test_impossible_requests_are_refused(clusters):
    with pytest.raises(InputError, match="perplexity must be positive, not -1"):
        tsne(clusters[0], perplexity=-1)
    with pytest.raises(InputError, match="at least 1 dimension, not 0"):
        pca(clusters[0], 0)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_tsne_in_up_to_three_dimensions(clusters, dimensions):
    matrix, _ = clusters
    ticks = []
    found = tsne(matrix, dimensions, seed=1, iterations=100, progress=lambda *tick: ticks.append(tick))
    assert found.points.shape == (60, dimensions)
    assert found.points.std(axis=0).min() > 0
    assert trustworthiness(matrix, found.points, n_neighbors=5) > 0.8
    assert ticks[-1] == (350, 350)
    np.testing.assert_array_equal(found.points, tsne(matrix, dimensions, seed=1, iterations=100).points)


def test_a_time_limit_in_three_dimensions_ends_early_and_says_so(clusters):
    found = tsne(clusters[0], 3, time_limit=0.0)
    assert not found.finished
    assert found.points.shape == (60, 3)


@pytest.mark.parametrize("dimensions", [0, 4])
def test_tsne_refuses_other_dimensions(dimensions):
    with pytest.raises(InputError, match="1, 2 or 3 dimensions"):
        tsne(np.ones((9, 3)), dimensions)


def test_umap_without_its_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'weightsmith\[umap\]'"):
        umap(np.eye(9))


@pytest.mark.filterwarnings("ignore")  # numba's and scikit-learn's, on its import
@pytest.mark.parametrize("dimensions", [2, 3])
def test_umap_keeps_neighbors_and_is_repeatable(clusters, dimensions):
    pytest.importorskip("umap")
    matrix, _ = clusters
    spoiled = np.vstack([matrix, np.full(30, np.nan)])
    found = umap(spoiled, dimensions, seed=1)
    assert (found.method, found.perplexity, list(found.left_out)) == ("UMAP", 15, [60])
    assert found.points.shape == (60, dimensions)
    assert trustworthiness(matrix, found.points, n_neighbors=5) > 0.8
    np.testing.assert_array_equal(found.points, umap(spoiled, dimensions, seed=1).points)
    for few in (np.zeros((0, 4)), np.ones((9, 4)), np.eye(3)):
        assert umap(few, dimensions).method == "PCA"
    with pytest.raises(InputError, match="2 neighbors"):
        umap(matrix, neighbors=1)
