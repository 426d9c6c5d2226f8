"""Records of the pictures that show a training."""

import numpy as np
import pytest

from weightsmith.plots import NothingToDrawError, curves, draw, gradients, histograms, sparsity, updates
from weightsmith.plots.style import DARK, LIGHT
from weightsmith.plots.thinning import band, evenly, layer_heat
from weightsmith.sketch import Sketch
from weightsmith.store import Event, SketchRecord

STEPS = [0, 10, 20, 30]


def losses(training, validation=None, **more):
    series = {("train_loss", None): (STEPS, training)}
    if validation is not None:
        series["val_loss", None] = (STEPS, validation)
    return series | more


@pytest.mark.parametrize(
    ("series", "title"),
    [
        (losses([4, 3, 2, 1], [4, 2, 3, 4]), "Validation loss turned at step 10 while training loss kept falling"),
        (losses([4, 3, 3, 3], [4, 2, 3, 4]), "Validation loss turned at step 10 and is 100 % above its best"),
        (losses([4, 3, 2, 1], [4, 2, 2.01, 2.02]), "Validation loss leveled off: 2 at step 10, 2.02 at the end"),
        (
            losses([4, 3, 2, 1], [4, 3, 2, 1]),
            "Validation loss was at its lowest, 1, when training ended at step 30",
        ),
        (losses([4, 3, np.nan, np.inf]), "The loss became NaN or infinite at step 20"),
        (losses([4, 3, 2, 1]), "Training loss fell from 4 to 1 in 30 steps"),
        (losses([1, 3, 2, 4]), "Training loss rose from 1 to 4 in 30 steps"),
        (losses([2, 2, 2, 2]), "Training loss did not move: 2 at first, 2 at step 30"),
        ({("loss", None): ([5], [0.25])}, "Training loss is 0.25 at step 5"),
        ({("val_accuracy", None): (STEPS, [0, 0.5, 0.6, 0.75])}, "Validation accuracy ended at 0.75"),
    ],
)
def test_the_title_says_how_the_loss_went(make_run, texts, series, title):
    run = make_run(series)
    assert curves.summarize(run).title == title
    shown = texts(draw(run, "curves"))
    assert title in shown
    assert run.id in shown


def test_curves_collect_everything(full_run, texts):
    record = curves.summarize(full_run)
    assert [curve.part for curve in record.losses] == ["training", "validation"]
    assert [name for name, _ in record.metrics] == ["accuracy"]
    assert record.best_step == 29
    assert record.log_loss
    (verdict,) = record.verdicts
    assert (verdict.verdict, verdict.start, verdict.stop) == ("overfitting", 29, 59)
    shown = texts(curves.draw(record, DARK))
    assert "overfitting since step 29" in shown
    assert "best step 29" in shown
    assert "Validation loss rises." in shown


def test_a_verdict_that_is_repeated_lasts_and_one_that_ends_stops(make_run):
    events = [
        Event(step, "verdict", {"verdict": what, "since": step - 1, "text": what})
        for step, what in ((5, "plateau"), (10, "plateau"), (20, "healthy"))
    ]
    record = curves.summarize(make_run(losses([4, 3, 2, 1]), events=events))
    assert [(v.verdict, v.start, v.stop) for v in record.verdicts] == [("plateau", 4, 20), ("healthy", 19, 30)]


def test_the_best_step_is_the_lowest_validation_loss_where_none_was_noted(make_run):
    assert curves.summarize(make_run(losses([1, 1, 1, 1], [4, np.nan, 2, 3]))).best_step == 20


@pytest.mark.parametrize(
    ("values", "log"), [([5, 4, 3, 2], False), ([5, 1, 0.1, 0.01], True), ([5, 1, 0.1, -1], False)]
)
def test_the_loss_axis_is_logarithmic_where_it_spans_decades(make_run, values, log):
    record = curves.summarize(make_run(losses(values)))
    assert record.log_loss == log
    assert curves.draw(record, LIGHT).axes[0].get_yscale() == ("log" if log else "linear")


def test_a_run_whose_every_loss_is_nan_is_still_drawn(make_run):
    draw(make_run({("loss", None): (STEPS, [np.nan] * 4), ("val_loss", None): (STEPS, [np.inf] * 4)}), "curves")


