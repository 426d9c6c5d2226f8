"""`weightsmith plot FILE`."""

import json
import subprocess
import sys

import numpy as np
import pytest

from weightsmith.sources import write_safetensors


@pytest.fixture
def model(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {
        f"layers.{i}.{part}.weight": rng.normal(size=(24, 20)).astype(np.float32) for i in range(6) for part in "qv"
    }
    tensors["layers.3.v.weight"] *= 20
    path = tmp_path / "model.safetensors"
    write_safetensors(path, tensors, None)
    return path


def test_a_whole_file_gives_a_profile_and_a_few_weights(weightsmith, model, tmp_path):
    out = tmp_path / "out"
    outcome = weightsmith(
        "plot", model, "-o", out, "-k", "profile", "-k", "heatmap", "-k", "spectrum", "--theme", "dark"
    )
    assert outcome.code == 0
    names = {path.name for path in out.iterdir()}
    assert "profile.png" in names
    assert {"matrix-layers.3.v.weight.png", "spectrum-layers.3.v.weight.png"} <= names
    assert len(names) == 9
    assert "8 other matrices: drawn are the 4 most remarkable of 12" in outcome.out


def test_json_holds_what_was_drawn_and_its_numbers(weightsmith, model, tmp_path):
    chosen = ["-w", "layers.3.*", "-k", "spectrum", "-k", "profile", "-s", "rms", "-k", "tsne", "--method", "pca"]
    outcome = weightsmith("plot", model, "-o", tmp_path / "out", *chosen, "--dimensions", "3", "--json")
    printed = json.loads(outcome.out)
    assert [(one["kind"], one["weight"]) for one in printed["records"]] == [
        ("profile", None),
        ("spectrum", "layers.3.q.weight"),
        ("spectrum", "layers.3.v.weight"),
        ("embedding", "layers.3.q.weight"),
        ("embedding", "layers.3.v.weight"),
    ]
    assert [one["file"] for one in printed["records"]] == printed["pictures"]
    profile, spectrum, *_, layout = (one["numbers"] for one in printed["records"])
    assert profile["title"].startswith("layers.3.v.weight has rms")
    assert len(profile["values"]["rms"]) == 12
    assert spectrum["spectrum"]["rank"] == 20
    assert layout["layout"]["method"] == "PCA"
    assert len(layout["layout"]["explained"]) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        ("-w", "nothing.*"),
        ("-w", "layers.3.w.weight"),
        ("-k", "heatmaps"),
        ("-k", "profile", "-s", "rank"),
        ("-k", "embedding", "--method", "isomap", "-w", "layers.3.*"),
        ("-k", "embedding", "--dimensions", "5", "-w", "layers.3.*"),
        ("-k", "matrix", "--method", "pca"),
    ],
)
def test_mistakes_are_one_line(weightsmith, model, tmp_path, wrong):
    outcome = weightsmith("plot", model, "-o", tmp_path / "out", *wrong)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err


def test_drawing_a_file_does_not_import_torch(model, tmp_path):
    code = (
        "import sys; from weightsmith.sources import open; from weightsmith.plots import plot_source\n"
        f"kinds = ['profile', 'spectrum', 'correlation', 'matrix', 'importance']\n"
        f"plot_source(open({str(model)!r}), {str(tmp_path / 'out')!r}, kinds)\n"
        "print(sorted({'torch', 'umap', 'openTSNE', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_large_matrix_is_drawn_in_blocks_of_its_file(weightsmith, tmp_path):
    """As float64 the matrix would take 128 MB; what is held beside the mapped file is a small part of that."""
    path = tmp_path / "large.safetensors"
    write_safetensors(path, {"w": np.random.default_rng(0).normal(size=(4096, 4096)).astype(np.float32)}, None)
    code = (
        "import tracemalloc, sys; from weightsmith.sources import open; from weightsmith.plots import plot_source\n"
        f"plot_source(open({str(path)!r}), {str(tmp_path / 'a')!r}, ['matrix'])\n"
        "tracemalloc.start()\n"
        f"plot_source(open({str(path)!r}), {str(tmp_path / 'b')!r}, ['matrix', 'histogram'])\n"
        "print(tracemalloc.get_traced_memory()[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100e6
