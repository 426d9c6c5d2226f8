import numpy as np
import pytest

from weightsmith.analysis import input_importance
from weightsmith.errors import InputError


def test_scores_are_column_norms_and_ranked():
    matrix = np.random.default_rng(0).normal(size=(30, 5))
    matrix[:, 2] = 0
    found = input_importance(matrix, ["a", "b", "c", "d", "e"])
    np.testing.assert_allclose(found.scores, np.linalg.norm(matrix, axis=0))
    assert list(found.order) == list(np.argsort(-found.scores))
    assert found.unused == 1
    assert found.top(5)[-1] == ("c", 0.0)


def test_the_inputs_of_a_convolution_are_its_channels():
    conv = np.random.default_rng(0).normal(size=(8, 3, 5, 5))
    np.testing.assert_allclose(input_importance(conv).scores, np.sqrt(np.square(conv).sum(axis=(0, 2, 3))))


def test_scale_makes_inputs_of_different_spread_comparable():
    found = input_importance(np.array([[1.0, 10.0]]), scale=np.array([100.0, 1.0]))
    assert list(found.order) == [0, 1]


def test_nan_counts_as_zero():
    assert list(input_importance(np.array([[np.nan, 2.0], [3.0, np.inf]])).scores) == [3.0, 2.0]


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (1, 1)])
def test_tiny_layers(shape):
    assert len(input_importance(np.zeros(shape)).scores) == shape[1]


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((5,), {}, r"needs a weight of shape \(outputs, inputs, ...\), not \(5,\)"),
        ((2, 3), {"names": ["a"]}, "1 names were given for the 3 inputs"),
        ((2, 3), {"scale": np.ones(2)}, "2 scales were given for the 3 inputs"),
    ],
)
def test_what_does_not_fit_is_refused(shape, options, message):
    with pytest.raises(InputError, match=message):
        input_importance(np.ones(shape), **options)