def test_a_band_keeps_extremes_and_names_what_is_not_finite():
    values = np.random.default_rng(0).normal(size=1000)
    values[[3, 500]] = np.nan, np.inf
    found = band(np.arange(1000), values, 50)
    finite = values[np.isfinite(values)]
    assert len(found.steps) == 50
    assert (found.low.min(), found.high.max()) == (finite.min(), finite.max())
    assert list(found.non_finite) == [3, 500]
    assert (found.low <= found.middle).all()
    assert (found.middle <= found.high).all()


def test_a_short_band_is_the_series_itself():
    found = band(np.array([3, 5, 9]), np.array([1.0, 4.0, 2.0]))
    assert list(found.steps) == [3, 5, 9]
    assert list(found.low) == list(found.middle) == list(found.high) == [1, 4, 2]
    assert len(band(np.zeros(0, np.int64), np.zeros(0)).steps) == 0


def test_evenly_keeps_the_ends():
    assert evenly(list(range(100)), 5) == [0, 25, 50, 74, 99]
    assert evenly([1, 2], 5) == [1, 2]


def test_layer_heat_is_the_median_of_each_cell_and_repeats_gaps(make_run):
    run = make_run(
        {
            ("update_ratio", "fc1.weight"): (range(100), range(1, 101)),
            ("update_ratio", "fc2.weight"): ([30, 70], [5.0, np.nan]),
        }
    )
    heat = layer_heat(run, "update_ratio", ["fc1.weight", "fc2.weight", "fc3.weight"], columns=10)
    assert heat.names == ("fc1.weight", "fc2.weight")
    np.testing.assert_array_equal(heat.values[0], np.arange(5.5, 100, 10))
    np.testing.assert_array_equal(heat.values[1], [np.nan] * 3 + [5.0] * 7)
    assert list(np.flatnonzero(heat.broken[1])) == [7]
    assert list(heat.edges[[0, 1, -1]]) == [-0.5, 9.5, 99.5]


def test_updates_name_the_layers_outside_of_the_usual(make_run):
    series = {
        ("update_ratio", "fc1.weight"): (range(50), [1e-5] * 50),
        ("update_ratio", "fc2.weight"): (range(50), [1e-3] * 50),
        ("update_ratio", "fc3.weight"): (range(50), [0.1] * 50),
    }
    record = updates.summarize(make_run(series))
    assert record.typical == (1e-5, 1e-3, 0.1)
    assert record.title == (
        "1 of 3 layers moves more than usual (fc3.weight by 0.1 a step); "
        "1 of 3 layers moves less than usual (fc1.weight by 1e\N{MINUS SIGN}5 a step)"
    )
    calm = {key: (steps, [1e-3] * 50) for key, (steps, _) in series.items()}
    assert updates.summarize(make_run(calm)).title.startswith("All 3 layers move at the usual pace")


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_updates_and_gradients_without_one_usable_number(make_run, value):
    series = {(name, "fc1.weight"): (STEPS, [value] * 4) for name in ("update_ratio", "gradient_norm")}
    run = make_run(series)
    for kind in ("updates", "gradients"):
        draw(run, kind).canvas.draw()


@pytest.mark.parametrize(
    ("norms", "title"),
    [
        (
            (1e-5, 1e-2, 1.0),
            "Gradients vanish toward the input: fc1.weight gets 100,000 times less gradient than fc3.weight",
        ),
        ((1.0, 0.1, 0.01), "Gradients differ: fc3.weight gets 100 times less gradient than fc1.weight"),
        ((1.0, 1.5, 2.0), "Gradients are alike in all 3 layers: typical norms within a factor of 2"),
        ((0.0, 1.0, 1.0), "The gradient of fc1.weight is zero in at least half of the steps"),
        ((0.0, 0.0, 0.0), "Every recorded gradient is zero"),
        ((np.nan, 1.0, 1.0), "The gradient of fc1.weight became NaN or infinite around step 0"),
    ],
)
def test_gradients_say_how_layers_compare(make_run, norms, title):
    series = {("gradient_norm", f"fc{i + 1}.weight"): (STEPS, [norm] * 4) for i, norm in enumerate(norms)}
    assert gradients.summarize(make_run(series)).title == title


