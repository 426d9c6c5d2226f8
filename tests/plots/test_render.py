import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from weightsmith.errors import InputError, StoreError
from weightsmith.plots import PLOTS, NothingToDrawError, draw, plot_run, plot_source, save

MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml", "pdf": b"%PDF-"}


@pytest.mark.parametrize("suffix", MAGIC)
def test_every_picture_of_a_full_run_is_drawn(full_run, tmp_path, suffix):
    seen = []
    pictures = plot_run(full_run, tmp_path / "new" / "folder", format=suffix, progress=lambda *call: seen.append(call))
    assert {path.name.split("-")[0].split(".")[0] for path in pictures} == set(PLOTS)
    assert all(path.read_bytes().startswith(MAGIC[suffix]) for path in pictures)
    assert [done for done, _, _ in seen] == list(range(len(pictures) + len(pictures.skipped)))
    assert sorted((tmp_path / "new" / "folder").iterdir()) == sorted(pictures)  # no temporary file stays


def test_what_has_no_data_is_skipped_with_a_reason(make_run, tmp_path):
    run = make_run({("loss", None): ([0, 1], [2.0, 1.0])})
    pictures = plot_run(run, tmp_path)
    assert [path.name for path in pictures] == ["curves.png"]
    reasons = dict(pictures.skipped)
    assert set(reasons) == set(PLOTS) - {"curves"}
    assert reasons["updates"] == f"run {run.id} has recorded no update_ratio"
    assert reasons["matrix"].startswith(f"run {run.id} has no snapshot")


def test_an_empty_run_gives_no_picture_and_eleven_reasons(make_run, tmp_path):
    pictures = plot_run(make_run(), tmp_path)
    assert list(pictures) == []
    assert len(pictures.skipped) == len(PLOTS)


def test_a_run_of_one_step(make_run, tmp_path):
    from weightsmith.sketch import Sketch
    from weightsmith.store import SketchRecord

    name = "fc1.weight"
    measured = ("update_ratio", "gradient_norm", "zeros", "flip_rate", "mask_churn", "mask_overlap_first")
    entropies = ("sign_entropy", "sign_entropy_mean", "sign_entropy_least")
    series = {(key, name): ([0], [0.5]) for key in (*measured, *entropies)}
    series |= {(key, None): ([0], [0.5]) for key in ("loss", "val_loss", "learning_rate", "gradient_norm")}
    run = make_run(series, [SketchRecord(name, "weight", 0, Sketch.of(np.arange(5.0)))])
    pictures = plot_run(run, tmp_path, [kind for kind, info in PLOTS.items() if info.reads == "run"])
    assert pictures.skipped == []
    assert len(pictures) == 8


def test_of_many_matrices_the_remarkable_ones_are_drawn_and_the_rest_is_counted(source, tmp_path):
    rng = np.random.default_rng(0)
    tensors = {f"layer{i:02}__weight": rng.normal(size=(9, 8)).astype(np.float32) for i in range(10)}
    tensors["layer03__weight"] *= 50
    tensors["layer06__weight"][2, 2] = 1000
    tensors["head__weight"] = rng.normal(size=(40, 30)).astype(np.float32)
    pictures = plot_source(source(**tensors), tmp_path, ["heatmap", "importance"])
    drawn = [one.weight for one in pictures.drawn if one.kind == "matrix"]
    assert len(drawn) == 4
    assert {"layer03.weight", "layer06.weight", "head.weight"} <= set(drawn)
    assert sum(one.kind == "importance" for one in pictures.drawn) == 1
    reason = "drawn are the 4 most remarkable of 11: choose others by name"
    assert pictures.skipped == [("7 other matrices", reason)]


def test_patterns_choose_weights(source, tmp_path):
    tensors = {f"layer{i}__{part}__weight": np.eye(5, 6, dtype=np.float32) for i in range(10) for part in ("a", "b")}
    pictures = plot_source(source(**tensors), tmp_path, ["histogram"], weights=["layer?.a.*", "layer9"])
    assert [one.weight for one in pictures.drawn] == [
        *(f"layer{i}.a.weight" for i in range(10)),
        "layer9.b.weight",
    ]
    assert pictures.skipped == []
    with pytest.raises(InputError, match=r"matches 'nothing\.\*'"):
        plot_source(source(**tensors), tmp_path, ["histogram"], weights=["nothing.*"])
    with pytest.raises(InputError, match=r"has no weight 'layer1\.a\.weigt'; did you mean 'layer1\.a\.weight'"):
        plot_source(source(**tensors), tmp_path, ["histogram"], weights=["layer1.a.weigt"])


def test_options_reach_the_pictures_that_know_them(source, tmp_path):
    both = source(a__weight=np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32))
    kinds = ["embedding", "profile", "matrix"]
    pictures = plot_source(both, tmp_path, kinds, method="pca", dimensions=3, statistics=["norm"])
    records = {one.kind: one.record for one in pictures.drawn}
    assert records["embedding"].layout.points.shape == (30, 3)
    assert list(records["profile"].values) == ["norm"]
    with pytest.raises(InputError, match="unknown option 'metod'"):
        plot_source(both, tmp_path, kinds, metod="pca")


