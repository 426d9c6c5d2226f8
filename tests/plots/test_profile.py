import numpy as np
import pytest

from weightsmith.errors import InputError
from weightsmith.plots import NothingToDrawError, draw, profile
from weightsmith.plots.depth import blocks, families, family
from weightsmith.plots.style import DARK, LIGHT


def test_siblings_share_a_family_and_a_short_label():
    kin = [family(f"model.layers.{i}.{part}.weight") for i in range(3) for part in ("attn.q", "mlp")]
    assert len(set(kin)) == 2
    assert families([*kin, "head"], 7) == {
        "model.layers.#.attn.q.weight": "attn.q",
        "model.layers.#.mlp.weight": "mlp",
    }
    assert families(["a", "b"], 7) == {}


def test_layers_are_numbered_where_names_have_them():
    names = ["embed", *(f"layer.{i}.{part}" for i in range(40) for part in "qkv")]
    starts, numbers = blocks(names)
    assert (starts[:2], numbers[:2]) == ([1, 10], ["0", "3"])
    assert len(starts) <= 16
    assert blocks([f"conv2d_{i}" for i in range(20)]) == ([], [])
    assert blocks(["a", "b", "c"]) == ([], [])


def test_what_stands_out_from_its_siblings_is_named(texts):
    names = [f"layer.{i}.{part}.weight" for i in range(8) for part in ("q", "v")]
    rms = np.array([0.1, 5.0] * 8) * np.random.default_rng(0).uniform(0.95, 1.05, 16)
    rms[6] = 0.4  # nothing among all of them, much among the q
    record = profile.of("some.file", names, {"rms": rms, "kurtosis": np.zeros(16)})
    assert [one.weight for one in record.unusual["rms"]] == [6]
    assert record.unusual["rms"][0].typical == pytest.approx(0.1, rel=0.05)
    assert record.title.startswith("layer.3.q.weight has rms 0.4, its siblings about 0.1")
    assert profile.remarkable(record, 3) == ["layer.3.q.weight"]
    for theme in (LIGHT, DARK):
        figure = profile.draw(record, theme)
        figure.canvas.draw()
        assert "layer.3.q" in texts(figure)


def test_equal_layers_do_not_stand_out():
    record = profile.of("f", ["a", "b"], {"alpha": np.array([3.0, np.nan])}, ["Something is missing."])
    assert record.title == "No layer stands out in alpha"
    assert profile.remarkable(record, 3) == []


def test_a_lone_weight_has_a_profile_with_numbers_on_every_axis():
    values = {"rms": np.array([0.02]), "stable_rank": np.array([5800.0]), "alpha": np.array([800.0])}
    record = profile.of("m", ["w"], values)
    assert record.title == "w is the only weight: there is nothing that it could stand out from"
    figure = profile.draw(record, LIGHT)
    figure.canvas.draw()
    for axes in figure.axes:
        low, high = axes.get_ylim()
        assert any(low <= tick <= high for tick in axes.get_yticks())


def test_a_profile_of_a_file(source, texts):
    rng = np.random.default_rng(0)
    tensors = {f"fc{i}__weight": rng.normal(size=(20, 12)).astype(np.float32) for i in range(6)}
    tensors["fc2__weight"][3, 3] = 500
    tensors["fc2__bias"] = np.ones(5, np.float32)
    figure = draw(source(**tensors), "profile", statistics=["kurtosis", "sparsity", "alpha"])
    text = texts(figure)
    assert "fc2.weight has kurtosis" in text
    assert "6 weights in the order of depth" in text
    assert "share of zeros" in text
    draw(source(**tensors), "profile", include="fc2.bias", statistics=["rms"]).canvas.draw()


def test_what_cannot_be_profiled_is_refused(source):
    some = source(w=np.ones(4, np.float32))
    with pytest.raises(NothingToDrawError, match="holds no such weight"):
        draw(some, "profile")
    with pytest.raises(InputError, match="unknown statistic 'rank'"):
        draw(some, "profile", include="w", statistics=["rank"])
