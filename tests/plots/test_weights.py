"""Records of the pictures that show one weight."""

import ml_dtypes
import numpy as np
import pytest

from weightsmith.analysis import pca
from weightsmith.errors import InputError
from weightsmith.plots import NothingToDrawError, draw, embedding, filters, histogram, importance, matrix, similarity
from weightsmith.plots.style import LIGHT, number, percent, shown
from weightsmith.sketch import Sketch


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(size=(40, 64)).astype(np.float32)


def spoiled(array, **cells):
    changed = array.copy()
    for value, (row, column) in cells.items():
        changed[row, column] = {"nan": np.nan, "zero": 0.0, "large": 100.0}[value]
    return changed


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({}, "No row or column stands out"),
        ({"nan": (3, 5)}, "1 value of 2,560 is NaN or infinite, in 1 row"),
        ({"large": (7, slice(None))}, "1 row stands out: row 7 has norm 800, the median is"),
        ({"large": (slice(None), 7)}, "1 column stands out: column 7 has norm 632, the median is"),
        ({"zero": (slice(None), slice(0, 32))}, "50 % of the weights are exactly zero; 32 columns empty"),
        ({"zero": (slice(None), slice(None))}, "Every weight is exactly zero"),
        ({"nan": (slice(None), slice(None))}, "2,560 values of 2,560 are NaN or infinite, in 40 rows"),
    ],
)
def test_the_title_of_a_matrix_says_what_stands_out(noise, texts, change, title):
    record = matrix.of(spoiled(noise, **change), "w", "w")
    assert record.title.startswith(title)
    figure = matrix.draw(record, LIGHT)
    figure.canvas.draw()
    assert title in texts(figure)


def test_the_strongest_weight_is_named_where_nothing_stands_out(noise):
    row, column = np.unravel_index(np.argmax(np.abs(noise)), noise.shape)
    assert matrix.of(noise, "w", "w").title.endswith(
        f"strongest weight is {number(float(noise[row, column]))} (row {row}, column {column})"
    )


def test_colors_end_at_a_stated_quantile(noise, texts):
    record = matrix.of(noise, "w", "w")
    assert record.limit == pytest.approx(np.quantile(np.abs(noise), 0.995))
    assert record.clipped == np.mean(np.abs(noise.astype(np.float64)) > record.limit)
    shown_text = texts(matrix.draw(record, LIGHT))
    assert f"colors end at \N{PLUS-MINUS SIGN}{number(record.limit)}" in shown_text
    assert "Each cell shows" not in shown_text


def test_downsampling_is_stated_and_zeros_and_nan_have_colors_of_their_own(texts):
    large = np.random.default_rng(0).normal(size=(600, 900)).astype(np.float32)
    large[:, :300] = 0
    large[5, 5] = np.nan
    shown_text = texts(matrix.draw(matrix.of(large, "w", "w"), LIGHT))
    assert "largest magnitude in its block of up to 3 \N{MULTIPLICATION SIGN} 3 weights" in shown_text
    assert "exactly zero" in shown_text
    assert "NaN or Inf" in shown_text


@pytest.mark.parametrize("shape", [(), (1, 1), (7,), (10_000, 3), (3, 10_000), (1, 50), (4, 3, 2, 2)])
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_any_shape_and_type_is_drawn(shape, dtype):
    array = np.random.default_rng(0).normal(size=shape).astype(dtype)
    matrix.draw(matrix.of(array, "w", "w"), LIGHT).canvas.draw()


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0,)])
@pytest.mark.parametrize("picture", [matrix, similarity, filters, importance])
def test_nothing_is_drawn_of_an_empty_weight(picture, shape):
    with pytest.raises(NothingToDrawError):
        picture.of(np.zeros(shape, np.float32), "w", "w")


def test_a_histogram_agrees_with_numpy():
    array = np.random.default_rng(0).normal(size=3000).astype(np.float16)
    record = histogram.of(Sketch.of(array), "w", "w")
    counts, _ = np.histogram(array, record.edges)
    np.testing.assert_allclose(record.counts, counts)
    assert counts.sum() == 3000
    assert record.below[0] == record.above[0] == 0
    zero_bin = np.searchsorted(record.edges, 0) - 1
    assert record.edges[zero_bin] == pytest.approx(-record.edges[zero_bin + 1])


