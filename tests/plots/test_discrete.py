"""Records and pictures of binary, ternary and sparse weights."""

import numpy as np
import pytest

from weightsmith.errors import InputError
from weightsmith.kinds import Sensitivity
from weightsmith.plots import NothingToDrawError, discretization, draw, flips, masks, save, signs, units
from weightsmith.plots.style import DARK, LIGHT, THEMES
from weightsmith.sketch import Sketch
from weightsmith.store import SketchRecord

STEPS = np.arange(100)
FALLING = 0.05 * np.exp(-STEPS / 5)


@pytest.mark.parametrize(
    ("rates", "title"),
    [
        ((0 * STEPS, 0 * STEPS), "No value flips at any measured step"),
        ((np.where(STEPS < 50, 0.01, 0), 0 * STEPS), "The values settle: up to 1 % of a layer flip in a step, none at"),
        ((FALLING, FALLING), "The values settle: up to 5 % of a layer flip in a step, hardly any at the end"),
        ((np.where(STEPS < 50, 0.01, 2e-4), FALLING), "The values settle: at the end up to 0.02 % of a layer flip"),
        ((0.01 + 0 * STEPS, FALLING), "The values do not settle: at the end up to 1 % of a layer flip in a step (fc1."),
    ],
)
def test_flips_say_whether_values_settle(make_run, rates, title):
    run = make_run({("flip_rate", f"fc{at}.weight"): (STEPS, rate) for at, rate in enumerate(rates, 1)})
    record = flips.summarize(run)
    assert record.title.startswith(title)
    assert record.heat.names == ("fc1.weight", "fc2.weight")
    assert np.isnan(record.oscillating).all()


@pytest.mark.parametrize(("share", "note"), [(0.02, "2 % of a layer flip back again"), (0.0, "no value flips back")])
def test_flips_name_the_layer_that_oscillates(make_run, texts, share, note):
    series = {("flip_rate", "fc1.weight"): (STEPS, FALLING), ("oscillating", "fc1.weight"): (STEPS, 0 * STEPS + share)}
    assert note in texts(flips.draw(flips.summarize(make_run(series)), LIGHT))


def masked(churn, kept, name="fc1.weight", steps=STEPS):
    return {("mask_churn", name): (steps, churn), ("mask_overlap_first", name): (steps, kept)}


