import numpy as np
import pytest

from weightsmith.explain import Attribution, Maximized
from weightsmith.plots import save
from weightsmith.plots.sensitivity import draw_attribution, draw_maximized
from weightsmith.plots.style import THEMES

SHAPES = [(12,), (7, 5), (1, 8, 8), (3, 8, 6), (4, 6, 6)]


def texts(figure):
    return " ".join(text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text")))


def attribution(shape, method="integrated gradients", rows=3):
    values = np.random.default_rng(0).normal(size=(2, rows, *shape)).astype(np.float32)
    targets = np.arange(rows) % 3
    gap = np.full(rows, 0.25, np.float32) if method == "integrated gradients" else None
    return Attribution(method, values[0], values[1], targets, np.ones(rows, np.float32), gap)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_shape_of_input_is_drawn(tmp_path, shape, theme):
    figure = draw_attribution(attribution(shape), THEMES[theme], "run x", None, ["cat", "dog", "emu"])
    assert save(figure, tmp_path / "a.png").stat().st_size > 5000
    shown = texts(figure)
    assert "0.25" in shown
    assert "run x" in shown
    if len(shape) > 1:
        assert "dog" in shown


def test_features_are_ranked_by_name():
    found = attribution((4,), "saliency")
    found.values[:] = [0.1, 3.0, 0.2, 1.0]
    figure = draw_attribution(found, THEMES["light"], "run x", ["age", "height", "weight", "pulse"])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["height", "pulse", "weight", "age"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([3.0, 1.0, 0.2, 0.1])
    assert "height decides most, over 3 rows" in texts(figure)


def test_a_ranking_says_which_outputs_it_is_for():
    shown = texts(draw_attribution(attribution((4,), rows=7), THEMES["light"], "x", None, ["cat", "dog"]))
    assert "Explained: cat (3 rows), dog (2 rows), output 2 (2 rows)." in shown
    many = attribution((4,), rows=6)
    many.targets[:] = range(6)
    assert "output 3 (1 row), 2 others." in texts(draw_attribution(many, THEMES["light"], "x"))


def test_an_empty_map_is_no_riddle():
    found = attribution((1, 5, 5), "saliency")
    found.values[1] = 0
    assert "Nothing changes the output of 1 row." in texts(draw_attribution(found, THEMES["light"], "x"))


def test_zero_attributions_are_no_error(tmp_path):
    found = attribution((1, 5, 5), "saliency")
    found.values[:] = 0
    save(draw_attribution(found, THEMES["light"], "x"), tmp_path / "a.png")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_excites_units_is_drawn(tmp_path, shape):
    inputs = np.random.default_rng(0).normal(size=(9, *shape)).astype(np.float32)
    found = Maximized("", np.arange(9), inputs, np.zeros(9, np.float32), np.full(9, 7.5, np.float32))
    figure = draw_maximized(found, THEMES["dark"], "run x", None, ["zero", "one"])
    save(figure, tmp_path / "a.png")
    shown = texts(figure).replace("\n", " ")
    assert "What excites 9 units of the output most" in shown
    assert "one (0 \N{RIGHTWARDS ARROW} 7.5)" in shown
    assert "unit 2 (" in shown