def test_what_we_chose_and_cannot_read_is_skipped_and_what_was_named_is_an_error(tmp_path):
    from weightsmith.sources import Source, Weight
    from weightsmith.weight import WeightInfo

    def packed():
        raise InputError("values of 4 bits are not read")

    broken = Weight(WeightInfo("packed.weight", (4, 4), "int4", "linear"), 8, packed)
    source = Source("some", [broken, Weight(WeightInfo("w", (3, 3), "float32", "linear"), 36, lambda: np.eye(3))])
    pictures = plot_source(source, tmp_path, ["matrix"])
    assert [one.weight for one in pictures.drawn] == ["w"]
    assert pictures.skipped == [("matrix of packed.weight", "values of 4 bits are not read")]
    with pytest.raises(InputError, match="4 bits"):
        plot_source(source, tmp_path, ["matrix"], weights=["packed.weight"])


def test_names_that_differ_only_in_odd_characters_get_different_files(source, tmp_path):
    both = source(**{"a/b__weight": np.eye(3, dtype=np.float32), "a:b__weight": np.eye(3, dtype=np.float32)})
    pictures = plot_source(both, tmp_path, ["matrix"])
    assert [path.name for path in pictures] == ["matrix-a_b.weight.png", "matrix-a_b.weight-2.png"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: draw(run, "curve"), "unknown picture 'curve': .*did you mean 'curves'"),
        (lambda run: draw(run, "curves", theme="blue"), "unknown theme 'blue': choose from light, dark"),
        (lambda run: draw(run, "embedding", perplexty=3), "unknown option .* 'perplexty'.*did you mean 'perplexity'"),
        (lambda run: draw(run, "curves", include="*"), "unknown option of the picture 'curves' 'include'"),
        (lambda run: draw(run.source(), "curves"), "'curves' shows a training: give a run, not"),
        (lambda run: draw(run, "matrix", weight="fc9.weight"), "has no weight 'fc9.weight'; did you mean"),
        (lambda run: draw(run, "updates", weight="fc9"), "no weight of run .* matches 'fc9': it has fc1.weight"),
        (lambda run: plot_run(run, "x", format="gif"), "unknown format 'gif': choose from png, svg, pdf"),
        (lambda run: plot_run(run, "x", kinds=["nope"]), "unknown picture 'nope'"),
        (
            lambda run: save(draw(run, "curves"), "x.gif"),
            r"cannot write a picture to '.gif' \(x.gif\): choose from .png",
        ),
        (lambda run: save(draw(run, "curves"), "x"), "a name without a suffix"),
        (lambda run: save(draw(run, "curves"), "/no/such/folder/x.png"), "cannot write the picture .*: No such file"),
    ],
)
def test_mistakes_are_answered_in_one_line(full_run, call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        call(full_run)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.glob("*.part")) == []


def test_a_run_without_snapshots_says_so(make_run):
    with pytest.raises(StoreError, match="has no snapshot"):
        draw(make_run(), "matrix")


def test_a_source_without_matrices_says_so(source):
    with pytest.raises(NothingToDrawError, match="holds no weight matrix"):
        draw(source(bias=np.zeros(3, np.float32)), "matrix")


def test_files_are_replaced_whole_and_a_failure_leaves_the_old_one(full_run, tmp_path, monkeypatch):
    target = save(draw(full_run, "curves"), tmp_path / "curves.svg")
    before = target.read_bytes()
    figure = draw(full_run, "curves")

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", full_disk)
    with pytest.raises(InputError, match="No space left on device"):
        save(figure, target)
    assert target.read_bytes() == before
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_themes_reach_the_file(full_run, tmp_path, theme):
    from PIL import Image

    path = save(draw(full_run, "gradients", theme=theme), tmp_path / "x.png")
    corner = Image.open(path).convert("RGB").getpixel((2, 2))
    assert corner == ((255, 255, 255) if theme == "light" else (0x15, 0x17, 0x1C))


def test_names_are_drawn_as_they_are(source, texts, tmp_path):
    odd = "a$x^2$_\\frac{\x1b\u6f22"
    figure = draw(source(**{odd: np.eye(8, dtype=np.float32)}), "matrix", weight=odd)
    save(figure, tmp_path / "x.png")
    assert "a$x^2$_\\frac{\\x1b\\u6f22" in texts(figure)


def test_pictures_may_be_drawn_in_several_threads(full_run, tmp_path):
    def work(index):
        for kind in ("curves", "histograms", "matrix", "updates"):
            save(draw(full_run, kind), tmp_path / f"{kind}-{index}.png")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert len({(tmp_path / f"updates-{i}.png").read_bytes() for i in range(3)}) == 1


def test_a_huge_matrix_is_drawn_in_bounded_memory(tmp_path):
    from weightsmith.plots import matrix
    from weightsmith.plots.style import LIGHT

    huge = np.broadcast_to(np.linspace(-1, 1, 8000, dtype=np.float32), (16_000, 8000))  # 512 MB if it were copied
    tracemalloc.start()
    save(matrix.draw(matrix.of(huge, "huge", "huge"), LIGHT), tmp_path / "huge.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


def test_importing_the_pictures_loads_neither_matplotlib_nor_torch():
    code = (
        "import sys, weightsmith.plots, weightsmith.analysis\n"
        "heavy = {'matplotlib', 'scipy', 'sklearn', 'openTSNE', 'numba', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_drawing_leaves_the_global_state_of_matplotlib_alone(full_run):
    code_state = "matplotlib.pyplot" in sys.modules
    draw(full_run, "curves")
    assert ("matplotlib.pyplot" in sys.modules) == code_state


def test_the_guide_describes_every_picture():
    from pathlib import Path

    guide = (Path(__file__).parents[2] / "docs" / "pictures.md").read_text()
    for name in PLOTS:
        assert f"## {name}\n" in guide
    assert guide.count("\n## ") == len(PLOTS) + 3  # how to get them, what they share, and what a model looks at