def test_outliers_are_counted_beyond_the_edges_and_do_not_flatten_the_bulk(texts):
    array = np.random.default_rng(0).normal(size=20_000)
    array[:3] = 1000.0, 2000.0, -500.0
    record = histogram.of(Sketch.of(array), "w", "w")
    assert record.edges[-1] < 10
    assert record.above == (int((array > record.edges[-1]).sum()), 2000.0)
    assert record.below == (int((array < record.edges[0]).sum()), -500.0)
    assert record.above[0] + record.below[0] < 20
    # The spread is that of all values, outliers included: numpy counts the same.
    expected = int((np.abs(array - array.mean()) > 6 * array.std()).sum())
    assert round(record.outliers * 20_000) == expected
    assert record.title == f"w has heavy tails: {expected} values lie beyond 6 standard deviations"
    assert f"{record.above[0]} values beyond the right edge; maximum 2,000." in texts(histogram.draw(record, LIGHT))


@pytest.mark.parametrize(
    ("array", "title"),
    [
        (np.full(10, 0.5), "Every value of w is 0.5"),
        (np.zeros(10), "Every value of w is 0"),
        (np.array([0, 0, 1, 2.0]), "50 % of w is exactly zero"),
        (np.array([1, np.nan, np.inf]), "2 of 3 values of w are NaN or infinite"),
        (np.sign(np.arange(-5, 5) + 0.5), "w has no outliers"),
    ],
)
def test_the_title_of_a_histogram(array, title):
    record = histogram.of(Sketch.of(array), "w", "w")
    assert record.title.startswith(title)
    histogram.draw(record, LIGHT).canvas.draw()


def test_a_weight_of_nothing_but_nan_has_no_histogram():
    with pytest.raises(NothingToDrawError, match="w has no finite value: 3 values NaN or Inf"):
        histogram.of(Sketch.of(np.full(3, np.nan)), "w", "w")


def test_similar_rows_are_named(noise):
    assert similarity.of(noise, "w", "w").title.startswith("No near-duplicates: the closest, rows ")
    noise[5] = 2 * noise[30]
    assert similarity.of(noise, "w", "w").title == (
        "1 pair of rows points the same way (cosine 0.99 and up), closest rows 5 and 30"
    )
    noise[5] = noise[30]
    record = similarity.of(noise, "w", "w")
    assert record.title == "1 row exactly repeats another (rows 5, 30)"
    places = {int(record.compared.indices[row]): place for place, row in enumerate(record.order)}
    assert abs(places[5] - places[30]) == 1


def test_rows_without_direction_are_left_out_of_similarity_and_counted(noise, texts):
    noise[3], noise[4, 4] = 0, np.nan
    figure = similarity.draw(similarity.of(noise, "w", "w"), LIGHT)
    assert "2 rows all zero or with NaN or Inf left out" in texts(figure)


def test_filters_are_rows_as_images_strongest_first(noise):
    noise[11] *= 5
    record = filters.of(noise, "w", "w")
    order = np.argsort(-np.linalg.norm(noise, axis=1), kind="stable")
    np.testing.assert_array_equal(record.rows, order)
    np.testing.assert_array_equal(record.images[0], noise[11].reshape(8, 8))
    assert record.title.startswith("40 filters of w, none blank")


def test_filters_of_a_convolution(texts):
    conv = np.random.default_rng(0).normal(size=(6, 3, 5, 4)).astype(np.float32)
    assert filters.of(conv, "w", "w").images.shape == (6, 5, 4, 3)
    deep = np.random.default_rng(0).normal(size=(6, 7, 3, 3)).astype(np.float32)
    record = filters.of(deep, "w", "w")
    energies = np.square(deep).sum(axis=(2, 3))
    np.testing.assert_array_equal(record.channel, energies[record.rows].argmax(axis=1))
    np.testing.assert_array_equal(record.images[0], deep[record.rows[0], record.channel[0]])
    assert f"{record.rows[0]} in {record.channel[0]}" in texts(filters.draw(record, LIGHT))


def test_blank_and_broken_filters_are_counted(noise):
    noise[:3] *= 1e-3
    assert filters.of(noise, "w", "w").title.startswith("3 of 40 filters of w are blank")
    noise[5, 5] = np.nan
    record = filters.of(noise, "w", "w")
    assert record.title == "1 of 40 filters of w holds NaN or Inf"
    filters.draw(record, LIGHT).canvas.draw()


@pytest.mark.parametrize(
    ("shape", "image", "error", "message"),
    [
        ((4, 50), None, NothingToDrawError, "the 50 inputs of w are no square image"),
        ((4, 50), (7, 7), InputError, r"an input image of shape \(7, 7\) does not fit the 50 inputs"),
        ((4, 3, 1, 1), None, NothingToDrawError, "filters of 1 x 1"),
        ((4, 3, 5), None, NothingToDrawError, "no layer over images"),
    ],
)
def test_inputs_that_are_no_image_are_refused(shape, image, error, message):
    with pytest.raises(error, match=message):
        filters.of(np.ones(shape), "w", "w", image)


