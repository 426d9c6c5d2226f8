import numpy as np
import pytest
from scipy.integrate import quad

from weightsmith.analysis import fit_bulk
from weightsmith.analysis.marchenko_pastur import law_median


def eigenvalues(matrix):
    return np.linalg.svd(matrix, compute_uv=False) ** 2


@pytest.mark.parametrize("ratio", [0.01, 0.2, 0.7, 1.0])
def test_half_of_the_law_lies_below_its_median(ratio):
    bulk = fit_bulk(np.full(3, law_median(ratio) * 10_000), 10_000, int(10_000 * ratio))
    assert bulk.variance == pytest.approx(1.0, rel=1e-3)
    density = lambda x: float(bulk.density(np.array([x]))[0])  # noqa: E731
    middle = law_median(ratio) * 10_000
    low, high = (quad(density, *ends, limit=400)[0] for ends in ((bulk.lower, middle), (middle, bulk.upper)))
    assert low == pytest.approx(0.5, abs=2e-3)
    assert high == pytest.approx(0.5, abs=2e-3)


@pytest.mark.parametrize("shape", [(400, 100), (100, 400), (300, 300)])
def test_noise_has_no_spikes_and_its_variance_is_found(shape):
    matrix = 0.05 * np.random.default_rng(0).normal(size=shape)
    bulk = fit_bulk(eigenvalues(matrix), *shape)
    assert bulk.variance == pytest.approx(0.05**2, rel=0.04)
    assert bulk.spikes == 0
    assert bulk.limit > bulk.upper > bulk.lower >= 0
    assert eigenvalues(matrix).max() == pytest.approx(bulk.upper, rel=0.05)


def test_one_in_a_hundred_noise_matrices_has_a_spike():
    rng = np.random.default_rng(0)
    found = [fit_bulk(eigenvalues(rng.normal(size=(120, 60))), 120, 60).spikes > 0 for _ in range(400)]
    assert np.mean(found) < 0.04


@pytest.mark.parametrize("count", [1, 7, 40])
def test_spikes_are_counted_and_do_not_move_the_bulk(count):
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(300, 150))
    left, _ = np.linalg.qr(rng.normal(size=(300, count)))
    right, _ = np.linalg.qr(rng.normal(size=(150, count)))
    bulk = fit_bulk(eigenvalues(noise + 200 * left @ right.T), 300, 150)
    assert bulk.spikes == count
    assert bulk.variance == pytest.approx(1.0, rel=0.01 * count + 0.05)


def test_a_matrix_without_noise_is_all_spikes():
    bulk = fit_bulk(np.array([4.0, 3.0, 2.0] + [1e-18] * 20), 40, 23)
    assert bulk.spikes == 3
    empty = fit_bulk(np.zeros(5), 9, 5)
    assert (empty.spikes, empty.variance, empty.upper) == (0, 0, 0)
    assert not empty.density(np.ones(3)).any()
