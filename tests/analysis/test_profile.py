import numpy as np
import pytest

from weightsmith.analysis import CRITERIA, profile, spectrum
from weightsmith.errors import InputError, SourceError
from weightsmith.sketch import Sketch
from weightsmith.sources.source import Source, Weight
from weightsmith.weight import WeightInfo


def held(name, array, read=None):
    return Weight(WeightInfo(name, array.shape, str(array.dtype), "linear"), array.nbytes, read or (lambda: array))


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {f"layer.{i}": rng.standard_t(4, size=(30 + i, 20)).astype(np.float32) for i in range(7)}


def test_every_statistic_is_that_of_its_weight(arrays):
    seen = []
    source = Source("some", [held(name, array) for name, array in arrays.items()])
    found = profile(source, list(arrays), list(CRITERIA), None, lambda *tick: seen.append(tick))
    assert found.notes == ()
    assert seen == [(i, 7) for i in range(7)]
    for i, array in enumerate(arrays.values()):
        sketch, measured = Sketch.of(array), spectrum(array)
        expected = {
            "rms": sketch.rms,
            "norm": sketch.norm,
            "kurtosis": sketch.kurtosis,
            "sparsity": 0.0,
            "stable_rank": measured.stable_rank,
            "alpha": measured.alpha,
        }
        assert {name: values[i] for name, values in found.values.items()} == pytest.approx(expected)


def test_what_cannot_be_measured_is_told(arrays):
    def packed():
        raise InputError("packed")

    arrays["layer.3"][0, 0] = np.nan
    weights = [held(name, array) for name, array in arrays.items()]
    weights[1] = held("layer.1", arrays["layer.1"], packed)
    weights[5] = held("layer.5", np.ones(4, np.float32))
    found = profile(Source("some", weights), list(arrays), ["rms", "alpha"], None)
    assert np.flatnonzero(np.isnan(found.values["rms"])).tolist() == [1]
    assert np.flatnonzero(np.isnan(found.values["alpha"])).tolist() == [1, 3, 5]
    assert found.notes == ("Not read, as their values are packed: 1 weight.",)


def test_a_time_limit_leaves_spectra_out_and_says_so(arrays):
    source = Source("some", [held(name, array) for name, array in arrays.items()])
    found = profile(source, list(arrays), ["rms", "alpha"], 0.0)
    assert np.isfinite(found.values["rms"]).all()
    assert np.isnan(found.values["alpha"]).all()
    assert found.notes == ("Time ran out before the spectra of 7 weights: they are left out.",)


def test_a_damaged_file_is_no_gap(arrays):
    def damaged():
        raise SourceError("the file became shorter")

    with pytest.raises(SourceError, match="shorter"):
        profile(Source("some", [held("a", np.eye(3), damaged)]), ["a"], ["rms"], None)