def test_an_image_shape_is_taken_as_given():
    assert filters.of(np.ones((4, 50)), "w", "w", (5, 10)).images.shape == (4, 5, 10)
    assert filters.of(np.ones((4, 48)), "w", "w", (3, 4, 4)).images.shape == (4, 4, 4, 3)
    assert filters.of(np.ones((100, 16)), "w", "w", most=9).images.shape == (9, 4, 4)


def test_half_of_the_weight_is_counted_in_inputs(texts):
    array = np.zeros((3, 10))
    array[:, 2], array[:, 5], array[0, 7] = 10, 5, 1
    record = importance.of(array, "w", "w", [f"input {i}" for i in range(10)])
    assert record.half == 1
    assert record.title == "1 of 10 inputs (10 %) holds half of the squared weight; 7 inputs unused"
    shown_text = texts(importance.draw(record, LIGHT))
    assert "input 2" in shown_text


def test_neurons_are_laid_out_sized_and_labeled(noise):
    noise[9] *= 10
    noise[4, 0] = np.nan
    record = embedding.of(noise, pca(noise), "w", "w")
    np.testing.assert_allclose(record.norms, np.linalg.norm(np.delete(noise, 4, axis=0), axis=1), rtol=1e-5)
    assert 9 in record.layout.indices[record.labeled]
    assert record.title.startswith("39 neurons of w, no two alike")


def test_neurons_are_colored_by_the_output_they_feed(source, texts):
    rng = np.random.default_rng(0)
    outgoing = np.full((3, 20), 0.1, np.float32)
    outgoing[rng.integers(0, 3, 20), np.arange(20)] = -1
    both = source(fc1__weight=rng.normal(size=(20, 6)).astype(np.float32), fc2__weight=outgoing)
    record = embedding.summarize(both, "fc1.weight", method="pca", color="output")
    np.testing.assert_array_equal(record.shades, np.argmax(np.abs(outgoing), axis=0))
    assert "feeds output" in texts(embedding.draw(record, LIGHT))
    with pytest.raises(NothingToDrawError, match=r"no matrix after fc2.weight takes in its 3 outputs"):
        draw(both, "embedding", weight="fc2.weight", color="output")


@pytest.mark.parametrize(("option", "value"), [("method", "isomap"), ("color", "red")])
def test_unknown_choices_of_the_embedding_are_refused(source, noise, option, value):
    with pytest.raises(InputError, match=f"unknown {option} '{value}'"):
        draw(source(w__weight=noise), "embedding", **{option: value})


@pytest.mark.parametrize("color", ["norm", "sign"])
@pytest.mark.parametrize("rows", [2, 3, 4, 5, 40])
def test_small_layers_are_laid_out(source, noise, texts, rows, color):
    figure = draw(source(w__weight=noise[:rows]), "embedding", color=color)
    figure.canvas.draw()
    assert ("t-SNE, perplexity" in texts(figure)) == (rows >= 5)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.123456, "0.123"), (1234.5, "1,234"), (12e6, "1.2e7"), (-3.4e-5, "−3.4e−5"), (1.0, "1")],  # noqa: RUF001
)
def test_numbers_read_as_people_write_them(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.5, "50 %"), (0.9999999, "99.99 %"), (0.1234, "12.3 %"), (1e-6, "1e−4 %")],  # noqa: RUF001
)
def test_percentages_never_round_to_all_or_nothing(share, text):
    assert percent(share) == text


def test_long_names_keep_their_ends():
    name = "model.layers.17.block_sparse_moe.experts.3.w2.weight"
    assert len(shown(name)) == 40
    assert shown(name).startswith("model.layers")
    assert shown(name).endswith("experts.3.w2.weight")


def test_as_few_outliers_as_a_normal_distribution_has_are_still_counted():
    sketch = Sketch.of(np.random.default_rng(0).standard_normal(1_000_000, np.float32))
    for _ in range(9):  # half a billion values
        sketch = sketch.merge(sketch)
    assert histogram.of(sketch, "w", "w").title == "w has no outliers: every value lies within 6 standard deviations"
    one = sketch.merge(Sketch.of(np.array([6.5], np.float32)))
    assert histogram.of(one, "w", "w").title == (
        "w has no more outliers than a normal distribution: 1 value beyond 6 standard deviations"
    )