def test_masks_add_up_what_changed_between_the_points_shown(make_run):
    steps = np.arange(1000)
    churn = np.where(steps % 100 == 0, 0.01, 0.0)
    record = masks.summarize(make_run(masked(churn, 0.9 ** (steps // 100), steps=steps)))
    (mask,) = record.masks
    assert len(mask.steps) == masks.POINTS
    assert mask.churn.sum() == pytest.approx(churn.sum())
    assert mask.steps[-1] == 999
    assert mask.kept[-1] == pytest.approx(0.9**9)
    assert record.last_change == pytest.approx(900, abs=5)


@pytest.mark.parametrize(
    ("series", "title"),
    [
        (masked(0 * STEPS, 1 + 0 * STEPS), "The mask never changes"),
        (
            masked(0 * STEPS, 1 + 0 * STEPS) | masked(0 * STEPS, 1 + 0 * STEPS, "fc2.weight"),
            "None of 2 masks ever changes",
        ),
        (
            masked(STEPS == 40, np.where(STEPS < 40, 1, 0.25)),
            "keeps 25 % of its first mask; the masks rest from step 40 on",
        ),
        (
            masked(0.01 + 0 * STEPS, np.linspace(1, 0.1, 100)),
            "keeps 10 % of its first mask; the masks change to the end",
        ),
    ],
)
def test_masks_say_what_is_left_and_since_when(make_run, series, title):
    record = masks.summarize(make_run(series))
    assert record.title.endswith(title)
    masks.draw(record, DARK).canvas.draw()


def entropies(name, whole, mean, least):
    values = {"sign_entropy": whole, "sign_entropy_mean": mean, "sign_entropy_least": least}
    return {(key, name): ([0, 50], [1.0, value]) for key, value in values.items()}


def test_signs_show_the_last_latent_weights_and_entropies(make_run, texts):
    latent = np.linspace(-1, 1, 4001).astype(np.float32)
    run = make_run(
        entropies("fc1.weight", 0.9, 0.8, 0.7) | entropies("fc2.weight", 0.99, 0.9, 0.01),
        [SketchRecord("fc1.weight", "latent", step, Sketch.of(latent / (51 - step))) for step in (0, 50)],
    )
    record = signs.summarize(run)
    first, second = record.layers
    assert (first.entropy, first.mean, first.least) == (0.9, 0.8, 0.7)
    assert first.latent.sum() == pytest.approx(1, abs=1e-6)
    assert first.near == pytest.approx(0.1 / np.sqrt(3), abs=0.002)
    assert second.latent is None
    assert record.title == "1 of 2 layers holds an output channel of one value (fc2.weight)"
    assert "5.8 % near 0" in texts(signs.draw(record, LIGHT)) or "5.7 % near 0" in texts(signs.draw(record, LIGHT))


def test_signs_without_collapse(make_run):
    record = signs.summarize(make_run(entropies("fc1.weight", 0.9, 0.8, 0.7)))
    assert record.title == "No output channel has collapsed: the most uneven holds 0.7 bits (fc1.weight)"
    signs.draw(record, DARK).canvas.draw()


@pytest.mark.parametrize("kind", ["flips", "masks", "signs"])
def test_runs_of_continuous_weights_have_nothing_to_draw(make_run, kind):
    with pytest.raises(NothingToDrawError, match=r"it has no (binary|sparse)"):
        draw(make_run({("update_ratio", "fc1.weight"): (STEPS, FALLING)}), kind)


def sparse(shape, density=0.2):
    random = np.random.default_rng(0)
    return random.standard_normal(shape) * (random.random(shape) < density)


def test_units_of_a_table_are_shown_by_name(texts):
    matrix = np.zeros((3, 5))
    matrix[0, [1, 2]] = 1.0, -2.0
    matrix[2, [1, 4]] = 4.0, 1.0
    record = units.of(matrix, "fc", "model", ["age", "height", "pulse", "dose", "sex"])
    assert [unit.index for unit in record.units] == [2, 0, 1]
    assert record.title == "A unit uses 2 of 5 inputs; 2 are used by none"
    assert record.names == ("age", "height", "pulse", "dose", "sex")
    np.testing.assert_array_equal(record.cells, matrix[[2, 0, 1]] / [[4], [2], [1]])
    shown = texts(units.draw(record, LIGHT))
    assert "pulse" in shown
    assert "unit 2" in shown


def test_many_inputs_are_cut_to_those_that_most_units_use(texts):
    matrix = sparse((100, 300))
    record = units.of(matrix, "fc", "model", [f"word {at}" for at in range(300)])
    used = np.count_nonzero(matrix, axis=0)
    assert used[record.features].min() >= np.sort(used)[-units.FEATURES]
    assert "the 48 strongest of 100 units, and the 40 of 300 inputs" in texts(units.draw(record, DARK))


def test_pixels_are_shown_as_images_unless_they_have_names():
    matrix = sparse((10, 64))
    assert units.of(matrix, "fc", "model").images.images.shape == (10, 8, 8)
    assert units.of(matrix, "fc", "model", [str(at) for at in range(64)]).images is None
    assert units.of(sparse((10, 60)), "fc", "model").images is None
    assert units.of(sparse((6, 3, 5, 5)), "conv", "model").images.images.shape == (6, 5, 5, 3)
    figure = units.draw(units.of(matrix, "fc", "model"), LIGHT)
    assert "A unit uses" in figure.texts[0].get_text()


@pytest.mark.parametrize("theme", THEMES)
def test_binary_units_use_everything(tmp_path, theme):
    matrix = np.where(np.random.default_rng(0).random((12, 50)) < 0.25, 0.3, -0.3)
    record = units.of(matrix, "fc", "model")
    assert record.title.startswith("Each unit adds or takes away all 50 inputs")
    assert save(units.draw(record, THEMES[theme]), tmp_path / "a.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.random.default_rng(0).standard_normal((4, 5)), "neither binary nor sparse"),
        (np.zeros((4, 5)), "all zeros"),
        (np.zeros(4), "no inputs to name"),
        (np.zeros((0, 5)), "no inputs to name"),
        (np.full((4, 5), np.inf), "NaN or infinite"),
    ],
)
def test_other_weights_have_no_list_of_uses(matrix, message):
    with pytest.raises(NothingToDrawError, match=message):
        units.of(matrix, "fc", "model")


def test_names_and_images_have_to_fit():
    with pytest.raises(InputError, match="2 names were given for 5 inputs"):
        units.of(np.eye(5), "fc", "model", ["a", "b"])
    with pytest.raises(InputError, match="does not fit"):
        units.of(np.eye(5), "fc", "model", image=(2, 2))


def records(*after, before=0.9, to="binary"):
    return [Sensitivity(f"fc{at}.weight", to, 100, before, value, 0.3) for at, value in enumerate(after)]


@pytest.mark.parametrize(
    ("found", "better", "title"),
    [
        (records(0.5, 0.8), True, "fc0.weight costs most when it alone becomes binary: accuracy 0.9 → 0.5"),
        (
            records(0.95, 1.4, to="sparse"),
            False,
            "fc1.weight costs most when it alone becomes sparse: accuracy 0.9 → 1.4",
        ),
        (records(0.9, 0.92), True, "No layer loses accuracy when it alone becomes binary"),
        (records(0.5, np.nan), True, "fc1.weight costs most when it alone becomes binary: accuracy 0.9 → nan"),
    ],
)
def test_the_costliest_layer_is_named(found, better, title, texts):
    record = discretization.summarize(found, "rows kept apart", "accuracy", larger_is_better=better)
    assert record.title == title
    assert "rows kept apart" in texts(discretization.draw(record, LIGHT))


def test_of_many_layers_the_costliest_are_kept_in_order(texts):
    after = np.linspace(0.9, 0.1, 60)
    record = discretization.summarize(records(*after), score="accuracy")
    assert [one.after for one in record.records] == after[-discretization.BARS :].tolist()
    assert "20 layers that cost less are left out" in texts(discretization.draw(record, DARK))
    with pytest.raises(NothingToDrawError):
        discretization.summarize([])
