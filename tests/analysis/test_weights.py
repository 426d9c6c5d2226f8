"""Every analysis takes arrays and weights of sources alike, wherever their format keeps the neurons."""

import numpy as np
import pytest

from weightsmith.analysis import (
    downsample,
    duplicate_rows,
    input_importance,
    kernel,
    near_duplicates,
    neurons,
    norms,
    pca,
    similarity,
    spectrum,
    strongest,
    tsne,
)
from weightsmith.errors import InputError
from weightsmith.sources import Weight
from weightsmith.weight import WeightInfo

ROWS = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)
ROWS[4] = ROWS[2]

ANALYSES = {
    "norms": lambda what: norms(what).rows,
    "spectrum": lambda what: spectrum(what).singular_values,
    "similarity": lambda what: similarity(what, "correlation").values,
    "duplicate_rows": duplicate_rows,
    "near_duplicates": lambda what: [(pair.first, pair.second) for pair in near_duplicates(what).pairs],
    "strongest": lambda what: [(one.row, one.column, one.value) for one in strongest(what, 4)],
    "pca": lambda what: pca(what, 3).points,
    "tsne": lambda what: tsne(what, 2, iterations=30).indices,
    "importance": lambda what: input_importance(what).scores,
    "downsample": lambda what: downsample(what, 3, 2).values,
}


def weight(array, output_axis=0):
    array = np.asarray(array)
    info = WeightInfo("w", array.shape, array.dtype.name, "linear", output_axis=output_axis)
    return Weight(info, array.nbytes, lambda: array)


@pytest.mark.parametrize("name", ANALYSES)
def test_a_weight_is_taken_as_its_array_whichever_way_it_lies(name):
    of = ANALYSES[name]
    wanted = of(ROWS)
    for given in (weight(ROWS), weight(np.ascontiguousarray(ROWS.T), 1), ROWS.tolist(), np.asfortranarray(ROWS)):
        assert np.array(of(given)) == pytest.approx(np.array(wanted), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", [name for name in ANALYSES if name not in ("spectrum", "importance")])
@pytest.mark.parametrize("shape", [(), (7,), (1,), (0,), (0, 5), (5, 0), (3, 2, 2), (2, 3, 2, 2)], ids=str)
def test_every_shape_is_seen_as_a_matrix(name, shape):
    array = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    for given in (array, weight(array)):
        assert np.array(ANALYSES[name](given)) == pytest.approx(np.array(ANALYSES[name](neurons(array))))


@pytest.mark.parametrize("name", ANALYSES)
@pytest.mark.parametrize("array", [ROWS + 1j * ROWS, np.array([["a", "b"]]), np.array([[1, None]], object)], ids="cso")
def test_what_is_no_real_number_is_refused_in_one_line(name, array):
    with pytest.raises(InputError, match="not real numbers") as caught:
        ANALYSES[name](array)
    assert "\n" not in str(caught.value)


def test_complex_weights_are_refused_by_name():
    for see in (neurons, kernel, spectrum):
        with pytest.raises(InputError, match=r"^w holds values of type complex64"):
            see(weight((ROWS + 1j * ROWS).astype(np.complex64)))


def test_values_whose_squares_overflow_have_a_spectrum():
    plain = spectrum(ROWS.astype(np.float64))
    found = spectrum(ROWS.astype(np.float64) * 1e300)
    assert found.singular_values / 1e300 == pytest.approx(plain.singular_values)
    assert found.stable_rank == pytest.approx(plain.stable_rank)
    assert found.log_norm == pytest.approx(plain.log_norm + 600)
    assert np.isinf(found.bulk.upper)
    assert np.isinf(found.eigenvalues[0])


def test_constant_or_missing_values_have_no_correlation():
    assert similarity(np.zeros((3, 0)), "correlation").undefined.tolist() == [0, 1, 2]
    assert similarity(np.ones((3, 4)), "correlation").undefined.tolist() == [0, 1, 2]
