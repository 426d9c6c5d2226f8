import pytest

from weightsmith.kinds.packed.report import LayerReport, PackReport, Parity, Timing
from weightsmith.plots import save
from weightsmith.plots.packed import MOST_LAYERS, colors, draw_report, record_report
from weightsmith.plots.style import THEMES


def texts(figure):
    return " ".join(text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text")))


def timing(batch, packed=1e-4):
    return Timing(batch, {"float32": 3e-4, "bfloat16": 2e-4, "packed": packed})


def report(layers=2, exact=True, packed=1e-4, **options):
    made = [
        LayerReport(f"layer.{at}.weight", "BinaryLinear", "binary", (8, 8), 256 + at, 8, (timing(1), timing(8)))
        for at in range(layers)
    ]
    sizes = {"float32": 4000, "bfloat16": 2000, "packed": 400}
    parity = Parity(10, 0.0 if exact else 2.5e-6, 3.0, exact, 0)
    return PackReport(parity, tuple(made), (timing(1, packed), timing(8)), sizes, sizes, 2, **options)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("layers", [0, 1, 40])
def test_reports_of_any_size_are_drawn(tmp_path, theme, layers):
    figure = draw_report(report(layers), THEMES[theme], "run x")
    assert save(figure, tmp_path / "a.png").stat().st_size > 5000
    assert "run x" in texts(figure)
    assert ("24 smaller layers not drawn." in texts(figure)) == (layers == 40)


def test_the_title_says_what_was_won():
    assert "Packed: 10 times smaller on disk, 3 times faster at batch 1" in texts(
        draw_report(report(), THEMES["light"], "")
    )
    assert "2 times slower at batch 1" in texts(draw_report(report(packed=6e-4), THEMES["light"], ""))


def test_quality_is_below_the_title():
    scored = report(exact=False, scores={"trained": 0.98, "packed": 0.9796}, metric="accuracy")
    shown = texts(draw_report(scored, THEMES["light"], "run x"))
    assert "accuracy 0.9800 trained, 0.9796 packed" in shown
    assert "outputs differ by 2.5e\N{MINUS SIGN}6 at most" in shown
    assert "outputs equal to the last bit" in texts(draw_report(report(), THEMES["light"], "run x"))


def test_the_numbers_of_the_picture():
    drawn = record_report(report(40))
    assert drawn.batches == [1, 8]
    assert len(drawn.names) == MOST_LAYERS + 1
    assert drawn.names[0] == "whole model"
    assert drawn.names[-1] == "layer.39.weight"
    assert drawn.latencies[1][3] == pytest.approx({"float32": 0.3, "bfloat16": 0.2, "packed": 0.1})


def test_a_layer_that_was_not_measured_leaves_a_gap():
    one = LayerReport("a.weight", "SparseLinear", "csr", (2, 2), 16, 4, (timing(8),))
    partial = PackReport(
        Parity(1, 0, 1, True, 0), (one,), (timing(1), timing(8)), *2 * [{"float32": 1, "bfloat16": 1, "packed": 1}], 1
    )
    assert record_report(partial).latencies[0][1] == {}
    assert draw_report(partial, THEMES["light"], "")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colors_are_told_apart(theme):
    assert len(set(colors(THEMES[theme]).values())) == 3