def test_a_color_scale_is_labeled_with_plain_numbers(make_run):
    series = {("gradient_norm", name): (STEPS, [3.0, 2.0, 1.0, 0.4]) for name in ("fc1.weight", "fc2.weight")}
    figure = gradients.draw(gradients.summarize(make_run(series)), LIGHT)
    figure.canvas.draw()
    scale = figure.axes[-1].yaxis
    labels = [label.get_text() for label in (*scale.get_ticklabels(), *scale.get_ticklabels(minor=True))]
    assert {"0.5", "1", "2"} <= set(labels)
    assert not any("times" in label for label in labels)


def test_sparsity_weighs_layers_by_their_size(make_run):
    series = {("zeros", "fc1.weight"): (STEPS, [0, 0.2, 0.4, 0.5]), ("zeros", "fc2.weight"): (STEPS, [0, 0, 0, 0.1])}
    record = sparsity.summarize(make_run(series))
    assert record.overall == pytest.approx((0.5 * 192 + 0.1 * 120) / 312)
    assert record.title == "34.6 % of 312 weights are exactly zero; most in fc1.weight (50 %)"


def test_a_dense_run_has_no_sparsity_to_draw(make_run):
    with pytest.raises(NothingToDrawError, match=r"no weight of run .* is exactly zero at any step"):
        sparsity.summarize(make_run({("zeros", "fc1.weight"): (STEPS, [0] * 4)}))


def ridge_run(make_run, arrays, name="fc1.weight", quantity="weight"):
    return make_run(sketches=[SketchRecord(name, quantity, step, Sketch.of(a)) for step, a in enumerate(arrays)])


def test_ridges_agree_with_numpy_and_leave_out_zeros(make_run):
    rng = np.random.default_rng(0)
    arrays = [np.concatenate([rng.normal(scale=s, size=4000), np.zeros(1000)]).astype(np.float16) for s in (1, 2)]
    (panel,) = histograms.summarize(ridge_run(make_run, arrays)).panels
    for row, array in enumerate(arrays):  # sketches of float16 are exact
        counts, _ = np.histogram(array[array != 0], panel.edges)
        np.testing.assert_allclose(panel.density[row] * 5000, counts)
        assert panel.zeros[row] == pytest.approx(0.2, abs=1e-3)
        assert counts.sum() > 0.998 * np.count_nonzero(array)
    assert not panel.scaled


def test_a_narrow_peak_away_from_zero_is_not_drawn_flat(make_run):
    array = np.random.default_rng(0).normal(0.97, 1e-3, 5000).astype(np.float32)
    (panel,) = histograms.summarize(ridge_run(make_run, [array])).panels
    # The sketch knows float32 values near 1 within one part in 128; the axis still spans the peak and nothing else.
    assert panel.edges[-1] - panel.edges[0] < 0.02
    assert panel.density.sum() == pytest.approx(1, abs=2e-3)


def test_ridges_tell_how_the_spread_changed(make_run):
    rng = np.random.default_rng(0).normal(size=5000)
    assert histograms.summarize(ridge_run(make_run, [rng, 3 * rng])).title == (
        "fc1.weight spread the most: to 3 times its first standard deviation"
    )
    assert "shrank the most: to 10 %" in histograms.summarize(ridge_run(make_run, [rng, 0.1 * rng])).title
    assert "stayed within 10 %" in histograms.summarize(ridge_run(make_run, [rng, 1.01 * rng])).title


def test_non_finite_values_are_marked_and_not_dropped(make_run, texts):
    run = ridge_run(make_run, [np.ones(9), np.array([1.0, np.nan, np.inf] * 3), np.full(9, np.nan)])
    record = histograms.summarize(run)
    assert record.title == "fc1.weight holds NaN or infinite values from step 1"
    assert "6 NaN or Inf" in texts(histograms.draw(record, LIGHT))


def test_ridges_are_thinned_by_a_stated_rule(make_run, texts):
    record = histograms.summarize(ridge_run(make_run, [np.arange(5.0)] * 40))
    (panel,) = record.panels
    assert len(panel.steps) == 14
    assert (panel.steps[0], panel.steps[-1]) == (0, 39)
    assert "Of all sketched steps 14 are shown" in texts(histograms.draw(record, LIGHT))


def test_gradients_have_ridges_too(make_run):
    run = ridge_run(make_run, [np.arange(5.0)], quantity="gradient")
    assert len(draw(run, "histograms", quantity="gradient").axes) == 1
    with pytest.raises(NothingToDrawError, match="no sketch of a weight"):
        draw(run, "histograms")
