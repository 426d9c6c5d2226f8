"""Pictures of spectra, correlations and profiles: their records and what they say."""

import json

import numpy as np
import pytest

from weightsmith.analysis import spectrum as measure
from weightsmith.errors import InputError
from weightsmith.plots import NothingToDrawError, correlation, draw, spectrum
from weightsmith.plots.numbers import numbers
from weightsmith.plots.style import DARK, LIGHT


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(size=(200, 100)).astype(np.float32)


def spiked(matrix):
    return matrix + 5 * np.outer(np.ones(len(matrix)), np.ones(matrix.shape[1])).astype(np.float32)


@pytest.mark.parametrize(
    ("change", "title"),
    [
        (lambda w: w, "No eigenvalue rises above what noise alone would have; the tail"),
        (spiked, "1 eigenvalue of 100 rises above the noise; the tail"),
        (lambda w: w[:, :3] @ w[:3], "Rank 3 of 100: most directions are empty"),
        (lambda w: w / np.arange(1, 101), "the tail is very heavy (alpha 1.53): a few directions carry the layer"),
        (lambda w: w[:12, :10], "the tail is no clear power law (distance 0.229)"),
    ],
)
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_title_of_a_spectrum_says_what_rises_above_noise(noise, texts, change, title, theme):
    record = spectrum.of(measure(change(noise)), "w", "w")
    assert title in record.title
    figure = spectrum.draw(record, theme)
    figure.canvas.draw()
    assert title in texts(figure)


def test_bins_hold_every_eigenvalue_and_the_noise_as_many_as_it_stands_for(noise):
    record = spectrum.of(measure(spiked(noise)), "w", "w")
    assert record.counts.sum() + record.below == 100
    assert record.noise.sum() == pytest.approx(99, rel=0.05)
    assert np.allclose(np.diff(np.log(record.edges)), np.log(record.edges[1] / record.edges[0]))


def test_an_estimated_spectrum_says_so(noise, texts):
    record = spectrum.of(measure(noise, limit=10), "w", "w")
    assert "Not exact: estimated by Lanczos quadrature from 6 random starts" in texts(spectrum.draw(record, LIGHT))


def test_a_convolution_says_what_was_pooled(texts):
    conv = np.random.default_rng(0).normal(size=(12, 8, 3, 3))
    assert "9 matrices of 12 \N{MULTIPLICATION SIGN} 8" in texts(
        spectrum.draw(spectrum.of(measure(conv), "w", "w"), LIGHT)
    )


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.ones(5), "is no matrix"),
        (np.full((3, 3), np.nan), "holds NaN or Inf"),
        (np.zeros((3, 3)), "every value of w is zero"),
    ],
)
def test_what_has_no_spectrum_is_not_drawn(source, array, reason):
    with pytest.raises(NothingToDrawError, match=reason):
        draw(source(w=array.astype(np.float32)), "spectrum", weight="w")


def test_correlations_of_both_sides_are_those_of_numpy(noise, texts):
    noise[:, 7] = -2 * noise[:, 30]
    record = correlation.of(noise, "w", "w")
    assert [side.noun for side in record.sides] == ["neuron", "input"]
    for side, matrix in zip(record.sides, (noise, noise.T), strict=True):
        expected = np.corrcoef(matrix)
        np.testing.assert_allclose(side.compared.values, expected, atol=1e-5)
        assert sorted(side.order) == list(range(len(matrix)))
        upper = np.abs(expected[np.triu_indices(len(matrix), 1)])
        assert side.typical == pytest.approx(upper.mean(), rel=1e-4)
    assert record.sides[1].typical == pytest.approx(record.sides[1].chance, rel=0.05)
    assert record.title == "Inputs 7 and 30 are all but opposites (correlation \N{MINUS SIGN}1)"
    assert record.title in texts(correlation.draw(record, DARK))


def test_independent_rows_correlate_by_chance(noise):
    assert correlation.of(noise, "w", "w").title.startswith(("Neurons correlate no more", "Inputs correlate no more"))


def test_a_sample_of_many_rows_is_stated(noise, texts):
    figure = correlation.draw(correlation.of(noise, "w", "w", limit=20), LIGHT)
    assert "20 of 200 neurons compared (10 %), evenly spaced." in texts(figure)
    assert "20 of 100 inputs compared (20 %), evenly spaced." in texts(figure)


def test_one_side_alone_where_the_other_has_nothing_to_compare(noise, texts):
    assert [side.noun for side in correlation.of(noise[:2], "w", "w").sides] == ["neuron"]
    noise[3] = np.nan
    text = texts(correlation.draw(correlation.of(noise[:8], "w", "w"), LIGHT))
    assert "1 neuron constant or with NaN or Inf left out." in text
    for empty in (np.zeros((5, 5)), np.ones((1, 9)), np.zeros((0, 4)), np.full((4, 4), np.nan)):
        with pytest.raises(NothingToDrawError, match="fewer than two"):
            correlation.of(empty, "w", "w")


def test_records_become_plain_json(noise):
    written = json.loads(json.dumps(numbers(spectrum.of(measure(noise), "w", "w"))))
    assert written["spectrum"]["power_law"]["alpha"] == pytest.approx(measure(noise).alpha)
    assert written["spectrum"]["singular_values"] == {"shape": [100], "dtype": "float64"}
    assert numbers({"a": (np.float32(1), np.arange(2), None)}) == {"a": [1.0, [0, 1], None]}
    assert numbers(tuple(range(65))) == {"count": 65, "first": list(range(64))}


@pytest.mark.parametrize(("method", "dimensions"), [("pca", 2), ("pca", 3), ("tsne", 3)])
@pytest.mark.parametrize("color", ["norm", "sign", "output"])
def test_layouts_in_two_and_three_dimensions_are_drawn(source, noise, texts, method, dimensions, color):
    both = source(a__weight=noise[:20], b__weight=noise[:4, :20].copy())
    options = {"method": method, "dimensions": dimensions, "color": color}
    text = texts(draw(both, "embedding", weight="a.weight", **options))
    assert ("of the variance" in text) == (method == "pca")
    with pytest.raises(InputError, match="2 or 3 dimensions, not 4"):
        draw(both, "embedding", weight="a.weight", dimensions=4)
